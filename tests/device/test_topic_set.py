"""States: switches, numbers and their like, against a broker in memory."""

import asyncio

import membroker
import minitest
from coldframe import Number, Switch, TopicSet
from membroker import begin, until

membroker.NEED = 24000  # does not fit the smallest heap beside a node, as of today


def _retained(broker, topic, payload):
    # What a broker sends for a subscription when it has kept something.
    broker.publish(topic, payload)
    # The RETAIN flag is bit 0 of the first byte of the packet that was appended last.
    start = len(broker.poll.incoming) - len(payload) - len(topic) - 4
    broker.poll.incoming[start] |= 1


async def test_switch():
    done = []

    def act(on):
        done.append(on)
        return None if len(done) < 3 else False

    node, broker = await begin(lambda node: node.add(Switch("./lamp", act, initial=False)))
    lamp = node.find("./lamp")
    await until(lambda: "b/lamp" in broker.filters, "the question for the last state")
    broker.publish("b/lamp/set", "on")  # wins over what comes now
    await until(lambda: done, "command")
    _retained(broker, "b/lamp", "OFF")
    for command in (' "OFF"', "maybe", "true"):
        broker.publish("b/lamp/set", command)
        await until(lambda: not node.busy(), command)
        await asyncio.sleep_ms(30)
    minitest.equal(done, [True, False, True])
    minitest.equal(lamp.state, False)  # the last one was refused
    sent = [m[1:] for m in broker.messages if m[0] == "b/lamp"]
    minitest.equal(sent, [(b"ON", 1, True), (b"OFF", 1, True), (b"OFF", 1, True), (b"OFF", 1, True)])
    await lamp.toggle()
    minitest.equal((lamp.state, done[-1]), (False, True))
    await node.stop()


async def test_select_and_text():
    done = []

    def setup(node):
        node.select("./mode", choices=("eco", "boost"))(done.append)
        node.text("./label", high=3, meta={"icon": "mdi:label"})(lambda topic, value: done.append(topic))

    node, broker = await begin(setup)
    await until(lambda: "b/label" in broker.filters, "subscriptions")
    for topic, payload in (("mode", "boost"), ("mode", "fast"), ("label", "abc"), ("label", "abcd")):
        broker.publish("b/%s/set" % topic, payload)
        await until(lambda: not node.busy() and done, payload)
        await asyncio.sleep_ms(30)
    minitest.equal(done, ["boost", "./label"])
    minitest.equal((node.find("./mode").state, node.find("./label").state), ("boost", "abc"))
    minitest.equal(node.find("./mode").meta, {"kind": "select", "options": ("eco", "boost")})
    minitest.equal(node.find("./label").meta, {"kind": "text", "high": 3, "icon": "mdi:label"})
    await node.stop()


async def test_a_state_is_restored():
    done = []
    node, broker = await begin(lambda node: node.add(Number("./level", done.append, high=10, initial=3)))
    level = node.find("./level")
    await until(lambda: "b/level" in broker.filters, "the question for the last state")
    broker.publish("b/level", "9")  # not retained: somebody else's
    _retained(broker, "b/level", "7.5")
    await until(lambda: done, "restored state")
    minitest.equal((done, level.state, level.settled), ([7.5], 7.5, True))
    await asyncio.sleep_ms(50)
    minitest.equal(broker.got("b/level"), [])  # not published again
    broker.publish("b/level/set", "8")
    await until(lambda: broker.got("b/level") == [b"8.0"], "command")
    minitest.equal(level.meta, {"kind": "number", "low": 0, "high": 10})
    broker.close()
    await until(lambda: broker.got("b/level") == [b"8.0", b"8.0"], "the state again after a reconnect")
    await node.stop()


async def test_a_command_while_the_state_is_being_restored():
    done = []

    async def act(on):
        await asyncio.sleep_ms(300 if on else 30)  # motors and relays take their time
        done.append(on)

    node, broker = await begin(lambda node: node.add(Switch("./lamp", act)))
    lamp = node.find("./lamp")
    await until(lambda: "b/lamp" in broker.filters, "the question for the last state")
    _retained(broker, "b/lamp", "ON")
    await until(lambda: lamp.settled, "the answer")
    broker.publish("b/lamp/set", "OFF")
    await until(lambda: broker.got("b/lamp") == [b"OFF"] and len(done) == 2, "both")
    minitest.equal((done, lamp.state), ([True, False], False))
    await node.stop()


async def test_a_state_that_the_broker_does_not_have():
    done = []

    def setup(node):
        node.add(TopicSet("./mode", done.append, kind="choice", choices=("eco", "boost"), initial="eco"))
        node.add(TopicSet("./other", lambda value: "is " + value, restore=False, initial="x"))

    node, broker = await begin(setup)
    await until(lambda: broker.got("b/other") or node.find("./other").state, "a state without asking")
    minitest.equal(node.find("./other").state, "is x")
    minitest.equal(done, [])
    await until(lambda: broker.got("b/mode"), "initial state")
    minitest.equal((done, broker.got("b/mode")), (["eco"], [b"eco"]))
    await node.stop()


minitest.run(globals())
