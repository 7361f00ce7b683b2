"""Figures: what the MQTT client keeps in RAM, and what heap a message takes. budgets.toml has their limits.

The other end is in memory and allocates nothing but the memoryview that each read of a stream in Python costs; it
is read for many messages at once, so that it hardly counts.
"""

import asyncio
import gc
import io
import sys

import minitest

# These come before, as a program has them anyway: the client shall not be charged with them.
from asyncio import Event, Lock, wait_for  # noqa: F401

from coldframe.log import getLogger

getLogger("mqtt")
TOPIC = "greenhouse/air/humid"
PAYLOAD = b"21.5 degrees celsius"
BATCH = 8  # messages; the client's window
ROUNDS = 6


class Far(io.IOBase):
    """A transport and its stream: accepts the connection, acknowledges, and sends messages when told to."""

    tail = False

    def __init__(self):
        self.poll = self
        one = bytes((0x30, 2 + len(TOPIC) + len(PAYLOAD), 0, len(TOPIC))) + TOPIC.encode() + PAYLOAD
        self.qos0 = one * BATCH
        n = 4 + len(TOPIC)
        self.qos1 = b""
        for i in range(BATCH):
            self.qos1 += bytes((0x32, one[1] + 2)) + one[2:n] + bytes((0, i + 1)) + PAYLOAD
        self.acks = bytearray(4 * BATCH)
        self.acked = 0  # bytes of acks
        self.out = b""

    def __str__(self):
        return "memory"

    async def open(self):
        return self

    def close(self):
        pass

    def write(self, buf, off=0, n=-1):
        if n < 0:
            n = len(buf)
        kind = buf[off] & 0xF6
        if kind == 0x10:
            self.out = b"\x20\x02\0\0"
        elif kind == 0x32:
            end = off + n
            while off < end:  # the client may write several in one go
                at = off + 4 + len(TOPIC)  # of the packet identifier
                a = self.acked
                acks = self.acks
                acks[a] = 0x40
                acks[a + 1] = 2
                acks[a + 2] = buf[at]
                acks[a + 3] = buf[at + 1]
                self.acked = a + 4
                off += 2 + buf[off + 1]
        return n

    def readinto(self, buf):
        out = self.out
        if self.acked:
            out = self.acks
            n = self.acked
            self.acked = 0
        elif out:
            n = len(out)
            self.out = b""
        else:
            return None
        for i in range(n):
            buf[i] = out[i]
        return n

    def ioctl(self, request, flags):
        if request != 3:  # poll
            return 0
        return flags & (5 if self.out or self.acked else 4)


def _make(far, **more):
    from coldframe.mqtt import Client

    return Client(far, "t", buffer=1024, window=BATCH, clean=True, **more)


async def _run(far, client, qos, out):
    # Heap bytes for one message: the least of some batches, as a timer may come due in one of them.
    await client.connect()
    publish = client.publish
    least = 1 << 30
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            before = gc.mem_alloc()
            if out is not None:
                far.out = out
            elif qos:
                for _ in range(BATCH):
                    await publish(TOPIC, PAYLOAD, qos=1, wait=False)
            else:
                for _ in range(BATCH):
                    await publish(TOPIC, PAYLOAD)
            await asyncio.sleep_ms(0)
            await asyncio.sleep_ms(0)
            least = min(least, gc.mem_alloc() - before)
    finally:
        gc.enable()
    await client.disconnect()
    return least / BATCH


def _measured(name, limit, qos, out=None, **more):
    far = Far()
    out = out and getattr(far, out)
    got = minitest.within(20, _run(far, _make(far, **more), qos, out))
    minitest.measure(name, got)
    if not sys.maxsize >> 31:  # the limits are those of 32-bit chips
        assert got <= limit, "%s: %s bytes, expected at most %d" % (name, got, limit)


def test_kept_by_import_and_construct():
    if "coldframe.mqtt.client" in sys.modules:
        minitest.skip("the client is in use already")
    far = Far()
    gc.collect()
    before = gc.mem_alloc()
    client = _make(far)
    gc.collect()
    kept = gc.mem_alloc() - before - 1024
    minitest.measure("mqtt_kept_bytes", kept)
    assert client and kept > 0


def test_publish_0():
    _measured("mqtt_publish_0_heap_bytes", 32, 0)


def test_publish_1():
    _measured("mqtt_publish_1_heap_bytes", 32 + 8, 1)  # and the views of this stream


count = 0


def _got(topic, payload, retained):
    global count
    assert payload == PAYLOAD
    count += 1


def test_receive_0():
    global count
    count = 0
    _measured("mqtt_receive_0_heap_bytes", 20 + 64, 0, "qos0", on_message=_got)
    minitest.equal(count, BATCH * ROUNDS)


def test_receive_1():
    global count
    count = 0
    _measured("mqtt_receive_1_heap_bytes", 20 + 64, 1, "qos1", on_message=_got)
    minitest.equal(count, BATCH * ROUNDS)


minitest.run(globals())
