"""The MQTT client and what a broker may do to it that must not keep it from coming back, or fill the memory."""

import asyncio
import gc
import sys

import membroker
import minitest
from coldframe import bootrecord, codec, store
from coldframe.mqtt import Client
from coldframe.mqtt.spill import Spill
from membroker import Broker, begin, make, until

membroker.NEED = 24000  # does not fit the smallest heap beside a node, as of today; see test_memory_node.py


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


async def test_reading_goes_on_when_a_publisher_has_sent_the_answers():
    # The stream is full, and so is the room for acknowledgements; then a publisher is quicker than the poll.
    broker = Broker()
    got = []
    client = Client(broker, "c", keepalive=0, buffer=64, on_message=lambda t, p, r: got.append(1))
    await client.connect()
    broker.poll.write = lambda buf, off, n: None
    for n in range(1, 81):
        broker.poll.incoming += bytes((0x32, 5, 0, 1, 116, 0, n))
    await until(lambda: client._paused, "pause")
    del broker.poll.write
    client.publish("q", "0")
    minitest.equal(client._writer.left, 0)
    await until(lambda: len(got) == 80, "messages")
    await client.disconnect()


async def test_nothing_follows_a_goodbye():
    broker = Broker()
    client = Client(broker, "c", keepalive=0, buffer=64)
    await client.connect()
    sent = []
    broker.take = sent.append

    async def chatter():
        while True:
            await client.publish("q", "0")
            await asyncio.sleep_ms(0)

    task = asyncio.create_task(chatter())
    await until(lambda: sent, "message")
    await client.disconnect()
    task.cancel()
    minitest.equal(sent[-1], b"\xe0\x00")
    # Nor when it has to wait for the stream to take it.
    broker.take = lambda data: Broker.take(broker, data)
    await client.connect()
    broker.take = sent.append
    broker.poll.write = lambda buf, off, n: None
    task = asyncio.create_task(client.disconnect())
    await asyncio.sleep_ms(20)
    broker.poll.incoming += bytes((0x32, 5, 0, 1, 116, 0, 7))
    client._connection.wake()
    await asyncio.sleep_ms(20)
    del broker.poll.write
    client.publish("q", "0")
    await task
    minitest.equal(sent[-1], b"\xe0\x00")
    minitest.equal(client.connections, 2)


async def test_a_goodbye_does_not_wait_for_ever():
    broker = Broker()
    client = Client(broker, "c", keepalive=0, buffer=64, response_time=1)
    await client.connect()
    broker.poll.write = lambda buf, off, n: None
    asyncio.create_task(client.disconnect())
    await until(lambda: client._connection.task is None, "end")
    minitest.equal(client.connections, 1)


async def test_a_callback_that_takes_all_memory():
    if gc.mem_free() < 100000:
        minitest.skip("has another task for the rest of the heap")
    taken = []

    def greedy(topic, payload, retained):
        while True:
            taken.append(bytearray(16))

    broker = Broker()
    client = Client(broker, "c", buffer=64, on_message=greedy)
    await client.connect()
    broker.poll.incoming += b"\x32\x05\x00\x01t\x00\x07"
    while not taken:
        await asyncio.sleep_ms(0)
    taken.clear()
    await client.publish("still", "alive")
    minitest.equal(broker.got("still"), [b"alive"])
    minitest.equal(client.connections, 1)
    await client.disconnect()


async def test_a_connection_that_is_lost_while_the_heap_is_full():
    if gc.mem_free() < 100000:
        minitest.skip("has another task for the rest of the heap")
    if not sys.maxsize >> 31 and id(minitest) >> 30:
        minitest.skip("asyncio itself needs memory for id() at addresses that no chip has")
    broker = Broker()
    client = Client(broker, "c", buffer=64)
    await client.connect()
    broker.poll.open = False
    taken = []
    try:
        while True:
            taken.append(bytearray(16))
    except MemoryError:
        pass
    for _ in range(50):  # turns of the loop, in which the loss is noticed and nothing can be had
        await asyncio.sleep_ms(0)
    taken.clear()
    await until(lambda: client.connections == 2, "connection")
    await client.disconnect()


class OnlyOne(Broker):
    """A broker of MQTT 5 that takes no QoS 2."""

    async def open(self):
        await super().open()
        self.decoder = codec.Decoder(bytearray(640), 0, 5)
        return self.poll

    def send(self, n):
        if self.buf[0] == codec.CONNACK << 4:
            self.poll.incoming += b"\x20\x05\x00\x00\x02\x24\x01"
        else:
            super().send(n)


async def test_many_spilled_messages_that_the_broker_does_not_take():
    if gc.mem_free() < 100000:
        minitest.skip("needs more memory")
    store.remove("t_over")
    spill = Spill("t_over", 16384)
    broker = OnlyOne()
    client = Client(broker, "c", version=5, buffer=128, spill=spill)
    for n in range(200):
        await client.publish("t", str(n), 2)
    minitest.equal(spill.pending, 200)
    await client.connect()
    await until(lambda: not spill.pending and not client._window, "end of the file")
    minitest.equal((client.connections, broker.messages), (1, []))
    await client.disconnect()


asyncio.new_event_loop()
minitest.run(globals())
store.remove(bootrecord.FILE)
