"""Simulated boards for tests, from the real image in dist/; COLDFRAME_UNIX_IMAGE names another."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from kit import images
from kit.simboard import SimBoard

DEADLINE = 20.0
SILENCE = 0.7  # s of nothing that count as silence; TCP on loopback retransmits after 0.2 s
FARM = {"ssid": "Farm", "password": "secret99", "rssi": -48, "channel": 11}

MakeBoard = Callable[..., SimBoard]


def image() -> Path:
    """The unix image; the test fails with the command that makes it if it is not there."""
    path = Path(os.environ.get("COLDFRAME_UNIX_IMAGE") or images.path("UNIX"))
    assert path.exists(), f"{path} is missing; build it: python3 scripts/build.py UNIX"
    return path


def boards(folder: Path) -> Iterator[MakeBoard]:
    """For a fixture: gives make(main, *options), which makes a board with that /main.py; stops them all at the end."""
    made: list[SimBoard] = []

    def make(main: str = "pass", *options: str) -> SimBoard:
        board = SimBoard(image(), folder / f"node{len(made)}", options=options)
        made.append(board)
        board.put("main.py", main)
        return board

    yield make
    for board in made:
        board.stop()


def quiet(peer: socket.socket) -> bool:
    """Nothing comes from the peer: no data and no FIN."""
    return not select.select([peer], [], [], SILENCE)[0]
