"""The writer of the MQTT client: the C class and its Python twin write the same bytes, whatever the stream takes."""

import gc
import io
from random import getrandbits, seed

import minitest

try:
    from mqttpacket import Writer
except ImportError:
    Writer = None
from coldframe.mqtt.writer_py import Writer as Twin

PUBACK = 4
ORDERS = 40 if gc.mem_free() > 40000 else 15  # all that was written is kept for the comparison


class Narrow(io.IOBase):
    """A stream that takes as much as ``plan`` says: None for nothing now."""

    def __init__(self, plan):
        self.plan = plan
        self.at = 0
        self.got = b""
        self.held = None  # what was refused must come again as it was

    def write(self, buf, off=0, n=None):
        data = bytes(memoryview(buf)[off : off + n])
        assert self.held is None or data == self.held, (self.held, data)
        take = self.plan[self.at % len(self.plan)]
        self.at += 1
        if take is None or not take:
            self.held = data
            return take
        self.held = None
        take = min(take, n)
        self.got += data[:take]
        return take


class Owner:
    def __init__(self):
        self.why = None

    def _lost(self, er):
        self.why = er


def play(kind, number):
    """The same random orders for both kinds. Returns what was written, and what the calls returned."""
    seed(number)
    plan = [(None, 0, 1, 3, 10, 1000)[getrandbits(8) % 6] for _ in range(10)] + [1000]
    stream = Narrow(plan)
    owner = Owner()
    writer = kind(bytearray(64 + getrandbits(6)), owner)
    five = number % 2
    writer.attach(stream, False, 5 if five else 4)
    writer.open(0)
    results = []
    waiting = []
    for _ in range(ORDERS):
        what = getrandbits(8) % 6
        size = getrandbits(8) % (20 if getrandbits(1) else 200)
        if what < 2:
            props = b"\x01\x01" if five and getrandbits(1) else None
            results.append(writer.write("t/" + "x" * (size % 9), b"p" * size, bool(size & 1), props))
        elif what == 2:
            m = writer.message(None, "m", "q" * size, 2)
            m.id = 1 + size
            waiting.append(m)
        elif what == 3 and waiting:
            done = writer.transmit(waiting[0])
            results.append(done)
            if done is not None:
                waiting.pop(0)
        elif what == 4:
            try:
                results.append(writer.ack(PUBACK, 1 + size, 0x10 if five and size & 1 else 0))
            except ValueError:
                results.append("full")
        else:
            results.append(writer.flush())
        results.append((writer.left, writer.busy))
    for _ in range(200):
        if writer.flush():
            break
    assert not writer.left and not writer.busy, (kind, number, writer.left, owner.why, plan)
    return stream.got, results


def test_twins():
    if Writer is None:
        minitest.skip("no C module in this image")
    for number in range(60):
        gc.collect()
        a = play(Writer, number)
        b = play(Twin, number)
        assert a[0] == b[0], (number, a[0], b[0])
        assert a[1] == b[1], (number, [x for x in zip(a[1], b[1]) if x[0] != x[1]][:3])


def kinds():
    return [k for k in (Writer, Twin) if k is not None]


def test_refused_write_is_repeated_as_it_was():
    # TLS asks for that. What is put behind it meanwhile must not make it longer.
    for kind in kinds():
        stream = Narrow([None, None, 1000])
        writer = kind(bytearray(128), Owner())
        writer.attach(stream)
        writer.open()
        assert writer.write("a", "1") is False
        assert writer.write("b", "2") is False
        assert writer.ack(PUBACK, 7)
        for _ in range(3):
            writer.flush()
        minitest.equal(stream.got, b"\x30\x04\x00\x01a1\x30\x04\x00\x01b2\x40\x02\x00\x07")


def test_order_around_a_large_payload():
    for kind in kinds():
        stream = Narrow([5, None, 7])
        writer = kind(bytearray(64), Owner())
        writer.attach(stream)
        writer.open()
        assert writer.write("a", b"x" * 100) is False
        assert writer.busy
        assert writer.write("b", b"y" * 100) is None
        assert writer.ack(PUBACK, 1)
        while not writer.flush():
            pass
        assert not writer.busy
        minitest.equal(stream.got, b"\x30\x67\x00\x01a" + b"x" * 100 + b"\x40\x02\x00\x01")


def test_errors_of_the_stream_go_to_the_owner():
    class Broken(io.IOBase):
        def write(self, buf, off=0, n=None):
            raise OSError(104)

    for kind in kinds():
        owner = Owner()
        writer = kind(bytearray(64), owner)
        writer.attach(Broken())
        writer.open()
        assert writer.write("a", "1") is False
        assert isinstance(owner.why, OSError) and owner.why.errno == 104
        assert writer.write("a", "2") is None  # and nothing more goes out
        assert writer.flush() is False
        writer.attach(None)
        assert writer.write("a", "3") is None
        assert writer.left == 0


def test_what_cannot_be_sent():
    for kind in kinds():
        writer = kind(bytearray(64), Owner())
        minitest.raises(ValueError, writer.write, "a/+", "")
        minitest.raises(ValueError, writer.write, "t" * 60, "")
        minitest.raises(ValueError, writer.message, None, "", "", 2)
        minitest.raises(TypeError, kind, b"x" * 64)
        minitest.raises(ValueError, kind, bytearray(63))


def test_a_payload_that_may_change_is_copied():
    for kind in kinds():
        writer = kind(bytearray(64), Owner())
        payload = bytearray(b"abc")
        m = writer.message(None, "t", payload, 2)
        payload[0] = 120
        minitest.equal(m.payload, b"abc")


minitest.run(globals())
