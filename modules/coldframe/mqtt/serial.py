"""MQTT over a serial line, for a board without a network: the device's half of docs/serial.md.

Serial(uart) is a transport and its own stream. What is on the line are frames, each with a CRC-32, a
connection number and a sequence number: any byte that is lost or damaged ends the connection, and MQTT
makes a new one.
"""

import io
from asyncio import TimeoutError, core, wait_for_ms
from errno import ENOTCONN
from random import getrandbits
from struct import pack_into

from coldframe.mqtt.crc import crc32
from micropython import const

_OPEN = const(1)
_OPENED = const(2)
_DATA = const(3)
_CLOSE = const(4)
_CREDIT = const(5)

_VERSION = const(1)
_LINE = const(256)  # the longest frame, flags and escapes included
_PAYLOAD = const(120)  # fits in it whatever the bytes are
_CRC_OK = const(0x2144DF1C)  # what a CRC-32 over data and its CRC-32 always is
_ANSWER = const(5000)  # ms for OPENED; the bridge may have a slow broker to connect to
_RETRY = const(5)  # ms


class Serial(io.IOBase):
    """A serial line with ``coldframe bridge`` at its other end.

    Args:
        uart: a stream with non-blocking readinto() and write() that asyncio can poll, such as
            machine.UART with timeout=0.
        window: bytes that the bridge may send ahead. Not more than the UART's receive buffer (``rxbuf``)
            can hold, or a program that is busy for a moment loses some.
    """

    tail = True

    def __init__(self, uart, window=240):
        if not _LINE // 2 <= window <= 65535:
            raise ValueError("window: expected %d to 65535 bytes, got %r" % (_LINE // 2, window))
        self.poll = uart
        self._window = window
        self._opened = False
        self._connection = getrandbits(8)
        self._sequence = self._expected = 0  # of the next frame out, and in
        self._rx = bytearray(_LINE)
        self._rxv = memoryview(self._rx)
        self._a = self._b = 0  # bytes of _rx that are still to be cut into frames
        self._p = self._q = 0  # payload that readinto() has not handed over yet
        self._owed = 0  # bytes to be given back with CREDIT
        self._tx = bytearray(_LINE)
        self._txv = memoryview(self._tx)
        self._t = self._u = 0  # bytes of _tx that are still to go
        self._retrying = False

    def __str__(self):
        return "serial line"

    # ---- transport

    async def open(self):
        self.close()
        self._connection = self._connection % 255 + 1  # 0 means all connections
        self._sequence = self._expected = 0
        self._a = self._b = self._p = self._q = self._owed = 0
        w = self._window
        try:
            await wait_for_ms(self._open(bytes((_VERSION, w & 0xFF, w >> 8))), _ANSWER)
        except TimeoutError:
            raise OSError("no answer from the bridge")
        return self

    async def _open(self, hello):
        uart = self.poll
        while not self._flush():
            yield core._io_queue.queue_write(uart)
        self._frame(_OPEN, hello, 0, len(hello))
        while not self._flush():
            yield core._io_queue.queue_write(uart)
        while not self._opened:
            if not self._next():
                yield core._io_queue.queue_read(uart)

    def close(self):
        if self._opened:
            self._opened = False
            try:
                if self._flush():
                    self._frame(_CLOSE, b"", 0, 0)
                    self._flush()
            except OSError:
                pass  # the line itself is gone: nobody to tell

    # ---- stream

    def readinto(self, buf):
        if not self._opened:
            raise OSError(ENOTCONN)
        to = memoryview(buf)
        done = 0
        size = len(to)
        while done < size:
            n = min(self._q - self._p, size - done)
            if n:
                to[done : done + n] = self._rxv[self._p : self._p + n]
                self._p += n
                done += n
            elif not self._next():
                break
        if self._owed >= self._window // 2:
            if not self._credit() and not self._retrying:
                # Rare: the UART's transmit buffer is full. Left to the next write, it might wait for ever.
                self._retrying = True
                core.create_task(self._retry())
        return done or None

    def write(self, buf, off=0, n=None):
        if not self._opened:
            raise OSError(ENOTCONN)
        n = len(buf) - off if n is None else min(n, len(buf) - off)
        done = 0
        while self._flush():
            if done >= n:
                return done
            k = min(n - done, _PAYLOAD)
            self._frame(_DATA, buf, off + done, k)
            done += k
        return done or None

    def ioctl(self, request, arg):
        return -1  # asyncio polls the UART itself

    # ---- frames in

    def _next(self):
        # Take the next frame of this connection off the line. False: there is none yet.
        rx = self._rx
        while True:
            a = self._a
            b = self._b
            i = rx.find(b"~", a, b)
            if i < 0:
                if a:
                    self._rxv[: b - a] = self._rxv[a:b]
                    b -= a
                    self._a = self._p = self._q = 0
                elif b == _LINE:
                    b = 0  # no flag in so many bytes: noise
                    self._damaged()
                self._b = b
                n = self.poll.readinto(self._rxv[b:])
                if not n:
                    if n == 0:
                        raise OSError("the serial line was closed")
                    return False
                self._b = b + n
                continue
            self._a = i + 1
            if i > a:
                end = self._unstuff(a, i)
                if end - a < 7 or crc32(self._rxv[a:end]) != _CRC_OK:
                    self._damaged()
                elif self._accept(rx[a], rx[a + 1], rx[a + 2], a + 3, end - 4, i - a + 2):
                    return True

    def _unstuff(self, a, end):
        # Undo the escapes in _rx[a:end]; returns the new end.
        rx = self._rx
        rxv = self._rxv
        k = i = rx.find(b"}", a, end)
        if i < 0:
            return end
        while i + 1 < end:
            rx[k] = rx[i + 1] ^ 0x20
            k += 1
            a = i + 2
            i = rx.find(b"}", a, end)
            n = (end if i < 0 else i) - a
            if n:
                rxv[k : k + n] = rxv[a : a + n]
                k += n
            if i < 0:
                return k
        return a  # an escape at the very end: too short now to be taken for a frame

    def _accept(self, kind, connection, sequence, p, q, cost):
        if connection != self._connection and connection != 0:
            return False  # of a connection before this one
        if kind == _CLOSE:
            self._opened = False
            raise OSError("bridge: " + str(self._rxv[p:q], "utf-8"))
        if sequence != self._expected:
            self._damaged()
            return False
        self._expected = (sequence + 1) & 0xFF
        if kind == _OPENED:
            self._opened = True
        elif kind == _DATA and self._opened:
            self._owed += cost
            self._p = p
            self._q = q
        return True

    def _damaged(self):
        # Before OPENED it may be noise, or the rest of an old connection.
        if self._opened:
            raise OSError("damaged or missing bytes on the serial line")

    # ---- frames out

    def _frame(self, kind, buf, off, n):
        # Put a frame into _tx, which is empty.
        tx = self._tx
        txv = self._txv
        tx[0] = 0x7E
        tx[1] = kind
        tx[2] = self._connection
        tx[3] = self._sequence
        self._sequence = (self._sequence + 1) & 0xFF
        if n:
            txv[4 : 4 + n] = memoryview(buf)[off : off + n]
        end = n + 8
        pack_into("<I", tx, end - 4, crc32(txv[1 : end - 4]))
        if tx.find(b"}", 1, end) >= 0 or tx.find(b"~", 1, end) >= 0:
            body = bytes(txv[1:end]).replace(b"}", b"}]").replace(b"~", b"}^")
            end = len(body) + 1
            txv[1:end] = body
        tx[end] = 0x7E
        self._t = 0
        self._u = end + 1

    def _flush(self):
        # True when nothing is left in _tx.
        n = self._u - self._t
        if n:
            done = self.poll.write(self._txv[self._t : self._u])
            if done:
                self._t += done
            return done == n
        return True

    def _credit(self):
        # Give back what is owed once it is worth a frame. True when nothing is left to do.
        try:
            if not self._flush():
                return False
            n = self._owed
            if n >= self._window // 2:
                self._owed = 0
                self._frame(_CREDIT, bytes((n & 0xFF, n >> 8)), 0, 2)
                return self._flush()
        except OSError:
            pass  # reading will tell
        return True

    async def _retry(self):
        while self._opened and not self._credit():
            await core.sleep_ms(_RETRY)
        self._retrying = False
