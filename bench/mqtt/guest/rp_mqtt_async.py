# The cases of cycles.py for tve's mqtt_async. The connection is made by hand, as there is no network.

import asyncio

import cycles

cycles.no_network()
import mqtt_async


def client(stream, callback):
    config = mqtt_async.config
    config.update(client_id="bench", server="host", subs_cb=callback)
    c = mqtt_async.MQTTClient(config)
    p = mqtt_async.MQTTProto(callback, c._got_puback, c._got_suback, c._got_pingresp)
    p._sock = asyncio.StreamReader(stream)
    c._proto = p
    c._state = 1
    asyncio.create_task(c._handle_msgs(p))
    asyncio.create_task(c._keep_alive(p))
    c._conn_keeper = asyncio.create_task(c._keep_connected())
    return c


async def receive_burst(version, n):
    cycles.expect(n // 10, n)
    client(cycles.Stream(cycles.flood(n)).ring, cycles.got4)
    while cycles.count < n:
        await asyncio.sleep_ms(1)


async def line(version, stream=None):
    return client((stream or cycles.Stream()).ring, cycles.got4)


async def receive(version, n):
    stream = cycles.Stream()
    await line(version, stream)
    await cycles.received(stream, n)


async def publish(version, n):
    c = await line(version)
    await asyncio.sleep_ms(20)
    c._proto._sock = asyncio.StreamWriter(cycles.sink(120 * n + 400))
    await cycles.published(c.publish, n)
