"""A journal on the flash, for messages that must outlive a loss of power.

Each thing that happens to a message is a record at the end of one file: stored, got its packet identifier, released
(PUBREC has come), done. A power cut leaves at most one half of a record, which does not pass its checksum and is cut
off at the next start. When the file is full of what is done, the rest is written to a new one, which takes its
place by a rename; when all is done, it is deleted.

File: "CFS1", seed u32, 0 u32, CRC-32 of these 12 bytes; all numbers little-endian. Record: kind u8, size of the body
u16, body, and the CRC-32 of these three, which begins with the seed, so that what an older file has left on the flash
passes for nothing.
"""

import os
from struct import pack, unpack

from micropython import const

from coldframe import store
from coldframe.log import getLogger
from coldframe.mqtt.crc import crc32

_HEAD = const(16)  # bytes before the first record
_FRAME = const(7)  # bytes of a record beside its body
_SLACK = const(512)  # bytes beyond the limit for records that are not messages
_WASTE = const(512)  # bytes of such records that make a new file worth while
_LAZY = const(8)  # records of done() that may wait for the next flush
_SPREAD = const(65536)  # keys between the oldest message and the newest

_ADD = const(
    1
)  # key u32, flags u8 (QoS, retain << 2, properties << 3), size of the topic u16, packet identifier u16 or 0; topic,
# properties (u16 + bytes), payload
_ASSIGN = const(2)  # key u32, packet identifier u16
_RELEASED = const(3)  # key u32
_DONE = const(4)  # key u32
_INCOMING = const(5)  # packet identifier u16
_FORGET = const(6)  # packet identifier u16, 0 = all

log = getLogger("mqtt")


class Spill:
    """Messages that publish() has accepted, and the state of QoS 2, in a file.

    Args:
        path: of the file; it is made when there is something to store, and deleted when nothing is left.
        limit: bytes that the file may have; a message is its topic and payload and 16 bytes more.

    A key is the number of a message. add() is on the flash when it returns; what assign(), released(), incoming() and
    forget() say is there after sync(), which is due before a packet leaves that depends on it (``dirty`` tells). All
    but add(), next() and done() raise OSError when the flash is full or broken.
    Attributes: ``pending``, how many messages there are that next() has not given out; ``dirty``.
    """

    def __init__(self, path, limit=16384):
        self.path = path
        self.limit = limit
        self.pending = 0
        self.dirty = False
        self._file = None
        self._loaded = False
        self._torn = False  # behind _end there may be half a record
        self._seed = self._base = self._key = 0
        self._end = self._cursor = _HEAD
        self._handed = -1  # the newest key that next() has given out
        self._live = 0  # messages that are not done
        self._dead = 0  # messages in the file that are
        self._waste = 0  # bytes of records that are no messages
        self._lazy = 0
        self._bits = bytearray(8)  # one for each key from _base on: 1 = live
        self._ids = {}  # key -> packet identifier | 0x10000 once released
        self._in = set()

    # ---- messages going out

    def load(self):
        """Read the file of the life before, once. Returns ``pending``; a file that is none of ours is set aside."""
        if not self._loaded:
            self._loaded = True
            store.remove(self.path + ".tmp")
            try:
                self._file = open(self.path, "r+b")
            except OSError:
                return 0
            if not self._read_head():
                self._close()
                log.error("%s: not a journal; kept as %s.bad", self.path, self.path)
                os.rename(self.path, self.path + ".bad")
                return 0
            self._replay()
            self.pending = self._live
            if self._torn:
                log.warning("%s: the power was cut in the middle of a record, which is dropped", self.path)
                try:
                    self._compact()
                except OSError as er:  # it is tried again before something is written
                    log.error("%s: %s", self.path, er)
            self._empty()
        return self.pending

    def add(self, topic, payload, qos, retain, props=None, id=0):
        """Store a message. payload, props: str or bytes-like; id: its packet identifier if it has one already.

        Returns its key, or None when there is no room now. Raises ValueError if there will never be.
        """
        topic = topic.encode()
        if isinstance(payload, str):
            payload = payload.encode()
        size = self._size(topic, payload, props)
        if _HEAD + _FRAME + size > self.limit or size > 65535:
            raise ValueError("%d bytes do not fit %s of %d bytes" % (size, self.path, self.limit))
        self.load()
        try:
            if self._end + _FRAME + size > self.limit or self._key - self._base >= _SPREAD:
                # Not each time that something is done: each new file wears the flash.
                if self._waste < _WASTE and (self._dead * 8 < self._live or not self._dead):
                    return None
                self._compact()
                if self._end + _FRAME + size > self.limit or self._key - self._base >= _SPREAD:
                    return None
            key = self._key
            flags = qos | bool(retain) << 2 | (props is not None) << 3
            parts = [pack("<IBHH", key, flags, len(topic), id), topic]
            if props is not None:
                parts += [pack("<H", len(props)), props]
            parts.append(payload)
            self._append(_ADD, size, parts)
            self._sync()
        except OSError as er:
            self._failed(er)
            return None
        self._key = key + 1
        self._born(key)
        if id:
            self._take(key, id)
        self.pending += 1
        return key

    def fits(self, topic, payload, props=None):
        """Whether a message may be stored at all, when there is room."""
        size = self._size(topic.encode(), payload, props)
        return _HEAD + _FRAME + size <= self.limit and size <= 65535

    def next(self):
        """The oldest message that was not given out yet.

        Returns (key, topic, payload, qos, retain, props, id, released), or None. id: the packet identifier that it
        had in the life before, or 0; released: PUBREC has come for it, so only PUBREL is left to do.
        """
        self.load()
        if not self.pending:
            return None
        try:
            return self._next()
        except OSError as er:
            self._failed(er)
            return None

    def _next(self):
        self._reopen()
        f = self._file
        while self._cursor < self._end:
            f.seek(self._cursor)
            kind, size = unpack("<BH", f.read(3))
            self._cursor += size + _FRAME
            if kind != _ADD:
                continue
            key, flags, n, _ = unpack("<IBHH", f.read(9))
            if not self._alive(key):
                continue
            size -= 9 + n
            topic = f.read(n).decode()
            props = None
            if flags & 8:
                n = unpack("<H", f.read(2))[0]
                size -= 2 + n
                props = f.read(n)
            self._handed = key
            self.pending -= 1
            state = self._ids.get(key, 0)
            return key, topic, f.read(size), flags & 3, bool(flags & 4), props, state & 0xFFFF, state > 0xFFFF
        return None

    def skip(self):
        """Count all as given out: they are in RAM already."""
        self._cursor = self._end
        self._handed = self._key - 1
        self.pending = 0

    def uses(self, id):
        """Whether a message that is not done has this packet identifier."""
        return any(value & 0xFFFF == id for value in self._ids.values())

    def rewind(self):
        """Give out everything that is not done once more."""
        self.load()
        self._cursor = _HEAD
        self._handed = -1
        self.pending = self._live

    def assign(self, key, id):
        """The QoS 2 message goes out under this packet identifier."""
        if self._alive(key):
            self._note(_ASSIGN, pack("<IH", key, id))
            self._take(key, id)

    def released(self, key):
        """PUBREC has come: the broker has the message, and it must not be sent again."""
        if self._alive(key):
            self._note(_RELEASED, pack("<I", key))
            self._ids[key] = self._ids.get(key, 0) | 0x10000

    def done(self, key):
        """PUBACK or PUBCOMP has come. It needs no sync(): what was not yet on the flash is only repeated."""
        if not self._alive(key):
            return
        if key > self._handed:
            self.pending -= 1
        self._died(key)
        try:
            if not self._empty():
                self._append(_DONE, 4, (pack("<I", key),))
                self._lazy += 1
                if self._lazy >= _LAZY:
                    self._sync()
        except OSError as er:
            self._failed(er)

    # ---- messages coming in with QoS 2

    def incoming(self, id):
        """A message with this packet identifier was delivered; another one of it before forget() is the same."""
        self.load()
        if id not in self._in:
            self._note(_INCOMING, pack("<H", id))
            self._in.add(id)

    def forget(self, id):
        """PUBREL has come for the identifier. None: all are void, for the broker has no session."""
        self.load()
        if id is None and self._in or id in self._in:
            if id is None:
                self._in.clear()
            else:
                self._in.remove(id)
            if not self._empty():
                self._note(_FORGET, pack("<H", id or 0))

    def incoming_ids(self):
        """The identifiers between incoming() and forget(): a set, not to be changed."""
        self.load()
        return self._in

    # ---- the file

    def sync(self):
        """Make what was said so far safe from a power cut. Raises OSError."""
        if self.dirty:
            self._sync()

    def close(self):
        """Let go of the file; it is loaded again when it is needed."""
        if self._loaded:
            try:
                self.sync()
            finally:
                self._close()
                self.__init__(self.path, self.limit)

    def _sync(self):
        if self._file is not None:
            self._file.flush()
        self.dirty = False
        self._lazy = 0

    def _close(self):
        f = self._file
        self._file = None
        if f is not None:
            f.close()

    def _size(self, topic, payload, props):
        return 9 + len(topic) + len(payload) + (0 if props is None else 2 + len(props))

    def _note(self, kind, body):
        self._append(kind, len(body), (body,))
        self.dirty = True

    def _append(self, kind, size, parts):
        if self._file is None and not self._live and not self._in:
            self._seed = _seed()
            store.write(self.path, _head(self._seed))
        self._reopen()
        if self._torn or self._end + size > self.limit + _SLACK and self._waste >= _WASTE:
            self._compact()
        self._file.seek(self._end)
        try:
            n = _put(self._file, self._seed, kind, size, parts)
        except OSError:
            self._torn = True
            raise
        self._end += n
        if kind != _ADD:
            self._waste += n

    def _reopen(self):
        if self._file is None:
            self._file = open(self.path, "r+b")

    def _failed(self, er):
        if self._file is not None:
            self._torn = True
        log.error("%s: %s", self.path, er)

    def _empty(self):
        # Delete the file if nothing in it matters any more.
        if self._live or self._in:
            return False
        if self._file is not None:
            self._close()
            store.remove(self.path)
        self.pending = self._dead = self._waste = self._lazy = 0
        self.dirty = self._torn = False
        self._ids.clear()
        self._bits = bytearray(8)
        # Keys go on, so that a late word on an old message is not taken for one on a new message.
        self._base = self._key
        self._end = self._cursor = _HEAD
        return True

    def _read_head(self):
        head = self._file.read(_HEAD)
        if len(head) < _HEAD or head[:4] != b"CFS1" or crc32(head[:12]) != unpack("<I", head[12:])[0]:
            return False
        self._seed = unpack("<I", head[4:8])[0]
        return True

    def _replay(self):
        # All records from the first on, to the end or to the first that is none.
        f = self._file
        size = os.stat(self.path)[6]
        i = _HEAD
        first = True
        while i < size:
            f.seek(i)
            head = f.read(3)
            if len(head) < 3:
                break
            kind, n = unpack("<BH", head)
            if i + n + _FRAME > size or n < 2:
                break
            body = f.read(min(n, 9))
            crc = crc32(body, crc32(head, self._seed))
            left = n - len(body)
            while left:
                part = f.read(min(left, 64))
                crc = crc32(part, crc)
                left -= len(part)
            if unpack("<I", f.read(4))[0] != crc:
                break
            if not self._apply(kind, body, first):
                break
            first = first and kind != _ADD
            i += n + _FRAME
            if kind != _ADD:
                self._waste += n + _FRAME
        self._end = i
        self._torn = i != size

    def _apply(self, kind, body, first):
        # False for what no version of this wrote.
        if kind == _INCOMING:
            self._in.add(unpack("<H", body)[0])
            return True
        if kind == _FORGET:
            id = unpack("<H", body)[0]
            if id:
                self._in.discard(id)
            else:
                self._in.clear()
            return True
        if len(body) < 4:
            return False
        key = unpack("<I", body[:4])[0]
        if kind == _ADD:
            if first:
                self._base = self._key = key
            if not 0 <= key - self._key < _SPREAD:
                return False
            self._key = key + 1
            self._born(key)
            id = unpack("<H", body[7:9])[0]
            if id:
                self._take(key, id)
        elif kind == _DONE:
            self._died(key)
        elif kind == _ASSIGN:
            self._take(key, unpack("<H", body[4:6])[0])
        elif kind == _RELEASED:
            if self._alive(key):
                self._ids[key] = self._ids.get(key, 0) | 0x10000
        else:
            return False
        return True

    def _compact(self):
        # Write what is live to a new file, which takes the place of this one.
        self._close()
        seed = _seed()
        marks = [_HEAD, _HEAD]  # the new _end and _cursor
        oldest = []

        def feed(out):
            out.write(_head(seed))
            end = cursor = _HEAD
            for id in self._in:
                end += _put(out, seed, _INCOMING, 2, (pack("<H", id),))
            cursor = end
            with open(self.path, "rb") as f:
                i = _HEAD
                while i < self._end:
                    f.seek(i)
                    kind, n = unpack("<BH", f.read(3))
                    key = kind == _ADD and unpack("<I", f.read(4))[0]
                    if kind == _ADD and self._alive(key):
                        f.seek(i + 3)
                        end += _put(out, seed, _ADD, n, _pieces(f, n))
                        state = self._ids.get(key, 0)
                        if state:
                            end += _put(out, seed, _ASSIGN, 6, (pack("<IH", key, state & 0xFFFF),))
                        if state > 0xFFFF:
                            end += _put(out, seed, _RELEASED, 4, (pack("<I", key),))
                        if i < self._cursor:
                            cursor = end
                        if not oldest:
                            oldest.append(key)
                    i += n + _FRAME
            marks[:] = end, cursor

        self._torn = True  # unless it succeeds
        store.write(self.path, feed)
        self._seed = seed
        self._end, self._cursor = marks
        self._torn = self.dirty = False
        self._dead = self._waste = self._lazy = 0
        self._reopen()
        self._rebase(oldest[0] if oldest else self._key)

    # ---- which messages live

    def _alive(self, key):
        i = key - self._base
        return 0 <= i < len(self._bits) * 8 and bool(self._bits[i >> 3] & 1 << (i & 7))

    def _born(self, key):
        i = key - self._base
        while i >> 3 >= len(self._bits):
            self._bits.extend(bytes(8))
        self._bits[i >> 3] |= 1 << (i & 7)
        self._live += 1

    def _died(self, key):
        if self._alive(key):
            i = key - self._base
            self._bits[i >> 3] &= ~(1 << (i & 7))
            self._live -= 1
            self._dead += 1
            self._ids.pop(key, None)

    def _take(self, key, id):
        # An identifier that is used anew was free: what had it before is done, though that did not reach the flash.
        for other in [k for k in self._ids if self._ids[k] & 0xFFFF == id and k != key]:
            self._died(other)
        if self._alive(key):
            self._ids[key] = self._ids.get(key, 0) & 0x10000 | id

    def _rebase(self, base):
        # Whole bytes of the bits before that key are dropped.
        n = (base - self._base) >> 3
        if n > 0:
            self._bits = self._bits[n:] or bytearray(8)
            self._base += n * 8


def _seed():
    return unpack("<I", os.urandom(4))[0]


def _head(seed):
    head = b"CFS1" + pack("<II", seed, 0)
    return head + pack("<I", crc32(head))


def _pieces(f, n):
    while n:
        part = f.read(min(n, 64))
        n -= len(part)
        yield part


def _put(f, seed, kind, size, parts):
    # Write one record; returns its length.
    head = pack("<BH", kind, size)
    crc = crc32(head, seed)
    _write(f, head)
    for part in parts:
        crc = crc32(part, crc)
        _write(f, part)
    _write(f, pack("<I", crc))
    return size + _FRAME


def _write(f, part):
    if f.write(part) != len(part):
        raise OSError(28)  # ENOSPC
