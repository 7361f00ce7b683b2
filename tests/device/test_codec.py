# The MQTT codec: every packet encoded and decoded, and what the encoders refuse. Both versions are
# tested, the C module and the Python one.
import io

import minitest
from coldframe import codec_py
from minitest import equal, raises

try:
    import mqttpacket

    CODECS = (mqttpacket, codec_py)
except ImportError:
    CODECS = (codec_py,)


def decode(codec, data, size=64, limit=0):
    # The decoder after the first packet of data.
    d = codec.Decoder(bytearray(size), limit)
    stream = io.BytesIO(data)
    while not d.next():
        if d.fill(stream) == 0:
            raise AssertionError("no packet in %r" % data)
    return d


def encoded(call, *args, **kwargs):
    buf = bytearray(b"\xaa" * 160)
    n = call(buf, *args, **kwargs)
    assert bytes(buf[n:]) == b"\xaa" * (160 - n), "written beyond the packet"
    small = bytearray(n - 1)
    error = raises(ValueError, call, small, *args, **kwargs)
    equal(str(error), "packet needs %d bytes, buffer has %d" % (n, n - 1))
    assert bytes(small) == bytes(n - 1), "written although it does not fit"
    return bytes(buf[:n])


def test_publish():
    for c in CODECS:
        data = encoded(c.publish, "a/b", b"hello")
        equal(data, b"\x30\x0a\x00\x03a/bhello")
        d = decode(c, data)
        equal((d.type, d.topic, bytes(d.payload), d.qos, d.id), (c.PUBLISH, "a/b", b"hello", 0, 0))
        equal((d.retain, d.dup, d.more, d.part, d.flags), (False, False, 0, 0, 0))
        data = encoded(c.publish, b"\xc3\xa5", "x", qos=1, retain=True, dup=True, id=0x1234)
        equal(data, b"\x3b\x07\x00\x02\xc3\xa5\x12\x34x")
        d = decode(c, data)
        equal((d.topic, d.payload_bytes, d.qos, d.id, d.retain, d.dup), ("\xe5", b"x", 1, 0x1234, True, True))
        equal(bytes(d.topic_view), b"\xc3\xa5")
        equal(encoded(c.publish, "t", 100000, 2, False, False, 9), b"\x34\xa5\x8d\x06\x00\x01t\x00\x09")
        d = decode(c, encoded(c.publish, "t", b""))
        equal((d.topic, bytes(d.payload)), ("t", b""))


def test_publish_refused():
    for c in CODECS:
        buf = bytearray(64)
        for args, text in (
            (("", 0), "empty topic"),
            (("a/+", 0), "wildcard"),
            (("#", 0), "wildcard"),
            (("a\0b", 0), "NUL"),
            ((b"\xff", 0), "UTF-8"),
            ((b"\xed\xa0\x80", 0), "UTF-8"),
            (("t", 0, 3, False, False, 1), "QoS 3"),
            (("t", 0, -1, False, False, 1), "QoS 3"),
            (("t", 0, 1), "identifier 0"),
            (("t", 0, 0, False, False, 1), "identifier 0"),
            (("t", 0, 1, False, False, 65536), "1 to 65535"),
            (("t", 0, 0, False, True), "DUP"),
            (("t", 268435455), "protocol can say"),
            (("t", -1), "protocol can say"),
        ):
            error = raises(ValueError, c.publish, buf, *args)
            assert text in str(error), (args, error)
            assert not isinstance(error, c.Malformed)
        raises(TypeError, c.publish, buf, 5, 0)
        raises(TypeError, c.publish, buf)


def test_connect():
    for c in CODECS:
        equal(encoded(c.connect, "", 60), b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        data = encoded(c.connect, "id", 300, False, "u", b"p", "w", b"gone", 1, True)
        equal(data, b"\x10\x1d\x00\x04MQTT\x04\xec\x01\x2c\x00\x02id\x00\x01w\x00\x04gone\x00\x01u\x00\x01p")
        d = decode(c, data)
        equal((d.type, d.topic, d.keepalive, d.session, d.code), (c.CONNECT, "id", 300, False, 0xEC))
        equal(bytes(d.payload), data[16:])
        equal(encoded(c.connect, "i", 0, will_topic="w")[9], 0x06)
        equal(encoded(c.connect, "i", 0, user="u", password="")[-2:], b"\0\0")
        buf = bytearray(99)
        for args, kwargs, text in (
            (("", 0, False), {}, "contradict"),
            (("i", 0), {"password": "p"}, "contradict"),
            (("i", 0), {"will_payload": b"x"}, "contradict"),
            (("i", 0), {"will_retain": True}, "contradict"),
            (("i", 0), {"will_topic": "w", "will_qos": 3}, "QoS 3"),
            (("i", 0), {"will_topic": "w/#"}, "wildcard"),
            (("i", 0), {"will_topic": ""}, "empty topic"),
            (("i", 65536), {}, "keepalive"),
            (("i\0", 0), {}, "NUL"),
        ):
            error = raises(ValueError, c.connect, buf, *args, **kwargs)
            assert text in str(error), (args, kwargs, error)


def test_connack():
    for c in CODECS:
        equal(encoded(c.connack, True, 0), b"\x20\x02\x01\x00")
        d = decode(c, encoded(c.connack, False, 5))
        equal((d.type, d.session, d.code), (c.CONNACK, False, 5))
        raises(ValueError, c.connack, bytearray(4), True, 1)


def test_acknowledgements():
    for c in CODECS:
        for first in (0x40, 0x50, 0x62, 0x70, 0xB0):
            kind = first >> 4
            data = encoded(c.ack, kind, 0xFFFF)
            equal(data, bytes((first, 2, 255, 255)))
            d = decode(c, data)
            equal((d.type, d.id), (kind, 65535))
        raises(ValueError, c.ack, bytearray(4), c.PUBLISH, 1)
        raises(ValueError, c.ack, bytearray(4), -1, 1)
        raises(ValueError, c.ack, bytearray(4), c.PUBACK, 0)


def test_subscribe():
    for c in CODECS:
        data = encoded(c.subscribe, 10, "a/+/#", 1)
        equal(data, b"\x82\x0a\x00\x0a\x00\x05a/+/#\x01")
        d = decode(c, data + data)
        equal((d.type, d.id, d.topic, d.code, bytes(d.payload)), (c.SUBSCRIBE, 10, "a/+/#", 1, data[4:]))
        data = encoded(c.unsubscribe, 11, "$share/g/+")
        equal(data, b"\xa2\x0e\x00\x0b\x00\x0a$share/g/+")
        d = decode(c, data)
        equal((d.type, d.id, d.topic), (c.UNSUBSCRIBE, 11, "$share/g/+"))
        for bad in ("", "a#", "#/a", "a+", "+a", "a/+b/c", "a/#/", "a\0"):
            raises(ValueError, c.subscribe, bytearray(64), 1, bad, 0)
            raises(ValueError, c.unsubscribe, bytearray(64), 1, bad)
        raises(ValueError, c.subscribe, bytearray(64), 1, "a", 3)
        raises(ValueError, c.subscribe, bytearray(64), 0, "a", 0)


def test_suback():
    for c in CODECS:
        data = encoded(c.suback, 7, b"\x80\x00\x01\x02")
        d = decode(c, data)
        equal((d.type, d.id, d.code, bytes(d.codes)), (c.SUBACK, 7, 0x80, b"\x80\x00\x01\x02"))
        raises(ValueError, c.suback, bytearray(9), 7, b"\x03")
        raises(ValueError, c.suback, bytearray(9), 7, b"")


def test_match():
    for c in CODECS:
        for filter, topic, expected in (
            ("a/b", "a/b", 1), ("a/b", "a/c", 0), ("a/b", "a/b/c", 0), ("a/b/c", "a/b", 0),
            ("+", "a", 1), ("+", "a/b", 0), ("+/+", "/b", 1), ("/+", "/b", 1), ("+", "/b", 0), ("a/+", "a", 0),
            ("a/+", "a/", 1), ("a/+/c", "a/b/c", 1), ("+/b/+", "a/b/c", 1), ("#", "a/b", 1), ("a/#", "a", 1),
            ("a/#", "a/", 1), ("a/#", "ab", 0), ("a/#", "a/b/c", 1), ("+/#", "a", 1), ("a/+/#", "a", 0),
            ("#", "$SYS/x", 0), ("+/x", "$SYS/x", 0), ("$SYS/#", "$SYS/x", 1), ("$SYS/+", "$SYS/x", 1),
            ("$share/g/a/+", "a/b", 1), ("$share/g/#", "$SYS/x", 0), ("$share//a", "a", 0), ("$share/g", "g", 0),
            ("a#", "a", 0), ("#/a", "x/a", 0), ("a+", "ab", 0), ("+a", "ba", 0), ("", "a", 0), ("a", "", 0),
            ("a/b/", "a/b", 0), ("a//b", "a//b", 1), ("a/+/b", "a//b", 1), ("\xe5/+", "\xe5/b", 1),
        ):  # fmt: skip
            equal((filter, topic, c.match(filter, topic)), (filter, topic, bool(expected)))
            equal(c.match(filter.encode(), topic.encode()), bool(expected))


minitest.run(globals())
