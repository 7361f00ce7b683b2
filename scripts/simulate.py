"""Run many simulated boards on this machine: scripts/simulate.py -n 20

Each node is the unix image in a process of its own, with its own folder as its flash, its own id and its
own config.json. Without --broker a mosquitto is started for them. Shows what the nodes do until Ctrl-C;
with --once it ends as soon as all of them are connected to the broker.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kit import images, ui
from kit.broker import Mosquitto
from kit.simboard import SimBoard
from kit.ui import UserError

MOST = 500  # nodes; each takes about 1 MB and, when idle, 0.03 % of a core


class Node:
    """One node: its board and what is known of it."""

    def __init__(
        self, name: str, folder: Path, image: Path, template: dict[str, Any], app: Path | None
    ) -> None:
        self.name = name
        self.last = ""
        self.online: bool | None = None  # as its ./available says; None: nothing heard yet
        # The same name and folder give the same id, so that a kept folder is the same board again.
        self.id = hashlib.sha256(name.encode()).digest()[:8].hex()
        self.board = SimBoard(image, folder, unique_id=self.id, on_line=self._line)
        stored = self.board.sim / "unique_id"
        if stored.exists():
            self.id = stored.read_text().strip()
        self.config = dict(template)
        self.config["name"] = name
        self.board.put("config.json", json.dumps(self.config, indent=2) + "\n")
        if app is not None:
            shutil.copy(app, self.board.flash / "app.py")

    @property
    def available(self) -> str:
        """The topic on which the broker says whether the node is there."""
        base = str(self.config["mqtt"].get("base", "coldframe/{id}"))
        for key, value in (("id", self.id), ("short", self.id[-6:]), ("name", self.name)):
            base = base.replace("{" + key + "}", value)
        return base.rstrip("/") + "/available"

    def _line(self, text: str) -> None:
        if text.strip():
            self.last = text.strip()

    def state(self) -> str:
        """One word for the table."""
        if not self.board.running:
            return "ended"
        return {None: "starting", True: "online", False: "offline"}[self.online]


class Watcher:
    """Listens to what the broker says of the nodes."""

    def __init__(
        self, nodes: list[Node], host: str, port: int, user: str | None, password: str | None
    ) -> None:
        try:
            import paho.mqtt.client as paho
        except ImportError as error:
            raise UserError(
                "the Python package paho-mqtt is not installed",
                expected="the project's environment",
                hint="scripts/setup.sh, then run the command with .venv/bin/python",
            ) from error
        self._nodes = {node.available: node for node in nodes}
        self._refused: str | None = None
        self._connected = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if user is not None:
            self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        where = f"{host}:{port}"
        try:
            self._client.connect(host, port)
        except OSError as error:
            raise UserError(
                f"cannot reach it: {error}", where=f"broker {where}", expected="an MQTT broker"
            ) from error
        self._client.loop_start()
        if not self._connected.wait(10) or self._refused:
            self.close()
            raise UserError(
                f"refused: {self._refused}" if self._refused else "no answer within 10 s",
                where=f"broker {where}",
                expected="an MQTT broker that lets us in",
            )

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason)
        else:
            for topic in self._nodes:
                client.subscribe(topic, qos=1)
        self._connected.set()

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        node = self._nodes.get(message.topic)
        # A retained "online" may be of an earlier run: it counts only once the node runs.
        if node is not None and not (message.retain and node.online is None):
            node.online = message.payload == b"online"

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/simulate.py", description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=20, metavar="N", help="number of nodes (default 20)")
    parser.add_argument(
        "--broker", metavar="HOST:PORT", help="default: a mosquitto of its own on this machine"
    )
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="keep the nodes' folders here (default: forget them)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="config.json that all nodes start from")
    parser.add_argument(
        "--app", type=Path, metavar="FILE", help="Python file that becomes every node's /app.py"
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="the unix image (default: that in dist/)")
    parser.add_argument("--once", "--until-up", action="store_true", help="end when all nodes are online")
    parser.add_argument(
        "--deadline",
        type=float,
        default=60.0,
        metavar="S",
        help="with --once: fail after S seconds (default 60)",
    )
    return parser.parse_args(argv)


def template(file: Path | None) -> dict[str, Any]:
    """The configuration that all nodes share."""
    if file is None:
        return {"mqtt": {}}
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(error.strerror or str(error), where=file, expected="a config.json") from error
    except ValueError as error:
        raise UserError(f"not JSON: {error}", where=file, expected="a config.json") from error
    if not isinstance(config, dict) or not isinstance(config.setdefault("mqtt", {}), dict):
        raise UserError("not a configuration", where=file, expected='a JSON object, "mqtt" in it an object')
    return config


def broker_address(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT or [IPV6]:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "1883"
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise UserError(f'got "{text}"', where="--broker", expected="HOST:PORT, e.g. 192.168.1.10:1883")
    return host.strip("[]"), int(port)


def table(nodes: list[Node], broker: str) -> Any:
    """What is shown on a terminal."""
    from rich.table import Table

    view = Table(title=f"{len(nodes)} simulated boards, broker {broker}", expand=True)
    for title in ("name", "pid", "boots", "started by", "state"):
        view.add_column(title, no_wrap=True)
    view.add_column("last line", no_wrap=True, overflow="ellipsis", ratio=1)
    colours = {"online": "green", "offline": "red", "ended": "red"}
    for node in nodes:
        shown = node.board.state()
        state = node.state()
        view.add_row(
            node.name,
            str(node.board.pid or ""),
            str(shown.get("boots", "")),
            node.board.reset_cause(),
            f"[{colours.get(state, 'yellow')}]{state}",
            node.last.replace("[", r"\["),
        )
    return view


def watch(nodes: list[Node], broker: str, once: bool, deadline: float) -> int:
    """Show the nodes until Ctrl-C; with once until all are online. Returns the exit status."""
    end = time.monotonic() + deadline
    start = time.monotonic()
    with ExitStack() as stack:
        live = None
        if sys.stdout.isatty() and not once:
            from rich.live import Live

            live = stack.enter_context(Live(table(nodes, broker), refresh_per_second=4))
        shown = -1
        while True:
            up = sum(node.state() == "online" for node in nodes)
            if live is not None:
                live.update(table(nodes, broker))
            elif up != shown:
                print(f"{up} of {len(nodes)} nodes online after {time.monotonic() - start:.1f} s", flush=True)
                shown = up
            if once and up == len(nodes):
                return 0
            if once and time.monotonic() > end:
                missing = [node for node in nodes if node.state() != "online"]
                lines = [
                    f"{node.name} ({node.state()}): {node.last or 'printed nothing'}" for node in missing[:10]
                ]
                raise UserError(
                    f"{len(missing)} of {len(nodes)} nodes are not online after {deadline:g} s",
                    where=f"broker {broker}",
                    hint="\n".join(lines),
                )
            time.sleep(0.25 if not once else 0.02)


def run(argv: Sequence[str]) -> int:
    """Start the nodes, show them, stop them."""
    args = parse(argv)
    if not 1 <= args.n <= MOST:
        raise UserError(f"got {args.n}", where="-n", expected=f"1 to {MOST}")
    if args.app is not None and not args.app.is_file():
        raise UserError("no such file", where=args.app, expected="a Python file with setup(node)")
    config = template(args.config)
    image = args.image or images.path("UNIX")
    with ExitStack() as stack:
        if args.broker:
            host, port = broker_address(args.broker)
        else:
            host, port = "127.0.0.1", stack.enter_context(Mosquitto()).port
        config["mqtt"] = {**config["mqtt"], "host": host, "port": port}
        folder = args.dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldframe-sim-")))
        width = max(2, len(str(args.n)))
        names = [f"sim-{i:0{width}}" for i in range(1, args.n + 1)]
        nodes = [Node(name, folder / name, image, config, args.app) for name in names]
        for node in nodes:
            stack.callback(node.board.stop)
        watcher = Watcher(nodes, host, port, config["mqtt"].get("user"), config["mqtt"].get("password"))
        stack.callback(watcher.close)
        for node in nodes:
            node.board.start()
        try:
            return watch(nodes, f"{host}:{port}", args.once, args.deadline)
        except KeyboardInterrupt:
            ui.say(
                f"\nstopping {len(nodes)} nodes" + (f"; their folders stay in {folder}" if args.dir else "")
            )
            return 0


if __name__ == "__main__":
    ui.main(run)
