"""The rarer things that a Client does, loaded when they are needed."""

import asyncio

from coldframe.mqtt.client import codec, log
from coldframe.mqtt.subs import wait
from micropython import const

_OVER = const(4)  # as in client.py

_REFUSALS = (
    "unacceptable protocol version",
    "client identifier rejected",
    "server unavailable",
    "bad user name or password",
    "not authorised",
)


def refusal(code):
    """Why the broker has refused the connection, as text."""
    what = _REFUSALS[code - 1] if code <= len(_REFUSALS) else "unknown reason"
    return "the broker refused the connection: %s (code %d)" % (what, code)


async def publish(client, topic, payload, retain, props, taken):
    """Go on with a QoS 0 message for which the stream had no room, or not enough (``taken`` is not None)."""
    writer = client._writer
    while taken is None:
        yield wait(client)
        if not client._live:
            client.dropped += 1
            return
        try:
            taken = writer.publish(topic, payload, retain, props)
        except OSError as er:
            client._lost(er)
            client.dropped += 1
            return
        client._look()
    while writer.busy:
        yield wait(client)


async def room(client):
    """Wait until all that was written is with the stream, or the connection is gone."""
    while client._live and client._writer.left:
        yield wait(client)


async def drain(client, timeout):
    """See Client.drain()."""
    if timeout is not None:
        try:
            await asyncio.wait_for(drain(client, None), timeout)
        except asyncio.TimeoutError:
            return False
        return True
    while (client._window or client._space.peek() or client._live and client._writer.left) and not client._closing:
        yield wait(client)
    return not client._window


async def disconnect(client):
    """See Client.disconnect()."""
    task = client._task
    if task is None:
        return
    client._closing = True
    await room(client)
    if client._live:
        client._live = False
        client._writer.put(codec.DISCONNECT_PACKET)
        client._look()
        while client._writer.left and not client._paused & _OVER:
            yield wait(client)
    client._lost("disconnected")
    client._wake()
    if client._stream is None:
        task.cancel()  # a connection attempt may take long to fail
    while client._task is task:
        yield wait(client)


def large(client, packet):
    """A part of a message that does not fit the buffer."""
    call = client.on_large
    if not packet.part:
        if call is None:
            client.skipped += 1
            n = len(packet.payload) + packet.more
            log.warning("skipped %s: %d bytes do not fit the buffer", packet.topic, n)
