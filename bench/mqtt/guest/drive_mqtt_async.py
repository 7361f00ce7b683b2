# tve's mqtt_async.

import asyncio

import mqtt_async


class _Network:
    # There is no Wi-Fi here.
    def isconnected(self):
        return True

    def disconnect(self):
        pass


class _Quiet:
    def debug(self, msg, *args):
        pass

    info = warning = debug


class Driver:
    arity = 4
    blocking = False

    def __init__(self, host, port, name, callback, version):
        mqtt_async.log = _Quiet()
        config = mqtt_async.config
        config.update(client_id=name, server=host, port=port, subs_cb=callback, interface=_Network())
        self.client = mqtt_async.MQTTClient(config)
        self.client._addr = (host, port)  # what its look-up would find, in the form that it wants
        self.client._dns_lookup = lambda: None
        self.publish = self.client.publish
        self.subscribe = self.client.subscribe

    async def connect(self):
        await self.client.connect()

    async def rest(self, ms):
        await asyncio.sleep_ms(ms)

    async def receive(self, done):
        await done.event.wait()

    async def pipelined(self, n, topic, payload):
        # Its own pipelining (sync=False) stalls at 1.8 messages/s. Ten tasks at once are its best.
        async def some(n):
            for _ in range(n):
                await self.publish(topic, payload, qos=1)

        await asyncio.gather(*[some(n // 10) for _ in range(9)], some(n - n // 10 * 9))

    async def echo(self, topic, payload, done):
        await self.publish(topic, payload, qos=1)
        await done.event.wait()
