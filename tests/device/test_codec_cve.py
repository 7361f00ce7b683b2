# The parser failures of other MQTT implementations that became CVEs or long issues: none of them happens here.
# Each test is named after its case and says in a line what went wrong there. Everything comes whole, byte by byte
# and three bytes at a time, to the C codec and to the Python one.
import gc
import sys

import minitest
from bothcodecs import CODECS, packet, string
from minitest import equal, raises

PUBLISH, CONNACK = 3, 2
_SLOW = sys.platform == "rp2"  # the emulated RP2040
_PIECES = (0, 3) if _SLOW else (0, 1, 3)


class Pieces:
    # A stream that gives so many bytes at a time (0: all that fit), then says that it has ended.
    def __init__(self, data, piece):
        self.data, self.piece, self.at = data, piece, 0

    def readinto(self, buf):
        n = min(self.piece or len(buf), len(buf), len(self.data) - self.at)
        buf[:n] = self.data[self.at : self.at + n]
        self.at += n
        return n


def decode(codec, data, piece=0, version=4, size=64, limit=0):
    # What comes out of data: (type, identifier, topic, payload, bytes to come, skipped).
    d = codec.Decoder(bytearray(size), limit, version)
    stream = Pieces(data, piece)
    got = []
    for _ in range(2 * len(data) + 10):
        kind = d.next()
        if kind:
            got.append((kind, d.id, d.topic, d.payload_bytes, d.more, d.skipped))
        elif not d.fill(stream):
            return got
    raise AssertionError("no end")


def refused(data, code, **how):
    for codec in CODECS:
        for piece in _PIECES:
            equal(raises(codec.Malformed, decode, codec, data, piece, **how).args[0], code)


def gives(data, expected, **how):
    for codec in CODECS:
        for piece in _PIECES:
            equal(decode(codec, data, piece, **how), expected)


def waits(data, **how):
    gives(data, [], **how)


def kept(codec, data, code, version=4):
    # Bytes that a refused packet leaves behind on the heap, after many of them.
    d = codec.Decoder(bytearray(64), 0, version)

    def once():
        d.reset()
        d.fill(Pieces(data, 0))
        try:
            d.next()
        except codec.Malformed as e:
            assert e.args[0] == code
        else:
            raise AssertionError("not refused")

    once()
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(20):
        once()
    gc.collect()
    return gc.mem_alloc() - before


# The remaining length.


def test_zephyr_cve_2020_10062():  # a remaining length of more than four bytes was read on and on
    for version in (4, 5):
        refused(b"\x30\x80\x80\x80\x80\x01", 0x81, version=version)
        refused(b"\x30\xff\xff\xff\xff", 0x81, version=version)
        refused(b"\x20\xff\xff\xff\xff\x7f\x00\x00", 0x81, version=version)
        waits(b"\x30\xff\xff\xff", version=version)  # the fourth byte decides


def test_wolfmqtt_430():  # the fifth byte was noticed only after it had been added
    refused(b"\x40\x82\x80\x80\x80\x00\x00\x01", 0x81)
    refused(b"\x40\x82\x80\x80\x80\x80\x00\x00\x01", 0x81)


def test_fluent_bit_12048():  # the shift went past 28 bits, so that a large length came out small
    refused(b"\x30\x83\x80\x80\x80\x10\x00\x01a", 0x81)
    waits(b"\x30\xff\xff\xff\x7f\x00\x01", size=64)  # the largest length there is is a length


def test_curl_remaining_length():  # the length was taken from a buffer that did not yet hold all its bytes
    waits(b"\x30")
    waits(b"\x30\x83")
    waits(b"\x30\x83\x80")
    gives(b"\x30\x83\x00\x00\x01a", [(PUBLISH, 0, "a", b"", 0, False)])


def test_mqtt_as_length_recursion():  # one level of recursion per length byte, without a limit
    refused(b"\x30" + b"\x80" * 200, 0x81)


def test_paho_embedded_cve_2021_41036():  # a declared length beyond the buffer was read into the buffer
    for version in (4, 5):
        for first in (0x40, 0x82, 0x90, 0x10):
            refused(bytes((first,)) + b"\xff\xff\xff\x7f", 0x95, version=version)
        refused(b"\x20\x3f", 0x95, version=version)  # one byte too many
        waits(b"\x20\x3e", version=version)
        # A PUBLISH has parts as large as the buffer, never larger.
        data = packet(0x30, string("a"), b"\0" if version == 5 else b"", bytes(200))
        for codec in CODECS:
            for part in decode(codec, data, version=version):
                assert len(part[3]) < 64
        # The limit holds before anything of the body is there.
        refused(b"\x82\xff\xff\xff\x7f", 0x95, version=version, limit=1000)


def test_mqtt_as_buffer_growth():  # the buffer grew to whatever length a peer declared
    for codec in CODECS:
        buf = bytearray(64)
        d = codec.Decoder(buf)
        d.fill(Pieces(b"\x30\xff\xff\xff\x7f\x00\x01a", 0))
        gc.collect()
        before = gc.mem_alloc()
        equal(d.next(), 0)
        gc.collect()
        assert gc.mem_alloc() - before < 200 and len(buf) == 64


def test_mosquitto_cve_2017_7651():  # memory was taken for the length that a first packet declared
    for codec in CODECS:
        assert kept(codec, b"\x10\xff\xff\xff\x7f", 0x95) < 200


def test_mosquitto_cve_2023_0809():  # first packets that are not CONNECT, or a broken one, took memory
    for codec in CODECS:
        assert (
            kept(codec, packet(0x10, string("MQTT"), b"\x04\x06\x00\x00", string("c"), b"\xff\xff"), 0x81)
            < 200
        )


def test_netxduo_438():  # a malformed PUBLISH was never given back
    for codec in CODECS:
        assert kept(codec, packet(0x32, string("a")), 0x81) < 200
        assert kept(codec, packet(0x30, b"\x00\x09topic"), 0x81) < 200
        assert kept(codec, packet(0x30, string("a"), b"\x04\x01"), 0x81, 5) < 200


def test_mongoose_cve_2019_19307():  # a length overflowed, the position never moved, and the loop never ended
    for version in (4, 5):
        refused(b"\x30\x00" * 8, 0x81, version=version)
        refused(b"\x82\x00" * 8, 0x81, version=version)
        refused(packet(0x82, b"\0\1", b"\0" if version == 5 else b"", b"\0\0\0" * 8), 0x81, version=version)
    # An empty packet is two bytes, and the next one begins behind it.
    gives(b"\xd0\x00" * 9, [(13, 0, "", b"", 0, False)] * 9)


# Lengths inside of a packet.


def test_zephyr_cve_2020_10070():  # payload = remaining length - topic - identifier wrapped below zero
    for version in (4, 5):
        for first in (0x30, 0x32, 0x34, 0x3B):
            refused(packet(first, b""), 0x81, version=version)
            refused(packet(first, b"\0"), 0x81, version=version)
        refused(packet(0x32, string("a")), 0x81, version=version)  # no identifier
        refused(packet(0x32, string("a"), b"\0"), 0x81, version=version)  # half of one
    gives(packet(0x32, string("a"), b"\0\7"), [(PUBLISH, 7, "a", b"", 0, False)])
    refused(packet(0x32, string("a"), b"\0\7"), 0x81, version=5)  # no property length


def test_zephyr_cve_2020_10071():  # a topic longer than the packet was copied from what lies behind it
    for version in (4, 5):
        refused(packet(0x30, b"\x00\x02a") + b"b" * 30, 0x81, version=version)
        refused(packet(0x30, b"\x00\x1ea") + b"b" * 30, 0x81, version=version)


def test_mqtt_c_cve_2026_54412():  # the same underflow where the topic alone is as long as the packet
    for version in (4, 5):
        refused(packet(0x32, string("abc")), 0x81, version=version)
        refused(packet(0x32, string("ab"), b"c"), 0x81, version=version)
        refused(packet(0x34, b"\x00\x05abc"), 0x81, version=version)
        refused(packet(0x30, b"\x80\x00abc"), 0x81, version=version)


def test_mbed_cve_2019_17210():  # the length of a string was believed
    for version in (4, 5):
        props = b"\0" if version == 5 else b""
        refused(packet(0x30, b"\xff\xffabc"), 0x81, version=version)
        refused(packet(0x30, b"\xff\xff", b"a" * 254), 0x81, version=version, size=300)
        refused(packet(0x82, b"\0\1", props, b"\xff\xffa\0"), 0x81, version=version)
        refused(packet(0xA2, b"\0\1", props, b"\x00\x02a"), 0x81, version=version)
        head = string("MQTT") + bytes((version, 0xC6, 0, 60)) + props
        whole = [string("id"), props, string("w"), string("m"), string("u"), string("p")]
        equal(decode(CODECS[0], packet(0x10, head, *whole), version=version)[0][0], 1)
        for i in range(len(whole)):
            if len(whole[i]) > 1:  # each string in turn is one byte longer than what is left of the packet
                left = sum([len(s) for s in whole[i:]]) - 1
                parts = whole[:i] + [bytes((0, left)) + whole[i][2:]] + whole[i + 1 :]
                refused(packet(0x10, head, *parts), 0x81, version=version)


def test_mosquitto_cve_2021_34432():  # a PUBLISH with an empty topic ended the program
    refused(packet(0x30, b"\0\0"), 0x81)
    refused(packet(0x30, b"\0\0abc"), 0x81)
    refused(packet(0x32, b"\0\0\0\1"), 0x81)
    refused(packet(0x30, b"\0\0\0"), 0x82, version=5)  # in MQTT 5 it needs an alias
    refused(packet(0x30, b"\0\0\0abc"), 0x82, version=5)
    refused(packet(0x30, b"\0\0\3\x23\0\0"), 0x94, version=5)  # ... and not alias 0
    gives(packet(0x30, b"\0\0\3\x23\0\1abc"), [(PUBLISH, 0, "", b"abc", 0, False)], version=5)


def test_mosquitto_cve_2019_11779():  # 65,400 slashes in a filter: recursion, and the stack was gone
    slashes = "/" * 100
    for codec in CODECS:
        assert codec.match(slashes, slashes)
        assert codec.match("+/" * 50 + "#", slashes)
        assert not codec.match("+/" * 50 + "a", slashes)


def test_mosquitto_cve_2021_41039():  # many user properties took time that grew with their square
    for n in (10, 100 if gc.mem_free() > 40000 else 30):  # as many as the smallest heap can hold in a list
        props = b"\x26\0\1k\0\1v" * n
        size = len(props)
        data = packet(
            0x10,
            string("MQTT"),
            b"\5\2\0\0",
            bytes((size & 127 | 128, size >> 7) if size > 127 else (size,)),
            props,
            string("c"),
        )
        for codec in CODECS:
            d = codec.Decoder(bytearray(800), 0, 5)
            d.fill(Pieces(data, 0))
            equal(d.next(), 1)
            equal(len(d.user_properties()), n)


def test_contiki_ng_3217():  # the check of a length held only when the packet came in one segment
    for version in (4, 5):
        props = b"\0" if version == 5 else b""
        for codec in CODECS:
            good = packet(0x32, string("topic"), b"\0\1", props, b"payload")
            bad = packet(0x32, b"\x00\x40topic", b"\0\1", props, b"payload")
            for cut in range(1, len(good), 3 if _SLOW else 1):
                for data in (good, bad):
                    d = codec.Decoder(bytearray(32), 0, version)
                    try:
                        d.fill(Pieces(data[:cut], 0))
                        equal(d.next(), 0)
                        d.fill(Pieces(data[cut:], 0))
                        equal((d.next(), d.topic, d.payload_bytes), (PUBLISH, "topic", b"payload"))
                        assert data is good
                    except codec.Malformed:
                        assert data is bad


# What a client meets every day.


def test_micropython_lib_1149():  # a CONNACK that is too short was indexed beyond its end
    for version in (4, 5):
        refused(b"\x20\x00", 0x81, version=version)
        refused(b"\x20\x01\x00", 0x81, version=version)
    refused(b"\x20\x02\x00\x00", 0x81, version=5)  # no property length
    refused(b"\x20\x03\x00\x00\x01", 0x81, version=5)
    gives(b"\x20\x03\x00\x00\x00", [(CONNACK, 0, "", b"", 0, False)], version=5)
    gives(b"\x20\x02\x00\x00", [(CONNACK, 0, "", b"", 0, False)])
    waits(b"\x20\x02\x00")


def test_micropython_lib_284_303():  # from 122 bytes of topic on, the length went into one byte and was wrong
    buf = bytearray(600)
    for codec in CODECS:
        for n in (121, 122, 125, 126, 128, 300):
            topic = "t" * n
            for props in (None, b""):
                version = 4 if props is None else 5
                for size in (1, 200):
                    end = codec.publish(buf, topic, bytes(size), 1, False, False, 9, props)
                    equal(
                        decode(codec, bytes(buf[:end]), 0, version, 600),
                        [(PUBLISH, 9, topic, bytes(size), 0, False)],
                    )
                end = codec.subscribe(buf, 9, topic, 1, props)
                equal(decode(codec, bytes(buf[:end]), 0, version, 600)[0][2], topic)


def test_micropython_lib_951():  # a stream that gave nothing, or half a packet, froze the program
    for codec in CODECS:
        d = codec.Decoder(bytearray(64))
        equal((d.next(), d.fill(Pieces(b"", 0)), d.next()), (0, 0, 0))
        equal((d.fill(Pieces(b"\x30\x05", 0)), d.next(), d.fill(Pieces(b"", 0)), d.next()), (2, 0, 0, 0))


def test_mqtt_as_172():  # the checks were assert statements, which an optimising compiler leaves out
    # MicroPython leaves them out too, from optimisation level 1 on: what is refused here raises by itself.
    refused(b"\xf0\x00", 0x81)
    refused(b"\x36\x05\x00\x01a\x00\x01", 0x81)
    refused(b"\x40\x02\x00\x00", 0x82)
    refused(b"\x90\x03\x00\x01\x03", 0x81)


def test_mqtt_as_178():  # characters were counted where the standard counts bytes of UTF-8
    buf = bytearray(64)
    text = "\xe5\u20ac\U0001f331"  # three characters, nine bytes
    for codec in CODECS:
        for props in (None, b""):
            end = codec.publish(buf, text, text, 0, False, False, 0, props)
            equal(buf[1], 11 + (props is not None) + 9)
            equal(bytes(buf[2:4]), b"\x00\x09")
            got = decode(codec, bytes(buf[:end]), 1, 4 if props is None else 5)
            equal(got, [(PUBLISH, 0, text, text.encode(), 0, False)])
            end = codec.connect(buf, text, 60, True, text, text, props=props)
            equal(decode(codec, bytes(buf[:end]), 1, 4 if props is None else 5)[0][2], text)


# MQTT 5: the same games with the length of the properties, and with the lengths in them.


def test_property_length_past_the_packet():
    for n in (1, 5, 127):
        refused(packet(0x30, string("a"), bytes((n,))), 0x81, version=5)
        refused(packet(0x20, b"\0\0", bytes((n,))), 0x81, version=5)
        refused(packet(0x90, b"\0\1", bytes((n,))), 0x81, version=5)
        refused(packet(0x40, b"\0\1\0", bytes((n,))), 0x81, version=5)
        refused(packet(0xE0, b"\0", bytes((n,))), 0x81, version=5)
    refused(packet(0x32, string("a"), b"\0\1", b"\xff\xff\xff\x7f"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x03\x01\x01"), 0x81, version=5)


def test_property_length_of_more_than_four_bytes():
    refused(packet(0x30, string("a"), b"\x80\x80\x80\x80\x00"), 0x81, version=5)
    refused(packet(0x20, b"\0\0", b"\xff\xff\xff\xff\x7f"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x80"), 0x81, version=5)  # ends in the middle
    refused(packet(0x30, string("a"), b"\x80\x00"), 0x81, version=5)  # longer than needed


def test_property_length_in_the_middle_of_a_property():
    refused(packet(0x30, string("a"), b"\x01\x01\x01"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x02\x23\x00\x01"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x04\x03\x00\x05text"), 0x81, version=5)
    refused(packet(0x20, b"\0\0", b"\x03\x11\x00\x00\x00\x01"), 0x81, version=5)


def test_property_string_past_the_properties():
    # The value would end inside of the packet, but not inside of the properties.
    refused(packet(0x30, string("a"), b"\x04\x03\x00\x03t", b"xy"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x07\x26\x00\x01k\x00\x09v", b"payload.."), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x07\x26\xff\xffk\x00\x01v"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x03\x26\x00\x00"), 0x81, version=5)  # a key without a value
    refused(packet(0x30, string("a"), b"\x05\x09\xff\xff\x00\x00"), 0x81, version=5)


def test_property_number_of_too_many_bytes():
    refused(packet(0x30, string("a"), b"\x06\x0b\x80\x80\x80\x80\x01"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x02\x0b\x80"), 0x81, version=5)
    refused(packet(0x30, string("a"), b"\x01\x80"), 0x81, version=5)  # an identifier that does not end
    refused(packet(0x30, string("a"), b"\x02\xa3\x00"), 0x81, version=5)


def test_properties_of_the_will():
    head = string("MQTT") + b"\5\6\0\0\0" + string("c")
    refused(packet(0x10, head, b"\x7f", string("w"), string("m")), 0x81, version=5)
    refused(packet(0x10, head, b"\x02\x01", string("w"), string("m")), 0x81, version=5)
    refused(packet(0x10, head, b"\x80"), 0x81, version=5)


def test_properties_larger_than_the_buffer():  # read past, whatever they say, and the stream goes on behind them
    props = b"\x26\x00\x01k\x00\x46" + b"v" * 70
    data = packet(0x32, string("a"), b"\x00\x07", bytes((len(props),)), props, b"payload") + b"\xd0\x00"
    for codec in CODECS:
        for piece in _PIECES:
            got = decode(codec, data, piece, version=5, size=32)
            equal([(e[0], e[1], e[3], e[5]) for e in got], [(PUBLISH, 7, b"", True), (13, 0, b"", False)])
    refused(packet(0x32, string("a"), b"\x00\x07", bytes((len(props) + 9,)), props), 0x81, version=5, size=32)


minitest.run(globals())
