# A PUBLISH that is too large, for the limit or because its topic, identifier and properties leave no room in the
# buffer, is read past and delivered once, so that it can be acknowledged. Both codecs are tested.
import io
import sys

import minitest
from bothcodecs import CODECS, string
from minitest import equal, raises

if sys.platform == "rp2":
    CODECS = CODECS[:1]  # the Python codec is the same everywhere, and the emulator takes minutes for it

PROPS = b"\x23\0\1\x02\0\0\0\x3c\x26\0\1k\0\1v"  # a topic alias, message expiry, a user property
AFTER = b"\xd0\x00\x30\x04\x00\x01tX"  # PINGRESP, and a PUBLISH that fits


def publish(topic, payload, qos, version, props=b""):
    body = string(topic) + (b"\x12\x34" if qos else b"")
    if version == 5:
        body += bytes((len(props),)) + props
    body += payload
    n = len(body)
    head = bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7))
    return bytes((0x31 | qos << 1,)) + head + body


def events(codec, data, size, limit, version, piece):
    # What comes out when the bytes arrive in pieces of that size.
    d = codec.Decoder(bytearray(size), limit, version)
    got = []
    for at in range(0, len(data), piece):
        stream = io.BytesIO(data[at : at + piece])
        while True:
            kind = d.next()
            if kind == codec.PUBLISH:
                alias = d.prop(0x23)
                got.append(
                    (d.topic, d.id, d.qos, d.retain, d.skipped, bytes(d.payload), d.part, d.more, alias)
                )
            elif kind:
                got.append(kind)
            elif not d.fill(stream):
                break
    return got


def check(topic, payload, size, limit, qos, version, shown, alias=None, props=b""):
    # One PUBLISH that is skipped, and what follows it, in pieces of every kind.
    data = publish(topic, payload, qos, version, props)
    after = AFTER if version == 4 else b"\xd0\x00\x30\x05\x00\x01t\x00X"
    expected = [
        (shown, 0x1234 if qos else 0, qos, True, True, b"", 0, 0, alias),
        13,
        ("t", 0, 0, False, False, b"X", 0, 0, None),
    ]
    for codec in CODECS:
        for piece in (1, 2, 3, 7, 16, size, len(data), 1000):
            got = events(codec, data + after, size, limit, version, piece)
            equal((piece, got), (piece, expected))


def test_topic_does_not_fit():
    for version in (4, 5):
        for qos in (0, 1, 2):
            check(b"topic/that/is/longer/than/the/buffer", b"payload" * 9, 16, 0, qos, version, "")


def test_topic_just_fits():
    # From a topic that leaves room for some bytes of payload to one that ends behind the buffer.
    for codec in CODECS:
        for version in (4, 5):
            for qos in (0, 1):
                head = 4 + (2 if qos else 0) + (1 if version == 5 else 0)
                for n in range(1, 36):
                    topic = "x" * n
                    data = publish(topic.encode(), b"payload" * 5, qos, version)
                    room = 32 - head - n
                    got = events(codec, data, 32, 0, version, 5)
                    if room > 0:  # in parts
                        equal(
                            (n, got[0][:8]),
                            (n, (topic, 0x1234 if qos else 0, qos, True, False) + got[0][5:8]),
                        )
                        equal((n, b"".join([part[5] for part in got])), (n, b"payload" * 5))
                    else:
                        # With version 5 the length of the properties may be what does not fit; then the topic does.
                        fits = version == 5 and room == 0
                        equal(
                            (n, got),
                            (
                                n,
                                [
                                    (
                                        topic if fits else "",
                                        0x1234 if qos else 0,
                                        qos,
                                        True,
                                        True,
                                        b"",
                                        0,
                                        0,
                                        None,
                                    )
                                ],
                            ),
                        )


def test_identifier_on_the_edge():
    # The identifier is taken wherever it comes by: in the buffer, behind it, on its edge.
    for version in (4, 5):
        for n in range(6, 30):
            if n + 6 + (version == 5) > 16:
                check(b"x" * n, b"pay", 16, 0, 1, version, "x" * n if n + 6 < 16 else "")


def test_longer_than_the_limit():
    for version in (4, 5):
        for qos in (0, 1, 2):
            for n in (10, 100, 300):  # it fits the buffer, or not
                size = len(publish(b"topic", bytes(n), qos, version))
                check(b"topic", bytes(n), 64, size - 1, qos, version, "topic")
                for codec in CODECS:  # ... and the limit itself is not too long
                    data = publish(b"topic", bytes(n), qos, version)
                    got = events(codec, data, 64, size, version, 9)
                    equal((got[0][4], b"".join([part[5] for part in got])), (False, bytes(n)))


def test_properties():
    # They are there when they fit, as whole as they came; when they do not, the topic still can be.
    check(b"topic", bytes(100), 64, 60, 1, 5, "topic", 1, PROPS)
    check(b"topic", bytes(100), 24, 0, 1, 5, "topic", None, PROPS)
    check(b"topic", b"", 24, 0, 1, 5, "topic", None, PROPS)
    check(b"", bytes(100), 22, 0, 2, 5, "", None, PROPS)
    check(b"", bytes(100), 64, 30, 2, 5, "", 1, PROPS)


def test_acknowledged_as_any():
    for codec in CODECS:
        d = codec.Decoder(bytearray(16))
        d.fill(io.BytesIO(publish(b"t", bytes(12), 1, 4)[:16]))
        equal(d.next(), codec.PUBLISH)  # parts: room for the payload is what counts, not that it is all there
        d.reset()
        d = codec.Decoder(bytearray(16), 15)
        stream = io.BytesIO(publish(b"t", bytes(12), 1, 4))
        d.fill(stream)
        equal((d.next(), d.skipped, d.fill(stream), d.next(), d.skipped), (0, False, 3, codec.PUBLISH, True))
        buf = bytearray(4)
        codec.ack(buf, codec.PUBACK, d.id)
        equal(bytes(buf), b"\x40\2\x12\x34")
        equal((d.next(), d.skipped, d.topic), (0, False, ""))


def test_still_refused():
    # What is wrong in what fits is malformed although nobody would have seen the payload.
    for codec in CODECS:
        for data, reason in (
            (publish(b"a/#", bytes(99), 0, 4), 0x81),
            (publish(b"\xff", bytes(99), 0, 4), 0x81),
            (publish(b"", bytes(99), 0, 4), 0x81),
            (b"\x32\x7f\0\1t\0\0" + bytes(99), 0x82),
            (b"\x30\x7f\0\x7e" + bytes(99), 0x81),
            (b"\x32\x7f\0\x7c" + bytes(99), 0x81),
            (b"\x36\x7f\0\1t" + bytes(99), 0x81),
        ):
            for size, limit in ((64, 20), (256, 20), (64, 0)):
                error = raises(codec.Malformed, events, codec, data + bytes(64), size, limit, 4, 11)
                equal((data[:6], error.args[0]), (data[:6], reason))
        # The identifier comes when the topic has gone by.
        data = b"\x32\x30\0\x20" + b"x" * 32 + b"\0\0" + bytes(12)
        error = raises(codec.Malformed, events, codec, data, 16, 0, 4, 5)
        equal(error.args[0], 0x82)
        error = raises(
            codec.Malformed, events, codec, publish(b"t", bytes(99), 0, 5, b"\x23\0\0"), 16, 0, 5, 5
        )
        equal(error.args[0], 0x94)
        error = raises(codec.Malformed, events, codec, publish(b"", bytes(99), 0, 5), 16, 0, 5, 5)
        equal(error.args[0], 0x82)


minitest.run(globals())
