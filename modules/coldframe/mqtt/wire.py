"""The outgoing half of a connection: what is written goes straight to the stream, in the caller's task.

Only when the stream has no room, a task of its own waits for it, so that a caller who is cancelled never
leaves half a packet behind; meanwhile ``_writing`` is True and nobody else may write.
"""

from asyncio import core
from time import ticks_ms

from micropython import const

_TX = const(256)  # bytes; a packet that fits goes out in one piece, and each topic must fit
_CTL = const(64)  # bytes of acknowledgements gathered into one write
_CTL_FULL = const(56)  # room for one more, and a PINGREQ, is left


class Wire:
    """Base of Client, which gives _lost(why), _pump() and _wake()."""

    def __init__(self, transport):
        self._transport = transport
        self._stream = None
        self._tx = bytearray(_TX)
        self._txv = memoryview(self._tx)
        self._ctl = bytearray(_CTL)
        self._ctl_n = 0
        self._turn = core.TaskQueue()  # tasks waiting for the stream to have room, or for its end
        self._writing = False  # _flush() has the stream; this is what is left to write:
        self._left = self._left_too = b""
        self._left_off = self._left_end = 0
        self._flusher = None
        self._in = self._out = 0  # when the link last showed life, when something went

    def _scratch(self):
        # Where to encode a packet that is only checked, or sent at once.
        return bytearray(_TX) if self._writing else self._tx

    def _send(self, n, payload):
        # The packet that begins with n bytes in _tx and goes on with the payload.
        size = n + len(payload)
        if size <= _TX:
            self._txv[n:size] = payload
            self._write(self._tx, size, b"")
        else:
            self._write(self._tx, n, payload)

    def _write(self, buf, n, more):
        # The one way out: buf[:n], then more. What the stream does not take now is left to _flush().
        stream = self._stream
        try:
            done = stream.write(buf, 0, n) or 0
            if done == n and more:
                buf = more
                more = b""
                n = len(buf)
                done = stream.write(buf, 0, n) or 0
            if done == n and not (self._transport.tail and stream.write(b"", 0, 0) is None):
                self._out = ticks_ms()
                return
        except OSError as er:
            self._lost(er)
            return
        self._writing = True
        # A payload stays as it is while its publisher waits; our own buffers will be used again.
        self._left = buf if buf is self._tx or not isinstance(buf, bytearray) else bytes(memoryview(buf)[:n])
        self._left_off = done
        self._left_end = n
        self._left_too = more
        self._flusher = core.create_task(self._flush())

    async def _flush(self):
        stream = self._stream
        poll = self._transport.poll
        try:
            while True:
                yield core._io_queue.queue_write(poll)
                left = self._left_end - self._left_off
                if left:
                    n = stream.write(self._left, self._left_off, left)
                    if n:
                        self._left_off += n
                        # That it takes more again means that the other end has taken some.
                        self._in = self._out = ticks_ms()
                    if n != left:
                        continue
                if self._left_too:
                    self._left = self._left_too
                    self._left_off = 0
                    self._left_end = len(self._left)
                    self._left_too = b""
                elif not (self._transport.tail and stream.write(b"", 0, 0) is None):
                    break
        except OSError as er:
            self._lost(er)
        self._left = b""
        self._writing = False
        self._flusher = None
        self._flush_ctl()
        self._pump()
        if not self._writing:
            wake_all(self._turn)

    async def _room(self):
        while self._writing:
            yield self._wait(self._turn)

    def _control(self, first, id):
        # A packet of first byte, length and identifier, to go out with the next _flush_ctl().
        buf = self._ctl
        n = self._ctl_n
        buf[n] = first
        buf[n + 1] = 2
        buf[n + 2] = id >> 8
        buf[n + 3] = id & 0xFF
        self._ctl_n = n + 4

    def _ctl_full(self):
        return self._ctl_n > _CTL_FULL

    def _ping(self):
        n = self._ctl_n
        self._ctl[n] = 0xC0
        self._ctl[n + 1] = 0
        self._ctl_n = n + 2
        self._flush_ctl()

    def _flush_ctl(self):
        n = self._ctl_n
        if n and not self._writing and self._stream is not None:
            self._ctl_n = 0
            self._write(self._ctl, n, b"")

    def _end_wire(self):
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        self._writing = False
        self._left = self._left_too = b""
        self._ctl_n = 0
        self._stream = None
        self._transport.close()
        wake_all(self._turn)

    def _wait(self, queue):
        # ``yield`` this to wait in a TaskQueue.
        queue.push(core.cur_task)
        core.cur_task.data = queue  # where asyncio, to cancel the task, calls remove()


def wake_all(queue):
    while queue.peek():
        core._task_queue.push(queue.pop())
