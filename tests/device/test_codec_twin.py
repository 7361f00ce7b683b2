# The MQTT codec in C against the one in Python, MQTT 3.1.1: generated packets, broken packets, random pieces.
# Both must give the same events, fields, bytes and errors.
import codecgen
import minitest
from codecgen import c, python
from minitest import equal


def test_decode_whole():
    minitest.measure("codec_twin_whole_rounds", codecgen.decode_whole(4))


def test_decode_broken():
    minitest.measure("codec_twin_broken_rounds", codecgen.decode_broken(4))


def test_encode():
    minitest.measure("codec_twin_encode_rounds", codecgen.encode(4))


def test_match():
    def text(r, alphabet):
        return "/".join([r.choice(alphabet) for _ in range(1 + r.below(4))])

    def one_round(r, n):
        filter = text(r, ("a", "b", "+", "#", "", "a+", "$share", "g", "#b"))
        topic = text(r, ("a", "b", "", "$SYS", "ab"))
        equal((n, filter, topic, c.match(filter, topic)), (n, filter, topic, python.match(filter, topic)))

    minitest.measure("codec_twin_match_rounds", codecgen.rounds(one_round))


minitest.run(globals())
