"""Client.publish_stream(): a payload that is read piece by piece while it is written.

Nothing else may go out in the middle of a packet: meanwhile the writer is closed for other publishers, and what the
broker sends is left unread, for it might want an answer.
"""

from coldframe.mqtt.client import MQTTError, codec
from coldframe.mqtt.connection import wake_all
from coldframe.mqtt.subs import wait
from micropython import const

_PIECE = const(200)  # bytes; fits the writer's buffer
_STREAMING = const(8)  # beside those in client.py: why nothing is read
_RELEASED = const(2)  # as in client.py
_DONE = const(3)


async def publish_stream(client, topic, source, size, qos, retain):
    """See Client.publish_stream()."""
    if qos != 0 and qos != 1 and qos != 2:
        raise ValueError("%s: expected QoS 0 to 2, got %r" % (topic, qos))
    header = bytearray(len(topic.encode()) + 16)
    encode(header, client, topic, size, qos, retain, False, 1 if qos else 0)  # raises when it cannot be sent
    m = None
    again = False
    try:
        if qos:
            # What carries the identifier and waits for the acknowledgement is in the window, like all others, but
            # is sent from here.
            while len(client._window) >= client._size:
                yield waiting(client)
            m = client._writer.message(client, topic, b"", qos << 1 | (1 if retain else 0))
            m.key = False  # a sign for _pump()
            client._accept(m)
        while m is None or m.state < _RELEASED:
            if my_turn(client, m):
                opened = source() if callable(source) else source
                if again and opened is source:
                    source.seek(0)
                n = encode(header, client, topic, size, qos, retain, again, m.id if m else 0)
                again = True
                if await write(client, memoryview(header)[:n], opened, size, topic):
                    if m is None:
                        return
                    client._sent += 1
                    client._connection.ask(client._sent == 1)
                elif m is None:
                    client.dropped += 1
                    raise OSError("the connection was lost: %s" % client.why)
            elif m is None and not client._live:
                client.dropped += 1
                raise OSError("not connected")
            else:
                yield waiting(client)
        await m
    finally:
        if m is not None and m.state < _RELEASED:
            client._settle(m, None)


def encode(header, client, topic, size, qos, retain, again, id):
    """Make the packet's header; returns its length."""
    five = client._five
    n = codec.publish(header, topic, size, qos, retain, again and qos > 0, id, b"" if five else None)
    if five:
        error = five.refuses(topic, b"", qos << 1 | (1 if retain else 0), None)
        if not error and five.max_packet and n + size > five.max_packet:
            error = "%s: %d bytes, the broker takes %d at most" % (topic, n + size, five.max_packet)
        if error:
            raise MQTTError(error)
    return n


def waiting(client):
    """``yield`` this to wait for a change."""
    if client._closing:
        raise OSError("disconnected")
    wait(client)


def my_turn(client, m):
    """May this message be written now?"""
    if not client._live or client._paused & _STREAMING:
        return False
    if m is None:
        return True
    window = client._window
    at = client._sent
    return at < len(window) and at < client._quota and window[at] is m


async def write(client, header, source, size, topic):
    """Write one packet. Returns False when the connection was lost on the way."""
    writer = client._writer
    number = client.connections
    writer.close()
    client._paused |= _STREAMING
    piece = memoryview(bytearray(_PIECE))
    data = header
    left = size
    done = False
    try:
        while True:
            while writer.left:
                yield waiting(client)
                if client.connections != number or not client._live:
                    return False
            if data is None:
                if not left:
                    done = True
                    return True
                n = source.readinto(piece[: min(left, _PIECE)])
                if not n:
                    raise ValueError("%s: the source ended %d bytes early" % (topic, left))
                left -= n
                data = piece[:n]
            writer.put(data)
            data = None
            client._look()
    except OSError as er:
        if client.connections == number and client._live:
            client._lost("%s could not be sent to its end: %s" % (topic, er))
        raise
    finally:
        if client.connections == number and client._live:
            if done:
                writer.open(None)
                client._paused &= ~_STREAMING
                client._pump()
                wake_all(client._turn)
            else:
                # A packet that has begun can only be ended with the connection.
                client._lost("%s could not be sent to its end" % topic)
