"""The node as a user meets it: the real image as a simulated board, with files on its flash and a real broker."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import FARM, image
from kit.simboard import SimBoard

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ID = "00000000000000c0"
BASE = f"coldframe/{ID}"

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto) -> Iterator[MakeNode]:
    """Gives make(files, **config): a board with these files and a config.json that knows the broker, switched off."""
    made: list[SimBoard] = []

    def make(files: dict[str, str] | None = None, **config: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id=ID)
        made.append(board)
        config.setdefault("mqtt", {"host": "127.0.0.1", "port": broker.port})
        board.put("config.json", config)
        for name, text in (files or {}).items():
            board.put(name, text)
        return board

    yield make
    for board in made:
        board.stop()


def online(peer: Peer, times: int = 1) -> None:
    """Wait until a node has greeted the broker so many times."""
    until(lambda: peer.payloads(f"{BASE}/available").count(b"online") >= times, f"online number {times}")


def sysinfo(peer: Peer) -> dict[str, Any]:
    """Ask the node how it is; again where the question was lost because the node was about to connect."""
    topic = f"{BASE}/SYSINFO"
    before = len(peer.payloads(topic))
    asked = 0.0

    def answered() -> bool:
        nonlocal asked
        if time.monotonic() - asked > 2:
            asked = time.monotonic()
            peer.publish(f"{topic}_", "")
        return len(peer.payloads(topic)) > before

    until(answered, "SYSINFO")
    return dict(json.loads(peer.payloads(topic)[-1]))


def test_examples(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node()
    config = json.loads((EXAMPLES / "simulated/config.json").read_text())
    config["mqtt"]["port"] = broker.port
    node.put("config.json", config)
    shutil.copy(EXAMPLES / "thermometer/app.py", node.flash)
    node.start()
    online(peer)
    until(lambda: peer.payloads(f"{BASE}/temperature"), "the first temperature")
    assert 20 <= float(peer.payloads(f"{BASE}/temperature")[0]) < 26
    peer.publish(f"{BASE}/temperature/set", "30")
    until(lambda: float(peer.payloads(f"{BASE}/temperature")[-1]) >= 30, "the new temperature")
    peer.publish(f"{BASE}/echo", "grüß dich")
    peer.wait_for(f"{BASE}/echo_", "grüß dich")
    peer.publish(f"{BASE}/temperature/set", "warm")
    until(lambda: any("ValueError" in text for text in sysinfo(peer)["errors"]), "the mistake in SYSINFO")
    info = sysinfo(peer)
    assert info["name"] == f"simulated-{ID[-6:]}" and info["id"] == ID and info["board"] == "UNIX"
    assert info["reset_cause"] == "power" and info["boots"] == 1 and info["safe"] is False


def test_a_vanished_node_is_offline(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node(mqtt={"host": "127.0.0.1", "port": broker.port, "keepalive": 5})
    node.start()
    online(peer)
    node.cut_power()
    peer.wait_for(f"{BASE}/available", "offline")
    late = Peer(broker.port, [f"{BASE}/available"])
    assert late.wait_for(f"{BASE}/available", "offline").retain
    late.close()


def test_wifi(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    networks = [
        {"ssid": "Gone"},
        {"ssid": "Farm", "password": "wrong"},
        {"ssid": "Farm", "password": "secret99"},
    ]
    node = make_node(wifi={"networks": networks, "hostname": "green house"})
    node.world(networks=[FARM], speed=10)
    node.start()
    online(peer)
    info = sysinfo(peer)
    assert info["wifi"]["ssid"] == "Farm" and info["wifi"]["rssi"] == -48
    assert re.match(r"\d+\.", info["ifconfig"]["ip"])
    node.world(networks=[])
    node.wait_for("lost Farm")
    node.world(networks=[FARM])
    node.wait_for("joined Farm", 30)
    until(lambda: sysinfo(peer).get("wifi", {}).get("joins") == 2, "second time in the network")


def test_ctrl_c_status_and_resume(make_node: MakeNode, peer: Peer) -> None:
    app = "def setup(node):\n    node.action('./x')(lambda: 'y')\n"
    node = make_node({"app.py": app}, discovery={"enabled": False})
    node.start()
    online(peer)
    # A Ctrl-C in the middle of a streamed message costs the connection; that is test_repl.py's.
    until(lambda: peer.payloads(f"{BASE}/SYSINFO"), "SYSINFO")
    shown = node.repl("import coldframe; coldframe.status(); print(type(coldframe.node).__name__)")
    assert f"base topic {BASE}" in shown and ": connected for" in shown and shown.strip().endswith("Node")
    assert "startup" in node.repl("import coldframe; print(dir(coldframe))")
    node.send("import coldframe; coldframe.resume()\r")
    peer.publish(f"{BASE}/x", "")
    peer.wait_for(f"{BASE}/x_", "y")
    assert peer.payloads(f"{BASE}/available") == [b"online"]  # the connection has lived through it


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"app.py": "def setup(node):\n    1 / 0\n"}, "service app: ZeroDivisionError"),
        ({"app.py": "def setup(node)\n"}, "service app: SyntaxError"),
        ({"app.py": "import nothing\n"}, "service app: ImportError"),
        ({"main.py": "1 / 0\n"}, "/main.py: ZeroDivisionError"),
        ({"boot.py": "1 / 0\n"}, "/boot.py: ZeroDivisionError"),
    ],
)
def test_a_broken_program(make_node: MakeNode, peer: Peer, files: dict[str, str], error: str) -> None:
    make_node(files).start()
    online(peer)
    errors = sysinfo(peer)["errors"]
    assert len(errors) == 1 and errors[0].startswith(error), errors


def test_a_broken_config(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(name="shed")
    node.world(speed=60)  # a minute passes in a second
    node.start()
    online(peer)
    until(lambda: (node.flash / "config.bak").exists(), "the last good copy")
    node.stop()
    node.put("config.json", '{"name": "shed')
    node.start()
    online(peer, 2)
    info = sysinfo(peer)
    assert info["name"] == "shed"
    assert info["errors"] and info["errors"][0].startswith("/config.json: not JSON, line ")
    assert node.get("config.broken") == b'{"name": "shed'
    node.repl("import coldframe; assert coldframe.node.errors")


def test_power_cuts_lead_to_no_safe_mode(make_node: MakeNode, peer: Peer) -> None:
    node = make_node({"app.py": "def setup(node):\n    node.action('./x')(lambda: 'y')\n"})
    for count in range(1, 5):
        node.start()
        online(peer, count)
        node.cut_power()
    node.start()
    online(peer, 5)
    assert sysinfo(peer)["failed_boots"] == 0
    peer.publish(f"{BASE}/x", "")
    peer.wait_for(f"{BASE}/x_", "y")


def test_no_broker_is_no_failed_boot(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node()
    peer.close()
    broker.stop()
    node.world(speed=60)
    node.start()
    node.wait_for("trying on")
    until(lambda: node.get("boot.rec")[1] & 15 == 2, "a sound boot without a broker")
    assert not (node.flash / "config.bak").exists()  # it has not proven good
    broker.start()
    late = Peer(broker.port, ["#"])
    online(late)
    late.close()


def test_a_main_of_the_users_is_in_charge(make_node: MakeNode, peer: Peer) -> None:
    main = (
        "from coldframe import Node\n"
        "node = Node()\n"
        "@node.topic('./mine', every=1)\n"
        "async def mine():\n    return {'a': 1}\n"
        "node.run()\n"
    )
    make_node({"main.py": main, "app.py": "raise RuntimeError('not to be run')\n"}).start()
    online(peer)
    until(lambda: peer.payloads(f"{BASE}/mine"), "the topic of main.py")
    assert json.loads(peer.payloads(f"{BASE}/mine")[0]) == {"a": 1}
    assert sysinfo(peer)["errors"] == []
