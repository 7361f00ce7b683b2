"""What takes bytes from strangers in the setup page and in Improv, on every target; and what a request costs in RAM."""

import gc
import random

import minitest
from coldframe import improv, improvrpc

try:
    from coldframe.setup import captivedns, form, http
except ImportError:  # a board without Wi-Fi
    captivedns = form = http = None

_QUESTION = b"\0\7\1\0\0\1\0\0\0\0\0\0\3www\7example\3org\0\0\1\0\1"
_OWN = bytes((192, 168, 4, 1))


def _with_wifi():
    if captivedns is None:
        minitest.skip("no Wi-Fi")


def test_name_server_answers():
    _with_wifi()
    reply = captivedns.answer(_QUESTION, _OWN)
    assert reply[:12] == b"\0\7\x85\x80\0\1\0\1\0\0\0\0"
    assert reply[12 : len(_QUESTION)] == _QUESTION[12:]
    assert reply[-4:] == _OWN
    assert captivedns.answer(_QUESTION[:-4] + b"\0\x1c\0\1", _OWN)[:8] == b"\0\7\x85\x80\0\1\0\0"


def test_name_server_takes_anything():
    _with_wifi()
    random.seed(4)
    answered = 0
    for n in range(1500):
        data = bytearray(_QUESTION)
        for _ in range(random.getrandbits(2)):
            data[random.getrandbits(16) % len(data)] = random.getrandbits(8)
        data = bytes(data[: len(data) - (random.getrandbits(5) if n % 3 == 0 else 0)])
        reply = captivedns.answer(data, _OWN)
        if reply is not None:
            answered += 1
            assert reply[:2] == data[:2] and len(reply) <= len(data) + 16, data
    assert 100 < answered < 1500, answered
    for n in range(len(_QUESTION)):
        assert captivedns.answer(_QUESTION[:n], _OWN) is None
    for name in (b"\xc0\x0c", b"\x40" + b"x" * 64, (b"\x3f" + b"x" * 63) * 4):
        assert captivedns.answer(_QUESTION[:12] + name + b"\0\0\1\0\1", _OWN) is None


def test_form():
    _with_wifi()
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    found = form.fields(kind, b"ssid=a%26b+c%2B%25&password=%C3%A4%F0%9F%90%91%&empty=&=x&y&z=1%zz%4")
    assert found == {"ssid": "a&b c+%", "password": "ä🐑%", "empty": "", "z": "1%zz%4"}, found
    for bad_kind, body in ((kind, b"x=%ff"), (kind, b"x=\xc3"), ("text/plain", b"x=1"), ("", b"")):
        minitest.raises(ValueError, form.fields, bad_kind, body)
    assert form.escaped("<a href='\"&'>") == "&lt;a href=&#39;&quot;&amp;&#39;&gt;"


def _packets(data):
    parser = improv.Parser()
    found = []
    for byte in data:
        what = parser.feed(byte)
        if what == improv.PACKET:
            found.append((parser.type, parser.data))
        elif what != improv.MORE:
            found.append(what)
    return found


def test_improv_packets():
    good = improv.packet(3, b"\x02\x00")
    assert good == b"IMPROV\x01\x03\x02\x02\x00\xe5\n"
    assert _packets(good + b"\r\n" + good) == [(3, b"\2\0"), (3, b"\2\0")]
    assert _packets(improv.packet(3, b"")) == [(3, b"")]
    assert _packets(improv.packet(3, b"x" * 255)) == [(3, b"x" * 255)]
    assert _packets(good[:-2] + b"\0") == [improv.BROKEN]
    assert _packets(b"\x03") == [improv.KEY]
    assert _packets(b"IMPORT") == [improv.KEY] * 3
    random.seed(4)
    for _ in range(300):  # whatever comes, the next packet is found
        noise = bytes(random.getrandbits(8) for _ in range(random.getrandbits(4)))
        if b"I" not in noise:
            assert _packets(noise + good)[-1] == (3, b"\2\0"), noise
    for _ in range(200):
        broken = bytearray(improv.packet(3, bytes(random.getrandbits(8) for _ in range(20))))
        broken[random.getrandbits(8) % 30] ^= 1 + random.getrandbits(7) % 255
        _packets(broken)


def test_improv_results():
    assert improvrpc.strings(3, ("ab", "", "ä")) == b"\x03\x07\x02ab\x00\x02\xc3\xa4"
    assert improvrpc.strings(4, ()) == b"\x04\0"
    assert len(improvrpc.strings(3, ("x" * 300, "y" * 300))) <= 255


class _Stream:
    # A connection with a request in it: a beginning, then so many times a filling, then an end.
    def __init__(self, begin, filling=b"", times=0, end=b""):
        self.parts = [begin] + [filling] * times + [end]
        self.sent = 0

    async def read(self, n):
        while self.parts and not self.parts[0]:
            self.parts.pop(0)
        if not self.parts:
            return b""
        part = self.parts[0][:n]
        self.parts[0] = self.parts[0][n:]
        return part

    async def readinto(self, buffer):
        part = await self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def write(self, data):
        self.sent += len(data)

    async def drain(self):
        pass


async def _page(request):
    return 200, "text/html", _BODY, ""


_BODY = b"x" * 2000
_GET = b"GET / HTTP/1.1\r\nHost: 192.168.4.1\r\nAccept: text/html,application/xhtml+xml\r\n"
_POST = b"POST /try HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
_FORM = b"ssid=Farm&password=012345678901234567890123456789012345678901234567890123456789012"


def _request(name, *parts):
    # Let a request be served; measures what it allocates.
    import asyncio

    stream = _Stream(*parts)
    server = http.Server(_page)
    gc.collect()
    before = gc.mem_alloc()
    asyncio.run(server._serve(stream))
    made = gc.mem_alloc() - before
    assert stream.sent > 50
    minitest.measure("setup_request_%s_bytes" % name, made)


def test_requests_in_bounded_memory():
    _with_wifi()
    end = b"\r\n"
    _request("first", _GET, b"", 0, end)
    gc.collect()
    before = gc.mem_alloc()
    _request("get", _GET, b"", 0, end)
    _request("cookie", _GET + b"Cookie: ", b"x" * 100, 30, b"\r\n\r\n")
    _request("post", _POST % len(_FORM) + _FORM)
    _request("endless", b"GET / HTTP/1.1\r\n", b"x" * 100, 90)
    _request("large", _POST % 99999, b"x" * 100, 30)
    gc.collect()
    assert gc.mem_alloc() - before < 2500, gc.mem_alloc() - before


minitest.run(globals())
