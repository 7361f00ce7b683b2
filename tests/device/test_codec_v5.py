# MQTT 5: what is encoded decodes to the same, every property in every packet, and next() with a callback. Both
# codecs are tested. What the standard's statements say is in test_conformance_codec5*.py.
import gc
import io
import sys

import minitest
from bothcodecs import CODECS, decode, encoded, string
from minitest import equal, raises

if sys.platform == "rp2":
    CODECS = CODECS[:1]  # the Python codec is the same everywhere, and the emulator takes minutes for it

WILL, CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 0, 1, 2, 3, 8, 9, 10, 11
DISCONNECT, AUTH = 14, 15
ANSWERS = (CONNACK, 4, 5, 6, 7, SUBACK, UNSUBACK, DISCONNECT, AUTH)
# Table 2-4 of the standard: identifier, a good value, bad ones, the packets.
TABLE = (
    (0x01, 1, (2, 255), (PUBLISH, WILL)),
    (0x02, 0xFFFFFFFF, (), (PUBLISH, WILL)),
    (0x03, "text/plain", ("a\0", b"\xff"), (PUBLISH, WILL)),
    (0x08, "reply/to", ("a/+", "#", "", b"\xff"), (PUBLISH, WILL)),
    (0x09, b"\0\xff", (), (PUBLISH, WILL)),
    (0x0B, 268435455, (0,), (PUBLISH, SUBSCRIBE)),
    (0x11, 0, (), (CONNECT, CONNACK, DISCONNECT)),
    (0x12, "id", (b"\xff",), (CONNACK,)),
    (0x13, 65535, (), (CONNACK,)),
    (0x15, "method", (b"\xff",), (CONNECT, CONNACK, AUTH)),
    (0x16, b"data", (), (CONNECT, CONNACK, AUTH)),
    (0x17, 0, (2,), (CONNECT,)),
    (0x18, 7, (), (WILL,)),
    (0x19, 1, (2,), (CONNECT,)),
    (0x1A, "info", ("a\0",), (CONNACK,)),
    (0x1C, "other:1883", ("a\0",), (CONNACK, DISCONNECT)),
    (0x1F, "because", (b"\xed\xa0\x80",), ANSWERS),
    (0x21, 1, (0,), (CONNECT, CONNACK)),
    (0x22, 0, (), (CONNECT, CONNACK)),
    (0x23, 65535, (0,), (PUBLISH,)),
    (0x24, 1, (2,), (CONNACK,)),
    (0x25, 0, (2,), (CONNACK,)),
    (0x26, ("k", "v"), ((b"\xff", "v"), ("k", "\0")), None),
    (0x27, 1, (0,), (CONNECT, CONNACK)),
    (0x28, 1, (2,), (CONNACK,)),
    (0x29, 1, (2,), (CONNACK,)),
    (0x2A, 0, (3,), (CONNACK,)),
)
BYTES = (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A)
WORDS = (0x13, 0x21, 0x22, 0x23)


def raw(id, value):
    # One property as the standard writes it, put together without the code under test.
    if isinstance(value, int):
        if id == 0x0B:
            return b"\x0b" + (b"\xff\xff\xff\x7f" if value else b"\0")
        size = 1 if id in BYTES else 2 if id in WORDS else 4
        return bytes((id,) + tuple([value >> 8 * i & 255 for i in range(size - 1, -1, -1)]))
    if isinstance(value, tuple):
        return bytes((id,)) + string(value[0]) + string(value[1])
    return bytes((id,)) + string(value)


def call(c, kind, props):
    # The encoder's call for a packet of that type with these properties.
    if kind == WILL:
        return c.connect, ("id", 60, True, None, None, "w", b"", 0, False, b"", props)
    if kind == CONNECT:
        return c.connect, ("id", 60, True, "u", b"p", None, None, 0, False, props)
    if kind == CONNACK:
        return c.connack, (True, 0, props)
    if kind == PUBLISH:
        return c.publish, ("a/b", b"payload", 1, True, False, 7, props)
    if kind == SUBSCRIBE:
        return c.subscribe, (7, "a/+", 0x2D, props)
    if kind == UNSUBSCRIBE:
        return c.unsubscribe, (7, "a/+", props)
    if kind == SUBACK:
        return c.suback, (7, b"\0\x80", props)
    if kind == UNSUBACK:
        return c.unsuback, (7, b"\x11", props)
    if kind == DISCONNECT:
        return c.disconnect, (0x8B, props)
    if kind == AUTH:
        return c.auth, (0x18, props)
    return c.ack, (kind, 7, 0x92 if kind in (6, 7) else 0x97, props)


KINDS = (
    WILL,
    CONNECT,
    CONNACK,
    PUBLISH,
    4,
    5,
    6,
    7,
    SUBSCRIBE,
    SUBACK,
    UNSUBSCRIBE,
    UNSUBACK,
    DISCONNECT,
    AUTH,
)
# Where a packet that has no properties yet holds the length of its block; the block of AUTH is put in its place.
METHOD = b"\x15\0\1m"


def with_props(c, kind, props):
    # The packet with any bytes as its properties: made without them, then put in.
    function, args = call(c, kind, METHOD if kind == AUTH else b"")
    data = encoded(function, *args)
    if 4 <= kind <= 7 or kind == DISCONNECT:
        return data[:1] + bytes((data[1] + 1 + len(props),)) + data[2:] + bytes((len(props),)) + props
    at = {WILL: 17, CONNECT: 12, CONNACK: 4, PUBLISH: 9, AUTH: 3}.get(kind, 4)
    equal(data[at], len(METHOD) if kind == AUTH else 0)
    old = data[at]
    return (
        data[:1]
        + bytes((data[1] + len(props) - old,))
        + data[2:at]
        + bytes((len(props),))
        + props
        + data[at + 1 + old :]
    )


def test_every_property_in_every_packet():
    for c in CODECS:
        for id, value, bad, kinds in TABLE:
            one = raw(id, value)
            for kind in KINDS:
                # What it cannot be without: authentication data wants the method.
                also = METHOD if id != 0x15 and (kind == AUTH or id == 0x16) else b""
                if kind not in (CONNECT, CONNACK, AUTH) and id == 0x16:
                    also = b""
                block = also + one
                function, args = call(c, kind, block)
                data = with_props(c, kind, block)
                if kinds is None or kind in kinds:
                    equal((id, kind, encoded(function, *args)), (id, kind, data))
                    d = decode(c, data, 5)
                    equal((id, kind, d.type), (id, kind, kind or CONNECT))
                    if kind != WILL:
                        equal((id, kind, d.prop(id), bytes(d.props)), (id, kind, value, block))
                    many = id == 0x26 or (id == 0x0B and kind == PUBLISH)
                    twice(c, kind, block + one, many)
                    for wrong in bad:
                        refused(c, kind, also + raw(id, wrong), None)
                    refused(c, kind, block[:-1], 0x81)
                else:
                    refused(c, kind, block, 0x81)
        gc.collect()


def twice(c, kind, block, many):
    if many:
        equal(decode(c, with_props(c, kind, block), 5).type, kind or CONNECT)
    else:
        refused(c, kind, block, 0x82)


def refused(c, kind, block, reason):
    function, args = call(c, kind, block)
    raises(ValueError, function, bytearray(200), *args)
    error = raises(c.Malformed, decode, c, with_props(c, kind, block), 5)
    if reason:
        equal((kind, block, error.args[0]), (kind, block, reason))


def test_authentication_data_wants_its_method():
    for c in CODECS:
        for kind in (CONNECT, CONNACK, AUTH):
            refused(c, kind, raw(0x16, b"data"), 0x82)
        refused(c, AUTH, b"", 0x82)


def test_properties_are_told_apart():
    for c in CODECS:
        buf = bytearray(80)
        n = c.put_prop(buf, 0, 0x26, ("a", "1"))
        n = c.put_prop(buf, n, 0x0B, 5)
        n = c.put_prop(buf, n, 0x26, (b"b", b"\xc3\xa5"))
        n = c.put_prop(buf, n, 0x0B, 300)
        n = c.put_prop(buf, n, 0x09, "text is bytes as well")
        d = decode(c, encoded(c.publish, "t", b"", props=memoryview(buf)[:n]), 5)
        equal(d.user_properties(), [("a", "1"), ("b", "\xe5")])
        equal((d.prop(0x26), d.prop(0x0B), d.prop(0x09)), (("a", "1"), 5, b"text is bytes as well"))
        equal((d.prop(0x01), d.version), (None, 5))
        raises(ValueError, d.prop, 0)
        raises(ValueError, d.prop, 0x2B)
        raises(ValueError, c.put_prop, buf, 79, 0x01, 1)
        raises(ValueError, c.put_prop, buf, 81, 0x01, 1)
        equal(c.put_prop(buf, 78, 0x01, 1), 80)


def test_answers_are_as_short_as_can_be():
    for c in CODECS:
        equal(encoded(c.ack, 4, 7, 0, b""), b"\x40\2\0\7")
        equal(encoded(c.ack, 4, 7, 0x10, b""), b"\x40\3\0\7\x10")
        equal(encoded(c.ack, 6, 7, 0, b"\x1f\0\1r"), b"\x62\x08\0\7\0\4\x1f\0\1r")
        equal(encoded(c.disconnect), b"\xe0\0")
        equal(encoded(c.disconnect, 0, b""), b"\xe0\0")
        equal(encoded(c.disconnect, 4, b""), b"\xe0\1\4")
        for data, code in ((b"\x40\2\0\7", 0), (b"\x40\3\0\7\x10", 0x10), (b"\x40\4\0\7\x10\0", 0x10)):
            d = decode(c, data, 5)
            equal((d.type, d.id, d.code, bytes(d.props)), (4, 7, code, b""))
        for data, code in ((b"\xe0\0", 0), (b"\xe0\1\x8b", 0x8B), (b"\xe0\2\x8b\0", 0x8B), (b"\xf0\0", 0)):
            equal(decode(c, data, 5).code, code)
        equal(bytes(decode(c, b"\xb0\5\0\7\0\0\x11", 5).codes), b"\0\x11")
        raises(ValueError, c.ack, bytearray(9), 4, 7, 0x10)  # 3.1.1 has no codes
        raises(ValueError, c.disconnect, bytearray(9), 4)
        # A broker that knows 3.1.1 only answers so.
        equal(decode(c, b"\x20\2\0\1", 5).code, 0x84)


def test_connect():
    for c in CODECS:
        data = encoded(
            c.connect,
            "",
            60,
            False,
            None,
            b"pw",
            "w",
            b"gone",
            2,
            True,
            b"\x21\0\x10",
            b"\x18\0\0\0\5\x26\0\1k\0\1v",
        )
        equal(data[2:10], b"\0\4MQTT\5\x74")
        d = decode(c, data, 5)
        equal(
            (d.type, d.topic, d.session, d.keepalive, d.prop(0x21), d.prop(0x26)),
            (1, "", False, 60, 16, None),
        )
        raises(
            ValueError, c.connect, bytearray(99), "i", 0, props=b"", will_props=b"\x18\0\0\0\5"
        )  # without a will
        raises(
            ValueError, c.connect, bytearray(99), "i", 0, will_topic="w", will_props=b"\x18\0\0\0\5"
        )  # in 3.1.1
        raises(c.Malformed, decode, c, data, 4)
        raises(c.Malformed, decode, c, encoded(c.connect, "i", 0), 5)


def test_the_version_changes():
    for c in CODECS:
        d = c.Decoder(bytearray(32))
        d.fill(io.BytesIO(b"\xf0\0"))
        equal(raises(c.Malformed, d.next).args[0], 0x81)
        d.reset(5)
        equal((d.version, d.fill(io.BytesIO(b"\xf0\0")), d.next()), (5, 2, c.AUTH))
        d.reset()
        equal(d.version, 5)
        raises(ValueError, d.reset, 3)
        equal((d.version, d.reset(4), d.version), (5, None, 4))


def test_callback():
    for c in CODECS:
        got = []
        take = lambda *message: got.append(message)  # noqa: E731
        d = c.Decoder(bytearray(64), 0, 5)
        data = (
            b"\x30\6\0\1t\0ab\x31\4\0\1t\0"
            + b"\xd0\0"
            + b"\x30\x08\0\1t\3\x23\0\1x"
            + b"\x30\7\0\0\3\x23\0\1x"
            b"\x32\6\0\1t\0\1\0" + b"\x30\x06\0\2tu\0y"
        )
        d.fill(io.BytesIO(data))
        kinds = [d.next(take) for _ in range(6)]
        # PINGRESP, a topic alias that is set, one that is used, QoS 1; then nothing is left
        equal(
            (kinds, got), ([13, 3, 3, 3, 0, 0], [("t", b"ab", False), ("t", b"", True), ("tu", b"y", False)])
        )
        equal((d.delivered, d.next(None)), (3, 0))
        stream = io.BytesIO(
            b"\x30\x44\0\1t\0" + bytes(64) + b"\x30\4\0\1u\0"
        )  # in parts, and not skipped over
        while d.fill(stream):
            while d.next(take):
                equal((d.topic, d.type), ("t", 3))
        equal((d.delivered, got[-1]), (4, ("u", b"", False)))


def test_callback_that_raises():
    for c in CODECS:
        d = c.Decoder(bytearray(64))
        d.fill(io.BytesIO(b"\x30\4\0\1a1\x30\4\0\1b2\x30\4\0\1c3"))
        seen = []

        def broken(topic, payload, retain):
            seen.append(topic)
            if topic == "a":
                raise OSError(5)
            if topic == "b":  # whatever it does with the decoder, that stays sound
                d.reset()
                d.fill(io.BytesIO(b"\xd0\0"))

        raises(OSError, d.next, broken)
        equal((d.next(broken), seen, d.next(broken)), (13, ["a", "b"], 0))
        raises(TypeError, lambda: (d.fill(io.BytesIO(b"\x30\4\0\1a1")), d.next(5)))


minitest.run(globals())
