"""The class Writer of the C module: a stream of a Python class may do anything in its write()."""

import minitest

try:
    from mqttpacket import Writer
except ImportError:
    Writer = None


class Stream:
    """Takes everything, and first does as told."""

    def __init__(self, first=None):
        self.got = b""
        self.first = first

    def write(self, buf, off, n):
        first = self.first
        self.first = None
        took = first(n) if first else n
        if took:
            self.got += bytes(memoryview(buf)[off : off + took])
        return took


class Owner:
    def __init__(self):
        self.why = []

    def _lost(self, er):
        self.why.append(er)


def make(stream, owner=None):
    if Writer is None:
        minitest.skip("no C module")
    w = Writer(bytearray(128), owner)
    w.attach(stream)
    w.open()
    return w


def test_a_write_that_attaches_another_stream():
    other = Stream()

    def change(n):
        w.attach(other)
        w.open()
        return n - 1

    w = make(Stream(change))
    w.write("a", "x" * 50)
    minitest.equal(w.left, 0)
    minitest.equal(w.write("b", "hello"), True)
    minitest.equal(other.got, b"0\x08\x00\x01bhello")
    w.ack(4, 1)
    assert w.put(b"z" * 100)
    minitest.equal(other.got[10:14], b"\x40\x02\x00\x01")


def test_a_write_that_resizes_the_next_payload():
    payload = bytearray(b"x" * 20)

    def refuse(n):
        stream.first = enlarge
        return None

    def enlarge(n):
        payload.extend(b"y" * 2000)
        for _ in range(40):
            bytearray(b"\xee" * 30)
        return n

    stream = Stream(refuse)
    w = make(stream)
    minitest.equal(w.write("a", "1" * 90), False)
    w.write("abc", payload)
    w.flush()
    minitest.equal(stream.got[95:], b"0\xe9\x0f\x00\x03abc" + payload)


def test_a_payload_that_is_resized_half_sent_ends_the_connection_for_no_other_publisher():
    owner = Owner()
    w = make(Stream(lambda n: None), owner)
    payload = bytearray(500)
    minitest.equal(w.write("a", payload), False)
    payload[:] = b""
    w.flush()
    minitest.equal(str(owner.why[0]), "payload was resized")
    minitest.equal(w.write("b", "x"), None)
    minitest.equal(len(owner.why), 1)


def test_a_failure_that_is_no_exception():
    m = make(Stream()).message(None, "t", "p", 2)
    m.state = 4
    m.key = 5
    minitest.raises(TypeError, list, m)


minitest.run(globals())
