"""Battery mode: the real image as a simulated board that sleeps, with a real broker. docs/power.md has the promises."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import FARM, image
from kit.simboard import SimBoard

ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
SPEED = 20  # times as fast as the wall
SLEEP = 20  # s of the board
AWAKE = re.compile(r"sleeping for (\d+) s after (\d+) ms")
HOME = [FARM | {"bssid": "02:00:00:00:00:01", "dhcp_delay": 1500}]
APP = """
from coldframe import Topic
def setup(node):
    node.add(Topic("./each", read=lambda: "each"))
    node.add(Topic("./third", read=lambda: "third", every=60))
    node.add(Topic("./never", read=lambda: "never")).wake = False
    node.add(Topic("./do", action=lambda payload: "done " + payload))
"""

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def peer(broker: Mosquitto) -> Iterator[Peer]:
    peer = Peer(broker.port, [f"{BASE}/#"])
    yield peer
    peer.close()


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto) -> Iterator[MakeNode]:
    """Gives make(app, networks, mqtt, **power): a sleepy board, switched on."""
    made: list[SimBoard] = []

    def make(
        app: str = APP, networks: list[dict] | None = None, mqtt: dict | None = None, **power: Any
    ) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id=ID)
        made.append(board)
        board.put(
            "config.json",
            {
                "mqtt": {"host": "127.0.0.1", "port": broker.port, **(mqtt or {})},
                "wifi": {"networks": [{"ssid": "Farm", "password": "secret99"}]},
                "sysinfo": {"every": 0},
                "power": {"mode": "battery", "sleep": SLEEP, **power},
            },
        )
        board.put("app.py", app)
        board.world(networks=networks or HOME, speed=SPEED)
        board.start()
        return board

    yield make
    for board in made:
        board.stop()


def asleep(node: SimBoard, deadline: float = 20) -> tuple[int, int]:
    """Wait for the end of a wake. Returns the seconds of the sleep and the milliseconds of the wake."""
    match = node.wait_for(AWAKE, deadline)
    return int(match[1]), int(match[2])


def got(peer: Peer, name: str, times: int, deadline: float = 20) -> None:
    """Wait until a topic has come so many times. What was published before it has come then, too."""
    until(lambda: len(peer.payloads(f"{BASE}/{name}")) >= times, f"{name} number {times}", deadline)


def test_each_wake_delivers_exactly_its_messages(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(pin=7, settle=200)
    for wake in range(1, 8):
        node.wait_state({"pin.7": 1})
        assert asleep(node)[0] == SLEEP
        node.wait_state({"boots": wake, "sleep": SLEEP * 1000})
        assert node.state()["pin.7"] == 0 and node.state()["wlan.state"] == "off"
        got(peer, "available", wake)
        assert len(peer.payloads(f"{BASE}/each")) == wake
        assert len(peer.payloads(f"{BASE}/third")) == (wake + 2) // 3
    assert not peer.payloads(f"{BASE}/never") and not peer.payloads(f"{BASE}/SYSINFO")
    assert peer.payloads(f"{BASE}/available") == [b"online"] * 7  # and never offline
    assert all(m.qos == 1 for m in peer.messages)
    assert node.reset_cause() == "deepsleep"
