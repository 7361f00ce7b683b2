# umqtt.simple: blocking, so that its coroutines here are none but in name.

import time

from umqtt import simple


class Driver:
    arity = 2
    blocking = True
    module = simple

    def __init__(self, host, port, name, callback, version):
        self.client = self.module.MQTTClient(name, host, port, keepalive=60)
        self.client.set_callback(callback)
        self.publish = self.client.publish

    async def connect(self):
        self.client.connect(False)

    async def subscribe(self, filter, qos):
        self.client.subscribe(filter, qos)

    async def rest(self, ms):
        time.sleep_ms(ms)

    async def receive(self, done):
        wait = self.client.wait_msg
        while not done.over:
            wait()

    async def pipelined(self, n, topic, payload):
        raise NotImplementedError("it waits for each acknowledgement")

    async def echo(self, topic, payload, done):
        self.publish(topic, payload, qos=1)
        await self.receive(done)
