"""coldframe.Node: its topics, against a broker in memory that speaks real MQTT bytes."""

import asyncio
import json
import time

import membroker
import minitest
from coldframe import Topic, bootrecord, store
from membroker import begin, until

membroker.NEED = 24000  # does not fit the smallest heap beside a node, as of today; see test_memory_node.py


def _text(s):
    # A text as MQTT writes it.
    return bytes((0, len(s))) + s.encode()


async def test_comes_up():
    node, broker = await begin(name="shed")
    minitest.equal((node.name, node.base, node.errors), ("shed", "b", []))
    minitest.equal(broker.messages[0], ("b/available", b"online", 1, True))
    assert "b/SYSINFO_" in broker.filters
    minitest.equal(broker.connects, [(node.id, _text("b/available") + _text("offline"))])
    await node.stop()
    await until(lambda: len(broker.got("b/available")) == 2, "good-bye")
    minitest.equal(broker.messages[-1], ("b/available", b"offline", 1, True))


async def test_sysinfo():
    node, broker = await begin(name="shed")
    broker.publish("b/SYSINFO_", "")
    await until(lambda: broker.got("b/SYSINFO"), "SYSINFO")
    info = json.loads(broker.got("b/SYSINFO")[0])
    broker.publish("b/SYSINFO_", "short")
    await until(lambda: len(broker.got("b/SYSINFO")) > 1, "a short SYSINFO")
    short = json.loads(broker.got("b/SYSINFO")[1])
    assert set(info) - set(short) <= {"mem_largest"} and "mem_largest" not in short
    broker.messages.clear()
    for key in (
        "name",
        "id",
        "board",
        "version",
        "uname",
        "uptime",
        "reset_cause",
        "mem_free",
        "boots",
    ):
        assert key in info, key
    minitest.equal((info["name"], info["errors"], info["id"]), ("shed", [], node.id))
    node.topics[0].every = 0.1  # what sysinfo.every does, sooner
    node.due = 0
    await until(lambda: len(broker.got("b/SYSINFO")) > 1, "SYSINFO again and again")
    await node.stop()


async def test_reading():
    values = [1.5, None, "text", b"\x00\xff", {"a": [1, True]}]

    def setup(node):
        @node.topic("./value", every=3600, retain=True)
        def value():
            return values.pop(0)

        @node.topic("abs/lazy")
        async def lazy():
            await asyncio.sleep_ms(1)
            return 7

    node, broker = await begin(setup)
    await until(lambda: broker.got("b/value"), "value at the start")
    minitest.equal(broker.got("abs/lazy"), [])
    for count in (1, 2, 3, 4):  # None is not sent
        broker.publish("b/value_", "")
        await until(lambda: len(values) == 4 - count, "reading")
    await until(lambda: len(broker.got("b/value")) == 4, "all values")
    minitest.equal(broker.got("b/value")[:3], [b"1.5", b"text", b"\x00\xff"])
    minitest.equal(json.loads(broker.got("b/value")[3]), {"a": [1, True]})
    assert all(m[3] for m in broker.messages if m[0] == "b/value")
    broker.publish("abs/lazy_", "now")
    await until(lambda: broker.got("abs/lazy"), "lazy")
    minitest.equal(broker.got("abs/lazy"), [b"7"])
    await node.stop()


async def test_schedule():
    times = []

    def setup(node):
        node.add(Topic("./tick", read=lambda: times.append(time.ticks_ms()), every=0.2))

    node, broker = await begin(setup)
    await until(lambda: len(times) >= 6, "readings")
    span = time.ticks_diff(times[5], times[0])
    assert 900 <= span <= 1800, span  # 5 x 200 ms; the upper bound leaves room for a slow machine
    await node.stop()


async def test_actions():
    got = []

    def setup(node):
        @node.action("./two")
        def two(topic, payload):
            got.append((topic, payload))

        @node.action("./echo")
        async def echo(payload):
            await asyncio.sleep_ms(1)
            return {"echo": payload}

        node.add(Topic("./none", action=lambda: got.append("none"), reverse=False))
        node.subscribe("b/+/deep", lambda topic, payload: got.append((topic, payload)))

    node, broker = await begin(setup)
    await until(lambda: "b/+/deep" in broker.filters, "subscriptions")
    for topic, payload, expected in (
        ("b/two", "höher", ("b/two", "höher")),
        ("b/two", b"\xff\x00", ("b/two", b"\xff\x00")),
        ("b/none", "x", "none"),
        ("b/x/deep", "y", ("b/x/deep", "y")),
    ):
        broker.publish(topic, payload)
        await until(lambda: got, topic)
        minitest.equal(got, [expected])
        got.clear()
    broker.publish("b/echo", "hi")
    await until(lambda: broker.got("b/echo_"), "echo")
    minitest.equal(json.loads(broker.got("b/echo_")[0]), {"echo": "hi"})
    minitest.equal(broker.got("b/two_"), [])
    await node.stop()


async def test_state():
    state = ["off"]

    def switch(payload):
        state[0] = payload

    def setup(node):
        node.add(Topic("./lamp", read=lambda: state[0], action=switch, retain=True))

    node, broker = await begin(setup)
    await until(lambda: "b/lamp_" in broker.filters, "subscriptions")
    assert "b/lamp" not in broker.filters
    broker.publish("b/lamp/set", "on")
    await until(lambda: broker.got("b/lamp"), "state")
    minitest.equal([m for m in broker.messages if m[0] == "b/lamp"], [("b/lamp", b"on", 0, True)])
    await node.stop()


async def test_exceptions_stay_where_they_are():
    calls = []

    def setup(node):
        @node.action("./bad")
        def bad(payload):
            calls.append(payload)
            return int(payload)

        @node.topic("./worse", every=3600)
        def worse():
            raise RuntimeError("no sensor")

    node, broker = await begin(setup)
    await until(lambda: "b/bad" in broker.filters and len(node.errors) == 1, "first error")
    broker.publish("b/bad", "x")
    broker.publish("b/bad", "5")
    await until(lambda: broker.got("b/bad_"), "answer to the good one")
    minitest.equal(calls, ["x", "5"])
    minitest.equal(broker.got("b/bad_"), [b"5"])
    minitest.equal(node.errors[0], "./worse: RuntimeError: no sensor")
    minitest.equal((node.find("./worse").errors, node.find("./bad").errors), (1, 1))
    assert node.errors[1].startswith("b/bad: ValueError"), node.errors
    broker.publish("b/SYSINFO_", "")
    await until(lambda: b"no sensor" in b"".join(broker.got("b/SYSINFO")), "error in SYSINFO")
    await node.stop()


async def test_topics_can_be_added_later():
    node, broker = await begin()
    await until(lambda: "b/SYSINFO_" in broker.filters, "subscription")
    node.action("./late")(lambda: "late")
    await until(lambda: "b/late" in broker.filters, "late subscription")
    broker.publish("b/late", "")
    await until(lambda: broker.got("b/late_"), "answer")
    error = minitest.raises(ValueError, node.add, Topic("./late", read=lambda: 1))
    assert "is there already" in str(error)
    await node.stop()


minitest.run(globals())
store.remove(bootrecord.FILE)
