"""The MQTT 3.1.1 packet codec in Python: the twin of cmodules/mqttpacket.

Same names, same results, same errors: tests run both on the same bytes. It is what an image
without the C module uses, and is written to be read beside the standard, not for speed.
The API is described in cmodules/mqttpacket/mqttpacket.pyi.
"""

from micropython import const

CONNECT = const(1)
CONNACK = const(2)
PUBLISH = const(3)
PUBACK = const(4)
PUBREC = const(5)
PUBREL = const(6)
PUBCOMP = const(7)
SUBSCRIBE = const(8)
SUBACK = const(9)
UNSUBSCRIBE = const(10)
UNSUBACK = const(11)
PINGREQ = const(12)
PINGRESP = const(13)
DISCONNECT = const(14)
AUTH = const(15)

PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

_MAX_REMAINING = const(268435455)


class Malformed(ValueError):
    """The bytes received are not MQTT: args are (reason code of MQTT 5, text)."""


class _Bad(Exception):
    """Internal: args are those of Malformed; encoders raise a ValueError instead."""


_SHORT = (0x81, "a field reaches past the end of its packet")
_TRAILING = (0x81, "bytes left over after the last field")
_TOPIC_EMPTY = (0x81, "empty topic")
_STRING = (0x81, "string longer than 65535 bytes")


def _utf8_tail(c, s, i, end):
    # How many bytes follow the first byte c of a character, 0 if it is not UTF-8.
    if c >= 0xF0:
        n, low, c = 3, 0x10000, c & 0x0F
    elif c >= 0xE0:
        n, low, c = 2, 0x800, c & 0x0F
    elif c >= 0xC2:
        n, low, c = 1, 0x80, c & 0x1F
    else:
        return 0
    if end - i < n:
        return 0
    for k in range(i, i + n):
        if s[k] & 0xC0 != 0x80:
            return 0
        c = c << 6 | (s[k] & 0x3F)
    if c < low or c > 0x10FFFF or 0xD800 <= c <= 0xDFFF:
        return 0
    return n


def _check_string(s, i, end, is_topic):
    try:
        text = str(memoryview(s)[i:end], "utf-8")
        # Plain ASCII without anything special, as nearly always, is seen at the speed of C.
        if len(text) == end - i and "\0" not in text:
            if not is_topic or not ("+" in text or "#" in text):
                return
    except UnicodeError:
        pass
    while i < end:
        c = s[i]
        i += 1
        if c >= 0x80:
            n = _utf8_tail(c, s, i, end)
            if not n:
                raise _Bad(0x81, "invalid UTF-8")
            i += n
        elif c == 0:
            raise _Bad(0x81, "NUL character in a string")
        elif is_topic and (c == 0x2B or c == 0x23):
            raise _Bad(0x81, "wildcard in a topic name")


def _check_topic(s, i, end):
    if i == end:
        raise _Bad(*_TOPIC_EMPTY)
    if end - i > 0xFFFF:
        raise _Bad(*_STRING)
    _check_string(s, i, end, True)


def _check_filter(s, i, end):
    if i == end:
        raise _Bad(*_TOPIC_EMPTY)
    if end - i > 0xFFFF:
        raise _Bad(*_STRING)
    _check_string(s, i, end, False)
    for k in range(i, end):
        if s[k] == 0x2B or s[k] == 0x23:  # a wildcard is a whole level, and # the last one
            last = k + 1 == end
            if (k > i and s[k - 1] != 0x2F) or not (last or (s[k] == 0x2B and s[k + 1] == 0x2F)):
                raise _Bad(0x8F, "ill-formed topic filter")


def _check_first_byte(byte):
    kind = byte >> 4
    flags = byte & 15
    if kind == PUBLISH:
        if flags & 6 == 6:
            raise _Bad(0x81, "QoS 3")
        if flags & 14 == 8:
            raise _Bad(0x81, "DUP set with QoS 0")
    elif kind == 0 or kind == AUTH:
        raise _Bad(0x81, "packet type does not exist in MQTT 3.1.1")
    elif flags != (2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0):
        raise _Bad(0x81, "reserved flags of the first byte are wrong")


class Decoder:
    """An incremental decoder over a fixed buffer; see mqttpacket.pyi."""

    def __init__(self, buf, limit=0, version=4):
        if not isinstance(buf, (bytearray, memoryview)):
            raise TypeError("buf: expected a bytearray or memoryview")
        if not 16 <= len(buf) <= _MAX_REMAINING:
            raise ValueError("buf: expected 16 bytes or more")
        if limit < 0:
            raise ValueError("limit: expected 0 (none) or a number of bytes")
        if version != 4:
            raise ValueError("version: expected 4 (MQTT 3.1.1)")
        self._buf = buf
        self._view = memoryview(buf)
        self._size = len(buf)
        self._limit = limit
        self.reset()

    def reset(self):
        self._pos = 0  # bytes [_pos, _end) wait to be parsed
        self._end = 0
        self._hold = 0  # bytes [0, _hold) are the header of a PUBLISH that comes in parts
        self._part_end = 0
        self._error = None
        self.type = self.flags = self.code = self.id = self.keepalive = 0
        self.session = False
        self.part = self.more = 0
        self._topic = self._topic_len = self._payload = self._payload_len = 0

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
        n = self._payload_len if self.type == SUBACK else 0
        return self._view[self._payload : self._payload + n]

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
        if not self.more:
            self._hold = 0
            self.type = 0
            self._topic_len = 0
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

    def next(self):
        if self._error:
            raise Malformed(*self._error)
        try:
            return self._next_part() if self.more else self._next()
        except _Bad as e:
            self._error = e.args
            self.type = self._topic_len = self._payload_len = 0
            self._hold = self.more = 0
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

    def _next(self):
        self._drop_packet()
        buf, pos = self._buf, self._pos
        avail = self._end - pos
        if not avail:
            return 0
        _check_first_byte(buf[pos])
        length, head = 0, 1
        while True:
            if head == avail:
                return 0
            byte = buf[pos + head]
            length |= (byte & 0x7F) << (7 * (head - 1))
            head += 1
            if byte < 0x80:
                break
            if head == 5:
                raise _Bad(0x81, "remaining length has more than four bytes")
        total = head + length
        kind = buf[pos] >> 4
        if self._limit and total > self._limit:
            raise _Bad(0x95, "packet is longer than the limit")
        if total > avail:
            if total <= self._size:
                return 0
            if kind != PUBLISH:
                raise _Bad(0x95, "packet does not fit the buffer")
            if avail < self._size:
                return 0
        self.type = kind
        self.flags = buf[pos] & 15
        self.code = self.id = self.keepalive = self.part = 0
        self.session = False
        at = pos + head
        if kind == PUBLISH:
            head += self._parse_publish(buf, at, length)
            self._payload = pos + head
            if total > avail:
                if head == avail:
                    raise _Bad(0x95, "packet does not fit the buffer")
                self._payload_len = self._part_end = avail - head
                self.more = total - avail
                self._hold = head
                self._pos = self._end
                return PUBLISH
            self._payload_len = total - head
        else:
            self._parse_other(buf, at, at + length)
        self._pos += total
        return kind

    def _parse_publish(self, buf, at, length):
        fixed = 4 if self.flags & 6 else 2
        if length < fixed:
            raise _Bad(*_SHORT)
        n = buf[at] << 8 | buf[at + 1]
        if n > length - fixed:
            raise _Bad(*_SHORT)
        if fixed + n > self._end - at:
            raise _Bad(0x95, "packet does not fit the buffer")
        at += 2
        _check_topic(buf, at, at + n)
        if fixed == 4:
            self.id = buf[at + n] << 8 | buf[at + n + 1]
            if not self.id:
                raise _Bad(0x82, "packet identifier 0")
        self._topic, self._topic_len = at, n
        return fixed + n

    def _parse_other(self, buf, at, end):
        kind = self.type
        if kind == CONNECT:
            return self._parse_connect(buf, at, end)
        if kind >= PINGREQ and at != end:
            raise _Bad(*_TRAILING)
        if kind >= PINGREQ:
            return
        if end - at < 2:
            raise _Bad(*_SHORT)
        first = buf[at] << 8 | buf[at + 1]
        at += 2
        if kind == CONNACK:
            if at != end:
                raise _Bad(*_TRAILING)
            if first >> 9:
                raise _Bad(0x81, "reserved flags of the first byte are wrong")
            self.session = bool(first >> 8)
            self.code = first & 255
            if self.code > 5:
                raise _Bad(0x81, "return code that the standard does not define")
            if self.session and self.code:
                raise _Bad(0x82, "session present in a refused CONNACK")
            return
        if not first:
            raise _Bad(0x82, "packet identifier 0")
        self.id = first
        if kind == SUBSCRIBE or kind == UNSUBSCRIBE:
            self._parse_subscribe(buf, at, end)
        elif kind == SUBACK:
            if at == end:
                raise _Bad(0x82, "no entry where at least one is needed")
            self._payload, self._payload_len = at, end - at
            self.code = buf[at]
            if any(buf[i] > 2 and buf[i] != 0x80 for i in range(at, end)):
                raise _Bad(0x81, "return code that the standard does not define")
        elif at != end:
            raise _Bad(*_TRAILING)

    def _parse_connect(self, buf, at, end):
        if end - at < 10:
            raise _Bad(*_SHORT)
        if bytes(self._view[at : at + 7]) != b"\x00\x04MQTT\x04":
            raise _Bad(0x84, "protocol name or level is not that of MQTT 3.1.1")
        flags = buf[at + 7]
        will = flags & 0x04
        if flags & 0x01 or (not will and flags & 0x38) or flags & 0x18 == 0x18 or flags & 0xC0 == 0x40:
            raise _Bad(0x81, "connect flags contradict each other")
        self.code = flags
        self.session = bool(flags & 0x02)
        self.keepalive = buf[at + 8] << 8 | buf[at + 9]
        at, n = _take(buf, at + 10, end)
        _check_string(buf, at - n, at, False)
        self._topic, self._topic_len = at - n, n
        self._payload, self._payload_len = at, end - at
        if will:
            at, n = _take(buf, at, end)
            _check_topic(buf, at - n, at)
            at, n = _take(buf, at, end)
        if flags & 0x80:
            at, n = _take(buf, at, end)
            _check_string(buf, at - n, at, False)
        if flags & 0x40:
            at, n = _take(buf, at, end)
        if at != end:
            raise _Bad(*_TRAILING)

    def _parse_subscribe(self, buf, at, end):
        self._payload, self._payload_len = at, end - at
        first = True
        while at < end:
            at, n = _take(buf, at, end)
            _check_filter(buf, at - n, at)
            qos = 0
            topic = at - n
            if self.type == SUBSCRIBE:
                if at == end:
                    raise _Bad(*_SHORT)
                qos = buf[at]
                if qos > 2:
                    raise _Bad(0x81, "QoS 3")
                at += 1
            if first:
                self._topic, self._topic_len = topic, n
                self.code = qos
                first = False
        if first:
            raise _Bad(0x82, "no entry where at least one is needed")


def _take(buf, at, end):
    # A length and as many bytes: where they end, and how many they are.
    if end - at < 2:
        raise _Bad(*_SHORT)
    n = buf[at] << 8 | buf[at + 1]
    if n > end - at - 2:
        raise _Bad(*_SHORT)
    return at + 2 + n, n


def match(filter, topic):
    """Does the topic filter (+, #, perhaps $share/GROUP/ before it) select the topic?"""
    filter = _bytes(filter)
    topic = _bytes(topic)
    if filter.startswith(b"$share/"):
        group = filter[7:].split(b"/", 1)
        filter = group[-1] if len(group) == 2 and group[0] else b""
    if not filter or not topic or (topic[0] == 0x24 and filter[0] in b"+#"):
        return False
    levels = topic.split(b"/")
    parts = filter.split(b"/")
    for i, part in enumerate(parts):
        if part == b"#":
            return i + 1 == len(parts)
        if i == len(levels):
            return False
        if part != b"+" and (part != levels[i] or b"+" in part or b"#" in part):
            return False
    return len(parts) == len(levels)


def _bytes(s):
    return s.encode() if isinstance(s, str) else bytes(memoryview(s))


def _id(value):
    if value < 0 or value > 0xFFFF:
        raise ValueError("packet identifier: expected 1 to 65535")
    return value


def _encoder(fn):
    # Errors of the encoders are plain ValueErrors.
    def wrapper(*args, **kwargs):
        try:
            return fn(*args, **kwargs)
        except _Bad as e:
            text = e.args[1]
        raise ValueError(text)

    return wrapper


def _put(buf, first, body, payload_len=0, payload=None):
    # The whole packet into buf, if it fits: first byte, remaining length, body and payload.
    length = len(body) + payload_len
    if length > _MAX_REMAINING:
        raise _Bad(0x95, "packet longer than the protocol can say")
    head = bytearray((first,))
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    n = len(head) + len(body)
    need = n + (0 if payload is None else payload_len)
    if need > len(buf):
        raise ValueError("packet needs %d bytes, buffer has %d" % (need, len(buf)))
    view = memoryview(buf)
    view[: len(head)] = head
    view[len(head) : n] = body
    if payload is not None:
        view[n:need] = payload
    return need


def _string(s):
    return bytes((len(s) >> 8, len(s) & 255)) + s


def _word(value):
    return bytes((value >> 8, value & 255))


@_encoder
def connect(
    buf, client_id, keepalive, clean=True, user=None, password=None,
    will_topic=None, will_payload=None, will_qos=0, will_retain=False,
):  # fmt: skip
    """Encode CONNECT into buf; see mqttpacket.pyi. Returns the packet's length in bytes."""
    if not 0 <= keepalive <= 0xFFFF:
        raise ValueError("keepalive: expected 0 to 65535 seconds")
    client_id = _bytes(client_id)
    fields = [client_id]
    flags = 2 if clean else 0
    if will_topic is not None:
        will_topic = _bytes(will_topic)
        fields += [will_topic, _bytes(will_payload or b"")]
        flags |= 4 | (will_qos << 3) | (32 if will_retain else 0)
    for field, flag in ((user, 0x80), (password, 0x40)):
        if field is not None:
            fields.append(_bytes(field))
            flags |= flag
    if max([len(field) for field in fields]) > 0xFFFF:
        raise _Bad(*_STRING)
    _check_string(client_id, 0, len(client_id), False)
    if will_topic is not None:
        _check_topic(will_topic, 0, len(will_topic))
    if user is not None:
        user = _bytes(user)
        _check_string(user, 0, len(user), False)
    if not 0 <= will_qos <= 2:
        raise _Bad(0x81, "QoS 3")
    if (
        (not client_id and not clean)
        or (password is not None and user is None)
        or (will_topic is None and (will_qos or will_retain or will_payload))
    ):
        raise _Bad(0x81, "connect flags contradict each other")
    body = b"\x00\x04MQTT\x04" + bytes((flags,)) + _word(keepalive)
    return _put(buf, CONNECT << 4, body + b"".join([_string(field) for field in fields]))


@_encoder
def connack(buf, session, code):
    """Encode CONNACK into buf. Returns the packet's length in bytes."""
    if not 0 <= code <= 5:
        raise _Bad(0x81, "return code that the standard does not define")
    if session and code:
        raise _Bad(0x82, "session present in a refused CONNACK")
    return _put(buf, CONNACK << 4, bytes((1 if session else 0, code)))


@_encoder
def publish(buf, topic, payload_len, qos=0, retain=False, dup=False, id=0):
    """Encode PUBLISH into buf: its header only if payload_len is an int, else all of it."""
    payload = None
    if not isinstance(payload_len, int):
        payload = _bytes(payload_len)
        payload_len = len(payload)
    id = _id(id)
    if not 0 <= qos <= 2:
        raise _Bad(0x81, "QoS 3")
    if dup and not qos:
        raise _Bad(0x81, "DUP set with QoS 0")
    topic = _bytes(topic)
    _check_topic(topic, 0, len(topic))
    if bool(qos) != bool(id):
        raise _Bad(0x82, "packet identifier 0")
    if payload_len < 0:
        raise _Bad(0x95, "packet longer than the protocol can say")
    body = _string(topic) + (_word(id) if qos else b"")
    first = PUBLISH << 4 | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    return _put(buf, first, body, payload_len, payload)


@_encoder
def ack(buf, type, id):
    """Encode PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK into buf. Returns 4."""
    id = _id(id)
    if type not in (PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK):
        raise _Bad(0x81, "packet type does not exist in MQTT 3.1.1")
    if not id:
        raise _Bad(0x82, "packet identifier 0")
    return _put(buf, type << 4 | (2 if type == PUBREL else 0), _word(id))


@_encoder
def subscribe(buf, id, topic, qos):
    """Encode SUBSCRIBE to one topic filter into buf. Returns the packet's length in bytes."""
    id = _id(id)
    topic = _bytes(topic)
    _check_filter(topic, 0, len(topic))
    if not 0 <= qos <= 2:
        raise _Bad(0x81, "QoS 3")
    if not id:
        raise _Bad(0x82, "packet identifier 0")
    return _put(buf, SUBSCRIBE << 4 | 2, _word(id) + _string(topic) + bytes((qos,)))


@_encoder
def suback(buf, id, codes):
    """Encode SUBACK with return codes (bytes) into buf. Returns the packet's length in bytes."""
    if not _id(id):
        raise _Bad(0x82, "packet identifier 0")
    codes = _bytes(codes)
    if not codes:
        raise _Bad(0x82, "no entry where at least one is needed")
    if any(code > 2 and code != 0x80 for code in codes):
        raise _Bad(0x81, "return code that the standard does not define")
    return _put(buf, SUBACK << 4, _word(id) + codes)


@_encoder
def unsubscribe(buf, id, topic):
    """Encode UNSUBSCRIBE from one topic filter into buf. Returns the packet's length in bytes."""
    id = _id(id)
    topic = _bytes(topic)
    _check_filter(topic, 0, len(topic))
    if not id:
        raise _Bad(0x82, "packet identifier 0")
    return _put(buf, UNSUBSCRIBE << 4 | 2, _word(id) + _string(topic))
