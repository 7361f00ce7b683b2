# The MQTT codec in C against the one in Python: generated packets, broken packets, random pieces.
# Both must give the same events, fields, bytes and errors. The numbers are from a generator of our
# own with a fixed seed: a failure comes again, and its round is in the message.
import io
import sys
import time

import minitest
from coldframe import codec_py as python
from minitest import equal

try:
    import mqttpacket as c
except ImportError:
    c = None

# Each test runs for so long on the device's own clock, and for so many rounds at least. The emulated
# RP2040 takes much longer than its clock says, QEMU's lx106 much less.
_MS, _MIN_ROUNDS = (400, 30) if sys.platform == "rp2" else (2000, 250)


class Random:
    def __init__(self, seed):
        self.x = seed

    def below(self, n):  # xorshift, 30 bits, so that a small int is enough everywhere
        x = self.x
        x ^= (x << 13) & 0x3FFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0x3FFFFFFF
        self.x = x
        return (x >> 4) % n

    def choice(self, items):
        return items[self.below(len(items))]

    def bytes(self, most):
        return bytes([self.below(256) for _ in range(self.below(most + 1))])


TOPICS = (
    "a", "a/b", "home/greenhouse/temperature", "\xe5/\u20ac/\U0001f331", "+", "a/#", "", "$SYS/x", "a\0b", "x" * 130,
)  # fmt: skip


def attempt(codec, name, buf, *args):
    # The packet that an encoder makes, or its refusal.
    try:
        n = getattr(codec, name)(buf, *args)
    except ValueError as e:
        return None, str(e)
    return n, bytes(buf[:n]) if n <= len(buf) else None


def packet(r, buf):
    # A call of one encoder: name and arguments.
    kind = r.below(10)
    topic = r.choice(TOPICS)
    if r.below(3) == 0:
        topic = topic.encode()
    i = r.choice((0, 1, 255, 256, 65535))
    if kind <= 3:
        qos = r.below(4)
        payload = r.bytes(60) if r.below(4) else r.below(300)
        return "publish", topic, payload, qos, r.below(2) == 1, r.below(4) == 0, i if qos else 0
    if kind == 4:
        return "ack", r.choice((4, 5, 6, 7, 11, 4, 5, 6, 7, 11, 3)), i
    if kind == 5:
        return "subscribe", i, topic, r.below(4)
    if kind == 6:
        return "unsubscribe", i, topic
    if kind == 7:
        return "connack", r.below(2) == 1, r.choice((0, 0, 0, 1, 5, 6))
    if kind == 8:
        return "suback", i, r.choice((b"\0", b"\x80", b"\0\1\2", b"", b"\3"))
    option = lambda *values: r.choice((None,) + values)  # noqa: E731
    return (
        "connect", r.choice(("", "id", "\xe5")), r.choice((0, 60, 65535)), r.below(3) > 0, option("user", ""),
        option("pass", b"\xff\0"), option(topic), option(b"", b"gone"), r.below(4), r.below(2) == 1,
    )  # fmt: skip


def event(d):
    try:
        kind = d.next()
    except ValueError as e:
        return -1, e.args
    if not kind:
        return None
    return (
        kind, d.type, d.flags, d.qos, d.retain, d.dup, d.id, d.code, d.session, d.keepalive, d.topic,
        d.payload_bytes, bytes(d.payload), bytes(d.codes), bytes(d.topic_view), d.part, d.more,
    )  # fmt: skip


def feed(r, one, other, data, where):
    # Give both decoders data in the same random pieces, and compare all they say.
    at = 0
    while at < len(data):
        n = 1 + r.below(r.choice((1, 7, 40)))
        piece = data[at : at + n]
        at += n
        a, b = io.BytesIO(piece), io.BytesIO(piece)
        while True:
            got = event(one)
            expected = event(other)
            if got != expected:
                raise AssertionError("%s: C %r, Python %r" % (where, got, expected))
            if got is None:
                n = one.fill(a)
                equal(n, other.fill(b))
                if n == 0:
                    break
            elif got[0] < 0:
                return


def rounds(test):
    if c is None:
        minitest.skip("no C module")
    start = time.ticks_ms()
    n = 0
    while n < _MIN_ROUNDS or time.ticks_diff(time.ticks_ms(), start) < _MS:
        test(Random(n * 7919 + 12345), n)
        n += 1
    return n


def test_decode_whole():
    buf = bytearray(320)

    def one_round(r, n):
        size = 16 + r.below(100)
        limit = r.choice((0, 0, 100))
        one, other = c.Decoder(bytearray(size), limit), python.Decoder(bytearray(size), limit)
        data = b""
        for _ in range(1 + r.below(4)):
            call = packet(r, buf)
            length, text = attempt(c, call[0], buf, *call[1:])
            if length:
                data += text
                if call[0] == "publish" and isinstance(call[2], int):
                    data += bytes(call[2])
        feed(r, one, other, data, "round %d" % n)

    minitest.measure("codec_twin_whole_rounds", rounds(one_round))


def test_decode_broken():
    buf = bytearray(320)

    def one_round(r, n):
        one, other = c.Decoder(bytearray(64)), python.Decoder(bytearray(64))
        call = packet(r, buf)
        length, data = attempt(c, call[0], buf, *call[1:])
        data = bytearray(data if length else b"\x32\x05\x00\x01a\x00\x01")
        for _ in range(1 + r.below(3)):
            how = r.below(4)
            at = r.below(min(len(data), 12)) if r.below(3) else r.below(len(data))
            if how == 0:
                data[at] = r.below(256)
            elif how == 1:
                data[at] ^= 1 << r.below(8)
            elif how == 2:
                data = data[:at] + data[at + 1 :]
            else:
                data = data[:at] + bytes((r.choice((0, 1, 0x7F, 0x80, 0xFF)),)) + data[at:]
            if not data:
                data = bytearray(1)
        feed(r, one, other, bytes(data) + bytes(70), "round %d, %r" % (n, bytes(data)))

    minitest.measure("codec_twin_broken_rounds", rounds(one_round))


def test_encode():
    def one_round(r, n):
        size = r.choice((0, 3, 4, 5, 20, 320))
        a, b = bytearray(b"\xaa" * size), bytearray(b"\xaa" * size)
        call = packet(r, a)
        got = attempt(c, call[0], a, *call[1:])
        expected = attempt(python, call[0], b, *call[1:])
        if got != expected or a != b:
            raise AssertionError("round %d %r: C %r, Python %r" % (n, call, got, expected))

    minitest.measure("codec_twin_encode_rounds", rounds(one_round))


def test_match():
    def text(r, alphabet):
        return "/".join([r.choice(alphabet) for _ in range(1 + r.below(4))])

    def one_round(r, n):
        filter = text(r, ("a", "b", "+", "#", "", "a+", "$share", "g", "#b"))
        topic = text(r, ("a", "b", "", "$SYS", "ab"))
        equal((n, filter, topic, c.match(filter, topic)), (n, filter, topic, python.match(filter, topic)))

    minitest.measure("codec_twin_match_rounds", rounds(one_round))


minitest.run(globals())
