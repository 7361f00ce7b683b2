"""Improv over the serial console: a real pseudo-terminal, and a client that shares no code with the device."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from host import improv
from host.simboards import FARM, image
from kit.simboard import SimBoard

ID = "00000000000000c0"
CAFE = {"ssid": "Café", "rssi": -70}
WATCH = """
import asyncio, sys
async def setup(node):
    while any(name in sys.modules for name in ("coldframe.improv", "coldframe.improvrpc", "coldframe.ctrlc")):
        await asyncio.sleep_ms(100)
    print("gone")
"""
STUCK = """
import time
def setup(node):
    print("stuck now")
    while True:
        time.sleep_ms(100)
"""
FARM_CONFIG = {"ssid": "Farm", "password": "secret99"}

Make = Callable[..., tuple[SimBoard, improv.Client]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Gives make(config, networks): a board without power, and a client at its console."""
    made: list[SimBoard] = []

    def make(config: dict | None = None, networks: list | None = None) -> tuple[SimBoard, improv.Client]:
        client = improv.Client(lambda data: None)
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id=ID, on_bytes=client.feed)
        client.send = board.send
        made.append(board)
        if config is not None:
            board.put("config.json", config)
        board.world(networks=[FARM, CAFE] if networks is None else networks)
        return board, client

    yield make
    for board in made:
        board.stop()


def awake(board: SimBoard, client: improv.Client) -> None:
    """Start it and speak to it at once, long before anybody listens: what it is told then is not lost."""
    board.start()
    board.wait_for("running off-line")
    client.send(improv.command(2) + b"\n")
    assert client.wait(improv.STATE) == bytes([improv.READY])


def test_every_command(make: Make) -> None:
    board, client = make()
    awake(board, client)
    client.send(improv.command(2))
    assert client.wait(improv.STATE) == bytes([improv.READY])
    client.send(improv.command(3) + b"\n")
    firmware, _version, chip, name, system, _ = client.result(3)
    assert (firmware, chip, name, system) == (
        "Coldframe",
        "UNIX/coldframe-sim",
        "coldframe-0000c0",
        "MicroPython",
    )
    client.send(improv.command(4))
    assert client.result(4) == ["Farm", "-48", "YES"]
    assert client.result(4) == ["Café", "-70", "NO"]
    assert client.result(4) == []
    client.send(improv.command(5))
    assert client.result(5) == ["coldframe-0000c0"]
    client.send(improv.command(5, b"shed-7"))
    assert client.result(5) == ["shed-7"]
    for bad in (b"-x", b"x-", b"a b", b"\xff", "ä".encode(), b"x" * 33):
        client.send(improv.command(5, bad))
        assert client.error() == 5
    client.send(improv.command(6, "Schuppen ☃".encode()))
    assert client.result(6) == ["Schuppen ☃"]
    client.send(improv.command(7))
    assert client.result(7) == ["2"]
    for unknown in (0, 8, 255):
        client.send(improv.command(unknown))
        assert client.error() == 2
    # Wrong, then right.
    client.send(improv.wifi(b"Farm", b"wrong password"))
    assert client.wait(improv.STATE) == bytes([improv.PROVISIONING])
    assert client.wait(improv.STATE) == bytes([improv.READY])
    assert client.error() == 3
    client.send(improv.wifi(b"Farm", b"secret99"))
    assert client.wait(improv.STATE) == bytes([improv.PROVISIONING])
    assert client.wait(improv.STATE) == bytes([improv.PROVISIONED])
    (url,) = client.result(1)
    assert re.fullmatch(r"http://10\.77\.[\d.]+", url)
    board.wait_for("joined Farm")
    written = json.loads(board.get("config.json"))
    assert written["name"] == "Schuppen ☃"
    assert written["wifi"]["hostname"] == "shed-7"
    assert [n["ssid"] for n in written["wifi"]["networks"]] == ["Farm"]
    assert b"secret99" not in board.get("config.json")
    board.wait_state(lambda s: "wlan.ap.ssid" not in s)  # its own network has gone


def test_packets_that_are_wrong(make: Make) -> None:
    board, client = make()
    awake(board, client)
    good = improv.command(3)
    client.send(good[:-1] + bytes([good[-1] ^ 1]))
    assert client.error() == 1
    for data in (
        b"",
        b"\x03",
        b"\x03\x01",
        b"\x03\x00\x00",
        b"\x01\x00",
        b"\x01\x02\x20x",
        b"\x01\x03\x01x\x05",
    ):
        client.send(improv.packet(improv.COMMAND, data))
        assert client.error() == 1
    client.send(improv.wifi(b"", b""))
    assert client.error() == 1
    client.send(improv.wifi(b"Farm", b"short"))
    assert client.error() == 1
    client.send(improv.wifi(b"\xff", b""))
    assert client.error() == 1
    for kind in (improv.STATE, improv.ERROR, improv.RESULT, 200):
        client.send(improv.packet(kind, b"\x02"))  # an echo of what devices send: no answer
    client.send(good)
    assert client.result(3)[0] == "Coldframe"
    # A packet that is cut off is forgotten after a while.
    client.send(improv.command(6, b"x" * 60)[:30])
    time.sleep(1.2)
    client.send(good)
    assert client.result(3)[0] == "Coldframe"


def test_any_password(make: Make) -> None:
    chance = random.Random(4)
    ssid = "“Hof” & <b>+%41 ☃"
    password = "".join(chance.choice("äß\"'&+%<>\\ ${}#;\t") for _ in range(38)) + "x"
    board, client = make(networks=[{"ssid": ssid, "password": password}])
    awake(board, client)
    client.send(improv.wifi(ssid.encode(), password.encode()))
    assert client.wait(improv.STATE) == bytes([improv.PROVISIONING])
    assert client.wait(improv.STATE) == bytes([improv.PROVISIONED])
    board.stop()
    board.start()
    board.wait_for("joined")


def test_the_console_stays_a_console(make: Make) -> None:
    board, client = make()
    awake(board, client)
    # Ctrl-C leads to the REPL although it is part of Improv's packets, and the REPL gets what was typed behind it.
    board.send(b"\x03print(6 * 7)\r")
    board.wait_for("The node has stopped")
    board.wait_for("42")
    # The REPL's own Ctrl-C.
    board.send(b"import time; print('beg' + 'ins'); time.sleep(60)\r")
    board.wait_for("begins")
    board.interrupt()
    board.wait_for("KeyboardInterrupt")
    assert board.repl("import coldframe; print(coldframe.node.name)").strip() == "coldframe-0000c0"
    # Going on: nobody listens for a while, as a person is there; then again.
    board.send("coldframe.resume()\r")
    end = time.monotonic() + 20
    while board.console.count("The node has stopped") < 2:  # a Ctrl-C may come before it has begun to run
        board.interrupt()
        assert time.monotonic() < end, board.console[-500:]
        time.sleep(0.3)


def test_ctrl_c_when_the_program_is_stuck(make: Make) -> None:
    board, client = make()
    board.put("app.py", STUCK)
    board.start()
    board.wait_for("stuck now")
    end = time.monotonic() + 15
    while "The node has stopped" not in board.console:
        board.interrupt()
        assert time.monotonic() < end, board.console
        time.sleep(0.3)
    assert board.repl("print(6 * 7)").strip() == "42"


def test_a_window_after_power_on_where_a_network_is_known(make: Make) -> None:
    board, client = make({"wifi": {"networks": [FARM_CONFIG]}})
    board.put("app.py", WATCH)
    board.world(speed=4)
    board.start()
    board.wait_for("joined Farm")
    client.send(improv.command(2))
    assert client.wait(improv.STATE) == bytes([improv.PROVISIONED])
    assert client.result(2)[0].startswith("http://10.77.")
    client.send(improv.command(7))
    assert client.result(7)[0] == "3"
    # After some seconds the console is the program's, and nothing of it is left in RAM.
    board.wait_for("gone")
    board.send(improv.command(7))  # which holds a Ctrl-C
    board.wait_for("The node has stopped")


def test_switched_off(make: Make) -> None:
    board, client = make({"wifi": {"improv": False}})
    board.start()
    board.wait_for("and open")
    board.send(b"IMPROV\x01")
    assert board.repl("import sys; print([m for m in sys.modules if 'improv' in m])").strip() == "[]"
    assert client.packets == []
