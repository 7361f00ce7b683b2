"""The MQTT packet codec in Python, 3.1.1 and 5.0: the twin of cmodules/mqttpacket.

Same names, same results, same errors: tests run both on the same bytes. It is what an image
without the C module uses, and is written to be read beside the standard, not for speed.
The API is described in cmodules/mqttpacket/mqttpacket.pyi. Here is the decoder; the encoders are in
codec_py_encode.py, what both need in codec_py_checks.py.
"""

from coldframe.codec_py_checks import (  # noqa: F401
    AUTH,
    CODE,
    CONNACK,
    CONNECT,
    CONNECT_FLAGS,
    DISCONNECT,
    FLAGS,
    ID,
    MAX_REMAINING,
    NO_ENTRY,
    NO_TOPIC,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SESSION,
    SHORT,
    SUBACK,
    SUBSCRIBE,
    TOPIC_EMPTY,
    TRAILING,
    UNSUBACK,
    UNSUBSCRIBE,
    VARINT,
    WILL,
    Bad,
    Malformed,
    check_filter,
    check_first_byte,
    check_options,
    check_props,
    check_string,
    check_topic,
    code_valid,
    get_varint,
    known_prop,
    read_prop,
    take,
)
from coldframe.codec_py_encode import (  # noqa: F401
    ack,
    auth,
    connack,
    connect,
    disconnect,
    match,
    publish,
    put_prop,
    suback,
    subscribe,
    unsuback,
    unsubscribe,
)

PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

_UNFIT = (0x95, "packet does not fit the buffer")


class Decoder:
    """An incremental decoder over a fixed buffer; see mqttpacket.pyi."""

    def __init__(self, buf, limit=0, version=4):
        if not isinstance(buf, (bytearray, memoryview)):
            raise TypeError("buf: expected a bytearray or memoryview")
        if not 16 <= len(buf) <= MAX_REMAINING:
            raise ValueError("buf: expected 16 bytes or more")
        if limit < 0 or limit >> 32:
            raise ValueError("limit: expected 0 (none) or a number of bytes")
        self._buf = buf
        self._view = memoryview(buf)
        self._size = len(buf)
        self._limit = limit
        self.version = 4
        self.delivered = 0
        self.calling = False
        self.reset(version)

    def reset(self, version=0):
        if version:
            if version != 4 and version != 5:
                raise ValueError("version: expected 4 (MQTT 3.1.1) or 5")
            self.version = version
        self._pos = 0  # bytes [_pos, _end) wait to be parsed
        self._end = 0
        self._hold = 0  # bytes [0, _hold) are the header of a PUBLISH that comes in parts
        self._part_end = 0
        self._error = None
        self.type = self.flags = self.code = self.id = self.keepalive = 0
        self.session = self._skipped = False
        self.part = self.more = 0
        self._skip = 0  # bytes still to come of a PUBLISH that is read past
        self._skip_id = 0  # what that is when its identifier begins, 0: it is known
        self._topic = self._topic_len = self._payload = self._payload_len = 0
        self._props = self._props_len = 0

    @property
    def topic(self):
        return str(self.topic_view, "utf-8")

    @property
    def topic_view(self):
        return self._view[self._topic : self._topic + self._topic_len]

    @property
    def payload(self):
        return self._view[self._payload : self._payload + self._payload_len]

    @property
    def payload_bytes(self):
        return bytes(self.payload)

    @property
    def codes(self):
        n = self._payload_len if self.type == SUBACK or self.type == UNSUBACK else 0
        return self._view[self._payload : self._payload + n]

    @property
    def props(self):
        return self._view[self._props : self._props + self._props_len]

    @property
    def skipped(self):
        return self.type == PUBLISH and self._skipped

    def prop(self, id):
        known_prop(id)
        for found, value in self._each_prop():
            if found == id:
                return value
        return None

    def user_properties(self):
        return [value for id, value in self._each_prop() if id == 0x26]

    def _each_prop(self):
        at = self._props
        end = at + self._props_len
        while at < end:
            id, value, at = read_prop(self._buf, at, end)
            yield id, value

    @property
    def qos(self):
        return self.flags >> 1 & 3 if self.type == PUBLISH else 0

    @property
    def retain(self):
        return self.type == PUBLISH and bool(self.flags & 1)

    @property
    def dup(self):
        return self.type == PUBLISH and bool(self.flags & 8)

    def _drop_packet(self):
        if not self.more and not self._skip:
            self._hold = 0
            self.type = 0
            self._topic_len = self._props_len = 0
        self._payload_len = 0

    def fill(self, stream):
        if self._error:
            raise Malformed(*self._error)
        self._drop_packet()
        view = self._view
        if self._pos > self._hold:
            end = self._hold + self._end - self._pos
            view[self._hold : end] = view[self._pos : self._end]
            self._pos, self._end = self._hold, end
        space = self._size - self._end
        if not space:
            raise ValueError("buffer is full: call next() until it returns 0")
        end = self._end
        n = stream.readinto(view[end:])
        if n is None:
            return None
        if n < 0 or n > space:
            raise ValueError("readinto() returned more than it was asked for")
        if self._end != end:
            raise RuntimeError("decoder was filled inside readinto()")
        self._end += n
        return n

    def next(self, callback=None):
        self.calling = False
        while True:
            kind = self._next_packet()
            if callback is None or kind != PUBLISH or not self._plain_message():
                return kind
            if self.deliver(callback) is True:
                return -1

    def deliver(self, callback):
        if self.type != PUBLISH:
            raise ValueError("no message to deliver")
        self.delivered = self.delivered + 1 & 0x3FFFFFFF
        self.calling = True
        result = callback(self.topic, self.payload_bytes, self.retain)
        self.calling = False
        return result

    def _plain_message(self):
        if self.flags & 6 or not self._topic_len or self.more or self.part or self._skipped:
            return False
        return self.prop(0x23) is None

    def _next_packet(self):
        if self._error:
            raise Malformed(*self._error)
        try:
            if self.more:
                return self._next_part()
            if self._skip:
                return self._next_skipped()
            return self._next()
        except Bad as e:
            self._error = e.args
            self.type = self._topic_len = self._payload_len = self._props_len = 0
            self._hold = self.more = self._skip = 0
        raise Malformed(*self._error)

    def _next_part(self):
        n = min(self.more, self._size - self._hold)
        self._payload_len = 0
        if self._end - self._pos < n:
            return 0
        self._payload, self._payload_len = self._pos, n
        self.part = self._part_end
        self._part_end += n
        self._pos += n
        self.more -= n
        return PUBLISH

    def _next_skipped(self):
        n = min(self._end - self._pos, self._skip)
        if self._skip_id:
            for i in (0, 1):
                at = self._skip - (self._skip_id - i)
                if 0 <= at < n:
                    self.id = self.id << 8 | self._buf[self._pos + at]
        self._pos += n
        self._skip -= n
        if self._skip:
            return 0
        if self.flags & 6 and not self.id:
            raise Bad(*ID)
        self.type = PUBLISH
        self._skipped = True
        return PUBLISH

    def _next(self):
        self._drop_packet()
        buf, pos = self._buf, self._pos
        avail = self._end - pos
        if not avail:
            return 0
        check_first_byte(buf[pos], self.version)
        length, head = 0, 1
        while True:
            if head == avail:
                return 0
            byte = buf[pos + head]
            length |= (byte & 0x7F) << (7 * (head - 1))
            head += 1
            if byte < 0x80:
                if head > 2 and not byte and self.version >= 5:
                    raise Bad(*VARINT)
                break
            if head == 5:
                raise Bad(0x81, "remaining length has more than four bytes")
        total = head + length
        kind = buf[pos] >> 4
        too_long = self._limit and total > self._limit
        if too_long and kind != PUBLISH:
            raise Bad(0x95, "packet is longer than the limit")
        if total > avail:
            if total > self._size and kind != PUBLISH:
                raise Bad(*_UNFIT)
            if total <= self._size or avail < self._size:
                return 0
        self.type = kind
        self.flags = buf[pos] & 15
        self.code = self.id = self.keepalive = self.part = 0
        self.session = self._skipped = False
        at = pos + head
        if kind != PUBLISH:
            self._parse_other(buf, at, at + length)
        elif total > avail:
            return self._first_part(buf, head, total)
        else:
            end = at + length
            at = self._parse_publish_props(buf, self._parse_topic(buf, at, end), end, end)
            head = at - pos
            self._payload = at
            self._skipped = bool(too_long)
            self._payload_len = 0 if too_long else total - head
        self._pos += total
        return kind

    def _first_part(self, buf, head, total):
        # The buffer is full, and begins with a PUBLISH that is larger.
        size = self._size
        topic_end = head + 2 + (buf[head] << 8 | buf[head + 1])
        end = None  # of its header, None: not in the buffer
        if topic_end + (2 if self.flags & 6 else 0) > total:
            raise Bad(*SHORT)
        if topic_end + (2 if self.flags & 6 else 0) < size:
            self._hold = self._parse_topic(buf, head, total)
            end = self._parse_publish_props(buf, self._hold, total, size)
        if end is not None and end < size:
            self._hold = end
            if not self._limit or total <= self._limit:
                self._payload = end
                self._payload_len = self._part_end = size - end
                self.more = total - size
                self._pos = size
                return PUBLISH
        else:
            self._props_len = 0
        # Its header does not fit, or it is longer than the limit: what fits is kept.
        self.type = 0
        self._skip_id = total - topic_end if not self._hold and self.flags & 6 else 0
        self._pos = self._hold
        self._skip = total - self._hold
        return self._next_skipped()

    def _parse_topic(self, buf, at, end):
        # Topic and identifier of a PUBLISH that ends at `end`. Returns where they end.
        if end - at < 2:
            raise Bad(*SHORT)
        n = buf[at] << 8 | buf[at + 1]
        at += 2
        if n > end - at:
            raise Bad(*SHORT)
        check_string(buf, at, at + n, True)
        self._topic, self._topic_len = at, n
        at += n
        if self.flags & 6:
            if end - at < 2:
                raise Bad(*SHORT)
            self.id = buf[at] << 8 | buf[at + 1]
            at += 2
            if not self.id:
                raise Bad(*ID)
        return at

    def _parse_publish_props(self, buf, at, end, there):
        # ... and its properties. Returns where they end, None if that is beyond `there`.
        if self.version < 5:
            if not self._topic_len:
                raise Bad(*TOPIC_EMPTY)
            return at
        found = get_varint(buf, at, min(end, there))
        if found is None:
            if end <= there:
                raise Bad(*SHORT)
            return None
        size, at = found
        if size > end - at:
            raise Bad(*SHORT)
        if size > there - at:
            return None
        seen = check_props(buf, at, at + size, PUBLISH)
        if not self._topic_len and 0x23 not in seen:
            raise Bad(*NO_TOPIC)
        self._props, self._props_len = at, size
        return at + size

    def _parse_other(self, buf, at, end):
        kind = self.type
        if kind == CONNECT:
            return self._parse_connect(buf, at, end)
        if kind == CONNACK:
            return self._parse_connack(buf, at, end)
        if kind == PINGREQ or kind == PINGRESP:
            if at != end:
                raise Bad(*TRAILING)
            return
        if kind == DISCONNECT or kind == AUTH:
            return self._parse_reason(buf, at, end)
        if end - at < 2:
            raise Bad(*SHORT)
        self.id = buf[at] << 8 | buf[at + 1]
        at += 2
        if not self.id:
            raise Bad(*ID)
        if kind <= PUBCOMP or (kind == UNSUBACK and self.version < 5):
            return self._parse_reason(buf, at, end)
        if self.version >= 5:
            at = self._take_props(buf, at, end, kind)
        if kind == SUBACK or kind == UNSUBACK:
            self._parse_codes(buf, at, end)
        else:
            self._parse_filters(buf, at, end)

    def _take_props(self, buf, at, end, kind):
        found = get_varint(buf, at, end)
        if found is None:
            raise Bad(*SHORT)
        n, at = found
        if n > end - at:
            raise Bad(*SHORT)
        check_props(buf, at, at + n, kind)
        if kind != WILL:  # those are checked only
            self._props, self._props_len = at, n
        return at + n

    def _parse_connect(self, buf, at, end):
        if end - at < 10:
            raise Bad(*SHORT)
        if bytes(self._view[at : at + 7]) != b"\x00\x04MQTT" + bytes((self.version,)):
            raise Bad(0x84, "protocol name or level is not that of this version of MQTT")
        v5 = self.version >= 5
        flags = buf[at + 7]
        will = flags & 0x04
        if flags & 0x01 or (not will and flags & 0x38) or flags & 0x18 == 0x18:
            raise Bad(*CONNECT_FLAGS)
        if not v5 and flags & 0xC0 == 0x40:
            raise Bad(*CONNECT_FLAGS)
        self.code = flags
        self.session = bool(flags & 0x02)
        self.keepalive = buf[at + 8] << 8 | buf[at + 9]
        at += 10
        if v5:
            at = self._take_props(buf, at, end, CONNECT)
        at, n = take(buf, at, end)
        check_string(buf, at - n, at)
        self._topic, self._topic_len = at - n, n
        self._payload, self._payload_len = at, end - at
        if will:
            if v5:
                at = self._take_props(buf, at, end, WILL)
            at, n = take(buf, at, end)
            check_topic(buf, at - n, at)
            at, n = take(buf, at, end)
        if flags & 0x80:
            at, n = take(buf, at, end)
            check_string(buf, at - n, at)
        if flags & 0x40:
            at, n = take(buf, at, end)
        if at != end:
            raise Bad(*TRAILING)

    def _parse_connack(self, buf, at, end):
        if end - at < 2:
            raise Bad(*SHORT)
        if buf[at] > 1:
            raise Bad(*FLAGS)
        self.session = bool(buf[at])
        self.code = buf[at + 1]
        at += 2
        if self.version >= 5:
            if at == end and self.code == 1 and not self.session:
                self.code = 0x84  # the answer of a broker that knows 3.1.1 only
                return
            at = self._take_props(buf, at, end, CONNACK)
        if at != end:
            raise Bad(*TRAILING)
        if not code_valid(self.version, CONNACK, self.code):
            raise Bad(*CODE)
        if self.session and self.code:
            raise Bad(*SESSION)

    def _parse_filters(self, buf, at, end):
        self._payload, self._payload_len = at, end - at
        first = True
        while at < end:
            at, n = take(buf, at, end)
            topic = at - n
            check_filter(buf, topic, at)
            options = 0
            if self.type == SUBSCRIBE:
                if at == end:
                    raise Bad(*SHORT)
                options = buf[at]
                check_options(self.version, options, buf, topic, at)
                at += 1
            if first:
                self._topic, self._topic_len = topic, n
                self.code = options
                first = False
        if first:
            raise Bad(*NO_ENTRY)

    def _parse_codes(self, buf, at, end):
        if at == end:
            raise Bad(*NO_ENTRY)
        self._payload, self._payload_len = at, end - at
        self.code = buf[at]
        for i in range(at, end):
            if not code_valid(self.version, self.type, buf[i]):
                raise Bad(*CODE)

    def _parse_reason(self, buf, at, end):
        # The end of a packet that may leave out its reason code and its properties.
        if at == end:
            return
        if self.version < 5:
            raise Bad(*TRAILING)
        self.code = buf[at]
        if not code_valid(5, self.type, self.code):
            raise Bad(*CODE)
        at += 1
        if at < end or self.type == AUTH:
            at = self._take_props(buf, at, end, self.type)
            if at != end:
                raise Bad(*TRAILING)
