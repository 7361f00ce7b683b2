"""Components from config.json on the simulated board: what they measure and switch, and what a mistake in one does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import image
from kit.simboard import SimBoard

ROOT = Path(__file__).resolve().parents[2]
ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
# Temperature and humidity of the example in the data sheet (683A, 4E85), with their checksums.
HTU = {"0": {"0x40": {"answers": {"f3": "683a7c", "f5": "4e856b"}}}}

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto) -> Iterator[MakeNode]:
    """Gives make(components, files, **config): a board with them, switched off."""
    made: list[SimBoard] = []

    def make(components: dict | None = None, files: dict[str, Any] | None = None, **config: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id=ID)
        made.append(board)
        config["mqtt"] = {"host": "127.0.0.1", "port": broker.port}
        config.setdefault("discovery", {"enabled": False})
        if components is not None:
            config["components"] = components
        board.put("config.json", config)
        for name, content in (files or {}).items():
            board.put(name, content)
        return board

    yield make
    for board in made:
        board.stop()


def spec(package: str, component: str, args: Any = None, **more: Any) -> dict[str, Any]:
    """A description of a component."""
    return {"package": package, "component": component, "constructor_args": args, **more}


def numbers(peer: Peer, topic: str) -> Any:
    """The newest JSON value on a topic of the node, waited for."""
    until(lambda: peer.payloads(f"{BASE}/{topic}"), topic)
    return json.loads(peer.payloads(f"{BASE}/{topic}")[-1])


def errors(peer: Peer) -> list[str]:
    """The errors in SYSINFO."""
    peer.publish(f"{BASE}/SYSINFO_", "")
    return list(numbers(peer, "SYSINFO")["errors"])


def test_the_example_of_the_docs(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    text = (ROOT / "docs/components.md").read_text()
    example = re.search(r"test_components.py runs this -->\n```json\n(.*?)```", text, re.S)
    assert example
    config = json.loads(example[1])
    config["mqtt"] = {"host": "127.0.0.1", "port": broker.port}
    node = make_node()
    node.put("config.json", config)
    node.world(i2c=HTU, adc={"26": "1.855V"}, networks=[config["wifi"]["networks"][0]])
    node.start()
    assert numbers(peer, "air") == {"temperature": 24.3, "humidity": 32.3}
    assert numbers(peer, "battery") == {"voltage": 3.71, "battery": 59}
    node.wait_state({"pin.14": 1}, 10)  # a relay that is off is at 1
    for command, level, state in (("ON", 0, "ON"), ("false", 1, "OFF"), ("true", 0, "ON")):
        peer.publish(f"{BASE}/pump/set", command)
        node.wait_state({"pin.14": level}, 10)
        until(lambda state=state: peer.payloads(f"{BASE}/pump")[-1:] == [state.encode()], state)
    node.world(i2c=HTU, adc={"26": "2V"}, networks=[config["wifi"]["networks"][0]])
    peer.publish(f"{BASE}/battery_", "")
    until(lambda: numbers(peer, "battery")["voltage"] == 4.0, "the new voltage")
    assert errors(peer) == []
    node.cut_power()
    node.start()
    node.wait_state({"boots": 2, "pin.14": 0}, 20)  # the pump runs again, as the broker has kept it


def test_sensors(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(
        {
            "bus": spec(".machine.i2c", "I2C", ["D6", "D5"]),
            "air": spec(".sensors.htu21d", "HTU21D", ["bus"]),
            "dht": spec(
                ".sensors.dht22", "DHT22", {"pin": "GP4", "offset": 1, "topic": "./cellar/air", "every": 0.3}
            ),
            "volt": spec(".sensors.adc", "ADC", {"pin": 27, "multiplier": 10, "precision": 0}),
            "cell": spec(".sensors.battery", "Battery", {"adc": "volt", "cutoff_pin": 9, "every": 0.1}),
        }
    )
    node.world(i2c=HTU, dht={"4": [-3.5, 60]}, adc={"27": "3V"})
    node.start()
    assert numbers(peer, "cellar/air") == {"temperature": -2.5, "humidity": 61.0}
    assert numbers(peer, "volt") == 30 and numbers(peer, "air")["humidity"] == 32.34
    # A reading that was damaged on its way is never published; the next good one is.
    node.world(i2c={"0": {"0x40": {"answers": {"f3": "683b7c", "f5": "4e856b"}}}}, dht={}, adc={"27": "3V"})
    before = len(peer.payloads(f"{BASE}/air"))
    node.wait_for("./cellar/air failed", 10)  # two seconds after its last reading
    peer.publish(f"{BASE}/air_", "")
    until(lambda: "damaged answer" in str(errors(peer)), "the error")
    assert len(peer.payloads(f"{BASE}/air")) == before
    node.world(i2c=HTU, adc={"27": "2.9V"})
    peer.publish(f"{BASE}/air_", "")
    until(lambda: len(peer.payloads(f"{BASE}/air")) > before, "a good reading again")
    node.wait_state({"pin.9": 1}, 10)  # the battery is empty


BAD = {
    "missing": (
        spec(".sensors.nothing", "X"),
        "components.missing.package: there is no module coldframe.comp",
    ),
    "class": (
        spec(".sensors.adc", "X"),
        "components.class.component: coldframe.components.sensors.adc has no X",
    ),
    "args": (spec(".sensors.adc", "ADC", {"pni": 26}), "components.args failed"),
    "kind": (spec(".sensors.adc", "ADC", 26), "components.kind.constructor_args: expected a list"),
    "text": ("x", "components.text: expected an object"),
    "key": ({**spec(".sensors.adc", "ADC"), "init": 1}, "components.key.init: unknown key; expected package"),
    "typo": (spec(".sensors.htu21d", "HTU21D", ["bsu"]), "ValueError: i2c: expected an I2C bus, got 'bsu'"),
    "a": (spec("own", "take", ["b"]), "components.a: a, b refer to each other in a circle"),
    "b": (spec("own", "take", {"x": ["a"]}), "components.b: needs a, which failed"),
    "raises": (spec("own", "raises"), "components.raises failed"),
    "needs": (spec("own", "take", ["raises"]), "components.needs: needs raises, which failed"),
    "hangs": (
        spec("own", "Slow", init_function="hang"),
        "components.hangs.init_function: hang did not end in 30 s",
    ),
    "function": (
        spec("own", "Slow", init_function="no"),
        "components.function.init_function: the component has no",
    ),
    "often": (
        spec("own", "Slow", call_interval=0),
        "components.often.call_interval: expected seconds, more than 0",
    ),
}
OWN = """
import asyncio
import coldframe
from coldframe import Topic
calls = []
def take(*args, **options):
    calls.append((args, options))
    return ("taken", args, options)
def raises():
    coldframe.node.add(Topic("./half", read=lambda: 1))
    1 / 0
async def ticker(topic):
    n = 0
    while True:
        n += 1
        await coldframe.node.publish(topic, n)
        if n == 2:
            raise OSError("stumbled")
        await asyncio.sleep(0.2)
class Slow:
    n = 0
    async def hang(self):
        await asyncio.sleep(3600)
    async def begin(self, n):
        await asyncio.sleep_ms(10)
        self.n = n
    def count(self):
        self.n += 1
        coldframe.node.topics[0].every = None
        if self.n == 102:
            raise ValueError("tripped")
        asyncio.create_task(coldframe.node.publish("./count", self.n))
"""


def test_mistakes(make_node: MakeNode, peer: Peer) -> None:
    good = {
        "volt": spec(".sensors.adc", "ADC", [26]),
        "zz": spec("own", "take", ["=volt", {"deep": ["volt"]}]),
        "count": spec("own", "Slow", [], init_function="begin", init_args=[100])
        | {"call_function_regularly": "count", "call_interval": 1},
        "ticker": spec("own", "ticker", ["./ticks"]),
        "_order": ["zz", "unknown"],
    }
    app = """
def setup(node):
    thing = node.component("zz")
    own = __import__("own")
    node.topic("./seen")(lambda: [thing[1][0], thing[1][1]["deep"][0] is node.component("volt"), len(own.calls),
        [t.topic for t in node.topics], sorted(node.components), node.component("count").n >= 100])
"""
    node = make_node({**{name: row[0] for name, row in BAD.items()}, **good}, {"own.py": OWN, "app.py": app})
    node.world(speed=20)
    node.start()
    until(lambda: b"101" in peer.payloads(f"{BASE}/count"), "regular calls")
    until(lambda: b"103" in peer.payloads(f"{BASE}/count"), "regular calls after one that has failed")
    until(lambda: peer.payloads(f"{BASE}/ticks").count(b"2") >= 2, "a service that was started again")
    node.wait_for("hang did not end in 30 s", 20)
    peer.publish(f"{BASE}/seen_", "")  # the app has waited for the components
    seen = numbers(peer, "seen")
    assert seen[:3] == ["volt", True, 1] and "./half" not in seen[3] and seen[5]
    assert seen[4] == ["count", "ticker", "volt", "zz"]
    console = node.console
    for name, (_, text) in BAD.items():
        assert text in console, f"{name}: {text}"
    assert "components._order: there is no component unknown" in console
    assert "Traceback" in console[console.index("components.raises failed") :]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"components.json": {"volt": spec(".sensors.adc", "ADC", [26])}}, "volt"),
        (
            {"components/volt.json": spec(".sensors.adc", "ADC", [26]), "components/_order.json": '["volt"]'},
            "volt",
        ),
        ({"components.py": f"COMPONENTS = {{'volt': {spec('.sensors.adc', 'ADC', (26,))}}}"}, "volt"),
        ({"components.json": "{", "components.py": "1 / 0"}, "/components.json: expected JSON"),
        ({"components.py": "1 / 0"}, "components.py: ZeroDivisionError"),
        ({"components.py": "COMPONENT = {}"}, "components.py: expected COMPONENTS"),
        ({"components.py": "import nothing"}, "components.py: no module named 'nothing'"),
    ],
)
def test_places(make_node: MakeNode, peer: Peer, files: dict[str, Any], found: str) -> None:
    node = make_node(None, files)
    node.world(adc={"26": "1V"})
    node.start()
    if found == "volt":
        assert numbers(peer, "volt") == 1.0
    else:
        node.wait_for(found, 10)
        assert found in str(errors(peer))


def test_the_ladder_leaves_them_out(make_node: MakeNode, peer: Peer) -> None:
    boot = "from coldframe import bootrecord\nbootrecord.level = lambda: 2\n"
    node = make_node({"volt": spec(".sensors.adc", "ADC", [26])}, {"boot.py": boot})
    node.start()
    node.wait_for("no components: too many boots have failed", 10)
    assert "./volt" not in node.repl("from coldframe import node; print(node.topics, node.components)")


def test_what_is_not_used_is_not_kept(make_node: MakeNode, peer: Peer) -> None:
    node = make_node({"volt": spec(".sensors.adc", "ADC", [26])})
    node.start()
    numbers(peer, "volt")
    loaded = node.repl("import sys, coldframe; print([m for m in sys.modules if 'loader' in m])")
    assert loaded.strip().endswith("[]"), loaded
    services = node.repl("import coldframe; print([s.name for s in coldframe.node.services])")
    assert "components" not in services, services
    bare = make_node()
    bare.start()
    until(lambda: peer.payloads(f"{BASE}/available").count(b"online") >= 2, "the second node")
    loaded = bare.repl("import sys; print([m for m in sys.modules if 'sensor' in m or 'loader' in m])")
    assert loaded.strip().endswith("[]"), loaded


def test_removal(make_node: MakeNode, peer: Peer) -> None:
    app = """
from coldframe.components import loader
def setup(node):
    @node.action("./remove")
    async def remove(payload):
        await loader.remove(node, payload)
        return sorted(node.components)
"""
    components = {"volt": spec(".sensors.adc", "ADC", [26]), "tick": spec("own", "ticker", ["./ticks"])}
    node = make_node(components, {"own.py": OWN, "app.py": app})
    node.start()
    numbers(peer, "volt")
    peer.publish(f"{BASE}/remove", "volt")
    assert numbers(peer, "remove_") == ["tick"]
    peer.publish(f"{BASE}/remove", "tick")
    until(lambda: peer.payloads(f"{BASE}/remove_")[-1:] == [b"[]"], "nothing left")
    shown = node.repl("from coldframe import node; print(node.topics, [s.name for s in node.services])")
    assert "./volt" not in shown and "ticker" not in shown, shown
