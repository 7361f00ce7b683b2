"""coldframe.Node: its life, against a broker in memory that speaks real MQTT bytes."""

import asyncio

import membroker
import minitest
from coldframe import Node, bootrecord, store
from membroker import begin, make, until

membroker.NEED = 24000  # does not fit the smallest heap beside a node, as of today; see test_memory_node.py


async def test_a_service_that_fails_is_restarted():
    runs = []

    async def shaky():
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("run %d" % len(runs))
        await asyncio.sleep(3600)

    node, broker = await begin()
    service = node.service("shaky", shaky)
    await until(lambda: len(runs) == 3, "third run")
    minitest.equal((service.restarts, service.alive), (2, True))
    minitest.equal(node.errors, ["service shaky: ValueError: run 1", "service shaky: ValueError: run 2"])
    assert node.client.up.is_set()
    await node.stop()


async def test_connection_lost_and_back():
    def setup(node):
        node.action("./x")(lambda: "y")

    node, broker = await begin(setup)
    await until(lambda: "b/x" in broker.filters, "subscription")
    broker.filters.clear()
    broker.poll.open = False
    await until(lambda: len(broker.got("b/available")) == 2, "second online")
    await until(lambda: "b/x" in broker.filters, "second subscription")
    broker.publish("b/x", "")
    await until(lambda: broker.got("b/x_"), "answer")
    minitest.equal(len(broker.connects), 2)
    await node.stop()


async def test_too_many_messages_for_a_slow_action():
    gate = asyncio.Event()
    got = []

    def setup(node):
        @node.action("./slow")
        async def slow(payload):
            got.append(payload)
            await gate.wait()

        node.action("./quick")(lambda: "there")

    node, broker = await begin(setup)
    await until(lambda: "b/quick" in broker.filters, "subscriptions")
    for n in range(12):
        broker.publish("b/slow", str(n))
        await until(lambda: not broker.poll.incoming, "reading")
        await asyncio.sleep_ms(0)
    broker.publish("b/quick", "")
    await until(lambda: broker.got("b/quick_"), "another action meanwhile")
    gate.set()
    await until(lambda: node.dropped and len(got) == 12 - node.dropped, "the rest")
    minitest.equal(got, [str(n) for n in range(12 - node.dropped)])
    await node.stop()


async def test_stop_and_start_again():
    node, broker = await begin()
    await until(lambda: "b/SYSINFO_" in broker.filters, "subscription")
    await node.stop()
    broker.messages.clear()
    broker.filters.clear()
    await node.start()
    await until(lambda: broker.got("b/available") and "b/SYSINFO_" in broker.filters, "second life")
    await node.stop()


def test_a_wrong_configuration_does_not_stop_it():
    node = Node({"mqtt": {"base": "a/#", "port": 0}, "nam": "x"})
    minitest.equal(node.base, "coldframe/" + node.id)
    minitest.equal(len(node.errors), 3)
    minitest.equal(node.name, "coldframe-" + node.id[-6:])


def test_what_the_configuration_may_say_about_names():
    node = Node({"name": "{name}", "mqtt": {"base": "x/{name}/{id}/", "password": "p"}})
    minitest.equal(node.name, "coldframe-" + node.id[-6:])
    minitest.equal(node.base, "x/%s/%s" % (node.name, node.id))
    minitest.equal(len(node.errors), 1)
    assert node.errors[0].startswith("mqtt.password: expected mqtt.user"), node.errors


def test_ctrl_c_and_resume():
    import coldframe

    asyncio.new_event_loop()
    beats = [0]
    node, broker = make()

    async def victim():
        while True:
            beats[0] += 1
            await asyncio.sleep_ms(10)
            if beats[0] == 3:
                raise KeyboardInterrupt  # what Ctrl-C does when it hits a running task

    async def end():
        await until(lambda: beats[0] > 5 and broker.got("b/available"), "life after Ctrl-C")
        await node.stop()

    node.service("victim", victim)
    node.run()
    minitest.equal(beats[0], 3)
    assert coldframe.node is node
    coldframe.status()
    asyncio.create_task(end())
    coldframe.resume()
    assert beats[0] > 5
    assert broker.got("b/available")[-1] == b"offline"
    asyncio.new_event_loop()


def test_a_base_topic_that_grows_too_long():
    node = Node({"name": "n" * 60, "mqtt": {"base": "{name}/{name}/{name}"}})
    minitest.equal(node.base, "coldframe/" + node.id)
    minitest.equal(
        node.errors,
        ['mqtt.base: expected a topic of 1 to 127 bytes without + and #, got "{name}/{name}/{name}"'],
    )


minitest.run(globals())
store.remove(bootrecord.FILE)
