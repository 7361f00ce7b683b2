"""Messages that come faster than an action takes them."""

import asyncio

import membroker
import minitest
from membroker import begin, until

membroker.NEED = 24000  # does not fit the smallest heap beside a node, as of today


async def test_a_burst_for_a_slow_action_waits_at_the_broker():
    got = []

    def setup(node):
        @node.action("./slow", qos=1)
        async def slow(payload):
            got.append(payload)
            return payload  # with QoS 1: the acknowledgement comes behind the burst

    node, broker = await begin(setup)
    await until(lambda: "b/slow" in broker.filters, "subscription")
    for i in range(60):
        broker.publish("b/slow", str(i), 1, i + 1)
    await until(lambda: len(broker.got("b/slow_")) == 60, "answers")
    minitest.equal(got, [str(i) for i in range(60)])
    minitest.equal(node.dropped, 0)
    await until(lambda: not node._waiting, "the end of the waiting")
    await node.stop()


async def test_a_hanging_action_makes_the_node_not_deaf():
    from coldframe import backpressure

    async def hang():
        await asyncio.sleep(3600)

    def setup(node):
        node.action("./hangs", qos=1)(hang)
        node.action("./fine", qos=1)(lambda payload: payload)

    before = backpressure.PATIENCE
    backpressure.PATIENCE = 200
    try:
        node, broker = await begin(setup)
        await until(lambda: "b/fine" in broker.filters, "subscriptions")
        for i in range(30):
            broker.publish("b/hangs", str(i), 1, i + 1)
        broker.publish("b/fine", "x", 1, 99)
        await until(lambda: broker.got("b/fine_"), "the other action")
        assert 10 < node.dropped < 30, node.dropped
        await node.stop()
    finally:
        backpressure.PATIENCE = before


minitest.run(globals())
