# Runs on the emulated RP2040: the cases that bench/mqtt/rp2040.py counts cycles of. The host looks at its counters
# whenever mark() writes to an address that the chip does not have.

import asyncio
import gc
import io
import sys

import machine
import micropython

_MARK = 0x40078000
TOPIC = "greenhouse/air/humid"  # 20 bytes
PAYLOAD = b"21.5 degrees celsius"  # 20 bytes

mem = machine.mem32
count = begin = end = 0


# The callbacks of the clients: they differ in the number of arguments. All count, and mark two of the messages.
def got2(topic, payload):
    global count
    count += 1
    if count == begin or count == end:
        mem[_MARK] = count


def got3(topic, payload, retained):
    global count
    count += 1
    if count == begin or count == end:
        mem[_MARK] = count


def got4(topic, payload, retained, qos):
    global count
    count += 1
    if count == begin or count == end:
        mem[_MARK] = count


def expect(first, last):
    global count, begin, end
    count = 0
    begin = first
    end = last


def message(qos=0, id=0, version="4"):
    body = bytes((0, len(TOPIC))) + TOPIC.encode()
    if qos:
        body += bytes((id >> 8, id & 255))
    if version == "5":
        body += b"\0"
    body += PAYLOAD
    return bytes((0x30 | qos << 1, len(body))) + body


def sink(size):
    # A stream in C that takes `size` bytes: a BytesIO over memory that is there already.
    s = io.BytesIO(bytearray(size))
    s.write(b"x")  # the first write copies
    s.seek(0)
    return s


class _Missing:
    """Stands for the modules `socket` and `network`, which this image has not got and the peers import."""

    STA_IF = 0

    def WLAN(interface):
        return _Wlan()


class _Wlan:
    def active(self, on=True):
        return True

    isconnected = active


def no_network():
    sys.modules["socket"] = sys.modules["network"] = _Missing


class Stream:
    """A connection in memory: a RingIO, which is a stream in C, but for an empty one its read says 0, not None."""

    def __init__(self, data=b"", size=256):
        self.ring = ring = micropython.RingIO(size + len(data))
        ring.write(data)
        get = ring.readinto
        take = ring.read
        self.readinto = lambda buf: get(buf) or None
        self.read = lambda n: take(n) or None
        self.write = lambda buf, off=0, n=-1: len(buf) if n < 0 else n

    def setblocking(self, on):
        pass


class Transport:
    """What coldframe.mqtt wants of a transport, over a Stream."""

    tail = False

    def __init__(self, stream):
        self._stream = stream
        self.poll = stream and stream.ring

    def __str__(self):
        return "bench"

    async def open(self):
        return self._stream

    def close(self):
        pass


async def published(publish, n):
    # In a burst, then one at a time with a turn of the scheduler after each, then such turns alone.
    for _ in range(3):
        await publish(TOPIC, PAYLOAD)
    await asyncio.sleep_ms(5)
    gc.collect()
    gc.disable()
    heap = gc.mem_alloc()
    mem[_MARK] = 1
    for _ in range(n):
        await publish(TOPIC, PAYLOAD)
    mem[_MARK] = 2
    print("HEAP", (gc.mem_alloc() - heap) / n)
    await asyncio.sleep_ms(5)
    mem[_MARK] = 3
    for _ in range(n):
        await publish(TOPIC, PAYLOAD)
        await asyncio.sleep_ms(0)
    mem[_MARK] = 4
    for _ in range(n):
        await asyncio.sleep_ms(0)
    mem[_MARK] = 5
    for _ in range(n):
        pass
    mem[_MARK] = 6
    gc.enable()


async def idle(seconds):
    # The marks of the host stand around a pause in which nothing happens but what the client does by itself.
    await asyncio.sleep(0.2)
    gc.collect()
    gc.disable()
    heap = gc.mem_alloc()
    mem[_MARK] = 1
    await asyncio.sleep(seconds)
    mem[_MARK] = 2
    print("HEAP", (gc.mem_alloc() - heap) / seconds)
    gc.enable()


async def resting(connect, seconds):
    await connect
    await idle(seconds)


async def floors(n):
    callback = lambda topic, payload, retained: None  # noqa: E731
    mem[_MARK] = 1
    for _ in range(n):
        await asyncio.sleep_ms(0)
    mem[_MARK] = 2
    for _ in range(n):
        callback(TOPIC, PAYLOAD, False)
    mem[_MARK] = 3
    for _ in range(n):
        len(PAYLOAD)
    mem[_MARK] = 4
    for _ in range(n):
        pass
    mem[_MARK] = 5


async def received(stream, n, version="4"):
    # One message at a time, each put there by a task that then lets the others have their turn.
    one = message(0, 0, version)
    put = stream.ring.write
    await asyncio.sleep_ms(20)
    for _ in range(3):
        put(one)
        await asyncio.sleep_ms(5)
    gc.collect()
    gc.disable()
    heap = gc.mem_alloc()
    mem[_MARK] = 1
    for _ in range(n):
        put(one)
        await asyncio.sleep_ms(0)
        while count < 1:  # for clients that need several turns
            await asyncio.sleep_ms(0)
        reset()
    mem[_MARK] = 2
    print("HEAP", (gc.mem_alloc() - heap) / n)
    buf = bytearray(64)
    take = stream.ring.readinto
    mem[_MARK] = 3
    for _ in range(n):
        put(one)
        take(buf)
        while count < 0:
            pass
        reset()
    mem[_MARK] = 4
    gc.enable()


def reset():
    global count
    count = 0


def flood(n, version="4"):
    return message(0, 0, version) * n
