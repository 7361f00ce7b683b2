# What the tests that hold the C codec against the Python one share: random packets of both versions, and decoders
# that are fed alike. The numbers are from a generator of our own with a fixed seed: a failure comes again, and its
# round is in the message.
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

TOPICS = (
    "a", "a/b", "home/greenhouse/temperature", "\xe5/\u20ac/\U0001f331", "+", "a/#", "", "$SYS/x", "a\0b", "x" * 130,
    "$share/g/a", "$share//a", "$share/+/a",
)  # fmt: skip
TEXTS = (b"", b"t", b"\xc3\xa5", b"\xff", b"a\0", b"a/+", b"y" * 40)
PROPS = (
    1, 2, 3, 8, 9, 11, 17, 18, 19, 21, 22, 23, 24, 25, 26, 28, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42,
)  # fmt: skip
BYTES = (1, 23, 25, 36, 37, 40, 41, 42)
WORDS = (19, 33, 34, 35)
LONGS = (2, 17, 24, 39)
# The properties that a packet type can have (0: the will), so that most of what is made is good.
USUAL = {
    0: (1, 2, 3, 8, 9, 24, 38), 1: (17, 21, 22, 33, 34, 23, 25, 38, 39),
    2: (17, 18, 19, 21, 22, 31, 33, 34, 36, 38, 42),
    3: (1, 2, 3, 8, 9, 11, 35, 38, 35), 8: (11, 38), 10: (38,), 14: (17, 28, 31, 38), 15: (21, 22, 31, 38),
}  # fmt: skip


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


def attempt(codec, name, buf, *args):
    # The packet that an encoder makes, or its refusal.
    try:
        n = getattr(codec, name)(buf, *args)
    except ValueError as e:
        return None, str(e)
    return n, bytes(buf[:n]) if n <= len(buf) else None


def string(s):
    return bytes((len(s) >> 8, len(s) & 255)) + s


def prop(r, id):
    # One property as bytes, its value good more often than not.
    if id in BYTES:
        return bytes((id, r.choice((0, 1, 1, 1, 2))))
    if id in WORDS:
        return bytes((id, r.below(2), r.choice((0, 1, 255))))
    if id in LONGS:
        return bytes((id, r.below(256), 0, 0, r.choice((0, 1, 255))))
    if id == 11:
        return bytes((id,)) + r.choice(
            (b"\1", b"\0", b"\x80\1", b"\xff\xff\xff\x7f", b"\x80\0", b"\x80\x80\x80\x80\1")
        )
    text = r.choice(TEXTS) if r.below(3) == 0 else b"text"
    if id == 38:
        return bytes((id,)) + string(b"key") + string(text)
    return bytes((id,)) + string(text)


def props(r, kind):
    # A block of properties for a packet of that type.
    out = b""
    for _ in range(r.choice((0, 0, 1, 1, 2, 3))):
        out += prop(r, r.choice(PROPS) if r.below(10) == 0 else r.choice(USUAL.get(kind, (31, 38))))
    if kind == 15 and r.below(4):
        out += b"\x15\0\1m"
    return out[: r.below(len(out) + 1)] if r.below(20) == 0 else out


def packet(r, version=4):
    # A call of one encoder: name and arguments.
    v5 = version == 5
    kind = r.below(13 if v5 else 10)
    topic = r.choice(TOPICS)
    if r.below(3) == 0:
        topic = topic.encode()
    i = r.choice((0, 1, 255, 256, 65535))
    last = lambda kind: (props(r, kind),) if v5 else ()  # noqa: E731
    if kind <= 3:
        qos = r.below(4)
        payload = r.bytes(60) if r.below(4) else r.below(300)
        return ("publish", topic, payload, qos, r.below(2) == 1, r.below(4) == 0, i if qos else 0) + last(3)
    if kind == 4:
        ack = r.choice((4, 5, 6, 7, 11, 4, 5, 6, 7, 11, 3))
        return ("ack", ack, i) + ((r.choice((0, 0x10, 0x92, 0x80, 5)),) + last(ack) if v5 else ())
    if kind == 5:
        options = r.below(4) | (r.choice((0, 4, 8, 0x10, 0x20, 0x30, 0x40)) if v5 else 0)
        return ("subscribe", i, topic, options) + last(8)
    if kind == 6:
        return ("unsubscribe", i, topic) + last(10)
    if kind == 7:
        return ("connack", r.below(2) == 1, r.choice((0, 0, 0, 1, 5, 6, 0x80, 0x8D, 0x9F))) + last(2)
    if kind == 8:
        return ("suback", i, r.choice((b"\0", b"\x80", b"\0\1\2", b"", b"\3", b"\x8f"))) + last(9)
    if kind == 10:
        return ("unsuback", i, r.choice((b"\0", b"\x11", b"\0\x87", b"", b"\1"))) + last(11)
    if kind == 11:
        return ("disconnect", r.choice((0, 4, 0x81, 0x8A, 0x9D))) + last(14)
    if kind == 12:
        return ("auth", r.choice((0, 0x18, 0x19, 0x1A))) + last(15)
    option = lambda *values: r.choice((None,) + values)  # noqa: E731
    call = (
        "connect", r.choice(("", "id", "\xe5")), r.choice((0, 60, 65535)), r.below(3) > 0, option("user", ""),
        option("pass", b"\xff\0"), option(topic), option(b"", b"gone"), r.below(4), r.below(2) == 1,
    )  # fmt: skip
    return call + last(1) + last(0)


def event(d):
    try:
        kind = d.next()
    except ValueError as e:
        return -1, e.args
    if not kind:
        return None
    return (
        kind, d.type, d.flags, d.qos, d.retain, d.dup, d.id, d.code, d.session, d.keepalive, d.topic,
        d.payload_bytes, bytes(d.payload), bytes(d.codes), bytes(d.topic_view), d.part, d.more, d.skipped,
        bytes(d.props), d.user_properties(), d.prop(35), d.prop(31), d.prop(9), d.prop(17),
    )  # fmt: skip


def feed(r, one, other, data, where):
    # Give both decoders data in the same random pieces, and compare all they say. Returns how many packets it was.
    at = packets = 0
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
                return packets
            else:
                packets += 1
    return packets


def rounds(test):
    if c is None:
        minitest.skip("no C module")
    start = time.ticks_ms()
    n = 0
    while n < _MIN_ROUNDS or time.ticks_diff(time.ticks_ms(), start) < _MS:
        test(Random(n * 7919 + 12345), n)
        n += 1
    return n


def decode_whole(version):
    # Good packets, some larger than the buffer or the limit. Returns the number of rounds.
    buf = bytearray(320)
    seen = [0]

    def one_round(r, n):
        size = 16 + r.below(100)
        limit = r.choice((0, 0, 100))
        one, other = (
            c.Decoder(bytearray(size), limit, version),
            python.Decoder(bytearray(size), limit, version),
        )
        data = b""
        for _ in range(1 + r.below(4)):
            call = packet(r, version)
            length, text = attempt(c, call[0], buf, *call[1:])
            if length:
                data += text
                if call[0] == "publish" and isinstance(call[2], int):
                    data += bytes(call[2])
        seen[0] += feed(r, one, other, data, "round %d" % n)

    done = rounds(one_round)
    assert seen[0] > done // 2, "%d packets in %d rounds" % (seen[0], done)
    return done


def decode_broken(version):
    # Packets in which some bytes are not as they were.
    buf = bytearray(320)

    def one_round(r, n):
        one, other = c.Decoder(bytearray(64), 0, version), python.Decoder(bytearray(64), 0, version)
        call = packet(r, version)
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

    return rounds(one_round)


def encode(version):
    # Every encoder with arguments good and bad, into buffers that are large enough or not.
    def one_round(r, n):
        size = r.choice((0, 3, 4, 5, 20, 320))
        a, b = bytearray(b"\xaa" * size), bytearray(b"\xaa" * size)
        call = packet(r, version)
        got = attempt(c, call[0], a, *call[1:])
        expected = attempt(python, call[0], b, *call[1:])
        if got != expected or a != b:
            raise AssertionError("round %d %r: C %r, Python %r" % (n, call, got, expected))

    return rounds(one_round)
