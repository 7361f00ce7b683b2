# A plain socket that sends and reads the same bytes: what this machine could do at most. Bytes are made by
# hand here, so that nothing of ours is measured against itself.

import select
import socket
from struct import pack_into
from time import sleep_ms, ticks_diff, ticks_us, time_ns

import __main__ as run

_BLOCK = 65536


def _string(text):
    return bytes((len(text) >> 8, len(text) & 255)) + text.encode()


def _packet(first, body):
    n = len(body)
    size = bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7))
    return bytes((first,)) + size + body


def message(topic, payload, qos=0, id=0):
    return _packet(0x30 | qos << 1, _string(topic) + (bytes((id >> 8, id & 255)) if qos else b"") + payload)


class Driver:
    arity = 2
    blocking = True

    def __init__(self, host, port, name, callback, version):
        self._address = socket.getaddrinfo(host, port)[0][-1]
        self._name = name
        self._buf = bytearray(_BLOCK)

    async def connect(self):
        self.socket = s = socket.socket()
        s.connect(self._address)
        s.setsockopt(socket.IPPROTO_TCP if hasattr(socket, "IPPROTO_TCP") else 6, 1, 1)
        s.write(_packet(0x10, _string("MQTT") + b"\x04\x02\0\x3c" + _string(self._name)))
        if s.read(4)[3] != 0:
            raise OSError("refused")

    def _subscribe(self, filter, qos):
        self.socket.write(_packet(0x82, b"\0\1" + _string(filter) + bytes((qos,))))
        self.socket.read(5)

    async def pub0(self, n, size, say):
        one = message(run.TOPIC, b"x" * size)
        many = one * (_BLOCK // len(one))
        times, rest = divmod(n * len(one), len(many))
        sleep_ms(50)
        start = time_ns()
        write = self.socket.write
        for _ in range(times):
            write(many)
        write(many[:rest])
        write(message(run.MARK, b"end"))
        print("START", start)
        sleep_ms(20)

    async def window(self, n, size, say):
        # Pipelined: 250 to 500 messages ahead of their acknowledgements.
        block = b"".join([message(run.TOPIC, b"x" * size, 1, 1 + i) for i in range(250)])
        s = self.socket
        buf = self._buf
        wait = self._poll(select.POLLIN).poll
        start = ticks_us()
        sent = acked = 0
        while acked < n * 4:
            if sent < n and sent - acked // 4 <= 250:
                s.setblocking(True)
                s.write(block)
                s.setblocking(False)
                sent += 250
            wait()
            acked += s.readinto(buf) or 0
        say("rate", sent * 1e6 / ticks_diff(ticks_us(), start))

    async def pub1(self, n, size, say):
        one = message(run.TOPIC, b"x" * size, 1, 1)
        s = self.socket
        buf = bytearray(4)
        start = ticks_us()
        for _ in range(n):
            s.write(one)
            s.readinto(buf)
        say("rate", n * 1e6 / ticks_diff(ticks_us(), start))

    async def recv(self, n, qos, say, filter=None):
        filter = filter or run.TOPIC
        size = int(filter.split("/")[1]) if filter.startswith("flood/") else 20
        size = len(message(filter, b"x" * size, qos, 1))
        acks = bytearray(4 * 65535 if qos else 0)
        for i in range(0, len(acks), 4):
            pack_into(">HH", acks, i, 0x4002, i // 4 + 1)
        acks = memoryview(acks)
        self._subscribe(filter, qos)
        print("READY")
        s = self.socket
        buf = self._buf
        buf[:1] = s.read(1)
        start = ticks_us()
        total = n * size
        got = 1
        if not qos:
            view = memoryview(buf)
            while got < total:
                got += s.readinto(view[: min(total - got, _BLOCK)])
        else:
            wait = self._poll(select.POLLIN).poll
            acked = 0
            while got < total:
                wait()
                got += s.readinto(buf) or 0
                if got // size > acked:
                    # The identifiers are counted up from 1, by mosquitto and by our server.
                    s.setblocking(True)
                    while acked < got // size:
                        at = acked % 65535
                        m = min(got // size - acked, 65535 - at)
                        s.write(acks[4 * at : 4 * (at + m)])
                        acked += m
                    s.setblocking(False)
        say("rate", (got - 1) / size * 1e6 / ticks_diff(ticks_us(), start))

    def _poll(self, what):
        poll = select.poll()
        poll.register(self.socket, what)
        self.socket.setblocking(False)
        return poll

    async def echo(self, n, size, say):
        # The same bytes there and back, one exchange at a time.
        self._subscribe(run.TOPIC, 0)
        s = self.socket
        one = message(run.TOPIC, b"x" * size, 1, 1)
        buf = bytearray(4 + len(message(run.TOPIC, b"x" * size)))
        times = []
        for _ in range(n):
            start = ticks_us()
            s.write(one)
            s.readinto(buf)  # PUBACK and the message, in whatever order
            times.append(ticks_diff(ticks_us(), start))
        times.sort()
        say("p50", times[n // 2])
