"""Many simulated boards at once, each the real unix image as a process of its own: about 1 MB of memory when idle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from coldframe_cli.link import Link
from coldframe_cli.profiles import Broker, Profile
from coldframe_cli.session import Session
from host.brokers import until
from host.simboards import image
from kit.simboard import SimBoard

KEY = "the key of the whole fleet"


class FleetBoards:
    """``count`` nodes called node-000, node-001 ..., connected to a broker on this machine.

    Args:
        ports: where the broker listens; with several, each node tries all, beginning with another one.
        config: more of the configuration that all share.
    """

    def __init__(
        self, folder: Path, count: int, ports: list[int], config: dict[str, Any] | None = None
    ) -> None:
        self.boards: list[SimBoard] = []
        for i in range(count):
            name = f"node-{i:03}"
            board = SimBoard(image(), folder / name, unique_id=f"{0xC0DE0000 + i:016x}")
            turn = [*ports[i % len(ports) :], *ports[: i % len(ports)]]
            mqtt: dict[str, Any] = {"host": "127.0.0.1", "port": turn[0]}
            if turn[1:]:
                mqtt["fallback"] = [{"host": "127.0.0.1", "port": port} for port in turn[1:]]
            given = config or {}
            board.put(
                "config.json",
                {"name": name, "remote": {"key": KEY}, **given, "mqtt": {**mqtt, **given.get("mqtt", {})}},
            )
            self.boards.append(board)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, deadline: float = 60.0) -> None:
        """Start all, some at a time, and wait until each is connected."""
        end = time.monotonic() + deadline
        for i, board in enumerate(self.boards):
            board.start()
            if i >= 20:  # not all at once: the first ones would time out
                self._up(self.boards[i - 20], end)
        for board in self.boards[-20:]:
            self._up(board, end)

    def base(self, i: int) -> str:
        """The base topic of a node."""
        return f"coldframe/{0xC0DE0000 + i:016x}"

    def close(self) -> None:
        """Stop all."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(SimBoard.stop, self.boards))

    @staticmethod
    def _up(board: SimBoard, end: float) -> None:
        until(lambda: ": up" in board.console, f"{board.folder.name} to connect", end - time.monotonic())


def profile(*ports: int) -> Profile:
    """The command's profile for brokers on this machine, with the fleet's key."""
    return Profile(brokers=tuple(Broker("127.0.0.1", port) for port in ports), keys={"*": KEY})


def link(*ports: int) -> Link:
    """A connection of the command's own, made."""
    made = Link(profile(*ports))
    made.connect(30)
    return made


def session(over: Link, base: str) -> Session:
    """An open session with a node of the fleet."""
    made = Session(over, base, KEY)
    made.open(30)
    return made


def coldframe(
    home: Path, ports: list[int], *args: str, deadline: float = 120.0, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command `coldframe` as a user does. home: where it keeps what it remembers, and looks for profiles."""
    return subprocess.run(
        [sys.executable, "-m", "coldframe_cli", *args],
        env=environment(home, ports),
        cwd=home,
        text=True,
        capture_output=True,
        timeout=deadline,
        input=stdin,
    )


def environment(home: Path, ports: list[int]) -> dict[str, str]:
    """What the command needs to know, as a user may give it."""
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "150",
        "COLDFRAME_BROKER": ",".join(f"127.0.0.1:{port}" for port in ports),
        "COLDFRAME_KEY": KEY,
    }
