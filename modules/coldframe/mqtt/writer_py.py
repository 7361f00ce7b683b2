"""The classes Writer and Message of cmodules/mqttpacket/mod_writer.c in Python.

For images without the C module, and for the tests to compare with. Speed and heap are not those of the C.
"""

from errno import EIO
from time import ticks_ms

from coldframe.codec_py import ack, publish
from micropython import const

_RESERVE = const(24)  # bytes of the buffer that only acknowledgements and pings may use
_BURST = const(32)  # packets after which write() says that the other tasks want their turn

_RELEASED = const(2)
_DONE = const(3)
_FAILED = const(4)
_DUP = const(8)
_NOWAIT = const(16)


class Message:
    """One outgoing QoS 1 or 2 message, and what its publisher awaits."""

    def __init__(self, owner, topic, payload, flags, props):
        self.owner = owner
        self.topic = topic
        self.payload = payload
        self.props = props
        self.task = self.key = None
        self.id = self.state = 0
        self.flags = flags

    def __iter__(self):
        return self

    def __next__(self):
        if self.state < _DONE:
            self.owner._await(self)
            if not self.state or self.state < _DONE and not self.flags & _NOWAIT:
                return None
        if self.state == _FAILED:
            raise self.key
        raise StopIteration

    def send(self, value):
        return self.__next__()

    def throw(self, exception, value=None, traceback=None):
        self.task = None
        if not self.state:
            self.owner._freed()
        raise value or exception

    def close(self):
        self.task = None

    def remove(self, task):
        self.task = None


class Writer:
    """The outgoing half of a connection."""

    def __init__(self, buf, owner=None, slow=None, pause=None, ended=None):
        self._owner = owner
        self._slow = slow
        if not isinstance(buf, bytearray):
            raise TypeError("buf: expected a bytearray")
        if len(buf) < 64:
            raise ValueError("buf: expected 64 bytes or more")
        self._buf = buf
        self._view = memoryview(buf)
        self.at = self.published = 0
        self.attach(None)

    def attach(self, stream, tail=False, version=4):
        self.stream = stream
        self._tail = tail
        self._five = version == 5
        self._open = self._writing = self._tail_left = False
        self._pos = self._end = self._split = self._hold = self._burst = 0
        self._more = None
        self._more_at = self._more_len = 0

    def __call__(self, *args, **options):
        return self._slow(*args, **options)

    def open(self, plain=3, aliases=None, most=0):
        self._open = True

    def close(self):
        self._open = False

    @property
    def left(self):
        return self._end - self._pos + self._more_len - self._more_at + self._tail_left

    @property
    def busy(self):
        return self._more is not None

    def _offer(self, data, at, n):
        self._writing = True
        done = self.stream.write(data, at, n)
        if done is not None and done > n:
            raise OSError(EIO)
        self._writing = False
        if n and not done:
            return None
        return done

    def _pour(self, data, at, stop):
        # Returns how far it has come.
        while at < stop:
            n = self._hold or stop - at
            done = self._offer(data, at, n)
            if done is None:
                self._hold = n
                break
            self._hold = 0
            self.at = ticks_ms()
            at += done
            if done < n:
                break
        return at

    def _drain(self):
        if self._writing or self.stream is None:
            return False
        try:
            return self._drain_or_raise()
        except Exception as er:
            if not self._writing or self._owner is None:
                raise
            self._owner._lost(er)
            return False

    def _drain_or_raise(self):
        if self._more is not None:
            self._pos = self._pour(self._buf, self._pos, self._split)
            if self._pos < self._split:
                return False
            self._more_at = self._pour(self._more, self._more_at, self._more_len)
            if self._more_at < self._more_len:
                return False
            self._more = None
        self._pos = self._pour(self._buf, self._pos, self._end)
        if self._pos < self._end:
            return False
        self._pos = self._end = 0
        self._tail_left = self._tail and self._offer(b"", 0, 0) is None
        return not self._tail_left

    def _room(self, n, keep):
        if self._writing or self.stream is None:
            return False
        if self._pos and n + keep > len(self._buf) - self._end:
            rest = bytes(self._view[self._pos : self._end])
            self._view[: len(rest)] = rest
            self._end -= self._pos
            self._split -= min(self._split, self._pos)
            self._pos = 0
        return n + keep <= len(self._buf) - self._end

    def _head(self, topic, payload, flags, id, props):
        # The header of a PUBLISH, which must fit the buffer.
        most = len(self._buf) - _RESERVE
        room = bytearray(len(topic.encode()) + 20 + len(props or b""))
        args = (room, topic, len(payload), flags >> 1 & 3, flags & 1, flags & _DUP, id)
        n = publish(*args, props)
        if n > most:
            raise ValueError("topic and properties need %d bytes, there are %d" % (n, most))
        return memoryview(room)[:n]

    def write(self, topic, payload, retain=False, props=None):
        return self._publish(topic, payload, 1 if retain else 0, 0, props)

    def _publish(self, topic, payload, flags, id, props):
        if isinstance(payload, str):
            payload = payload.encode()
        if self._five and props is None:
            props = b""
        head = self._head(topic, payload, flags, id, props)
        n = len(head)
        # As in C, where the header is made only once there is room for the longest that it can be.
        most = min(len(self._buf) - _RESERVE, len(topic.encode()) + len(props or b"") + 13)
        if not self._room(most, _RESERVE) and not (
            self._more is None and self._drain() and self._room(most, _RESERVE)
        ):
            return None
        if not self._open:
            return None
        end = self._end + n
        if len(payload) <= len(self._buf) - _RESERVE - end:
            self._view[end : end + len(payload)] = payload
            self._view[self._end : end] = head
            self._end = end + len(payload)
        elif self._more is not None:
            return None
        else:
            self._view[self._end : end] = head
            self._end = self._split = end
            self._more = payload
            self._more_at = 0
            self._more_len = len(payload)
        self.published = self.published + 1 & 0x3FFFFFFF
        if flags & _NOWAIT and self._more is None:
            return True
        if not self._drain():
            self._burst = 0
            return False
        self._burst += 1
        if self._burst == _BURST:
            self._burst = 0
            return 1
        return True

    def message(self, owner, topic, payload, flags, props=None):
        if isinstance(payload, str):
            payload = payload.encode()
        elif not isinstance(payload, bytes):
            payload = bytes(payload)
        self._head(topic, payload, flags & 7, 1, b"" if self._five and props is None else props)
        return Message(owner, topic, payload, flags, props)

    def free(self, m):
        pass

    def transmit(self, m):
        result = self._publish(m.topic, m.payload, m.flags & 31, m.id, m.props)
        if result is not None:
            m.flags |= _DUP
        return result

    def ack(self, type, id, code=0):
        n = 5 if code and self._five else 4
        if not self._room(5, 0):
            if self.stream is None:
                return True
            raise ValueError("no room for an acknowledgement")
        at = self._end
        ack(self._view[at : at + 4], type, id)
        if n == 5:
            self._buf[at + 1] = 3
            self._buf[at + 4] = code
        self._end += n
        return len(self._buf) - (self._end - self._pos) >= 12

    def put(self, packet):
        n = len(packet)
        if n <= len(self._buf):
            if not self._room(n, 0):
                return None
            self._view[self._end : self._end + n] = packet
            self._end += n
        else:
            if self._writing or self.stream is None or self._more is not None:
                return None
            self._split = self._end
            self._more = packet
            self._more_at = 0
            self._more_len = n
        return self._drain()

    def flush(self):
        return not self.left or self._drain()
