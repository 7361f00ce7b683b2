"""A serial line. The host finds it as NODE_DIR/sim/uartN, a pseudo terminal.

World: uart: {"1": "loop"} connects the line to itself instead.
"""

import io
import time

import _simboard
import simulated
from micropython import const

from . import world

_POLL = const(3)
_CLOSE = const(4)
_FILENO = const(10)
_open = {}  # number -> descriptors: a UART made twice is the same line


class UART(io.IOBase):
    """A serial line with the interface of the rp2 port. Times in ms. Parity, pins and flow control change nothing."""

    INV_TX = const(1)
    INV_RX = const(2)
    CTS = const(1)
    RTS = const(2)
    IRQ_RXIDLE = const(64)

    def __init__(self, id, baudrate=115200, bits=8, parity=None, stop=1, **options):
        if not 0 <= id <= 7:
            raise ValueError("UART(%r) does not exist" % id)
        self._id = id
        if id not in _open:
            loop = (world.data.get("uart") or {}).get(str(id)) == "loop"
            a, b = _simboard.uart(None if loop else "%s/uart%d" % (simulated.folder, id))
            _open[id] = (a, b if loop else a)
        self._in, self._out = _open[id]
        self._timeout = self._char = 0
        self.init(baudrate, bits, parity, stop, **options)

    def init(self, baudrate=None, bits=8, parity=None, stop=1, *, timeout=None, timeout_char=None, **_):
        if timeout is not None:
            self._timeout = timeout
        if timeout_char is not None:
            self._char = timeout_char

    def deinit(self):
        pass  # the line stays, so that whoever is at its other end need not open it anew

    def any(self):
        """Bytes that can be read at once."""
        return _simboard.fd_any(self._in)

    def _wait(self, ms):
        end = time.ticks_add(time.ticks_ms(), ms)
        while not self.any():
            if time.ticks_diff(end, time.ticks_ms()) <= 0:
                return False
            time.sleep_ms(1)
        return True

    def readinto(self, buf, nbytes=-1):
        """Bytes read, or None if nothing came in time."""
        view = memoryview(buf)
        if nbytes >= 0:
            view = view[:nbytes]
        if not self._wait(self._timeout):
            return None
        got = 0
        while got < len(view):
            n = _simboard.fd_read(self._in, view[got:])
            if n:
                got += n
            elif not self._wait(self._char):
                break
        return got or None

    def read(self, nbytes=-1):
        if nbytes < 0:
            self._wait(self._timeout)
            nbytes = self.any()
        buf = bytearray(nbytes)
        n = self.readinto(buf)
        return None if n is None else bytes(buf[:n])

    def readline(self):
        text = bytearray()
        byte = bytearray(1)
        while self.readinto(byte):
            text += byte
            if byte[0] == 10:
                break
        return bytes(text) or None

    def write(self, buf):
        """Bytes written. What nobody at the other end takes is lost, as on a wire."""
        data = buf.encode() if isinstance(buf, str) else buf
        _simboard.fd_write(self._out, data)
        return len(data)

    def flush(self):
        pass

    def txdone(self):
        return True

    def sendbreak(self):
        pass

    def ioctl(self, request, arg):
        if request == _FILENO:
            return self._in
        if request == _POLL:
            return arg & (5 if self.any() else 4)
        return 0 if request == _CLOSE else -22
