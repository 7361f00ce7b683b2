# peterhinch's mqtt_as.

import asyncio

import mqtt_as


class _Wlan:
    # There is no Wi-Fi here.
    def active(self, on=True):
        return True

    def isconnected(self):
        return True

    def connect(self, *args):
        pass

    disconnect = config = connect


class _Network:
    STA_IF = 0

    def WLAN(interface):
        return _Wlan()


class _Collector:
    # It collects each second by itself, which would hide what garbage it makes.
    def collect():
        pass


class Driver:
    arity = 3
    blocking = False

    def __init__(self, host, port, name, callback, version):
        mqtt_as.network = _Network
        mqtt_as.gc = _Collector
        config = mqtt_as.config
        self._filters = []
        config["connect_coro"] = self._again
        config.update(client_id=name, server=host, port=port, subs_cb=callback)
        self.client = client = mqtt_as.MQTTClient(config)

        async def at_once(quick=False):
            pass

        client.wifi_connect = at_once  # else it waits a second and more for a Wi-Fi
        self.publish = client.publish

    async def connect(self):
        await self.client.connect(quick=True)

    async def subscribe(self, filter, qos):
        self._filters.append((filter, qos))
        await self.client.subscribe(filter, qos)

    async def _again(self, client):
        # Its users subscribe again themselves: with a session it refuses the broker's "session present".
        for filter, qos in self._filters:
            await client.subscribe(filter, qos)

    async def rest(self, ms):
        await asyncio.sleep_ms(ms)

    async def receive(self, done):
        await done.event.wait()

    async def pipelined(self, n, topic, payload):
        async def some(n):
            for _ in range(n):
                await self.publish(topic, payload, qos=1)

        await asyncio.gather(*[some(n // 10) for _ in range(9)], some(n - n // 10 * 9))

    async def echo(self, topic, payload, done):
        await self.publish(topic, payload, qos=1)
        await done.event.wait()
