# The MQTT codec in C against the one in Python, MQTT 5: generated packets with properties, broken packets, random
# pieces. Both must give the same events, fields, bytes and errors.
import codecgen
import minitest
from codecgen import c, python
from minitest import equal


def test_decode_whole():
    minitest.measure("codec_twin5_whole_rounds", codecgen.decode_whole(5))


def test_decode_broken():
    minitest.measure("codec_twin5_broken_rounds", codecgen.decode_broken(5))


def test_encode():
    minitest.measure("codec_twin5_encode_rounds", codecgen.encode(5))


def test_put_prop():
    values = (
        0, 1, 2, 255, 65535, 65536, 268435455, 268435456, 0xFFFFFFFF, 0x100000000, -1, "", "text", "a/+", "a\0",
        b"\xff", ("k", "v"), ("k", "a\0"), (b"\xff", "v"),
    )  # fmt: skip

    def attempt(codec, buf, at, id, value):
        try:
            return codec.put_prop(buf, at, id, value)
        except (ValueError, TypeError) as e:
            return type(e), str(e) if isinstance(e, ValueError) else None

    def one_round(r, n):
        size = r.below(12)
        at = r.choice((0, 0, 1, size, size + 1))
        id = r.choice(codecgen.PROPS + (0, 4, 43, 0x7F, 0x80, 255, 256, -1))
        value = r.choice(values)
        a, b = bytearray(size), bytearray(size)
        got, expected = attempt(c, a, at, id, value), attempt(python, b, at, id, value)
        equal((n, id, value, got, a), (n, id, value, expected, b))

    minitest.measure("codec_twin5_prop_rounds", codecgen.rounds(one_round))


minitest.run(globals())
