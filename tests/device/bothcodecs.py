# What the conformance tests of the codec share: both codecs, the C module and the Python one, and short ways to
# have bytes decoded, encoded and refused.
import io

from coldframe import codec_py
from minitest import equal, raises

try:
    import mqttpacket

    CODECS = (mqttpacket, codec_py)
except ImportError:
    CODECS = (codec_py,)

# A string is refused wherever it stands when it has one of these in it: a lone continuation byte, a character cut
# short, one longer than needed, a surrogate, one above U+10FFFF, bytes that UTF-8 never has.
NOT_UTF8 = (
    b"\x80", b"a\xc3", b"\xc3a", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe2\x82", b"\xed\xa0\x80",
    b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff",
)  # fmt: skip
UTF8 = (
    b"\xc2\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
)


def decode(codec, data, version=4, size=160):
    # The decoder after the first packet of data.
    d = codec.Decoder(bytearray(size), 0, version)
    stream = io.BytesIO(data)
    while not d.next():
        if not d.fill(stream):
            raise AssertionError("no packet in %r" % data)
    return d


def malformed(codec, data, version=4, code=None):
    # These bytes are refused; with this reason code, if one is named.
    error = raises(codec.Malformed, decode, codec, data, version)
    if code is not None:
        equal(error.args[0], code)
    return error


def encoded(call, *args, **kwargs):
    # The packet that an encoder makes.
    buf = bytearray(400)
    return bytes(buf[: call(buf, *args, **kwargs)])


def refused(call, *args, **kwargs):
    # The encoder makes no packet of this, and writes nothing.
    buf = bytearray(400)
    raises(ValueError, call, buf, *args, **kwargs)
    equal(bytes(buf), bytes(400))


def string(s):
    s = s.encode() if isinstance(s, str) else s
    return bytes((len(s) >> 8, len(s) & 255)) + s


def packet(first, *parts):
    # A packet of this first byte and these bytes after the remaining length.
    body = b"".join(parts)
    n = len(body)
    return bytes((first, n) if n < 128 else (first, n & 127 | 128, n >> 7)) + body
