"""The methods of Client that are not needed for each message, loaded with the first use of one.

``client.subscribe(filter)`` is subscribe(client, filter) here, and so on.
"""

from asyncio import Event


async def subscribe(client, filter, qos=0, callback=None, *, options=0):
    """Subscribe, now and after each reconnect, and wait for the broker's answer.

    Without a connection it is only noted down, and done as soon as there is one.

    Args: filter: topic filter, + and # allowed; qos: 0 to 2, the most that messages shall come with; callback:
    gets the messages of this filter instead of on_message, with the same arguments; options: MQTT 5:
    no-local << 2 | retain-as-published << 3 | retain-handling << 4.
    Returns the QoS granted, or None when the answer is still to come.
    Raises MQTTError if the broker refuses, ValueError for an invalid filter.
    """
    from coldframe.mqtt.subs import subscribe

    return await subscribe(client, filter, qos, callback, options)


async def unsubscribe(client, filter):
    """End a subscription; without a connection it is only noted down."""
    from coldframe.mqtt.subs import unsubscribe

    await unsubscribe(client, filter)


def messages(client, filter, qos=0, size=16):
    """Subscribe, and iterate over what comes: ``async for topic, payload in client.messages("a/+"):``

    Args: size: how many messages may wait to be taken; then the broker is made to wait.
    The iterator has close(), which ends it and the subscription.
    """
    from coldframe.mqtt.messages import Messages

    return Messages(client, filter, qos, size)


async def request(client, topic, payload, timeout=10, qos=1):
    """MQTT 5: publish a request and wait for the response to it.

    Args: timeout in seconds. Returns (topic, payload) of the response.
    Raises OSError if it does not come in time, RuntimeError if the broker does not speak MQTT 5.
    """
    from coldframe.mqtt.requests import request

    return await request(client, topic, payload, timeout, qos)


async def publish_stream(client, topic, source, size, qos=0, retain=False):
    """Publish a payload that is read from a stream, however large, without having it in memory.

    Args: source: an object with readinto(buf), and seek(offset) for QoS 1 and 2, which may have to begin anew;
    or a function that opens one. size: bytes of the payload. Others who publish wait meanwhile.
    Raises ValueError if the source ends early: the connection is given up then, for there is no other way to
    end a packet that has begun; OSError if the connection is lost (QoS 0) or disconnect() is called.
    """
    from coldframe.mqtt.streaming import publish_stream

    await publish_stream(client, topic, source, size, qos, retain)


async def reauth(client, data=None):
    """MQTT 5: authenticate again, with ``auth``. Raises OSError if the connection ends meanwhile."""
    from coldframe.mqtt.requests import reauth

    await reauth(client, data)


async def drain(client, timeout=None):
    """Wait until all that was accepted is acknowledged. Returns False when ``timeout`` seconds are over first."""
    from coldframe.mqtt.more import drain

    return await drain(client, timeout)


async def disconnect(client):
    """Say goodbye to the broker, so that it publishes no will, and end. connect() starts anew."""
    from coldframe.mqtt.more import disconnect

    await disconnect(client)


METHODS = (subscribe, unsubscribe, messages, request, publish_stream, reauth, drain, disconnect)
NAMES = ("subscribe", "unsubscribe", "messages", "request", "publish_stream", "reauth", "drain", "disconnect")


def lookup(client, name):
    """An attribute that Client itself does not have."""
    if name in NAMES:
        method = METHODS[NAMES.index(name)]
        return lambda *args, **options: method(client, *args, **options)
    if name == "down":
        client.down = down = Event()
        if not client.up.is_set():
            down.set()
        return down
    if name == "version":
        return 5 if client._five else 4
    if name == "client_id":
        return client._hello[0]
    if name == "published":
        return client._writer.published
    if name == "received":
        return client.packet.delivered
    raise AttributeError(name)
