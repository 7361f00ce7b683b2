"""The demonstration: build the firmware, boot it, and watch it talk to a broker.

Builds the Raspberry Pi Pico image and the simulated board from source (unless dist/ has them already),
starts a mosquitto on this machine, boots the very .uf2 in an emulator and the simulated board beside
it, and shows what both publish and how they answer a command. Stays up until Ctrl-C; with --once it
ends after the first exchange with both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from kit import board as boards
from kit import images, ui
from kit.broker import Mosquitto
from kit.ui import UserError

ROOT = images.ROOT
WORK = ROOT / "build" / "demo"
EXAMPLES = ROOT / "examples"
COMMAND = "21.5"  # what is sent to ./temperature/set; the thermometer then starts from there
QUESTION = "is anybody there?"  # sent to ./echo; comes back on ./echo_
DEADLINE = 120.0  # s, for one node from power-on to its answer; the emulator needs some ten


class Node:
    """What the demo knows of one node, and how far its exchange has come."""

    def __init__(self, label: str, name: str, example: str) -> None:
        self.label = label
        self.name = name
        self.base = f"demo/{name}"
        self.folder = WORK / name
        self.online = asyncio.Event()
        self.sysinfo = asyncio.Event()
        self.answered = asyncio.Event()
        self._config = json.loads((EXAMPLES / example / "config.json").read_text())

    def write_flash(self, flash: Path, port: int) -> None:
        """Fill the folder that becomes the node's flash: config.json and the example app."""
        shutil.rmtree(self.folder, ignore_errors=True)
        flash.mkdir(parents=True)
        config = dict(self._config, name=self.name)
        mqtt = dict(config["mqtt"], base=self.base)
        if "host" in mqtt:
            mqtt["port"] = port
        (flash / "config.json").write_text(json.dumps(dict(config, mqtt=mqtt), indent=2) + "\n")
        shutil.copy(EXAMPLES / "thermometer" / "app.py", flash)


class Watcher:
    """A client at the broker that shows every message and marks how far the nodes have come."""

    def __init__(self, nodes: list[Node], port: int, shown: Callable[[str], None]) -> None:
        self._nodes = nodes
        self._loop = asyncio.get_running_loop()
        self._shown = shown
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="coldframe-demo")
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("demo/#", qos=1)
        self.client.loop_start()

    def close(self) -> None:
        """Leave the broker."""
        self.client.disconnect()
        self.client.loop_stop()

    def send(self, topic: str, payload: str) -> None:
        """Send a command to a node."""
        self._shown(f"-> {topic}  {payload}")
        self.client.publish(topic, payload, qos=1)

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._take, message.topic, message.payload.decode(errors="replace"))

    def _take(self, topic: str, payload: str) -> None:
        node = next((n for n in self._nodes if topic.startswith(n.base + "/")), None)
        if node is None or topic.endswith(("/echo", "/set")):
            return  # our own commands
        self._shown(f"<- {topic}  {payload}")
        last = topic.removeprefix(node.base)
        if last == "/available" and payload == "online":
            node.online.set()
        elif last == "/SYSINFO" and json.loads(payload)["name"] == node.name:
            node.sysinfo.set()
        elif last == "/echo_" and payload == QUESTION:
            node.answered.set()


async def exchange(node: Node, watcher: Watcher) -> None:
    """Wait until the node is on-line and has told about itself, then send it commands and wait for its answer."""
    steps = (
        ("come on-line", node.online),
        ("publish SYSINFO", node.sysinfo),
        ("answer the command", node.answered),
    )
    for what, event in steps:
        if event is node.answered:
            watcher.send(f"{node.base}/temperature/set", COMMAND)
            watcher.send(f"{node.base}/echo", QUESTION)
        try:
            await asyncio.wait_for(event.wait(), DEADLINE)
        except TimeoutError:
            raise UserError(
                f"did not {what} within {DEADLINE:.0f} s", where=node.label, hint="its console is shown above"
            ) from None


async def show(broker: Mosquitto, once: bool) -> None:
    """Run both nodes against *broker* until Ctrl-C, or with *once* until both have answered."""
    from emulator import Emulator
    from kit.simboard import SimBoard

    start = time.monotonic()

    def shown(source: str) -> Callable[[str], None]:
        def line(text: str) -> None:
            # In one piece: the simulated board's lines come from a thread of their own.
            sys.stdout.write(f"{time.monotonic() - start:6.1f} s  {source:<6} {text.rstrip()}\n")
            sys.stdout.flush()

        return line

    pico = Node("the emulated Raspberry Pi Pico", "pico", "serial-pico")
    sim = Node("the simulated board", "sim", "simulated")
    watcher = Watcher([pico, sim], broker.port, shown("mqtt"))
    pico_flash, sim_flash = pico.folder / "flash", sim.folder / "flash"
    pico.write_flash(pico_flash, broker.port)
    sim.write_flash(sim_flash, broker.port)
    image = images.path("RPI_PICO", ".uf2")
    emulated = Emulator(image, pico_flash, ("127.0.0.1", broker.port), on_text=lines(shown("pico")))
    simulated = SimBoard(images.path("UNIX"), sim.folder, on_line=shown("sim"))
    exchanges: list[asyncio.Task[None]] = []
    try:
        simulated.start()
        exchanges = [asyncio.create_task(exchange(node, watcher)) for node in (pico, sim)]
        await emulated.start()
        await asyncio.gather(*exchanges)
        print()
        ui.say(f"Both nodes are on the broker and answered, {time.monotonic() - start:.0f} s after power-on.")
        if not once:
            ui.say(HELP.format(port=broker.port))
            await asyncio.Event().wait()
    finally:
        for task in exchanges:
            task.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)
        await emulated.stop()
        simulated.stop()
        watcher.close()


HELP = """\
They go on until you press Ctrl-C. Meanwhile, from another terminal (Debian package mosquitto-clients):
  mosquitto_sub -p {port} -v -t 'demo/#'                      everything they publish
  mosquitto_pub -p {port} -t demo/pico/SYSINFO_ -m ''         ask the Pico about itself
  mosquitto_pub -p {port} -t demo/sim/temperature/set -m 30   set the simulated thermometer
"""


def lines(show_line: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that takes text in pieces of any size and gives *show_line* whole lines."""
    held = ""

    def take(text: str) -> None:
        nonlocal held
        *whole, held = (held + text).split("\n")
        for line in whole:
            show_line(line)

    return take


def list_dist() -> None:
    """Say which files in dist/ are to be flashed."""
    print("\nThe files to flash are in dist/:")
    for name in filter(lambda name: boards.load(name).release, boards.names()):
        for file in sorted(images.DIST.glob(f"coldframe-{name}-[0-9]*")):
            if file.suffix in (".uf2", ".bin"):
                print(f"  {file.name:<52} {file.stat().st_size:>9,} bytes")
    print(
        "Hold BOOTSEL while you plug the Pico in, then copy the .uf2 to the drive that appears (README, step 1)."
    )


def main(argv: list[str]) -> int:
    """Return 0 when both nodes have answered."""
    parser = argparse.ArgumentParser(prog="make demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the first exchange with both nodes")
    parser.add_argument("--port", type=int, default=None, help="the broker's port (1883 if that is free)")
    arguments = parser.parse_args(argv)
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        raise UserError(f"got {arguments.port}", where="--port", expected="1 to 65535")
    images.ensure(["RPI_PICO", "UNIX"])
    with Mosquitto(arguments.port) as broker:
        ui.say(f"mosquitto listens on 127.0.0.1:{broker.port}")
        asyncio.run(show(broker, arguments.once))
    list_dist()
    return 0


if __name__ == "__main__":
    ui.main(main)
