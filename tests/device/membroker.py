"""For device tests: a broker in memory that speaks real MQTT bytes, and nodes that are connected to it.

The one thing that is not as on a device is the cable: the transport hands bytes to the broker directly.
"""

import asyncio
import gc
import io
import time

import coldframe
import minitest
from coldframe import Node, bootrecord, codec, log

bootrecord.FILE = "t_boot.rec"  # where a target without memory for it keeps it
log.ring.attach(512)  # a shorter log: the smallest target needs the RAM for the test itself
DEADLINE = 15  # seconds
NEED = 0  # bytes of heap that a test wants to find free; with less it is skipped. Budgets are tests of their own.


class Link(io.IOBase):
    """The node's end of a connection: what the node writes goes to the broker at once."""

    def __init__(self, broker):
        self.broker = broker
        self.incoming = bytearray()
        self.open = True

    def readinto(self, buf):
        n = min(len(buf), len(self.incoming))
        if not n:
            return None if self.open else 0
        memoryview(buf)[:n] = self.incoming[:n]
        self.incoming = self.incoming[n:]
        return n

    def write(self, buf, off=0, n=None):
        if not self.open:
            raise OSError(104)
        n = len(buf) - off if n is None else n
        self.broker.take(bytes(memoryview(buf)[off : off + n]))
        return n

    def ioctl(self, request, flags):
        if request != 3:
            return 0
        return flags & (4 | (1 if self.incoming or not self.open else 0))


class Broker:
    """The broker, and the transport that leads to it."""

    tail = False
    gone = False  # out of reach
    held = None  # a list: identifiers of messages that are not acknowledged, see release()

    def __init__(self):
        self.poll = None
        self.connects = []  # of each CONNECT: client id, and what follows it: will topic, will payload ...
        self.filters = []
        self.left = []  # filters of UNSUBSCRIBE
        self.messages = []  # (topic, payload, qos, retain)
        self.buf = bytearray(64)

    # The transport's side.

    async def open(self):
        if self.gone:
            raise OSError(113)
        self.poll = Link(self)
        self.decoder = codec.Decoder(bytearray(1280))
        return self.poll

    def close(self):
        if self.poll:
            self.poll.open = False

    # The broker's side.

    def take(self, data):
        source = io.BytesIO(data)
        while self.decoder.fill(source):
            self.packets()

    def packets(self):
        d = self.decoder
        while True:
            kind = d.next()
            if not kind:
                return
            if kind == codec.CONNECT:
                self.connects.append((d.topic, bytes(d.payload)))
                self.send(codec.connack(self.buf, False, 0))
            elif kind == codec.SUBSCRIBE:
                self.filters.append(d.topic)
                self.send(codec.suback(self.buf, d.id, b"\x01"))
            elif kind == codec.UNSUBSCRIBE:
                self.left.append(d.topic)
                self.send(codec.ack(self.buf, codec.UNSUBACK, d.id))
            elif kind == codec.PUBLISH:
                self.messages.append((d.topic, bytes(d.payload), d.qos, bool(d.retain)))
                if d.qos and self.held is not None:
                    self.held.append(d.id)
                elif d.qos:
                    self.send(codec.ack(self.buf, codec.PUBACK, d.id))
            elif kind == codec.PINGREQ:
                self.poll.incoming += b"\xd0\x00"

    def release(self):
        """Acknowledge what was held back, and from now on at once."""
        held = self.held
        self.held = None
        for id in held:
            self.send(codec.ack(self.buf, codec.PUBACK, id))

    def send(self, n):
        self.poll.incoming += self.buf[:n]

    def publish(self, topic, payload, qos=0, id=0):
        payload = payload if isinstance(payload, bytes) else payload.encode()
        self.send(codec.publish(self.buf, topic, len(payload), qos, False, False, id))
        self.poll.incoming += payload

    def got(self, topic):
        return [m[1] for m in self.messages if m[0] == topic]


async def until(condition, what):
    """Wait for a condition, with a deadline."""
    start = time.ticks_ms()
    while not condition():
        if time.ticks_diff(time.ticks_ms(), start) > DEADLINE * 1000:
            raise AssertionError("no %s in %d s" % (what, DEADLINE))
        await asyncio.sleep_ms(10)


def make(**config):
    """A node that is not started yet, and its broker."""
    coldframe.node = None  # the node of the test before, and what hangs on it
    gc.collect()
    if gc.mem_free() < NEED:
        minitest.skip("%d bytes of heap are free, this test wants %d" % (gc.mem_free(), NEED))
    broker = Broker()
    config["mqtt"] = {"base": "b", "buffer": 160}
    config["sysinfo"] = {"every": 0}  # only when asked for
    return Node(config, transport=broker), broker


async def begin(setup=None, **config):
    """A node that is connected and has asked for all that it wants, and its broker."""
    node, broker = make(**config)
    if setup:
        setup(node)
    await node.start()
    await until(lambda: broker.got("b/available"), "connection")
    return node, broker
