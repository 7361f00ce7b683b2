"""The node's Wi-Fi on the simulated board: which network it joins, and what it does when it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.simboards import DEADLINE, FARM, image
from kit.simboard import SimBoard

KNOWN = {"ssid": "Farm", "password": "secret99"}
BARN = {"ssid": "Barn", "password": "12345678", "rssi": -70, "channel": 1}

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """Gives make(networks, app, world, **wifi): a node with this configuration in this world, running."""
    made: list[SimBoard] = []

    def make(
        networks: list[Any], app: str = "", world: dict[str, Any] | None = None, **wifi: Any
    ) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id="00000000000000c0")
        made.append(board)
        board.put("config.json", {"wifi": {"networks": networks, **wifi}})
        if app:
            board.put("app.py", app)
        board.world(**{"networks": [FARM], "speed": 20, **(world or {})})
        board.start()
        return board

    yield make
    for board in made:
        board.stop()


def joined(board: SimBoard, ssid: str = "Farm", deadline: float = DEADLINE) -> dict[str, Any]:
    """Wait until the board is in a network; returns its state."""
    return board.wait_state({"wlan.state": "connected", "wlan.ssid": ssid}, deadline)


def test_trying_a_network_that_is_not_in_the_configuration(make_node: MakeNode) -> None:
    app = """
from coldframe import wifi
def setup(node):
    async def visit():
        w = wifi.of(node)
        print("nearby", w.nearby())
        w.networks = [{"ssid": "Farm", "password": "secret99"}]
        await w.up.wait()
        print("none for", w.seen_none_for())
        for ssid, password in (("Barn", "wrong"), ("Nowhere", "12345678"), ("Barn", "12345678")):
            print("trial", repr(await w.try_join(ssid, password)), w.state, w.up.is_set())
        w.back()
        await w.up.wait()
        print("back in", w.ssid, w.joins)
        print("trial", repr(await w.try_join("Barn", "12345678")))
        w.networks = [{"ssid": "Barn", "password": "12345678"}]
        await w.up.wait()
        print("now in", w.ssid, w.joins, repr(w.cause), w.rssi())
    node.service("visit", visit, once=True)
"""
    board = make_node([], app, {"networks": [FARM, BARN, {"ssid": "Café"}, {"ssid": "x", "hidden": True}]})
    board.wait_for(
        "nearby [('Farm', -48, 'WPA2'), ('Caf\\xe9', -60, 'open'), ('Barn', -70, 'WPA2')]", DEADLINE
    )
    board.wait_for("none for 0", DEADLINE)
    board.wait_for("trial 'wrong password' join False", DEADLINE)
    board.wait_for("trial 'not in reach' join False", DEADLINE)
    board.wait_for("trial '' join False", DEADLINE)
    board.wait_for("back in Farm", DEADLINE)
    board.wait_for("trial ''", DEADLINE)
    board.wait_for("now in Barn", DEADLINE)
    assert "'' -70" in board.console.splitlines()[-1]
    assert board.console.count("joined Barn") == 1  # it was not left when it became a known one
