"""What would keep the owner out of a device: hosts that have fallen silent, lesser keys, code that touches the loop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.remotehost import RemoteHost
from host.simboards import image
from kit.simboard import SimBoard

KEY = "the key of the owner, 2026"
EYE = "another key, only to look"

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto, peer: Peer) -> Iterator[MakeNode]:
    """Gives make(**remote): a node that is up, with an admin's key and one to look."""
    made: list[SimBoard] = []

    def make(**remote: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / "a")
        made.append(board)
        config = {
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "base": "a"},
            "remote": {"key": KEY, "keys": [{"name": "eye", "key": EYE, "role": "read"}]} | remote,
            "sysinfo": {"every": 0},
        }
        board.put("config.json", config)
        board.start()
        peer.wait_for("a/available", "online")
        return board

    yield make
    for board in made:
        board.stop()


def follow(peer: Peer, key: str) -> RemoteHost:
    """A host that follows a log in which nothing is written, and says nothing more."""
    host = RemoteHost(peer, "a", key).open()
    args = {"follow": True, "level": "critical", "lines": 0}
    host.send("log", host.command_bytes("log", json.dumps(args).encode()))
    host.send("ping", host.command_bytes("ping"))
    assert json.loads(host.answer(host.counter).body)["busy"]
    return host


def comes_in(peer: Peer, key: str) -> bool:
    """Whether somebody with that key is let in now."""
    host = RemoteHost(peer, "a", key)
    host.greet()
    time.sleep(0.3)  # hints are rationed
    host.send("open", host.open_bytes())
    host.counter = 1
    until(lambda: host.replies() or host.hints(), "an answer to open")
    return bool(host.replies())


def test_silent_hosts_with_a_command_at_work_make_room(make_node: MakeNode, peer: Peer) -> None:
    """The log of a quiet node needs no acknowledgement: laptops that were shut would hold their places for ever."""
    make_node(sessions=2, idle=10)
    for _ in range(2):
        follow(peer, KEY)
    assert not comes_in(peer, KEY)
    until(lambda: comes_in(peer, KEY), "room for the owner", 20)


def test_keys_to_look_do_not_keep_the_owner_out(make_node: MakeNode, peer: Peer) -> None:
    make_node(sessions=2)
    for _ in range(2):
        follow(peer, EYE)
    assert not comes_in(peer, EYE)
    assert comes_in(peer, KEY)


@pytest.mark.parametrize("how", ["asyncio.new_event_loop()", "asyncio.core.new_event_loop()"])
def test_code_with_a_new_event_loop_leaves_the_node_alive(make_node: MakeNode, peer: Peer, how: str) -> None:
    """It is how programs for MicroPython tidy up behind asyncio.run(); the node's tasks are in the one there is."""
    make_node()
    host = RemoteHost(peer, "a", KEY).open()
    clock = (
        b"import asyncio\nasync def tick():\n    while True:\n        await asyncio.sleep_ms(50)\n"
        b"        await node.publish('./tick', 'x', 0)\nt = asyncio.create_task(tick())"
    )
    assert host.call("exec", {}, clock)["ok"]
    peer.wait_for("a/tick", "x")
    code = f"import asyncio\ntry:\n    asyncio.run(asyncio.sleep_ms(1))\nfinally:\n    {how}"
    assert host.call("exec", {}, code.encode())["ok"]
    ticks = len(peer.payloads("a/tick"))
    until(lambda: len(peer.payloads("a/tick")) > ticks + 3, "the node's other tasks")
    assert host.call("exec", {}, b"await asyncio.sleep_ms(1)")["ok"]


def test_nothing_is_set_while_a_trial_may_take_it_back(make_node: MakeNode, peer: Peer) -> None:
    """A trial that fails brings back the file before, byte for byte: what was set meanwhile would be gone unsaid."""
    make_node()
    host = RemoteHost(peer, "a", KEY).open()
    assert host.call("config", {"op": "apply", "changes": {"name": "other"}, "trial": 60})["changed"]
    said = host.call("config", {"op": "set", "changes": {"time": {"tz": "UTC0"}}})
    assert said.get("code") == "busy", said
