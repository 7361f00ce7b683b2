"""The rarer things that a Client does, loaded when they are needed."""

import asyncio

from coldframe.mqtt.client import codec, log
from coldframe.mqtt.subs import wait
from micropython import const

_OVER = const(4)  # as in client.py
_STREAMING = const(8)


async def publish(client, topic, payload, retain, props):
    """Go on with a QoS 0 message for which the stream has no room."""
    writer = client._writer
    taken = None
    while taken is None:
        yield wait(client)
        if not client._live:
            client.dropped += 1
            return
        taken = writer.write(topic, payload, retain, props)
        client._look()
    while writer.busy:
        yield wait(client)


async def written(client):
    """Wait until the writer needs the publisher's payload no longer."""
    while client._writer.busy:
        yield wait(client)


async def room(client):
    """Wait until all that was written is with the stream, or the connection is gone."""
    while client._live and (client._writer.left or client._paused & _STREAMING):
        yield wait(client)


async def drain(client, timeout):
    """See Client.drain()."""
    if timeout is not None:
        try:
            await asyncio.wait_for(drain(client, None), timeout)
        except asyncio.TimeoutError:
            return False
        return True
    while not client._closing and (
        client._window or client._space.peek() or client._live and client._writer.left
    ):
        yield wait(client)
    return not client._window


async def disconnect(client):
    """See Client.disconnect()."""
    connection = client._connection
    task = connection and connection.task
    if task is None:
        return
    client._closing = True
    await room(client)
    if client._live:
        # Nothing may follow it, no acknowledgement either: nothing more is read.
        client._live = False
        client._writer.close()
        client._paused |= _STREAMING
        client._writer.put(codec.DISCONNECT_PACKET)
        connection.ask(False)  # when the stream does not take it, there is an end to the waiting
        client._look()
        while client._writer.left and not client._paused & _OVER:
            yield wait(client)
    client._lost("disconnected")
    connection.wake()
    if client.poll is None:
        task.cancel()  # a connection attempt may take long to fail
    while connection.task is task:
        yield wait(client)


def message(client, packet):
    """A message that is not plain: it does not fit the buffer, was skipped, or is one of MQTT 5."""
    five = client._five
    topic = five.topic(packet) if five else packet.topic
    qos = packet.qos
    if packet.skipped:
        client.skipped += 1
        log.warning("skipped %s: larger than the limit", topic)
    elif qos != 2 or packet.id not in client._held:  # else it has come before
        if packet.more or packet.part:
            large(client, packet, topic)
        elif client._call is not None:
            packet.delivered += 1
            try:
                client._call(topic, packet.payload_bytes, packet.retain)
            except Exception as er:
                log.exception("on_message, topic %s", topic, exc_info=er)
    if qos and not packet.more:
        client._confirm(qos, packet.id)


def large(client, packet, topic):
    """A part of a message that does not fit the buffer."""
    part = packet.part
    more = packet.more
    call = client.on_large
    if call is None:
        if not part:
            client.skipped += 1
            log.warning("skipped %s: %d bytes do not fit the buffer", topic, len(packet.payload) + more)
        return
    client._partial = topic if more else None
    try:
        call(topic, part, packet.payload, more)
    except Exception as er:
        log.exception("on_large, topic %s", topic, exc_info=er)
    if not more:
        packet.delivered += 1


def cut_off(client):
    """The connection was lost in the middle of a large message."""
    topic = client._partial
    client._partial = None
    try:
        client.on_large(topic, 0, None, 0)
    except Exception as er:
        log.exception("on_large, topic %s", topic, exc_info=er)
