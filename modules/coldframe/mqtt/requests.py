"""Client.request() and Client.reauth(): what only MQTT 5 has."""

import asyncio
from asyncio import core

from coldframe.mqtt.subs import wait
from micropython import const

_CORRELATION = const(0x09)


class Requests:
    """The requests of one client that wait for their response."""

    def __init__(self, client):
        self._client = client
        self.topic = "response/" + client._hello[0]
        self.ready = False  # subscribed
        self._number = 0
        self._open = {}  # correlation data -> None, then the response

    def response(self, topic, payload, retained):
        """A message has come to our response topic."""
        correlation = self._client.packet.prop(_CORRELATION)
        if correlation in self._open:
            self._open[correlation] = (topic, payload)
            while self._client._turn.peek():
                core._task_queue.push(self._client._turn.pop())

    async def ask(self, topic, payload, qos):
        client = self._client
        if not self.ready:
            await client.subscribe(self.topic, 1, self.response)
            self.ready = True
        self._number += 1
        correlation = self._number.to_bytes(4, "big")
        self._open[correlation] = None
        try:
            await client.publish(topic, payload, qos, response=self.topic, correlation=correlation)
            while self._open[correlation] is None:
                if client._closing:
                    raise OSError("disconnected")
                yield wait(client)
            return self._open[correlation]
        finally:
            del self._open[correlation]


async def request(client, topic, payload, timeout, qos):
    """See Client.request()."""
    if not client._five:
        raise RuntimeError("request: needs MQTT 5, this connection speaks 3.1.1")
    five = client._five
    if five.requests is None:
        five.requests = Requests(client)
    try:
        return await asyncio.wait_for(five.requests.ask(topic, payload, qos), timeout)
    except asyncio.TimeoutError:
        raise OSError("%s: no response within %s s" % (topic, timeout))


async def reauth(client, data):
    """See Client.reauth()."""
    five = client._five
    if not five:
        raise RuntimeError("reauth: needs MQTT 5, this connection speaks 3.1.1")
    if not client._live:
        raise OSError("not connected")
    five.reauth(data)
    while five.waiting:
        if not client._live:
            raise OSError("the connection was lost: %s" % client.why)
        yield wait(client)
