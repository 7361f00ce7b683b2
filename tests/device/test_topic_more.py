"""What topics can do beyond the usual: ages, two intervals, no connection, removal."""

import asyncio
import gc

import membroker
import minitest
from coldframe import Number, Switch, Topic, TopicIrq, TopicOnChange, TopicRoutine, TopicSet
from membroker import begin, until

membroker.NEED = 24000  # does not fit the smallest heap beside a node, as of today


async def test_looking_for_what_is_due_costs_no_memory():
    from coldframe.schedule import read_due

    def setup(node):
        for i in range(5):
            node.topic("./%d" % i, every=3600)(lambda: 1)
        node.topic("./5", every=3600, read_every=1800)(lambda: 1)

    node, broker = await begin(setup)
    await until(lambda: broker.got("b/4"), "first values")
    used = -gc.mem_alloc()
    for _ in range(50):
        read_due(node)
        node.due = 0  # as every few seconds
        read_due(node)
    used += gc.mem_alloc()
    minitest.equal(used, 0)
    await node.stop()


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


async def test_without_a_connection():
    def setup(node):
        node.topic("./read", read_every=0.05, every=0.05)(lambda: read.append(1) or len(read))
        node.topic("./logged", every=0.05, offline=True, qos=1)(lambda: logged.append(1) or len(logged))
        node.topic("./plain", every=0.05)(lambda: plain.append(1))

    read, logged, plain = [], [], []
    node, broker = await begin(setup)
    await until(lambda: len(logged) > 1 and len(read) > 1 and plain, "readings")
    lamp = node.add(Switch("./lamp", restore=False))
    broker.gone = True
    broker.close()
    await until(lambda: node.client.down.is_set(), "the end of the connection")
    await asyncio.sleep_ms(50)
    before = len(logged), len(read), len(plain), len(broker.messages)
    await lamp.on()  # does not wait for the broker
    await until(
        lambda: len(logged) >= before[0] + 4 and len(read) >= before[1] + 4, "readings without connection"
    )
    minitest.equal((len(plain), len(broker.messages)), before[2:])
    broker.gone = False
    await until(lambda: len(broker.got("b/logged")) > before[0] + 4, "what was read meanwhile")
    minitest.equal(
        broker.got("b/logged")[: before[0] + 4], [str(i + 1).encode() for i in range(before[0] + 4)]
    )
    assert b"ON" in broker.got("b/lamp")
    await node.stop()


def test_wrong_declarations():
    for expected, make_it in (
        ("kind bool, int", lambda: TopicSet("./x", kind="number")),
        ("expected choices=", lambda: TopicSet("./x", kind="choice")),
        ("from 0 to 100, got 200", lambda: Number("./x", initial=200)),
        ("not both", lambda: TopicOnChange("./x", minitest.skip, change=1, percent=1)),
        ("two values", lambda: TopicIrq("./x", None, values="ab")),
        ("buffer of 1 to 1000", lambda: TopicIrq("./x", None, buffer=0)),
        ("expected a function", lambda: TopicRoutine(5)),
    ):
        error = minitest.raises(ValueError, make_it)
        assert expected in str(error), error
    error = minitest.raises(TypeError, lambda: Switch("./x", evry=5))
    assert "unknown option evry" in str(error)


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


async def test_a_command_during_a_reading():
    state = [0]

    async def read():
        value = state[0]
        await asyncio.sleep_ms(200)
        return value

    def act(payload):
        state[0] = int(payload)

    node, broker = await begin(lambda node: node.add(Topic("./valve", read, act)))
    broker.publish("b/valve_", "")
    await until(lambda: node.find("./valve").busy, "reading")
    broker.publish("b/valve/set", "7")
    await until(lambda: broker.got("b/valve") == [b"0", b"7"], "the state after the command")
    await node.stop()


async def test_read_and_publish_intervals():
    values = []

    def take():
        values.append(len(values))
        return values[-1]

    node, broker = await begin(lambda node: node.topic("./t", read_every=0.05, every=0.5)(take))
    await until(lambda: len(broker.got("b/t")) == 4, "publications")
    second, third = [int(n) for n in broker.got("b/t")[2:]]
    assert 2 <= third - second <= 12, broker.got("b/t")  # 10 readings for each, on a machine that is not busy
    await node.stop()


minitest.run(globals())
