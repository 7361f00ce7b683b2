"""The MQTT client and what a broker may do to it that must not keep it from coming back, or fill the memory."""

import asyncio

import minitest
from coldframe import bootrecord, codec, store
from coldframe.mqtt import Client
from membroker import Broker, begin, make, until


async def test_a_refusal_is_told_from_a_lost_connection():
    # Brokers close the connection right behind the refusal: both are there at the first look.
    node, broker = make()

    def refuse(n):
        if broker.buf[0] == codec.CONNACK << 4:
            broker.buf[3] = 5
            broker.poll.incoming += broker.buf[:n]
            broker.poll.open = False

    broker.send = refuse
    await node.start()
    await until(lambda: node.client and node.client.why, "refusal")
    minitest.equal(node.client.why, "the broker refused the connection: not authorised (code 5)")
    minitest.equal(len(broker.connects), 1)
    await node.stop()


async def test_many_answers_are_due_at_once():
    # A session of another program may hold more QoS 2 messages than there is room for their answers.
    node, broker = await begin()
    got = []
    take = broker.take
    broker.take = lambda data: got.append(data)
    for n in range(1, 31):
        broker.poll.incoming += bytes((0x62, 2, 0, n))
    await until(lambda: len(b"".join(got)) >= 120 or len(broker.connects) > 1, "answers")
    broker.take = take
    minitest.equal(b"".join(got), b"".join(bytes((0x70, 2, 0, n)) for n in range(1, 31)))
    minitest.equal(len(broker.connects), 1)
    await node.stop()


async def test_connections_without_an_answer_leave_nothing_behind():
    # A broker that ends the connection at a message it does not permit.
    node, broker = make()
    greetings = []
    ask = node._ask_wanted

    async def count():
        greetings.append(1)
        await ask()

    node._ask_wanted = count
    packets = broker.packets

    async def end(link):
        await asyncio.sleep_ms(20)  # a node has written long before it learns of the end
        link.open = False

    def strict():
        if broker.decoder.next() == codec.CONNECT:
            broker.connects.append(0)
            broker.send(codec.connack(broker.buf, False, 0))
        else:
            asyncio.create_task(end(broker.poll))

    broker.packets = strict
    node._wanted.clear()
    node._listeners.clear()
    await node.start()
    await until(lambda: len(broker.connects) == 4, "connections")
    minitest.equal((len(node.client._window), len(greetings)), (1, 1))
    broker.packets = packets
    await until(lambda: broker.got("b/available"), "greeting")
    minitest.equal(broker.got("b/available"), [b"online"])
    await node.stop()


async def test_a_publisher_that_is_cancelled_passes_its_turn_on():
    broker = Broker()
    client = Client(broker, "c", window=1, buffer=64)
    await client.connect()
    send = broker.send
    broker.send = lambda n: None
    tasks = [asyncio.create_task(client.publish("t", text, 1)) for text in ("1", "2", "3")]
    await until(lambda: broker.got("t"), "first message")
    broker.send = send
    client._settle(client._window[0], None)
    client._freed()
    tasks[1].cancel()  # it has just been woken, and has not run yet
    await until(lambda: len(broker.got("t")) == 2, "next message")
    minitest.equal(broker.got("t"), [b"1", b"3"])
    await client.disconnect()


asyncio.new_event_loop()
minitest.run(globals())
store.remove(bootrecord.FILE)
