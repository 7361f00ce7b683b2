# The MQTT codec over streams: pieces, parts, would-block, the end, errors. Both versions are tested,
# the C module and the Python one.
import gc
import io

import minitest
from coldframe import codec_py
from minitest import equal, raises

try:
    import mqttpacket

    CODECS = (mqttpacket, codec_py)
except ImportError:
    CODECS = (codec_py,)


class Stream(io.IOBase):
    # Gives the chunks one by one; None is "would block". After them: the end.
    def __init__(self, *chunks):
        self.chunks = list(chunks)

    def readinto(self, buf):
        if not self.chunks:
            return 0
        chunk = self.chunks.pop(0)
        if chunk is None:
            return None
        n = min(len(buf), len(chunk))
        buf[:n] = chunk[:n]
        if n < len(chunk):
            self.chunks.insert(0, chunk[n:])
        return n


def test_error_stays():
    for c in CODECS:
        d = c.Decoder(bytearray(16))
        d.fill(io.BytesIO(b"\xf0\x00\xd0\x00"))
        raises(c.Malformed, d.next)
        raises(c.Malformed, d.next)
        raises(c.Malformed, d.fill, io.BytesIO(b"\xd0\x00"))
        d.reset()
        equal(d.next(), 0)
        equal(d.fill(io.BytesIO(b"\xd0\x00")), 2)
        equal(d.next(), c.PINGRESP)


def test_parts():
    for c in CODECS:
        buf = bytearray(40)
        n = c.publish(buf, "big", 100, 1, True, False, 77)
        payload = bytes(range(100))
        stream = io.BytesIO(c.PINGREQ_PACKET + bytes(buf[:n]) + payload + b"\xd0\x00")
        d = c.Decoder(bytearray(32))
        got, kinds = b"", []
        while True:
            kind = d.next()
            if kind == c.PUBLISH:
                equal((d.topic, d.id, d.retain, d.part), ("big", 77, True, len(got)))
                got += bytes(d.payload)
                equal(d.more, 100 - len(got))
            if kind:
                kinds.append(kind)
            elif not d.fill(stream):
                break
        equal(got, payload)
        # 23 bytes a part beside the header of 9
        equal(kinds, [12, 3, 3, 3, 3, 3, 13])
        d = c.Decoder(bytearray(16))
        stream = io.BytesIO(b"\x30\x20\x00\x0cabcdefghijklmnopqrstuvwxyz123456")
        d.fill(stream)
        equal((d.next(), d.fill(stream), d.next()), (0, 16, 0))  # its header alone fills the buffer
        d.fill(stream)
        equal((d.next(), d.skipped, d.topic, bytes(d.payload), d.more), (c.PUBLISH, True, "", b"", 0))


def test_streams():
    for c in CODECS:
        d = c.Decoder(bytearray(16))
        stream = Stream(b"\xd0", None, b"\x00" + b"\xd0\x00" * 20)
        equal((d.fill(stream), d.next(), d.fill(stream), d.next()), (1, 0, None, 0))
        equal(d.fill(stream), 15)
        error = raises(ValueError, d.fill, stream)
        assert "full" in str(error)
        for _ in range(8):
            equal(d.next(), c.PINGRESP)
        equal((d.next(), d.fill(stream)), (0, 16))

        class Plain:  # not an io.IOBase
            result = 1

            def readinto(self, buf):
                buf[0] = 0xD0
                return self.result

        stream = Plain()
        d = c.Decoder(bytearray(16))
        equal((d.fill(stream), d.next()), (1, 0))
        for bad in (-1, 17, 1000):
            stream.result = bad
            raises(ValueError, d.fill, stream)

        class Broken:
            def readinto(self, buf):
                raise OSError(104)

        equal(raises(OSError, d.fill, Broken()).args[0], 104)
        raises((OSError, AttributeError, TypeError), d.fill, 5)
        for bad in (bytes(32), 32, None):
            raises(TypeError, c.Decoder, bad)
        raises(ValueError, c.Decoder, bytearray(15))
        raises(ValueError, c.Decoder, bytearray(32), -1)
        raises(ValueError, c.Decoder, bytearray(32), 0, 6)
        block = bytearray(40)
        d = c.Decoder(memoryview(block)[4:36])
        d.fill(io.BytesIO(b"\x30\x04\x00\x01ab"))
        equal((d.next(), d.topic, bytes(d.payload)), (3, "a", b"b"))
        equal(block.find(b"\x30"), 4)


def test_misuse():
    for c in CODECS:
        d = c.Decoder(bytearray(16))

        class Inside:
            def readinto(self, buf):
                d.fill(io.BytesIO(b"\xd0"))
                return 1

        raises(RuntimeError, d.fill, Inside())
        for name in ("topic", "payload", "type", "nothing"):
            raises(AttributeError, setattr, d, name, 1) if c is not codec_py else None
        raises(AttributeError, getattr, d, "nothing")
    if CODECS[0] is codec_py:
        return
    block = bytearray(16)
    d = CODECS[0].Decoder(block)
    d.fill(io.BytesIO(b"\x30\x04\x00\x01ab"))
    d.next()
    block.extend(bytes(2000))  # its storage has moved
    for call in (d.next, d.fill, lambda *_: d.topic, lambda *_: d.payload, lambda *_: d.payload_bytes):
        error = raises(ValueError, call, *([io.BytesIO(b"x")] if call == d.fill else []))
        assert "resized" in str(error)


def test_subclass_of_a_stream():
    class Counting(io.BytesIO):
        pass

    for c in CODECS:
        d = c.Decoder(bytearray(16))
        equal(d.fill(Counting(b"\xd0\x00")), 2)
        equal(d.next(), c.PINGRESP)


def test_topic_is_kept_and_payload_costs_nothing():
    if CODECS[0] is codec_py:
        minitest.skip("no C module")
    d = CODECS[0].Decoder(bytearray(64))
    stream = io.BytesIO(b"\x30\x09\x00\x03a/bhell" * 40)
    d.fill(stream)
    d.next()
    topic, payload = d.topic, d.payload
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    while True:
        if d.next():
            assert d.topic is topic
            assert d.payload is payload
        elif not d.fill(stream):
            break
    used = gc.mem_alloc() - before
    gc.enable()
    equal(used, 0)


minitest.run(globals())
