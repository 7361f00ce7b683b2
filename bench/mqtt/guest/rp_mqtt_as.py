# The cases of cycles.py for mqtt_as. The connection is made by hand, as there is no network.

import asyncio

import cycles

cycles.no_network()
import mqtt_as


def client(stream, callback):
    config = mqtt_as.config
    config.update(client_id="bench", server="host", subs_cb=callback)
    c = mqtt_as.MQTTClient(config)
    c._sock = stream
    stream.readinto = lambda buf, n, get=stream.ring.readinto: get(buf, n) or None
    c._isconnected = True
    c._has_connected = True
    asyncio.create_task(c._keep_connected())
    asyncio.create_task(c._handle_msg())
    asyncio.create_task(c._keep_alive())
    return c


async def receive_burst(version, n):
    cycles.expect(n // 10, n)
    client(cycles.Stream(cycles.flood(n)), cycles.got3)
    while cycles.count < n:
        await asyncio.sleep_ms(1)


async def line(version, stream=None):
    return client(stream or cycles.Stream(), cycles.got3)


async def receive(version, n):
    stream = cycles.Stream()
    await line(version, stream)
    await cycles.received(stream, n)


async def publish(version, n):
    c = await line(version)
    await asyncio.sleep_ms(20)
    c._sock.write = cycles.sink(120 * n + 400).write
    await cycles.published(c.publish, n)
