# The MQTT codec refuses what is not MQTT, with the standard's reason code. Both versions are tested,
# the C module and the Python one.
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


def refused(codec, data, reason, text, size=64, limit=0):
    error = raises(codec.Malformed, decode, codec, data, size, limit)
    equal(error.args[0], reason)
    assert text in error.args[1], error.args


def test_connect_refused():
    good = b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id"
    for c in CODECS:
        for body, reason, text in (
            (b"\x00\x04MQTT\x03" + good[7:], 0x84, "protocol"),
            (b"\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01i", 0x84, "protocol"),
            (good[:7] + b"\x03" + good[8:], 0x81, "contradict"),
            (good[:7] + b"\x22" + good[8:], 0x81, "contradict"),
            (good[:7] + b"\x42" + good[8:], 0x81, "contradict"),
            (good[:7] + b"\x1e" + good[8:], 0x81, "contradict"),
            (good + b"x", 0x81, "left over"),
            (good[:-1], 0x81, "past the end"),
            (good[:9], 0x81, "past the end"),
            (good[:7] + b"\x06" + good[8:], 0x81, "past the end"),
            (good[:7] + b"\x06" + good[8:] + b"\0\1w\0\5x", 0x81, "past the end"),
            (good[:7] + b"\x82" + good[8:] + b"\0\2u\xff", 0x81, "UTF-8"),
        ):
            refused(c, bytes((0x10, len(body))) + body, reason, text)


def test_connack_refused():
    for c in CODECS:
        refused(c, b"\x20\x02\x02\x00", 0x81, "flags")
        refused(c, b"\x20\x02\x00\x06", 0x81, "return code")
        refused(c, b"\x20\x02\x01\x02", 0x82, "session present")
        refused(c, b"\x20\x01\x00", 0x81, "past the end")
        refused(c, b"\x20\x00", 0x81, "past the end")
        refused(c, b"\x20\x03\x00\x00\x00", 0x81, "left over")


def test_acknowledgements_refused():
    for c in CODECS:
        for first in (0x40, 0x50, 0x62, 0x70, 0xB0):
            refused(c, bytes((first, 2, 0, 0)), 0x82, "identifier 0")
            refused(c, bytes((first, 1, 0)), 0x81, "past the end")
            refused(c, bytes((first, 3, 0, 1, 0)), 0x81, "left over")
            refused(c, bytes((first ^ 1, 2, 0, 1)), 0x81, "flags")


def test_subscribe_refused():
    for c in CODECS:
        refused(c, b"\x82\x02\x00\x01", 0x82, "no entry")
        refused(c, b"\xa2\x02\x00\x01", 0x82, "no entry")
        refused(c, b"\x82\x06\x00\x01\x00\x01a\x03", 0x81, "QoS 3")
        refused(c, b"\x82\x05\x00\x01\x00\x01a", 0x81, "past the end")
        refused(c, b"\x82\x06\x00\x01\x00\x05a\x00", 0x81, "past the end")
        refused(c, b"\x82\x07\x00\x01\x00\x02#a\x00", 0x8F, "filter")
        refused(c, b"\x80\x06\x00\x01\x00\x01a\x00", 0x81, "flags")


def test_suback_refused():
    for c in CODECS:
        refused(c, b"\x90\x02\x00\x07", 0x82, "no entry")
        refused(c, b"\x90\x03\x00\x07\x03", 0x81, "return code")


def test_empty_packets():
    for c in CODECS:
        for data, kind in ((c.PINGREQ_PACKET, 12), (b"\xd0\x00", 13), (c.DISCONNECT_PACKET, 14)):
            d = decode(c, data)
            equal((d.type, d.topic, bytes(d.payload), bytes(d.codes), d.qos), (kind, "", b"", b"", 0))
            refused(c, data[:1] + b"\x01x", 0x81, "left over")
            refused(c, bytes((data[0] | 2, 0)), 0x81, "flags")
        refused(c, b"\x00\x00", 0x81, "does not exist")
        refused(c, b"\xf0\x00", 0x81, "does not exist")


def test_publish_content():
    for c in CODECS:
        refused(c, b"\x30\x7f\x00\x01#" + bytes(100), 0x81, "wildcard", 32)  # comes in parts
        refused(c, b"\x36\x06\x00\x01a\x00\x01x", 0x81, "QoS 3")
        refused(c, b"\x38\x03\x00\x01a", 0x81, "DUP")
        refused(c, b"\x32\x05\x00\x01a\x00\x00", 0x82, "identifier 0")
        refused(c, b"\x30\x05\x00\x03a/+", 0x81, "wildcard")
        for bad in (
            b"\x80", b"\xc3", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80",
            b"\xf8\x88\x80\x80\x80",
        ):  # fmt: skip
            refused(c, bytes((0x30, 2 + len(bad), 0, len(bad))) + bad, 0x81, "UTF-8")
        for good in (b"\xc2\x80", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80"):
            equal(bytes(decode(c, bytes((0x30, 2 + len(good), 0, len(good))) + good).topic_view), good)


minitest.run(globals())
