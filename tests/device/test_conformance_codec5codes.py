# The reason codes of MQTT 5.0, on both codecs: which packet may have which.
import sys

import minitest
from bothcodecs import CODECS, decode, encoded, malformed, packet, refused
from minitest import equal

# What a receiver may say about a PUBLISH.
PUBLISHED = (0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
# From a server, and from a client, in DISCONNECT (section 3.14.2.1).
FROM_SERVER = (
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
)  # fmt: skip
FROM_CLIENT = (0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99)
CONNECTED = (
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
    0x9C, 0x9D, 0x9F,
)  # fmt: skip
SUBSCRIBED = (0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2)
UNSUBSCRIBED = (0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)
AUTH = b"\x05\x15\x00\x02me"


def codes(listed):
    # All codes; on the emulated RP2040, where each takes 10 ms, those listed and some of the others.
    return [code for code in range(256) if sys.platform != "rp2" or code in listed or code % 32 == 12]


def each(listed, make, accept):
    # accept() takes the packets with the codes that are listed; the others are no packets.
    for c in CODECS:
        for code in codes(listed):
            if code in listed:
                accept(c, decode(c, make(code), 5), code)
            else:
                malformed(c, make(code), 5)


def same_code(c, d, code):
    equal(d.code, code)


def test_connack():
    # covers 5:MQTT-3.2.2-8 5:MQTT-3.2.2-1 5:MQTT-3.2.2-6
    each(CONNECTED, lambda code: bytes((0x20, 3, 0, code, 0)), same_code)
    for c in CODECS:
        equal(decode(c, b"\x20\x03\x01\x00\x00", 5).session, True)
        malformed(c, b"\x20\x03\x01\x80\x00", 5)
        for flags in (2, 4, 0x80):
            malformed(c, bytes((0x20, 3, flags, 0, 0)), 5, 0x81)


def test_puback_and_pubrec():
    # covers 5:MQTT-3.4.2-1 5:MQTT-3.5.2-1
    for first in (0x40, 0x50):
        each(PUBLISHED, lambda code: bytes((first, 3, 0, 1, code)), same_code)
        each(PUBLISHED, lambda code: bytes((first, 4, 0, 1, code, 0)), same_code)
        for c in CODECS:
            equal(decode(c, bytes((first, 2, 0, 9)), 5).code, 0)
            for code in codes(PUBLISHED):
                if code in PUBLISHED:
                    data = encoded(c.ack, first >> 4, 9, code, props=b"")
                    d = decode(c, data, 5)
                    equal((d.type, d.id, d.code), (first >> 4, 9, code))
                else:
                    refused(c.ack, first >> 4, 9, code, props=b"")


def test_pubrel_and_pubcomp():
    # covers 5:MQTT-3.6.2-1 5:MQTT-3.7.2-1
    for first in (0x62, 0x70):
        each((0x00, 0x92), lambda code: bytes((first, 3, 0, 1, code)), same_code)
        for c in CODECS:
            for code in codes((0, 0x92)):
                if code in (0, 0x92):
                    equal(decode(c, encoded(c.ack, first >> 4, 9, code, props=b""), 5).code, code)
                else:
                    refused(c.ack, first >> 4, 9, code, props=b"")


def test_suback_and_unsuback():
    # covers 5:MQTT-3.9.3-2 5:MQTT-3.11.3-2 5:MQTT-3.9.3-1 5:MQTT-3.11.3-1
    for first, listed in ((0x90, SUBSCRIBED), (0xB0, UNSUBSCRIBED)):
        each(listed, lambda code: bytes((first, 4, 0, 1, 0, code)), same_code)
        for c in CODECS:
            malformed(c, bytes((first, 3, 0, 1, 0)), 5)
            d = decode(c, packet(first, b"\x00\x01\x00", bytes(listed)), 5)
            equal((d.id, bytes(d.codes), d.code), (1, bytes(listed), 0))


def test_disconnect():
    # covers 5:MQTT-3.14.2-1
    # The codec does not ask which side it is on; 0x8C is listed for DISCONNECT in section 2.4, not in 3.14.2.1.
    either = FROM_SERVER + (0x04, 0x8C)
    each(either, lambda code: bytes((0xE0, 1, code)), same_code)
    each(either, lambda code: bytes((0xE0, 2, code, 0)), same_code)
    for c in CODECS:
        equal(decode(c, b"\xe0\x00", 5).code, 0)
        equal(encoded(c.disconnect, 0, props=b"")[:1], b"\xe0")
        for code in codes(either):
            if code in FROM_CLIENT:
                data = encoded(c.disconnect, code, props=b"")
                assert data == b"\xe0\x00" and not code or data[2] == code, data
            elif code not in either:
                refused(c.disconnect, code, props=b"")


def test_auth():
    # covers 5:MQTT-3.15.2-1 5:MQTT-4.12.0-3
    each((0x00, 0x18, 0x19), lambda code: packet(0xF0, bytes((code,)), AUTH), same_code)
    for c in CODECS:
        for code in codes((0x18, 0x19)):
            if code in (0x18, 0x19):
                equal(encoded(c.auth, code, AUTH[1:]), packet(0xF0, bytes((code,)), AUTH))
            elif code:
                refused(c.auth, code, AUTH[1:])
        equal(decode(c, packet(0xF0, b"\x18", AUTH), 5).prop(0x15), "me")


minitest.run(globals())
