"""What the broker sends rarely: its answer to CONNECT, and the packets DISCONNECT and AUTH of MQTT 5."""

from coldframe.mqtt.client import MQTTError, codec, log
from coldframe.mqtt.connection import wake_all
from coldframe.mqtt.reasons import told
from micropython import const

_CONNACK = const(2)
_DISCONNECT = const(14)
_AUTH = const(15)
_BAD_VERSION = const(0x84)


def other(client, kind, packet):
    """Called by Client.ready() for the packets that it does not know."""
    five = client._five
    if kind == _CONNACK and client._code is None:
        connack(client, five, packet)
    elif kind == _AUTH and five:
        five.answer(packet)
        wake_all(client._turn)
    elif kind == _DISCONNECT and five:
        redirect(client, five, packet)
        client._lost("the broker ended the connection: " + told(packet, 5))
    else:
        raise codec.Malformed(0x82, "unexpected packet of type %d" % kind)


def connack(client, five, packet):
    code = packet.code
    c = client._connection
    c.session = packet.session
    c.asking = False
    if code:
        client._code = code
        if five and code == _BAD_VERSION:
            log.warning("%s: the broker does not speak MQTT 5: going on with 3.1.1", client._transport)
            client._five = None
            client._quota = 65535
            client._code = 0  # tried again at once
        elif five:
            redirect(client, five, packet)
        # Now, and not when run() has its turn: the broker closes the connection right behind it.
        client._lost("the broker refused the connection: " + told(packet, 5 if five else 4))
        return
    if packet.session and client._hello[2]:
        raise codec.Malformed(0x82, "the broker has a session that it was told to forget")
    if not packet.session:
        client._held = ()  # now, for messages of the new session may follow at once
    if five:
        five.check_auth(packet)
    client._code = 0
    client._call = client._route or client.on_message  # messages may be right behind
    if five:
        client._quota, keepalive, name = five.begin(packet)
        if keepalive is not None:
            c.set_keepalive(keepalive)
        if name:
            client._hello = (name,) + client._hello[1:]
    c.wake()


def refused(client, m, packet):
    """An acknowledgement that says no."""
    error = MQTTError("%s: %s" % (m.topic, told(packet, 5)))
    if m.task is None:
        log.error("publishing to %s", error)
    client._settle(m, error)


def redirect(client, five, packet):
    """Have the next connection made to the server that the broker refers us to."""
    to = five.reference(packet)
    if to:
        elsewhere = getattr(client._transport, "elsewhere", None)
        if elsewhere:
            client._connection.next = elsewhere(*to)
