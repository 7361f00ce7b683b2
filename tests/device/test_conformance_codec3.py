# The statements of MQTT 3.1.1 that bind a codec, on both codecs. docs/conformance.md says what each asks for.
import gc

import minitest
from bothcodecs import CODECS, NOT_UTF8, UTF8, decode, encoded, malformed, packet, refused, string
from minitest import equal

# What a client must accept, one packet of each type that a server sends.
RECEIVED = (
    b"\x20\x02\x00\x00", b"\x30\x04\x00\x01ab", b"\x40\x02\x00\x01", b"\x50\x02\x00\x01", b"\x62\x02\x00\x01",
    b"\x70\x02\x00\x01", b"\x90\x03\x00\x01\x00", b"\xb0\x02\x00\x01", b"\xd0\x00",
)  # fmt: skip


def connect(c, *args, **kwargs):
    # CONNECT taken apart: connect flags, keep alive, payload.
    data = encoded(c.connect, *args, **kwargs)
    equal(data[0], 0x10)
    equal(data[1], len(data) - 2)
    equal(data[2:9], b"\x00\x04MQTT\x04")
    return data[9], data[10] << 8 | data[11], data[12:]


def test_strings_are_utf8():
    # covers 3:MQTT-1.5.3-1 3:MQTT-3.3.2-1 3:MQTT-3.8.3-1 3:MQTT-3.10.3-1
    # covers 3:MQTT-3.1.3-4 3:MQTT-3.1.3-10 3:MQTT-3.1.3-11
    for c in CODECS:
        for bad in NOT_UTF8:
            malformed(c, packet(0x30, string(b"a/" + bad), b"x"))
            malformed(c, packet(0x30, string(bad + b"/b"), b"x"))
            refused(c.publish, bad, b"x")
            refused(c.subscribe, 1, bad, 0)
            refused(c.unsubscribe, 1, bad)
            refused(c.connect, bad, 60)
            refused(c.connect, "id", 60, user=bad)
            refused(c.connect, "id", 60, will_topic=bad)
        for good in UTF8:
            equal(decode(c, packet(0x30, string(b"a" + good))).topic, (b"a" + good).decode())
            equal(encoded(c.publish, good, b""), packet(0x30, string(good)))
            equal(encoded(c.subscribe, 1, good, 0), packet(0x82, b"\x00\x01", string(good), b"\x00"))
            equal(encoded(c.unsubscribe, 1, good), packet(0xA2, b"\x00\x01", string(good)))
            equal(connect(c, good, 60)[2], string(good))
        # What is no string may have any bytes.
        equal(
            connect(c, "", 0, password=b"\xff\x00", user="u")[2],
            string("") + string("u") + string(b"\xff\x00"),
        )
        equal(decode(c, packet(0x30, string("a"), b"\xff\x00")).payload_bytes, b"\xff\x00")


def test_strings_have_no_nul():
    # covers 3:MQTT-1.5.3-2 3:MQTT-4.7.3-2
    for c in CODECS:
        malformed(c, packet(0x30, string("a\0b")))
        for call, args in (
            (c.publish, ("\0", b"")), (c.publish, ("a\0b", b"")), (c.subscribe, (1, "a/\0", 0)),
            (c.unsubscribe, (1, "a\0")), (c.connect, ("i\0d", 60)),
            (c.connect, ("id", 60, True, "u\0")), (c.connect, ("id", 60, True, None, None, "t\0")),
        ):  # fmt: skip
            refused(call, *args)


def test_the_byte_order_mark_is_a_character():
    # covers 3:MQTT-1.5.3-3
    for c in CODECS:
        for topic in (b"\xef\xbb\xbf", b"\xef\xbb\xbfa", b"a\xef\xbb\xbf"):
            d = decode(c, packet(0x30, string(topic), b"x"))
            equal((bytes(d.topic_view), d.topic), (topic, topic.decode()))
            equal(encoded(c.publish, topic.decode(), b""), packet(0x30, string(topic)))
        assert not c.match("a", "\ufeffa")


def test_flags_of_the_first_byte():
    # covers 3:MQTT-2.2.2-1 3:MQTT-2.2.2-2 3:MQTT-3.6.1-1 3:MQTT-3.8.1-1 3:MQTT-3.10.1-1
    for c in CODECS:
        for data in RECEIVED:
            assert decode(c, data).type == data[0] >> 4
            if data[0] >> 4 != c.PUBLISH:
                for flags in range(16):
                    if flags != data[0] & 15:
                        malformed(c, bytes((data[0] & 0xF0 | flags,)) + data[1:])
        equal(encoded(c.connect, "a", 0)[0], 0x10)
        equal(encoded(c.subscribe, 1, "a", 2)[0], 0x82)
        equal(encoded(c.unsubscribe, 1, "a")[0], 0xA2)
        for kind, first in ((c.PUBACK, 0x40), (c.PUBREC, 0x50), (c.PUBREL, 0x62), (c.PUBCOMP, 0x70)):
            equal(encoded(c.ack, kind, 5), bytes((first, 2, 0, 5)))
        equal((c.PINGREQ_PACKET, c.DISCONNECT_PACKET), (b"\xc0\x00", b"\xe0\x00"))


def test_packet_identifiers():
    # covers 3:MQTT-2.3.1-1 3:MQTT-2.3.1-5
    for c in CODECS:
        refused(c.publish, "a", b"", 1)
        refused(c.publish, "a", b"", 2)
        refused(c.publish, "a", b"", 0, False, False, 7)
        refused(c.subscribe, 0, "a", 0)
        refused(c.unsubscribe, 0, "a")
        for kind in (c.PUBACK, c.PUBREC, c.PUBREL, c.PUBCOMP):
            refused(c.ack, kind, 0)
        for first in (0x32, 0x34):
            malformed(c, packet(first, string("a"), b"\x00\x00x"))
            equal(decode(c, packet(first, string("a"), b"\xff\xffx")).id, 65535)
        for first in (0x40, 0x50, 0x62, 0x70, 0xB0):
            malformed(c, packet(first, b"\x00\x00"))
        malformed(c, b"\x90\x03\x00\x00\x00")
        d = decode(c, packet(0x30, string("a"), b"\x00\x07"))
        equal((d.id, d.payload_bytes), (0, b"\x00\x07"))
        equal(encoded(c.publish, "a", b"x"), packet(0x30, string("a"), b"x"))
        equal(encoded(c.publish, "a", b"x", 2, False, False, 0x102), packet(0x34, string("a"), b"\x01\x02x"))


def test_connect_flags_say_what_is_there():
    # covers 3:MQTT-3.1.2-9 3:MQTT-3.1.2-11 3:MQTT-3.1.2-13 3:MQTT-3.1.2-14 3:MQTT-3.1.2-15
    # covers 3:MQTT-3.1.2-18 3:MQTT-3.1.2-19 3:MQTT-3.1.2-20 3:MQTT-3.1.2-21 3:MQTT-3.1.2-22
    # covers 3:MQTT-3.1.3-1 3:MQTT-3.1.3-3
    for c in CODECS:
        for clean in (False, True):
            for user in (None, "", "u"):
                for password in (None, b"", b"p"):
                    for will in (None, ("w", b"", 0, False), ("w", b"m", 1, True), ("w", b"m", 2, False)):
                        options = {"clean": clean, "user": user, "password": password}
                        flags = 2 if clean else 0
                        body = string("id")
                        if will:
                            options.update(
                                {
                                    "will_topic": will[0],
                                    "will_payload": will[1],
                                    "will_qos": will[2],
                                    "will_retain": will[3],
                                }
                            )
                            flags |= 4 | will[2] << 3 | (32 if will[3] else 0)
                            body += string(will[0]) + string(will[1])
                        if user is not None:
                            flags |= 128
                            body += string(user)
                        if password is not None:
                            flags |= 64
                            body += string(password)
                        if password is not None and user is None:
                            refused(c.connect, "id", 60, **options)
                        else:
                            equal(connect(c, "id", 60, **options), (flags, 60, body))
        refused(c.connect, "id", 60, will_qos=1)
        refused(c.connect, "id", 60, will_retain=True)
        refused(c.connect, "id", 60, will_topic="w", will_qos=3)
        refused(c.connect, "id", 60, will_topic="")
        refused(c.connect, "id", 60, will_topic="w/+")


def test_an_empty_client_identifier_needs_a_clean_session():
    # covers 3:MQTT-3.1.3-7
    for c in CODECS:
        equal(connect(c, "", 60, True), (2, 60, b"\x00\x00"))
        refused(c.connect, "", 60, False)


def test_dup_and_qos():
    # covers 3:MQTT-3.3.1-2 3:MQTT-3.3.1-4 3:MQTT-4.3.1-1
    for c in CODECS:
        malformed(c, packet(0x38, string("a")))
        refused(c.publish, "a", b"", 0, False, True)
        for first in (0x36, 0x37, 0x3E):
            malformed(c, packet(first, string("a"), b"\x00\x01"))
        refused(c.publish, "a", b"", 3, False, False, 1)
        refused(c.subscribe, 1, "a", 3)
        equal(encoded(c.publish, "a", b"")[0], 0x30)
        for first in (0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D):
            d = decode(c, packet(first, string("a"), b"\x00\x01"))
            equal((d.qos, d.retain, d.dup), (first >> 1 & 3, bool(first & 1), bool(first & 8)))
            again = encoded(c.publish, "a", b"\x00\x01" if not d.qos else b"", d.qos, d.retain, d.dup, d.id)
            equal(again, packet(first, string("a"), b"\x00\x01"))


def test_topic_names():
    # covers 3:MQTT-3.3.2-1 3:MQTT-3.3.2-2 3:MQTT-4.7.1-1 3:MQTT-4.7.3-1
    for c in CODECS:
        for name in ("", "+", "#", "a/+", "a/#", "a+b", "a#", "+/a"):
            malformed(c, packet(0x30, string(name), b"x"))
            refused(c.publish, name, b"x")
            refused(c.connect, "id", 60, will_topic=name)
        for name in ("/", " ", "a b", "$SYS/x", "a//b", "/a/"):
            equal(decode(c, packet(0x30, string(name))).topic, name)
        malformed(c, packet(0x30, b"\x00"))
        malformed(c, packet(0x30, b"\x00\x02a"))


def test_topics_end_at_65535_bytes():
    # covers 3:MQTT-4.7.3-3
    if gc.mem_free() < 1000000:
        minitest.skip("not enough memory for such a topic, and the copies that the Python codec makes of it")
    data = bytearray(65600)
    longest = "x" * 65535
    longer = longest + "x"
    for c in CODECS:
        equal(c.publish(data, longest, 0), 65535 + 2 + 4)
        for call, args in (
            (c.publish, (longer, 0)),
            (c.subscribe, (1, longer, 0)),
            (c.unsubscribe, (1, longer)),
        ):
            error = minitest.raises(ValueError, call, data, *args)
            assert "65535" in str(error), error


def test_topic_filters():
    # covers 3:MQTT-4.7.1-2 3:MQTT-4.7.1-3 3:MQTT-4.7.3-1 3:MQTT-3.8.3-3 3:MQTT-3.10.3-2
    for c in CODECS:
        for filter in ("#", "a/#", "/#", "+", "+/a", "a/+/b", "+/+", "/+", "a/+/#", "$SYS/#", "/", "a b"):
            body = b"\x00\x01" + string(filter)
            equal(encoded(c.subscribe, 1, filter, 1), packet(0x82, body, b"\x01"))
            equal(encoded(c.unsubscribe, 1, filter), packet(0xA2, body))
        for filter in ("", "a#", "#/a", "a/#/b", "##", "+a", "a+", "a/+b", "++", "a/b#"):
            refused(c.subscribe, 1, filter, 0)
            refused(c.unsubscribe, 1, filter)
        # The encoders take exactly one filter; a packet without any is nothing that they could make.
        malformed(c, b"\x82\x02\x00\x01")
        malformed(c, b"\xa2\x02\x00\x01")


def test_matching():
    # covers 3:MQTT-4.7.2-1 3:MQTT-4.7.3-4 3:MQTT-3.3.2-3
    for c in CODECS:
        for filter, topic in (
            ("a/#", "a"), ("a/#", "a/b/c"), ("#", "a/b"), ("+", "a"), ("+/+", "/a"), ("/+", "/a"), ("+/", "a/"),
            ("$SYS/#", "$SYS/x"), ("$SYS/+/b", "$SYS/a/b"), ("a/+/c", "a//c"), ("Abc", "Abc"), ("a b", "a b"),
            ("a/$x", "a/$x"), ("a/+", "a/$x"),
        ):  # fmt: skip
            assert c.match(filter, topic), (filter, topic)
        for filter, topic in (
            ("#", "$SYS"), ("+/x", "$SYS/x"), ("+", "/a"), ("a", "A"), ("a", "a/"), ("a/", "a"), ("a//b", "a/b"),
            ("\xe5", "a\u030a"), ("a/+", "a"), ("a", "a b"), ("+/a", "a/a/a"),
        ):  # fmt: skip
            assert not c.match(filter, topic), (filter, topic)


def test_what_only_servers_may_get_wrong():
    # covers 3:MQTT-3.2.2-4 3:MQTT-3.9.3-2 3:MQTT-3.8.3-4
    for c in CODECS:
        d = decode(c, b"\x20\x02\x01\x00")
        equal((d.session, d.code), (True, 0))
        for code in range(1, 6):
            equal(decode(c, bytes((0x20, 2, 0, code))).code, code)
            malformed(c, bytes((0x20, 2, 1, code)))
        malformed(c, b"\x20\x02\x02\x00")
        for code in (0, 1, 2, 3, 4, 0x7F, 0x80, 0x81, 0x82, 0xFF):
            data = bytes((0x90, 3, 0, 9, code))
            if code in (0, 1, 2, 0x80):
                equal((decode(c, data).id, decode(c, data).code), (9, code))
            else:
                malformed(c, data)
        for options in (3, 4, 0x80):
            malformed(c, packet(0x82, b"\x00\x01", string("a"), bytes((options,))))


minitest.run(globals())
