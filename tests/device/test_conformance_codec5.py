# The statements of MQTT 5.0 that bind a codec, on both codecs: strings, flags, identifiers, CONNECT, topics.
# docs/conformance.md says what each asks for. Properties and reason codes are in the two files beside this one.
import gc

import minitest
from bothcodecs import CODECS, NOT_UTF8, UTF8, decode, encoded, malformed, packet, refused, string
from minitest import equal

NONE = b"\x00"  # no properties

# One packet of each type that a server sends.
RECEIVED = (
    b"\x20\x03\x00\x00\x00", b"\x30\x04\x00\x01a\x00", b"\x40\x02\x00\x01", b"\x50\x02\x00\x01", b"\x62\x02\x00\x01",
    b"\x70\x02\x00\x01", b"\x90\x04\x00\x01\x00\x00", b"\xb0\x04\x00\x01\x00\x00", b"\xd0\x00", b"\xe0\x00",
    b"\xf0\x06\x18\x04\x15\x00\x01m",
)  # fmt: skip


def connect(c, *args, **kwargs):
    # CONNECT taken apart: connect flags, keep alive, what follows.
    kwargs.setdefault("props", b"")
    data = encoded(c.connect, *args, **kwargs)
    equal((data[0], data[1]), (0x10, len(data) - 2))
    equal(data[2:9], b"\x00\x04MQTT\x05")
    return data[9], data[10] << 8 | data[11], data[12:]


def block(identifier, s):
    # A block of properties with one string in it, its length in front.
    s = bytes((identifier,)) + string(s)
    return bytes((len(s),)) + s


def test_strings_are_utf8():
    # covers 5:MQTT-1.5.4-1 5:MQTT-3.3.2-1 5:MQTT-3.8.3-1 5:MQTT-3.10.3-1 5:MQTT-3.1.3-4 5:MQTT-3.1.3-11
    # covers 5:MQTT-3.1.3-12 5:MQTT-3.3.2-13 5:MQTT-3.3.2-19
    for c in CODECS:
        for bad in NOT_UTF8:
            malformed(c, packet(0x30, string(b"a/" + bad), NONE), 5, 0x81)
            for identifier in (0x03, 0x08):  # content type, response topic
                malformed(c, packet(0x30, string("a"), block(identifier, bad)), 5, 0x81)
                refused(c.publish, "a", b"", props=block(identifier, bad)[1:])
            malformed(c, packet(0x20, b"\x00\x00", block(0x12, bad)), 5, 0x81)
            refused(c.publish, bad, b"x", props=b"")
            refused(c.subscribe, 1, bad, 0, props=b"")
            refused(c.unsubscribe, 1, bad, props=b"")
            refused(c.connect, bad, 60, props=b"")
            refused(c.connect, "id", 60, user=bad, props=b"")
            refused(c.connect, "id", 60, will_topic=bad, props=b"")
        for good in UTF8:
            d = decode(c, packet(0x30, string(good), block(0x03, good)), 5)
            equal((d.topic, d.prop(0x03)), (good.decode(), good.decode()))
            equal(encoded(c.publish, good, b"", props=b""), packet(0x30, string(good), NONE))


def test_string_pairs():
    # covers 5:MQTT-1.5.7-1
    for c in CODECS:
        for bad in NOT_UTF8 + (b"\0",):
            for pair in (string(bad) + string("v"), string("k") + string(bad)):
                pair = b"\x26" + pair
                malformed(c, packet(0x30, string("a"), bytes((len(pair),)), pair), 5, 0x81)
                refused(c.publish, "a", b"", props=pair)
        pairs = b"".join([b"\x26" + string(k) + string(v) for k, v in (("k", "1"), ("", ""), ("k", "\xe5"))])
        d = decode(c, packet(0x30, string("a"), bytes((len(pairs),)), pairs), 5)
        equal(d.user_properties(), [("k", "1"), ("", ""), ("k", "\xe5")])


def test_strings_have_no_nul():
    # covers 5:MQTT-1.5.4-2 5:MQTT-4.7.3-2
    for c in CODECS:
        malformed(c, packet(0x30, string("a\0b"), NONE), 5, 0x81)
        malformed(c, packet(0x30, string("a"), block(0x03, "\0")), 5, 0x81)
        for call, args in (
            (c.publish, ("\0", b"")), (c.subscribe, (1, "a/\0", 0)), (c.unsubscribe, (1, "a\0")),
            (c.connect, ("i\0d", 60)), (c.connect, ("id", 60, True, "u\0")),
            (c.connect, ("id", 60, True, None, None, "t\0")),
        ):  # fmt: skip
            refused(call, *args, props=b"")


def test_the_byte_order_mark_is_a_character():
    # covers 5:MQTT-1.5.4-3
    for c in CODECS:
        mark = b"\xef\xbb\xbf"
        d = decode(c, packet(0x30, string(mark + b"a"), block(0x08, mark)), 5)
        equal((bytes(d.topic_view), d.topic, d.prop(0x08)), (mark + b"a", "\ufeffa", "\ufeff"))
        assert not c.match("a", "\ufeffa")


def test_variable_byte_integers_are_as_short_as_can_be():
    # covers 5:MQTT-1.5.5-1
    for c in CODECS:
        topic = string("a")
        for n in (0, 5, 127, 128, 200):
            props = b"\x26\x00\x00" + string("x" * (n - 5)) if n else b""
            length = bytes((n,)) if n < 128 else bytes((n & 127 | 128, 1))
            equal(encoded(c.publish, "a", b"", props=props), packet(0x30, topic, length, props))
        malformed(c, packet(0x30, topic, b"\x80\x00"), 5, 0x81)  # property length
        malformed(c, packet(0x30, topic, b"\x85\x80\x00\x26\x00\x00\x00\x00"), 5, 0x81)
        malformed(c, packet(0x30, topic, b"\x03\x0b\x81\x00"), 5, 0x81)  # subscription identifier
        malformed(c, packet(0x30, topic, b"\x06\x0b\x80\x80\x80\x80\x01"), 5, 0x81)
        malformed(c, b"\x30\x84\x00" + topic + NONE, 5, 0x81)  # remaining length
        malformed(c, b"\x30\x80\x80\x80\x80\x01", 5, 0x81)
        equal(decode(c, packet(0x30, topic, b"\x05\x0b\xff\xff\xff\x7f"), 5).prop(0x0B), 268435455)


def test_flags_of_the_first_byte():
    # covers 5:MQTT-2.1.3-1 5:MQTT-3.6.1-1 5:MQTT-3.8.1-1 5:MQTT-3.10.1-1 5:MQTT-3.14.1-1 5:MQTT-3.15.1-1
    for c in CODECS:
        for data in RECEIVED:
            equal(decode(c, data, 5).type, data[0] >> 4)
            if data[0] >> 4 != c.PUBLISH:
                for flags in range(16):
                    if flags != data[0] & 15:
                        malformed(c, bytes((data[0] & 0xF0 | flags,)) + data[1:], 5, 0x81)
        equal(encoded(c.connect, "a", 0, props=b"")[0], 0x10)
        equal(encoded(c.subscribe, 1, "a", 2, props=b"")[0], 0x82)
        equal(encoded(c.unsubscribe, 1, "a", props=b"")[0], 0xA2)
        for kind, first in ((c.PUBACK, 0x40), (c.PUBREC, 0x50), (c.PUBREL, 0x62), (c.PUBCOMP, 0x70)):
            equal(encoded(c.ack, kind, 5)[0], first)
        equal(encoded(c.disconnect, 0x04, props=b"")[0], 0xE0)
        equal(encoded(c.auth, 0x18, b"\x15\x00\x01m")[0], 0xF0)


def test_packet_identifiers():
    # covers 5:MQTT-2.2.1-2 5:MQTT-2.2.1-3
    for c in CODECS:
        for qos in (1, 2):
            refused(c.publish, "a", b"", qos, props=b"")
            malformed(c, packet(0x30 | qos << 1, string("a"), b"\x00\x00", NONE), 5)
        refused(c.publish, "a", b"", 0, False, False, 7, props=b"")
        refused(c.subscribe, 0, "a", 0, props=b"")
        refused(c.unsubscribe, 0, "a", props=b"")
        for first in (0x40, 0x50, 0x62, 0x70):
            malformed(c, packet(first, b"\x00\x00"), 5)
        malformed(c, packet(0x90, b"\x00\x00", NONE, b"\x00"), 5)
        malformed(c, packet(0xB0, b"\x00\x00", NONE, b"\x00"), 5)
        d = decode(c, packet(0x30, string("a"), NONE, b"\x00\x07"), 5)
        equal((d.id, d.payload_bytes), (0, b"\x00\x07"))
        equal(
            encoded(c.publish, "a", b"x", 2, id=258, props=b""), packet(0x34, string("a"), b"\x01\x02\x00x")
        )


def test_no_properties_are_a_length_of_0():
    # covers 5:MQTT-2.2.2-1
    for c in CODECS:
        equal(encoded(c.publish, "a", b"x", props=b""), packet(0x30, string("a"), NONE, b"x"))
        equal(
            encoded(c.subscribe, 1, "a", 0, props=b""), packet(0x82, b"\x00\x01", NONE, string("a"), b"\x00")
        )
        equal(encoded(c.unsubscribe, 1, "a", props=b""), packet(0xA2, b"\x00\x01", NONE, string("a")))
        equal(connect(c, "a", 0)[2], NONE + string("a"))
        will = connect(c, "a", 0, will_topic="w", will_payload="m", will_props=b"")
        equal(will[2], NONE + string("a") + NONE + string("w") + string("m"))
        malformed(c, packet(0x30, string("a")), 5, 0x81)
        malformed(c, packet(0x20, b"\x00\x00"), 5, 0x81)
        malformed(c, packet(0x90, b"\x00\x01"), 5, 0x81)


def test_connect_flags_say_what_is_there():
    # covers 5:MQTT-3.1.2-1 5:MQTT-3.1.2-9 5:MQTT-3.1.2-11 5:MQTT-3.1.2-12 5:MQTT-3.1.2-13
    # covers 5:MQTT-3.1.2-16 5:MQTT-3.1.2-17 5:MQTT-3.1.2-18 5:MQTT-3.1.2-19 5:MQTT-3.1.3-1 5:MQTT-3.1.3-3
    for c in CODECS:
        for clean in (False, True):
            for user in (None, "", "u"):
                for password in (None, b"", b"p"):
                    for will in (None, ("w", b"", 0, False), ("w", b"m", 1, True), ("w", b"m", 2, False)):
                        options = {"clean": clean, "user": user, "password": password}
                        flags = 2 if clean else 0
                        body = b"\x03\x21\x00\x10" + string("id")  # receive maximum 16
                        if will:
                            names = ("will_topic", "will_payload", "will_qos", "will_retain")
                            options.update(zip(names, will))
                            options["will_props"] = b"\x01\x01"
                            flags |= 4 | will[2] << 3 | (32 if will[3] else 0)
                            body += b"\x02\x01\x01" + string(will[0]) + string(will[1])
                        if user is not None:
                            flags |= 128
                            body += string(user)
                        if password is not None:
                            flags |= 64
                            body += string(password)
                        equal(connect(c, "id", 60, props=b"\x21\x00\x10", **options), (flags, 60, body))
        refused(c.connect, "id", 60, will_qos=1, props=b"")
        refused(c.connect, "id", 60, will_retain=True, props=b"")
        refused(c.connect, "id", 60, will_topic="w", will_qos=3, props=b"")
        refused(c.connect, "id", 60, will_topic="w/+", props=b"")
        equal(connect(c, "", 60, False), (0, 60, NONE + string("")))


def test_dup_and_qos():
    # covers 5:MQTT-3.3.1-2 5:MQTT-3.3.1-4 5:MQTT-4.3.1-1
    for c in CODECS:
        malformed(c, packet(0x38, string("a"), NONE), 5, 0x81)
        refused(c.publish, "a", b"", 0, False, True, props=b"")
        for first in (0x36, 0x37, 0x3E):
            malformed(c, packet(first, string("a"), b"\x00\x01", NONE), 5, 0x81)
        refused(c.publish, "a", b"", 3, False, False, 1, props=b"")
        refused(c.subscribe, 1, "a", 3, props=b"")
        for first in (0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D):
            d = decode(c, packet(first, string("a"), b"\x00\x01" if first & 6 else b"", NONE), 5)
            equal((d.qos, d.retain, d.dup), (first >> 1 & 3, bool(first & 1), bool(first & 8)))


def test_topic_names():
    # covers 5:MQTT-3.3.2-1 5:MQTT-3.3.2-2 5:MQTT-4.7.0-1 5:MQTT-4.7.3-1 5:MQTT-3.3.2-8 5:MQTT-3.3.2-14
    for c in CODECS:
        for name in ("+", "#", "a/+", "a/#", "a+b", "a#"):
            malformed(c, packet(0x30, string(name), NONE), 5)
            malformed(c, packet(0x30, string("a"), block(0x08, name)), 5)
            refused(c.publish, name, b"", props=b"")
            refused(c.publish, "a", b"", props=block(0x08, name)[1:])
            refused(c.connect, "id", 60, will_topic=name, props=b"")
        malformed(c, packet(0x30, string(""), NONE), 5, 0x82)
        refused(c.publish, "", b"", props=b"")
        refused(c.connect, "id", 60, will_topic="", props=b"")
        # An alias stands for the topic; there is no alias 0.
        alias = b"\x23\x00\x05"
        d = decode(c, packet(0x30, string(""), b"\x03", alias, b"x"), 5)
        equal((d.topic, d.prop(0x23), d.payload_bytes), ("", 5, b"x"))
        equal(encoded(c.publish, "", b"x", props=alias), packet(0x30, string(""), b"\x03", alias, b"x"))
        malformed(c, packet(0x30, string("a"), b"\x03\x23\x00\x00"), 5, 0x94)
        refused(c.publish, "a", b"", props=b"\x23\x00\x00")


def test_topics_end_at_65535_bytes():
    # covers 5:MQTT-4.7.3-3
    if gc.mem_free() < 1000000:
        minitest.skip("not enough memory for such a topic, and the copies that the Python codec makes of it")
    data = bytearray(65600)
    longest = "x" * 65535
    longer = longest + "x"
    for c in CODECS:
        equal(c.publish(data, longest, 0, props=b""), 65535 + 2 + 1 + 4)
        for call, args in (
            (c.publish, (longer, 0)), (c.subscribe, (1, longer, 0)), (c.unsubscribe, (1, longer)),
        ):  # fmt: skip
            error = minitest.raises(ValueError, call, data, *args, props=b"")
            assert "65535" in str(error), error


def test_topic_filters():
    # covers 5:MQTT-4.7.1-1 5:MQTT-4.7.1-2 5:MQTT-4.7.3-1 5:MQTT-3.8.3-2 5:MQTT-3.10.3-2
    # covers 5:MQTT-4.8.2-1 5:MQTT-4.8.2-2 5:MQTT-3.8.3-4
    for c in CODECS:
        for filter in (
            "#",
            "a/#",
            "+",
            "+/a",
            "a/+/b",
            "/+",
            "$SYS/#",
            "$share/g/a",
            "$share/g/#",
            "$share/g//",
            "$shared",
        ):
            body = b"\x00\x01\x00" + string(filter)
            equal(encoded(c.subscribe, 1, filter, 1, props=b""), packet(0x82, body, b"\x01"))
            equal(encoded(c.unsubscribe, 1, filter, props=b""), packet(0xA2, body))
        for filter in (
            "", "a#", "#/a", "##", "+a", "a+", "a/b#", "$share", "$share/", "$share/g", "$share/g/", "$share//a",
            "$share/+/a", "$share/g+/a", "$share/#/a", "$share/g/a#", "$share/g/#/a",
        ):  # fmt: skip
            if filter != "$share":  # that alone is a topic like any other
                refused(c.subscribe, 1, filter, 0, props=b"")
                refused(c.unsubscribe, 1, filter, props=b"")
        for options in (0, 1, 2, 0x04, 0x08, 0x10, 0x20, 0x2E):
            equal(encoded(c.subscribe, 1, "a", options, props=b"")[-1], options)
        for options in (3, 0x30, 0x40, 0x80, 0x100, -1):
            refused(c.subscribe, 1, "a", options, props=b"")
        refused(c.subscribe, 1, "$share/g/a", 0x04, props=b"")


def test_matching():
    # covers 5:MQTT-4.7.2-1 5:MQTT-4.7.3-4 5:MQTT-3.3.2-3
    for c in CODECS:
        for filter, topic in (
            ("a/#", "a"), ("#", "a/b"), ("+/+", "/a"), ("$SYS/#", "$SYS/x"), ("a/+", "a/$x"),
            ("$share/g/a/+", "a/b"), ("$share/g/#", "a/b"), ("$share/g/$SYS/x", "$SYS/x"),
        ):  # fmt: skip
            assert c.match(filter, topic), (filter, topic)
        for filter, topic in (
            ("#", "$SYS"), ("+/x", "$SYS/x"), ("a", "A"), ("\xe5", "a\u030a"), ("$share/g/#", "$SYS/x"),
            ("$share/g/a", "g/a"), ("$share/+/a", "a"), ("$share//a", "a"), ("a", "a/"),
        ):  # fmt: skip
            assert not c.match(filter, topic), (filter, topic)


minitest.run(globals())
