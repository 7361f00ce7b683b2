"""Kinds of topics, schedules and parameters on the simulated board, with mosquitto between."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import image
from kit.simboard import SimBoard

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto) -> Iterator[MakeNode]:
    """Gives make(app, **config): a board with this inside of setup(node), switched off."""
    made: list[SimBoard] = []

    def make(app: str, **config: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}")
        made.append(board)
        config["mqtt"] = {"host": "127.0.0.1", "port": broker.port, "base": "b"}
        board.put("config.json", config)
        put_app(board, app)
        return board

    yield make
    for board in made:
        board.stop()


def put_app(board: SimBoard, app: str) -> None:
    lines = "".join(f"    {line}\n" for line in app.strip().splitlines())
    board.put("app.py", f"def setup(node):\n{lines}")


def online(peer: Peer, times: int = 1) -> None:
    """Wait until a node has greeted the broker so many times."""
    until(lambda: peer.payloads("b/available").count(b"online") >= times, f"online number {times}")


PINS = """
from machine import Pin
from coldframe import TopicIrq
node.add(TopicIrq("./door", Pin(4, Pin.IN), values=("shut", "open"), buffer=20))
node.add(TopicIrq("./motion", Pin(5, Pin.IN), hold=0.3))
node.add(TopicIrq("./pulse", Pin(6, Pin.IN), trigger=Pin.IRQ_FALLING, buffer=4))
"""


def test_pins(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(PINS)
    node.world(pins={"4": 0, "5": 0, "6": 1})
    node.start()
    peer.wait_for("b/door", "shut")
    peer.wait_for("b/motion", "0")
    assert peer.payloads("b/pulse") == []  # one kind of edge has no level
    # Three edges within 4 ms, a motion with gaps, a pulse.
    node.world(pins={"4": [1, 2, 0, 2, 1], "5": [1, 100, 0, 30, 1, 60, 0, 100, 1, 50, 0], "6": [0, 5, 1]})
    until(lambda: len(peer.payloads("b/door")) == 4, "the edges of the door")
    assert peer.payloads("b/door")[1:] == [b"open", b"shut", b"open"]
    until(lambda: len(peer.payloads("b/motion")) == 3, "the end of the motion")
    assert peer.payloads("b/motion") == [b"0", b"1", b"0"]
    assert peer.payloads("b/pulse") == [b"0"]
    peer.publish("b/door_", "")
    until(
        lambda: peer.payloads("b/door")[-1:] == [b"open"] and len(peer.payloads("b/door")) == 5, "the level"
    )


LAMP = """
@node.switch("./lamp", initial=False)
def lamp(on):
    print("lamp", on)
"""


def test_a_state_lives_through_a_power_cut(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node(LAMP)
    node.start()
    node.wait_for("lamp False")  # the broker has none
    peer.wait_for("b/lamp", "OFF")
    peer.publish("b/lamp/set", "ON")
    peer.wait_for("b/lamp", "ON")
    node.cut_power()
    node.start()
    node.wait_for("lamp True")
    online(peer, 2)
    # A command that is waiting at the broker wins over the retained state.
    node.cut_power()
    peer.publish("b/lamp/set", "off")
    node.start()
    node.wait_for("lamp False")
    until(lambda: peer.payloads("b/lamp")[-1] == b"OFF", "the commanded state")
    assert "lamp True" not in node.console.rsplit("lamp False", 1)[1]
    # Nothing was published but what had changed, and no loop of the node hearing itself. The command may have come
    # before the subscriptions were done; then the state is told once more.
    assert peer.payloads("b/lamp") in ([b"OFF", b"ON", b"OFF"], [b"OFF", b"ON", b"OFF", b"OFF"])
    late = Peer(broker.port, ["b/lamp"])
    assert late.wait_for("b/lamp", "OFF").retain
    late.close()


CLOCK = """
from coldframe import timezone
def say(what):
    t = timezone.local()
    print("%s %02d-%02d %02d:%02d" % (what, t[1], t[2], t[3], t[4]))
node.routine(at="02:30", name="at")(lambda: say("AT"))
node.routine(every=1800, align=True, name="half")(lambda: say("HALF"))
node.routine(every=3600, name="hour")(lambda: say("HOUR"))
"""


def says(node: SimBoard, what: str) -> list[str]:
    return re.findall(rf"^{what} (.*)$", node.console, re.MULTILINE)


def test_times_of_day_over_daylight_saving(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(CLOCK, time={"tz": "CET-1CEST,M3.5.0,M10.5.0/3"}, log={"console": "OFF"})
    # The night in which the clocks go forward, from 01:20 on, at twenty minutes a second.
    date = int(datetime(2027, 3, 28, 0, 20, tzinfo=UTC).timestamp())
    node.world(date=date, speed=1200)
    node.start()
    until(lambda: len(says(node, "HALF")) >= 6, "three hours")
    assert says(node, "AT") == ["03-28 03:30"]
    assert [t[6:] for t in says(node, "HALF")][:6] == ["01:30", "03:00", "03:30", "04:00", "04:30", "05:00"]
    # Somebody sets the clock to a day in autumn; intervals go on as they were.
    node.world(date=int(datetime(2027, 10, 30, 23, 50, tzinfo=UTC).timestamp()), speed=1200)
    until(lambda: "10-31 03:00" in says(node, "HALF"), "the autumn night")
    assert says(node, "AT") == ["03-28 03:30", "10-31 02:30"]  # once, although the hour comes twice
    autumn = [t for t in says(node, "HALF") if t.startswith("10-31")]
    assert autumn[:5] == ["10-31 02:00", "10-31 02:30", "10-31 02:00", "10-31 02:30", "10-31 03:00"]


PARAMS = """
import asyncio
def changed(value):
    print("time is", value)
node.param("time", 20, low=1, high=900, unit="s", on_change=changed)
print("time was", node.params["time"].value)
count = [0]
@node.topic("./count", every=3600)
def counting():
    count[0] += 1
    return count[0]
"""


def test_parameters_outlive_the_power(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(PARAMS)
    node.start()
    node.wait_for("time was 20")
    online(peer)
    peer.publish("b/SET_PARAM", '{"key": "time", "value": "30"}')
    node.wait_for("time is 30")
    peer.publish("b/SET_PARAMS", '{"every count": 0.1, "time": 40}')
    until(lambda: len(peer.payloads("b/count")) > 3, "the topic at its new interval")
    until(lambda: (node.flash / "params.json").exists(), "the file")
    until(lambda: json.loads(peer.payloads("b/PARAMS")[-1])["time"] == 40, "the parameters")
    # At most every ten seconds: the first change was written at once, and what the second one changed waits.
    node.repl("import coldframe; coldframe.node.params['every SYSINFO'].set(300)")
    assert json.loads(node.get("params.json")) == {"every SYSINFO": 300, "every count": 0.1, "time": 40}
    node.cut_power()
    node.start()
    node.wait_for("time was 40")
    online(peer, 2)
    peer.publish("b/PARAMS_", "")
    until(lambda: len(peer.payloads("b/PARAMS")) > 2, "the parameters")
    assert json.loads(peer.payloads("b/PARAMS")[-1]) == {"every SYSINFO": 300, "every count": 0.1, "time": 40}
    assert "every SYSINFO" in node.repl("import coldframe; coldframe.params.show()")


FAULTS = """
@node.topic("./broken", every=0.2)
def broken():
    raise RuntimeError("no sensor")
@node.topic("./fine", every=0.2)
def fine():
    return 1
@node.topic("./two", every=3600, qos=2, retain=True)
def two():
    return 2
@node.action("./drop")
def drop():
    node.remove("./two", clear=True)
"""


def test_faults_qos_and_removal(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node(FAULTS, log={"mqtt": "ERROR"})
    node.start()
    until(lambda: len(peer.payloads("b/fine")) > 3, "the topic beside the broken one")
    until(lambda: any(b"RuntimeError: no sensor" in p for p in peer.payloads("b/log/ERROR")), "the traceback")
    peer.publish("b/SYSINFO_", "")
    until(lambda: b'"failures"' in b"".join(peer.payloads("b/SYSINFO")[-1:]), "SYSINFO")
    assert json.loads(peer.payloads("b/SYSINFO")[-1])["failures"] >= 3
    assert int(node.repl("import coldframe; print(coldframe.node.find('./broken').errors)")) >= 3
    exact = Peer(broker.port, ["b/two"], qos=2)
    got = exact.wait_for("b/two", "2")
    assert (got.qos, got.retain) == (2, True)
    node.send("import coldframe; coldframe.resume()\r")
    peer.publish("b/drop", "")
    exact.wait_for("b/two", "")
    exact.close()
    late = Peer(broker.port, ["b/two", "b/available"])
    late.wait_for("b/available", "online")
    assert late.payloads("b/two") == []
    late.close()
