"""What MQTT 5 adds to a Client. Not loaded for MQTT 3.1.1.

Enhanced authentication: ``auth=(method, data, answer)``. method: str; data: bytes or None for CONNECT;
answer(data: bytes or None) -> bytes or None is called with what each AUTH packet of the broker carries, and returns
what ours does.
"""

import io

from coldframe.mqtt.client import codec
from micropython import const

_DAY = const(86400)  # s
_RELEASED = const(2)  # a Message's state, see client.py

# Property identifiers, section 2.2.2.2.
_EXPIRY = const(0x02)
_RESPONSE_TOPIC = const(0x08)
_CORRELATION = const(0x09)
_SUBSCRIPTION_ID = const(0x0B)
_SESSION_EXPIRY = const(0x11)
_ASSIGNED_ID = const(0x12)
_KEEPALIVE = const(0x13)
_AUTH_METHOD = const(0x15)
_AUTH_DATA = const(0x16)
_SERVER_REFERENCE = const(0x1C)
_RECEIVE_MAX = const(0x21)
_ALIAS_MAX = const(0x22)
_ALIAS = const(0x23)
_MAX_QOS = const(0x24)
_RETAIN = const(0x25)
_MAX_PACKET = const(0x27)
_WILDCARD = const(0x28)
_SUBSCRIPTION_IDS = const(0x29)
_SHARED = const(0x2A)

_AUTH = const(15)
_CONTINUE = const(0x18)
_AGAIN = const(0x19)


class Five:
    """The MQTT 5 half of one client."""

    def __init__(self, client, expiry, receive_max, alias, auth, props, will_props, limit):
        if not 1 <= receive_max <= 65535:
            raise ValueError("receive_max: expected 1 to 65535, got %r" % (receive_max,))
        if not 0 <= alias <= 65535:
            raise ValueError("alias: expected 0 to 65535, got %r" % (alias,))
        self._client = client
        self.receive_max = receive_max
        self._alias = alias
        self.auth = auth
        self._props = props or b""
        self._will_props = will_props
        self._expiry = expiry
        self._limit = limit
        self.waiting = False  # for the end of reauth()
        self.requests = None  # of requests.py
        self.begin(None)

    def begin(self, packet):
        """Note what the broker can do, as CONNACK tells; None: nothing is known yet."""

        def told(id, default):
            value = packet and packet.prop(id)
            return default if value is None else value

        self.max_qos = told(_MAX_QOS, 2)
        self.retain = told(_RETAIN, 1)
        self.max_packet = told(_MAX_PACKET, 0)
        self.wildcard = told(_WILDCARD, 1)
        self.subscription_ids = told(_SUBSCRIPTION_IDS, 1)
        self.shared = told(_SHARED, 1)
        self.alias_max = min(told(_ALIAS_MAX, 0), self._alias or 0)
        self.aliases = {}  # topic -> properties with nothing but its alias
        self.topics = [None] * self._alias  # by alias, what the broker has told
        return told(_RECEIVE_MAX, 65535), told(_KEEPALIVE, None), told(_ASSIGNED_ID, None)

    # ---- connection

    def hello(self, clean):
        """The properties of CONNECT, and those of the will."""
        expiry = self._expiry
        if expiry is None:
            expiry = 0 if clean else _DAY
        pairs = [(_SESSION_EXPIRY, expiry), (_RECEIVE_MAX, self.receive_max), (_ALIAS_MAX, self._alias)]
        if self._limit:
            pairs.append((_MAX_PACKET, self._limit))
        if self.auth:
            pairs.append((_AUTH_METHOD, self.auth[0]))
            if self.auth[1] is not None:
                pairs.append((_AUTH_DATA, self.auth[1]))
        return packed(pairs, self._props), self._will_props

    def check_auth(self, packet):
        """Raise Malformed if the broker authenticates in another way than was asked for."""
        method = packet.prop(_AUTH_METHOD)
        if method is not None and (not self.auth or method != self.auth[0]):
            raise codec.Malformed(0x82, "authentication method %s was not asked for" % method)

    def answer(self, packet):
        """The broker's AUTH packet."""
        client = self._client
        if not self.auth:
            raise codec.Malformed(0x82, "AUTH that was not asked for")
        self.check_auth(packet)
        if packet.code == _CONTINUE:
            data = self.auth[2](packet.prop(_AUTH_DATA))
            self._send_auth(_CONTINUE, data)
            client._connection.ask(False)
        elif packet.code == 0 and self.waiting:
            self.waiting = False
        else:
            raise codec.Malformed(0x82, "AUTH that was not asked for")

    def reauth(self, data):
        """Start a new authentication on this connection."""
        if not self.auth:
            raise ValueError("auth: expected (method, data, answer) to authenticate again")
        self.waiting = True
        self._send_auth(_AGAIN, data)

    def _send_auth(self, code, data):
        pairs = [(_AUTH_METHOD, self.auth[0])]
        if data is not None:
            pairs.append((_AUTH_DATA, data))
        props = packed(pairs)
        buf = bytearray(len(props) + 12)
        self._client._connection.send(bytes(memoryview(buf)[: codec.auth(buf, code, props)]))

    def farewell(self, code):
        """Tell the broker why the connection ends."""
        buf = bytearray(8)
        self._client._writer.put(memoryview(buf)[: codec.disconnect(buf, code, b"")])

    def reference(self, packet):
        """(host, port or None) of the server that the broker sends us to, or None."""
        if packet.code != 0x9C and packet.code != 0x9D:
            return None
        text = packet.prop(_SERVER_REFERENCE)
        if not text:
            return None
        host = text.split()[0]
        port = None
        at = host.rfind(":")
        # HOST, HOST:PORT, [V6]:PORT; a bare IPv6 address has more than one colon and no port.
        if at > 0 and (host[at - 1] == "]" or host.find(":") == at):
            try:
                port = int(host[at + 1 :])
            except ValueError:
                return None
            host = host[:at]
        return host.strip("[]"), port

    # ---- messages out

    def properties(self, expiry, response, correlation, more):
        """The properties of a PUBLISH as bytes, None for none."""
        if more and has(more, _SUBSCRIPTION_ID):
            raise ValueError("props: a subscription identifier is for the broker to send")
        if expiry is None and response is None and correlation is None:
            return more
        pairs = []
        if expiry is not None:
            pairs.append((_EXPIRY, expiry))
        if response is not None:
            pairs.append((_RESPONSE_TOPIC, response))
        if correlation is not None:
            pairs.append((_CORRELATION, correlation))
        return packed(pairs, more or b"")

    def refuses(self, topic, payload, flags, props):
        """Why the broker would refuse a message, or None. flags: as in a PUBLISH's first byte."""
        if flags >> 1 & 3 > self.max_qos:
            return "%s: the broker takes QoS %d at most" % (topic, self.max_qos)
        if flags & 1 and not self.retain:
            return "%s: the broker keeps no retained messages" % topic
        if self.max_packet:
            n = size(payload) + size(topic) + size(props or b"")
            # Exact only where it matters: the header has 6 to 14 bytes beside these.
            if n + 14 > self.max_packet:
                room = bytearray(n + 20 - size(payload))
                n = size(payload) + codec.publish(
                    room,
                    topic,
                    size(payload),
                    flags >> 1 & 3,
                    flags & 1,
                    False,
                    1 if flags & 6 else 0,
                    props or b"",
                )
                if n > self.max_packet:
                    return "%s: %d bytes, the broker takes %d at most" % (topic, n, self.max_packet)
        return None

    def settles(self, m):
        """Is a message in the window one that the broker would refuse? It is settled then."""
        error = self.refuses(m.topic, m.payload, m.flags, m.props)
        if error:
            from coldframe.mqtt.client import MQTTError

            self._client._settle(m, MQTTError(error))
        return bool(error)

    def open(self, writer):
        """Let messages go out, and those that need nothing that is done here go straight to the writer."""
        plain = 3 if self.max_qos == 2 and self.retain and not self.max_packet else 0
        writer.open(plain, self.aliases, self.alias_max)

    def publish(self, writer, topic, payload, retain, props):
        """Writer.write() of QoS 0, with a topic alias where that saves bytes."""
        if self.alias_max and not props:
            aliases = self.aliases
            known = aliases.get(topic)
            if known:
                return writer.write("", payload, retain, known)
            if len(aliases) < self.alias_max:
                alias = packed(((_ALIAS, len(aliases) + 1),))
                done = writer.write(topic, payload, retain, alias)
                if done is not None:  # else the broker does not know it yet
                    aliases[topic] = alias
                return done
        return writer.write(topic, payload, retain, props)

    # ---- messages in

    def topic(self, packet):
        """The topic of a message, which may be told by its alias."""
        alias = packet.prop(_ALIAS)
        topic = packet.topic
        if alias is not None:
            if alias > len(self.topics):
                raise codec.Malformed(0x94, "topic alias %d, allowed are %d" % (alias, len(self.topics)))
            if topic:
                self.topics[alias - 1] = topic
            else:
                topic = self.topics[alias - 1]
                if topic is None and not packet.skipped:
                    raise codec.Malformed(0x94, "topic alias %d is unknown" % alias)
        return topic

    # ---- subscriptions

    def check_filter(self, filter, size):
        """Raise ValueError if the broker cannot do that. size: bytes of the packet with this filter."""
        if self.max_packet and size > self.max_packet:
            raise ValueError("%s: %d bytes, the broker takes %d at most" % (filter, size, self.max_packet))
        shared = filter.startswith("$share/")
        if shared and not self.shared:
            raise ValueError("%s: the broker has no shared subscriptions" % filter)
        if not self.wildcard and ("+" in filter or "#" in filter):
            raise ValueError("%s: the broker has no wildcard subscriptions" % filter)


def size(data):
    """Bytes that a str or bytes-like object takes in a packet."""
    return len(data.encode()) if isinstance(data, str) else len(data)


def has(props, id):
    """Is a property among those of a PUBLISH?"""
    buf = bytearray(len(props) + 16)
    n = codec.publish(buf, "t", 0, 0, False, False, 0, props)
    packet = codec.Decoder(bytearray(len(buf)), 0, 5)
    packet.fill(io.BytesIO(memoryview(buf)[:n]))
    return packet.next() and packet.prop(id) is not None


def packed(pairs, more=b""):
    """Properties as bytes, from (identifier, value) pairs; ``more`` has some that are ready."""
    buf = bytearray(sum(6 + (0 if isinstance(value, int) else size(value)) for _, value in pairs))
    at = 0
    for id, value in pairs:
        at = codec.put_prop(buf, at, id, value)
    return bytes(memoryview(buf)[:at]) + more
