"""The REPL beside the node: Ctrl-C at any moment, coldframe.status(), coldframe.resume()."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import FARM, image
from kit.simboard import SimBoard

PROMPT = re.compile(r">>> $")
APP = """
import asyncio

def setup(node):
    for n in range(20):     # takes long enough to be hit
        node.topic("./t%d" % n, every=3600)(lambda: 7)
    node.action("./echo")(lambda payload: payload)
    node.service("ticker", ticker)

count = 0

async def ticker():
    global count
    while True:
        count += 1
        await asyncio.sleep_ms(20)
"""

Make = Callable[..., SimBoard]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[SimBoard] = []

    def later(config: dict[str, Any], app: str | None = None) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id="00000000000000c5")
        made.append(board)
        board.put("config.json", {"time": {"ntp": []}, **config})
        if app:
            board.put("app.py", app)
        return board

    yield later
    for board in made:
        board.stop()


def test_thirty_interrupts_at_any_moment(make: Make, broker: Mosquitto) -> None:
    """The first ones hit the start of the node, the loading of its modules, and app.py."""
    board = make({"mqtt": {"host": "127.0.0.1", "port": broker.port}}, APP)
    peer = Peer(broker.port, ["#"])
    source = random.Random(20261121)
    board.start()
    board.wait_for("coldframe" if source.random() < 0.5 else "started", 10)
    for n in range(30):
        time.sleep(source.random() * (0.01 if n < 20 else 0.05))  # the moment is what is tested
        board.interrupt()
        if source.random() < 0.3:
            time.sleep(source.random() * 0.0005)
            board.interrupt()
        board.wait_for(PROMPT, 10)
        board.send("import coldframe; coldframe.resume()\r")
        board.wait_for("resume()", 10)
    topic = "coldframe/00000000000000c5"
    until(lambda: peer.payloads(f"{topic}/available")[-1:] == [b"online"], "online")
    peer.publish(f"{topic}/echo", "there")
    peer.wait_for(f"{topic}/echo_", "there")
    peer.publish(f"{topic}/t19_", "")
    peer.wait_for(f"{topic}/t19", "7")
    count = int(board.repl("import app; print(app.count)"))
    shown = board.repl(
        "import coldframe\nn = coldframe.node\nprint(sorted(s.name for s in n.services), n.errors, len(n.topics))"
    )
    names, errors, topics = re.match(r"(\[.*?\]) (\[.*\]) (\d+)", shown).groups()  # type: ignore[union-attr]
    assert errors == "[]"
    for name in ("app", "mqtt", "pulse", "ticker", "time"):
        assert names.count(f"'{name}'") == 1, names
    assert int(topics) == 22  # SYSINFO and those of the app
    board.send("coldframe.resume()\r")
    time.sleep(0.3)
    assert int(board.repl("print(app.count)")) > count  # the app's service runs
    peer.close()


def test_an_interrupt_right_after_the_start_is_not_lost(make: Make) -> None:
    """While modules are looked for on the flash; it was taken for "no such file" there."""
    for n in range(12):
        board = make({"mqtt": {"host": "127.0.0.1", "port": 9}})
        board.start()
        board.wait_for("started, base topic", 10)
        time.sleep(n * 0.00008)
        board.interrupt()
        board.wait_for(PROMPT, 5)
        board.stop()


def screen(board: SimBoard) -> list[str]:
    text = board.repl("import coldframe; coldframe.status()")
    lines = text.splitlines()
    assert max(map(len, lines)) < 80, text
    return lines


def test_status_says_first_what_is_wrong(make: Make, broker: Mosquitto) -> None:
    app = (
        "def setup(node):\n    node.topic('./bad', every=60)(lambda: 1 / 0)\n"
        "    node.topic('./long', every=60)(lambda: 'x' * 200)\n"
    )
    config = {
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "wifi": {"networks": [{"ssid": "Farm", "password": "secret99"}]},
    }
    board = make({**config, "name": "x" * 40, "sysinfo": {"evry": 5}}, app)
    board.world(networks=[])
    board.start()
    board.wait_for("started, base topic", 10)
    lines = screen(board)
    assert lines[0].startswith("Coldframe 0.1.0 on UNIX") and lines[0].endswith("x" * 40)
    assert lines[1].startswith("! sysinfo.evry: unknown key, did you mean sysinfo.every?"), lines
    assert any(line.startswith("! wifi: not joined") for line in lines), lines
    assert not any(line.startswith("! broker") for line in lines)  # not its fault
    assert lines[-1] == "The node stands still: coldframe.resume() goes on with it."
    board.world(networks=[FARM])
    end = time.monotonic() + 30
    wanted = (
        re.compile(r"! ./bad: ZeroDivisionError: divide by zero"),
        re.compile(r"wifi      Farm, -48 dBm, address \d"),
        re.compile(rf"broker    127.0.0.1:{broker.port}: connected for"),
        re.compile(r"          ./long .*\.\.\.  \d+ s ago"),
    )
    while not all(any(one.match(line) for line in lines) for one in wanted):
        assert time.monotonic() < end, lines
        board.send("coldframe.resume()\r")
        time.sleep(0.3)  # for the node to go on, between two looks
        lines = screen(board)
    broker.stop()
    board.send("coldframe.resume()\r")
    board.wait_for("trying on", 20)
    assert any(
        line.startswith(f"! broker 127.0.0.1:{broker.port}: not connected: ") for line in screen(board)
    )


def test_a_serial_node_right_after_the_start(make: Make) -> None:
    board = make({"mqtt": {"serial": {}}})
    board.start()
    board.wait_for("started, base topic", 10)
    lines = screen(board)
    assert any(line.startswith("! broker ") and "not connected" in line for line in lines), lines
    assert not any(line.startswith("broker    none") for line in lines)


def test_importing_costs_little_and_tab_completes(make: Make) -> None:
    board = make({})
    board.put("main.py", "import sys, time\n")
    board.start()
    board.wait_for(">>>", 10)
    code = """
import gc, sys, time
for name in [n for n in sys.modules if n.startswith("coldframe")]:
    del sys.modules[name]
gc.collect()
before = gc.mem_alloc()
t = time.ticks_us()
import coldframe
t = time.ticks_diff(time.ticks_us(), t)
gc.collect()
print(gc.mem_alloc() - before, t, sorted(n for n in sys.modules if n.startswith("coldframe")), coldframe.node)
"""
    cost, us, modules, node = re.match(r"(\d+) (\d+) (\[.*\]) (\w+)", board.repl(code)).groups()  # type: ignore[union-attr]
    assert node == "None" and modules == "['coldframe', 'coldframe.version']"
    assert int(cost) <= 2600 and int(us) < 200_000  # bytes on a 64-bit machine
    board.send("\rcoldframe.sta\t")
    board.wait_for(re.compile(r"startup +status\s"), 5)
    board.send("tu\t")
    board.wait_for("coldframe.status", 5)
    board.send("()\r")
    board.wait_for("no node has been made", 5)
    with pytest.raises(RuntimeError, match="there is no node yet"):
        board.repl("coldframe.resume()")
