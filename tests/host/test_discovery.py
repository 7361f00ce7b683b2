"""What the device tells Home Assistant, checked against Home Assistant's rules, over a real broker."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host import homeassistant
from host.brokers import Mosquitto, Peer, until
from host.simboards import image
from kit.simboard import SimBoard

ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
TOPIC = f"homeassistant/device/{ID}/config"

MakeNode = Callable[..., SimBoard]

APP = """
from coldframe import Topic

def setup(node):
    def add(topic, read=True, action=False, **meta):
        node.add(Topic(topic, read=(lambda: state(topic)) if read else None, action=act if action else None, meta=meta))
    def state(topic):
        return {"./door": True, "./tank": 812.5, "./mode": "two", "./fan": 40, "./note": 'a "b"'}.get(topic, 1)
    def act(topic, payload):
        got.append((topic, payload))
    got = node.got = []
    add("./tank", unit="L", device_class="volume_storage", state_class="total", precision=1)
    add("./door", kind="binary_sensor", device_class="door", name='Tür "links"')
    add("./fan", action=True, kind="number", low=0, high=100, unit="%", icon="mdi:fan")
    add("./free", action=True, kind="number", category="config", enabled=False)
    add("./mode", action=True, kind="select", options=["one", "two"])
    add("./note", action=True, kind="text", high=40)
    add("./lamp/désk", action=True, kind="light")
    add("./restart", read=False, action=True, device_class="restart")
    add("plant/abs", read=True)
    add("./a/b")
    add("./a_b")
    add("./a-b")
    node.add(Topic("./two", read=lambda: {"t": 1, "h h": 2}, every=30, meta={})).meta = [
        {"key": "t", "unit": "°C", "device_class": "temperature"}, {"key": "h h", "more": {"en": False}}]
    node.add(Topic("./quiet", read=lambda: 1))
    add("./bad", kind="sensr")
    add("./worse", action=True, kind="select")
    node.param("Schwelle", 21.5, low=5, high=30, unit="°C")
    node.param("count", 3)
    node.param("on?", True)
    node.param("way", "slow", choices=("slow", "fast"))
    node.param('the "text"', "x")
"""


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto) -> Iterator[MakeNode]:
    """Gives make(app, **config): a board with them, switched off."""
    made: list[SimBoard] = []

    def make(app: str = "def setup(node): pass", options: tuple[str, ...] = (), **config: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id=ID, options=options)
        made.append(board)
        board.put("config.json", {"mqtt": {"host": "127.0.0.1", "port": broker.port}, **config})
        board.put("app.py", app)
        return board

    yield make
    for board in made:
        board.stop()


def documents(peer: Peer, topic: str = TOPIC) -> list[bytes]:
    """The documents so far."""
    return peer.payloads(topic)


def told(peer: Peer, count: int = 1) -> dict[str, dict[str, Any]]:
    """The entities of the newest document, once there were so many."""
    until(lambda: len(documents(peer)) >= count, f"document {count}")
    return homeassistant.check(TOPIC, documents(peer)[-1])


def test_everything(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node(APP, name='Grünhaus "1"', discovery={"area": "Garten"})
    node.world(networks=[{"ssid": "Farm"}])
    config = json.loads(node.get("config.json"))
    node.put("config.json", config | {"wifi": {"networks": [{"ssid": "Farm"}]}})
    node.start()
    entities = told(peer)
    late = Peer(broker.port, [TOPIC])
    until(lambda: late.messages, "the document")
    assert late.messages[0].retain and late.messages[0].qos == 1
    late.close()
    device = json.loads(documents(peer)[-1])["dev"]
    assert device["name"] == 'Grünhaus "1"' and device["ids"] == [ID] and device["sa"] == "Garten"
    assert json.loads(documents(peer)[-1])["avty_t"] == f"{BASE}/available"
    kinds = {cid: e["platform"] for cid, e in entities.items()}
    assert (
        kinds | {"tank": "sensor", "door": "binary_sensor", "fan": "number", "mode": "select", "note": "text"}
        == kinds
    )
    assert (
        kinds | {"restart": "button", "two--t": "sensor", "two--h_h": "sensor", "SYSINFO_rssi": "sensor"}
        == kinds
    )
    assert not {"bad", "worse", "quiet"} & set(kinds)
    lamp = next(e for e in entities.values() if e["platform"] == "light")
    assert lamp["command_topic"] == f"{BASE}/lamp/désk/set" and lamp["default_entity_id"].startswith(
        "light.gr_nhaus_1_lamp_d_sk"
    )
    alike = [f"{BASE}/a/b", f"{BASE}/a_b", f"{BASE}/a-b"]
    assert sorted(e["state_topic"] for e in entities.values() if e.get("state_topic") in alike) == sorted(
        alike
    )
    assert entities["door"]["name"] == 'Tür "links"' and entities["two--t"]["expire_after"] == 68
    assert entities["fan"]["min"] == 0 and entities["fan"]["command_topic"] == f"{BASE}/fan/set"
    assert entities["two--h_h"]["enabled_by_default"] is False
    threshold = next(e for e in entities.values() if e["name"] == "Schwelle")
    assert threshold | {"platform": "number", "min": 5, "max": 30, "entity_category": "config"} == threshold
    assert {e["name"]: e["platform"] for cid, e in entities.items() if cid.startswith("PARAMS")} == {
        "Schwelle": "number",
        "count": "number",
        "on?": "switch",
        "way": "select",
        'the "text"': "text",
    }
    # What the diagnostics show is in SYSINFO.
    until(lambda: peer.payloads(f"{BASE}/SYSINFO"), "SYSINFO")
    system = json.loads(peer.payloads(f"{BASE}/SYSINFO")[-1])
    shown = [e for cid, e in entities.items() if cid.startswith("SYSINFO_")]
    assert len(shown) == 7 + ("temperature" in system)
    for entity in shown:
        path = re.search(r"value_json\.([a-z_.]+)", entity["value_template"])
        assert path
        value = system
        for key in path[1].split("."):
            value = value[key]
    for name in ("bad", "worse"):
        assert f"discovery: ./{name}: " in node.console
    until(lambda: peer.payloads(f"{BASE}/PARAMS"), "the values of the parameters")


def test_size_and_memory(make_node: MakeNode, peer: Peer) -> None:
    """60 entities: the document is larger than the heap has room for, beside the node."""
    app = """
import gc
from coldframe import Topic
def setup(node):
    for n in range(60):
        node.add(Topic("./sensor%d" % n, read=one, every=3600, meta=META))
def one():
    return 1
META = {"name": "A name of some length for a sensor", "unit": "°C", "device_class": "temperature"}
"""
    node = make_node(app, sysinfo={"every": 0}, options=())
    node.start()
    assert len(told(peer)) == 60
    assert len(documents(peer)[-1]) > 15000
    used = node.repl(
        "import gc\n"
        "from coldframe import node\n"
        "from coldframe.discoverydoc import Plan\n"
        "plan = Plan(node); size = 0; gc.collect(); low = high = gc.mem_alloc()\n"
        "for text in plan.parts():\n"
        "    size += len(text.encode()); text = None; gc.collect(); high = max(high, gc.mem_alloc())\n"
        "print([size, high - low])"
    )
    size, high = json.loads(used.strip().splitlines()[-1])
    assert size == len(documents(peer)[-1]) and high < 3000  # of 64-bit words


def test_what_goes_is_removed(make_node: MakeNode, peer: Peer) -> None:
    app = """
from coldframe import Topic
def setup(node):
    node.add(Topic("./one", read=lambda: 1, meta={}))
    node.add(Topic("./two", read=lambda: 2, meta={"unit": "V"}))
    node.action("./remove")(lambda payload: str(node.remove(payload)))
    node.action("./add")(lambda payload: str(node.add(Topic(payload, read=lambda: 3, meta={}))))
"""
    node = make_node(app, sysinfo={"every": 0})
    node.world(speed=5)
    node.start()
    assert set(told(peer)) == {"one", "two"}  # and no diagnostics, for SYSINFO is not published
    peer.publish(f"{BASE}/remove", "./two")
    until(lambda: len(documents(peer)) >= 3, "two more documents")
    going, gone = (homeassistant.check(TOPIC, d) for d in documents(peer)[1:3])
    assert set(going) == {"one", "two"} and going["two"] == {"platform": "sensor"} and set(gone) == {"one"}
    peer.publish(f"{BASE}/add", "./three")
    assert set(told(peer, 4)) == {"one", "three"}
    until(lambda: peer.payloads(f"{BASE}/three"), "the value of the new entity")
    # While it is off, the program becomes another one: what it had is removed at the next start.
    node.stop()
    node.put("app.py", app.replace('"./one", read', '"./uno", action=print, read'))
    node.start()
    until(lambda: len(documents(peer)) >= 6, "two more documents")
    going, gone = (homeassistant.check(TOPIC, d) for d in documents(peer)[4:6])
    assert going["one"] == going["three"] == {"platform": "sensor"} and set(gone) == {"uno", "two"}


def test_home_assistant_starts(make_node: MakeNode, peer: Peer) -> None:
    app = """
def setup(node):
    node.topic("./one", meta={})(lambda: 1)
    node.topic("./keep", meta={}, retain=True)(lambda: 2)
"""
    node = make_node(app)
    node.world(speed=5)
    node.start()
    told(peer)
    until(lambda: peer.payloads(f"{BASE}/one") == [b"1"], "the value, for who knows of it now")
    peer.publish("homeassistant/status", "offline")
    peer.publish("homeassistant/status", "online")
    told(peer, 2)
    assert documents(peer)[0] == documents(peer)[1]
    until(lambda: peer.payloads(f"{BASE}/one") == [b"1", b"1"], "the value again")
    assert not peer.payloads(f"{BASE}/keep")  # the broker would have it, if it had ever been read


def test_a_broker_that_forgets(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node()
    node.world(speed=20)
    node.start()
    told(peer)
    broker.stop()
    broker.start()
    told(peer, 2)


def test_off_and_prefix(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node(discovery={"prefix": "ha/eins", "name": "日本"})
    node.start()
    topic = f"ha/eins/device/{ID}/config"
    until(lambda: documents(peer, topic), "the document")
    entities = homeassistant.check(topic, documents(peer, topic)[0], "ha/eins")
    assert entities["SYSINFO_uptime"]["default_entity_id"] == "sensor.coldframe_0000c0_sysinfo_uptime"
    node.stop()
    config = json.loads(node.get("config.json"))
    node.put("config.json", config | {"discovery": {}})
    node.start()
    told(peer)
    assert documents(peer, topic)[-1] == b""
    node.stop()
    node.put("config.json", config | {"discovery": {"enabled": False}})
    node.start()
    until(lambda: documents(peer)[-1] == b"", "the end")
    until(lambda: not (node.flash / "discovery.rec").exists(), "the end of the file")
    node.stop()
    node.start()
    until(lambda: peer.payloads(f"{BASE}/available").count(b"online") >= 4, "the fourth start")
    assert documents(peer)[-2:].count(b"") == 1
    late = Peer(broker.port, ["homeassistant/#", "ha/#", f"{BASE}/available"])
    until(lambda: late.messages, "what is retained")
    assert [m.topic for m in late.messages] == [f"{BASE}/available"]
    late.close()


def test_the_rules_refuse(make_node: MakeNode, peer: Peer) -> None:
    """Each of these breaks one rule of a good document: none may pass."""
    make_node(APP).start()
    told(peer)
    good = json.loads(documents(peer)[-1])
    for path, value in (
        (("dev", "ids"), []),
        (("o", "name"), ""),
        (("cmps", "tank", "unit_of_meas"), "kg"),
        (("cmps", "tank", "stat_t"), "a/#"),
        (("cmps", "tank", "ent_cat"), "config"),
        (("cmps", "tank", "unit"), "L"),
        (("cmps", "fan", "min"), 101),
        (("cmps", "mode", "ops"), []),
        (("cmps", "door", "dev_cla"), "dor"),
        (("cmps", "note", "max"), 256),
        (("cmps", "restart", "p"), "buton"),
        (("cmps", "restart", "uniq_id"), good["cmps"]["fan"]["uniq_id"]),
        (("cmps", "restart", "def_ent_id"), "sensor.x"),
    ):
        bad = json.loads(json.dumps(good))
        table = bad
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = value
        with pytest.raises(homeassistant.RuleError):
            homeassistant.check(TOPIC, json.dumps(bad).encode())


@pytest.mark.skipif(
    not os.environ.get("COLDFRAME_HOMEASSISTANT"),
    reason="set COLDFRAME_HOMEASSISTANT to a Python that has Home Assistant: tests/host/scripts/hacheck.py",
)
def test_home_assistant_itself(make_node: MakeNode, peer: Peer, tmp_path: Path) -> None:
    """The same document, and the one of the components, before Home Assistant's own validator."""
    components = {
        "bus": {"package": ".machine.i2c", "component": "I2C", "constructor_args": [5, 4]},
        "air": {"package": ".sensors.htu21d", "component": "HTU21D", "constructor_args": ["bus"]},
        "dht": {"package": ".sensors.dht22", "component": "DHT22", "constructor_args": [4]},
        "volt": {"package": ".sensors.adc", "component": "ADC", "constructor_args": [26]},
        "cell": {"package": ".sensors.battery", "component": "Battery", "constructor_args": ["volt"]},
        "pump": {"package": ".switches.gpio", "component": "GPIO", "constructor_args": [14]},
    }
    node = make_node(
        APP, components=components, wifi={"networks": [{"ssid": "Farm"}]}, discovery={"area": "Garten"}
    )
    node.world(networks=[{"ssid": "Farm"}])
    node.start()
    assert {"air--humidity", "cell--battery", "pump", "restart"} <= set(told(peer))
    (tmp_path / "document.json").write_bytes(documents(peer)[-1])
    script = Path(__file__).parent / "scripts/hacheck.py"
    command = [
        *shlex.split(os.environ["COLDFRAME_HOMEASSISTANT"]),
        str(script),
        str(tmp_path / "document.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    print(done.stdout)
