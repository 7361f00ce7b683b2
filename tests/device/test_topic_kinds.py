"""Topics that publish on change, and routines, against a broker in memory."""

import asyncio

import membroker
import minitest
from coldframe import TopicAction, TopicOnChange, TopicRead, TopicRoutine, clock
from membroker import begin, make, until

membroker.NEED = 16000  # a second node does not fit the smallest heap


async def test_the_plain_kinds():
    def setup(node):
        node.add(TopicRead("./value", lambda: 5, every=3600, retain=True))
        node.add(TopicAction("./double", lambda payload: int(payload) * 2))

    node, broker = await begin(setup)
    await until(lambda: broker.got("b/value") and "b/double" in broker.filters, "value")
    broker.publish("b/double", "21")
    await until(lambda: broker.got("b/double_"), "answer")
    minitest.equal((broker.got("b/value"), broker.got("b/double_")), ([b"5"], [b"42"]))
    await node.stop()


async def test_on_change():
    values = []

    def take():
        return values.pop(0) if values else None

    node, broker = await begin(lambda node: node.add(TopicOnChange("./t", take, every=0.02, change=0.5)))
    for value in (20, 20.4, 20.5, 20.1, 20.0, 19, "gone", "gone", True, None):
        values.append(value)
        await until(lambda: not values, "reading")
        await asyncio.sleep_ms(30)
    minitest.equal(broker.got("b/t"), [b"20", b"20.5", b"20.0", b"19", b"gone", b"true"])
    broker.publish("b/t_", "")
    values.append(30)
    await until(lambda: broker.got("b/t")[6:] == [b"30"], "what the reverse topic asks for")
    values.append(30)
    await until(lambda: not values, "reading")
    await asyncio.sleep_ms(30)
    minitest.equal(len(broker.got("b/t")), 7)
    await node.stop()


def test_percent():
    t = TopicOnChange("./t", lambda: 1, every=1, percent=10)
    told = [value for value in (100, 109, 110, 100, 99, 0, 0, 0.001, -5, -5.4, -5.5) if t.wants(None, value)]
    minitest.equal(told, [100, 110, 99, 0, 0.001, -5, -5.5])
    nan = float("nan")
    minitest.equal([t.wants(None, v) for v in (nan, nan, 5, nan)], [True, False, True, True])
    for value in ([1, 2], {0: 1}, bytearray(2)):  # one that the function uses again each time
        told = [t.wants(None, value), t.wants(None, value)]
        value[0] = 5
        minitest.equal(told + [t.wants(None, value)], [True, False, True])


def test_at_least():
    seconds = [0]
    t = TopicOnChange("./t", lambda: 1, every=1, at_least=60)
    before = clock.seconds
    clock.seconds = lambda: seconds[0]
    try:
        told = []
        for seconds[0] in range(0, 150, 10):
            if t.wants(None, 5):
                told.append(seconds[0])
    finally:
        clock.seconds = before
    minitest.equal(told, [0, 60, 120])


async def test_the_first_value_after_a_reconnect():
    node, broker = await begin(lambda node: node.add(TopicOnChange("./t", lambda: 7, every=0.05)))
    await until(lambda: broker.got("b/t"), "first value")
    await asyncio.sleep_ms(200)
    minitest.equal(broker.got("b/t"), [b"7"])
    broker.close()
    await until(lambda: len(broker.got("b/t")) == 2, "the value again")
    await node.stop()


async def test_routines_need_no_broker():
    calls = []

    async def fails():
        calls.append("async")
        await asyncio.sleep_ms(1)
        raise RuntimeError("no sensor")

    node, broker = make()
    node.client = None
    node.add(TopicRoutine(lambda: calls.append("sync"), every=0.05, name="beat"))
    node.routine(0.05)(fails)
    node.routine()(lambda: calls.append("once"))
    node._transport = None  # so that it stays off-line
    node._prepare = lambda c: node.service("pulse", node._pulse)
    await node.start()
    await until(lambda: calls.count("sync") >= 3 and calls.count("async") >= 3, "routines")
    minitest.equal(calls.count("once"), 1)
    assert node.find("fails").errors >= 2, node.find("fails").errors
    assert any("no sensor" in text for text in node.errors), node.errors
    await node.stop()


minitest.run(globals())
