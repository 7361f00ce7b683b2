# Coldframe's own client; drive_coldframe-5 speaks MQTT 5.
#
# A driver has: arity (arguments of the message callback), blocking, publish (the client's own method, so that
# nothing stands between), and the coroutines connect, subscribe, receive (until done), pipelined, echo, rest.

import asyncio

from coldframe.mqtt import Client, Tcp


class Driver:
    arity = 3
    blocking = False

    def __init__(self, host, port, name, callback, version):
        kwargs = {"version": 5} if version == "5" else {}
        self.client = Client(
            Tcp(host, port), name, buffer=2048, window=64, clean=True, on_message=callback, **kwargs
        )
        self.publish = self.client.publish
        self.subscribe = self.client.subscribe

    async def connect(self):
        await self.client.connect()

    async def rest(self, ms):
        await asyncio.sleep_ms(ms)

    async def receive(self, done):
        await done.event.wait()

    async def pipelined(self, n, topic, payload):
        publish = self.publish
        for _ in range(n):
            await publish(topic, payload, qos=1, wait=False)
        await self.client.drain()

    async def echo(self, topic, payload, done):
        await self.publish(topic, payload, qos=1)
        await done.event.wait()
