# The cases of cycles.py for Coldframe's own client. A driver for the RP2040 has the coroutines
# receive_burst, receive, publish, and line, which connects.

import asyncio

import cycles

GREETING = {"4": b"\x20\x02\0\0", "5": b"\x20\x03\0\0\0"}


def client(stream, version, callback):
    from coldframe.mqtt import Client

    kwargs = {"version": 5} if version == "5" else {}
    return Client(cycles.Transport(stream), "bench", on_message=callback, clean=True, **kwargs)


async def receive_burst(version, n):
    cycles.expect(n // 10, n)
    c = client(cycles.Stream(GREETING[version] + cycles.flood(n, version)), version, cycles.got3)
    await c.connect()
    while cycles.count < n:
        await asyncio.sleep_ms(1)


async def line(version, stream=None):
    stream = stream or cycles.Stream()
    stream.ring.write(GREETING[version])
    c = client(stream, version, cycles.got3)
    await c.connect()
    return c


async def receive(version, n):
    stream = cycles.Stream()
    await line(version, stream)
    await cycles.received(stream, n, version)


async def publish(version, n):
    c = await line(version)
    await asyncio.sleep_ms(20)
    c._writer.attach(cycles.sink(120 * n + 400), False, 5 if version == "5" else 4)
    if c._five:
        c._five.open(c._writer)  # what the broker's CONNACK has allowed, as after every connect
    else:
        c._writer.open()
    await cycles.published(c.publish, n)
