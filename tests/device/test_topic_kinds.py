"""The kinds of topics beyond the plain one, against a broker in memory."""

import asyncio

import minitest
from coldframe import Number, Switch, TopicIrq, TopicOnChange, TopicRoutine, TopicSet, clock
from membroker import begin, make, until


def _retained(broker, topic, payload):
    # What a broker sends for a subscription when it has kept something.
    broker.publish(topic, payload)
    # The RETAIN flag is bit 0 of the first byte of the packet that was appended last.
    start = len(broker.poll.incoming) - len(payload) - len(topic) - 4
    broker.poll.incoming[start] |= 1


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
    values.append(19)
    broker.publish("b/t_", "")
    values.append(19)
    await until(lambda: len(broker.got("b/t")) >= 7, "what the reverse topic asks for")
    await node.stop()


def test_percent():
    t = TopicOnChange("./t", lambda: 1, every=1, percent=10)
    told = [value for value in (100, 109, 110, 100, 99, 0, 0, 0.001, -5, -5.4, -5.5) if t.wants(None, value)]
    minitest.equal(told, [100, 110, 99, 0, 0.001, -5, -5.5])
    nan = float("nan")
    minitest.equal([t.wants(None, v) for v in (nan, nan, 5, nan)], [True, False, True, True])


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


class Pin:
    # As much of machine.Pin as a TopicIrq uses; the real thing is tested with the simulated board.
    IRQ_FALLING = 4
    IRQ_RISING = 8
    level = 0
    handler = None

    def value(self):
        return self.level

    def irq(self, handler, trigger=None, hard=False):
        self.handler = handler

    def edge(self, level):
        self.level = level
        self.handler(self)


async def test_irq_overflow_and_removal():
    pin = Pin()
    seen = []
    node, broker = await begin(
        lambda node: node.add(TopicIrq("./door", pin, values=("shut", "open"), buffer=3, action=seen.append))
    )
    await until(lambda: broker.got("b/door") == [b"shut"], "the level at the start")
    for i in range(5):
        pin.edge(not i & 1)
    door = node.find("./door")
    minitest.equal(door.lost, 2)
    await until(lambda: len(broker.got("b/door")) == 4, "edges")
    minitest.equal(broker.got("b/door")[1:], [b"open", b"shut", b"open"])
    minitest.equal(seen, ["open", "shut", "open"])
    services = len(node.services)
    node.remove("./door")
    minitest.equal((pin.handler, len(node.services)), (None, services - 1))
    await node.stop()


async def test_irq_hold():
    pin = Pin()
    pin.level = 1
    node, broker = await begin(lambda node: node.add(TopicIrq("./motion", pin, hold=0.2)))
    await until(lambda: broker.got("b/motion") == [b"1"], "the level at the start")
    for level in (0, 1, 0, 1, 0):
        pin.edge(level)
        await asyncio.sleep_ms(20)
    minitest.equal(broker.got("b/motion"), [b"1"])
    await until(lambda: broker.got("b/motion") == [b"1", b"0"], "the end of the motion")
    pin.edge(1)
    await until(lambda: broker.got("b/motion") == [b"1", b"0", b"1"], "the next motion")
    await node.stop()


async def test_the_handler_allocates_nothing():
    import micropython

    if not hasattr(micropython, "heap_lock"):
        minitest.skip("no heap_lock on this target")
    pin = Pin()
    irq = TopicIrq("./x", pin)
    handler = irq._edge
    micropython.heap_lock()
    try:
        for _ in range(20):
            handler(pin)
    finally:
        micropython.heap_unlock()
    minitest.equal(irq.lost, 10)


async def test_removing():
    heard = []
    gone = []

    def setup(node):
        node.add(Switch("./lamp"))
        node.topic("./t", every=3600)(lambda: 5)
        node.subscribe("b/t_", heard.append)
        node.on("untopic", gone.append)

    node, broker = await begin(setup)
    await until(lambda: broker.got("b/t"), "value")
    topic = node.find("./t")
    minitest.equal(node.remove("b/t", clear=True), topic)
    await until(lambda: broker.got("b/t") == [b"5", b""], "the end of the retained value")
    minitest.equal(gone, [topic])
    broker.publish("b/t_", "still")
    await until(lambda: heard == ["still"], "the other listener")
    minitest.equal(broker.got("b/t"), [b"5", b""])
    minitest.equal(node.unsubscribe("b/t_", heard.append), True)
    minitest.equal(node.unsubscribe("b/t_", heard.append), False)
    node.remove("./lamp")
    await until(lambda: {"b/t_", "b/lamp/set", "b/lamp_"} <= set(broker.left), "unsubscriptions")
    error = minitest.raises(ValueError, node.remove, "./lamp")
    assert "there is none" in str(error)
    node.topic("./t", every=3600)(lambda: 6)  # the name is free again
    await until(lambda: broker.got("b/t")[-1] == b"6", "new topic of that name")
    await node.stop()


async def test_max_age_and_readings():
    values = [1, 2, 3, 4]

    async def take():
        await asyncio.sleep_ms(20)
        return values.pop(0)

    node, broker = await begin(lambda node: node.topic("./t")(take))
    topic = node.find("./t")
    minitest.equal(await topic.get(), 1)
    minitest.equal(await topic.get(max_age=30), 1)
    minitest.equal(await topic.get(), 2)
    task = asyncio.create_task(topic.next())
    await asyncio.sleep_ms(1)
    first, second = await asyncio.gather(topic.get(), topic.get(max_age=30))
    minitest.equal((first, second, await task), (3, 2, 3))
    minitest.equal(broker.got("b/t"), [])
    await node.stop()


async def test_read_and_publish_intervals():
    values = []

    def take():
        values.append(len(values))
        return values[-1]

    node, broker = await begin(lambda node: node.topic("./t", read_every=0.05, every=0.5)(take))
    await until(lambda: len(broker.got("b/t")) == 4, "publications")
    minitest.equal(broker.got("b/t")[0], b"0")
    second, third = [int(n) for n in broker.got("b/t")[2:]]
    assert 4 <= third - second <= 11, broker.got("b/t")  # 10 readings for each, on a machine that is not busy
    await node.stop()


async def test_a_hanging_reading_holds_up_nothing():
    async def hangs():
        await asyncio.sleep(3600)

    def setup(node):
        node.topic("./hangs", every=0.05)(hangs)
        node.topic("./fine", every=0.05)(lambda: 1)

    node, broker = await begin(setup)
    await until(lambda: len(broker.got("b/fine")) >= 5, "the other one")
    minitest.equal(node.find("./hangs").busy, 2)
    await node.stop()


def test_wrong_declarations():
    for expected, make_it in (
        ("kind bool, int", lambda: TopicSet("./x", kind="number")),
        ("expected choices=", lambda: TopicSet("./x", kind="choice")),
        ("from 0 to 100, got 200", lambda: Number("./x", initial=200)),
        ("not both", lambda: TopicOnChange("./x", minitest.skip, change=1, percent=1)),
        ("two values", lambda: TopicIrq("./x", Pin(), values="ab")),
        ("buffer of 1 to 1000", lambda: TopicIrq("./x", Pin(), buffer=0)),
        ("expected a function", lambda: TopicRoutine(5)),
    ):
        error = minitest.raises(ValueError, make_it)
        assert expected in str(error), error
    error = minitest.raises(TypeError, lambda: Switch("./x", evry=5))
    assert "unknown option evry" in str(error)


minitest.run(globals())
