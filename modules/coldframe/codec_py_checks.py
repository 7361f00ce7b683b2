"""What the Python codec's decoder and encoders share: packet types, errors, strings, codes, properties.

The twin of mqttpacket_strings.c, mqttpacket_codes.c and mqttpacket_props.c; see codec_py.
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
WILL = const(0)  # not a packet: stands for the will where properties are checked

MAX_REMAINING = const(268435455)


class Malformed(ValueError):
    """The bytes received are not MQTT: args are (reason code of MQTT 5, text)."""


class Bad(Exception):
    """Internal: args are those of Malformed; encoders raise a ValueError instead."""


SHORT = (0x81, "a field reaches past the end of its packet")
TRAILING = (0x81, "bytes left over after the last field")
TOPIC_EMPTY = (0x81, "empty topic")
STRING = (0x81, "string longer than 65535 bytes")
TOO_BIG = (0x95, "packet longer than the protocol can say")
TYPE = (0x81, "packet type does not exist in this version of MQTT")
ID = (0x82, "packet identifier 0")
QOS = (0x81, "QoS 3")
CODE = (0x81, "return code that the standard does not define")
SESSION = (0x82, "session present in a refused CONNACK")
FLAGS = (0x81, "reserved flags of the first byte are wrong")
CONNECT_FLAGS = (0x81, "connect flags contradict each other")
NO_ENTRY = (0x82, "no entry where at least one is needed")
FILTER = (0x8F, "ill-formed topic filter")
VARINT = (0x81, "variable byte integer longer than it may be")
PROP_ID = (0x81, "property that does not exist in this packet")
PROP_TWICE = (0x82, "property twice in one packet")
PROP_VALUE = (0x82, "property value out of its range")
ALIAS = (0x94, "topic alias 0")
NO_TOPIC = (0x82, "empty topic without a topic alias")
NO_METHOD = (0x82, "authentication method is missing")


# ---- strings


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


def check_string(s, i, end, is_topic=False):
    """Raise Bad unless s[i:end] is UTF-8 without NUL, and as a topic without wildcards."""
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
                raise Bad(0x81, "invalid UTF-8")
            i += n
        elif c == 0:
            raise Bad(0x81, "NUL character in a string")
        elif is_topic and (c == 0x2B or c == 0x23):
            raise Bad(0x81, "wildcard in a topic name")


def check_topic(s, i, end):
    """Raise Bad unless s[i:end] is a topic name."""
    if i == end:
        raise Bad(*TOPIC_EMPTY)
    if end - i > 0xFFFF:
        raise Bad(*STRING)
    check_string(s, i, end, True)


def is_shared(s, i, end):
    """Is it a filter of a shared subscription?"""
    return bytes(memoryview(s)[i : min(i + 7, end)]) == b"$share/"


def shared_filter(s, i, end):
    """Where the filter itself begins, after $share/GROUP/; None if that is ill-formed."""
    if not is_shared(s, i, end):
        return i
    k = i + 7
    while k < end and s[k] != 0x2F:
        if s[k] == 0x2B or s[k] == 0x23:
            return None
        k += 1
    return None if end - k < 2 or k == i + 7 else k + 1


def check_filter(s, i, end):
    """Raise Bad unless s[i:end] is a topic filter."""
    if i == end:
        raise Bad(*TOPIC_EMPTY)
    if end - i > 0xFFFF:
        raise Bad(*STRING)
    check_string(s, i, end)
    start = shared_filter(s, i, end)
    if start is None:
        raise Bad(*FILTER)
    for k in range(start, end):
        if s[k] == 0x2B or s[k] == 0x23:  # a wildcard is a whole level, and # the last one
            last = k + 1 == end
            if (k > i and s[k - 1] != 0x2F) or not (last or (s[k] == 0x2B and s[k + 1] == 0x2F)):
                raise Bad(*FILTER)


def check_options(version, options, s, i, end):
    """Raise Bad unless SUBSCRIBE may have these options for the filter s[i:end]."""
    if options & 3 == 3 or (version < 5 and options > 2):
        raise Bad(*QOS)
    if options & 0xC0:
        raise Bad(0x81, "reserved subscription options")
    if options & 0x30 == 0x30:
        raise Bad(0x82, "retain handling 3")
    if options & 4 and is_shared(s, i, end):
        raise Bad(0x82, "no-local with a shared subscription")


def check_first_byte(byte, version):
    """Raise Bad unless a packet may begin with this byte."""
    kind = byte >> 4
    flags = byte & 15
    if kind == PUBLISH:
        if flags & 6 == 6:
            raise Bad(*QOS)
        if flags & 14 == 8:
            raise Bad(0x81, "DUP set with QoS 0")
    elif kind == 0 or (kind == AUTH and version < 5):
        raise Bad(*TYPE)
    elif flags != (2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0):
        raise Bad(*FLAGS)


# ---- return codes, reason codes

_ACKS = (PUBACK, PUBREC)
_COMPS = (PUBREL, PUBCOMP)
# Packets -> what they can carry beside 0.
_CODES = (
    ((CONNACK,), b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f"),
    (_ACKS, b"\x10\x80\x83\x87\x90\x91\x97\x99"),
    (_COMPS, b"\x92"),
    ((SUBACK,), b"\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2"),
    ((UNSUBACK,), b"\x11\x80\x83\x87\x8f\x91"),
    (
        (DISCONNECT,),
        b"\x04\x80\x81\x82\x83\x87\x89\x8b\x8c\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d"
        b"\x9e\x9f\xa0\xa1\xa2",
    ),
    ((AUTH,), b"\x18\x19"),
)


def code_valid(version, kind, code):
    """Is it a return code (3.1.1) or reason code (5) that this packet type can carry?"""
    if version < 5:
        return code <= 2 or code == 0x80 if kind == SUBACK else code <= (5 if kind == CONNACK else 0)
    for kinds, codes in _CODES:
        if kind in kinds:
            return code == 0 or code in codes
    return False


# ---- properties

_BYTE = const(1)
_WORD = const(2)
_LONG = const(3)
_NUMBER = const(4)  # a variable byte integer
_BINARY = const(5)
_TEXT = const(6)
_PAIR = const(7)
_MESSAGE = (PUBLISH, WILL)
_HANDSHAKE = (CONNECT, CONNACK)
_AUTHS = (CONNECT, CONNACK, AUTH)
_ANSWERS = (CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)
# Identifier -> how the value is written, the packets that can have it, the lowest number.
_PROPS = {
    0x01: (_BYTE, _MESSAGE, 0),
    0x02: (_LONG, _MESSAGE, 0),
    0x03: (_TEXT, _MESSAGE, 0),
    0x08: (_TEXT, _MESSAGE, 0),
    0x09: (_BINARY, _MESSAGE, 0),
    0x0B: (_NUMBER, (PUBLISH, SUBSCRIBE), 1),
    0x11: (_LONG, (CONNECT, CONNACK, DISCONNECT), 0),
    0x12: (_TEXT, (CONNACK,), 0),
    0x13: (_WORD, (CONNACK,), 0),
    0x15: (_TEXT, _AUTHS, 0),
    0x16: (_BINARY, _AUTHS, 0),
    0x17: (_BYTE, (CONNECT,), 0),
    0x18: (_LONG, (WILL,), 0),
    0x19: (_BYTE, (CONNECT,), 0),
    0x1A: (_TEXT, (CONNACK,), 0),
    0x1C: (_TEXT, (CONNACK, DISCONNECT), 0),
    0x1F: (_TEXT, _ANSWERS, 0),
    0x21: (_WORD, _HANDSHAKE, 1),
    0x22: (_WORD, _HANDSHAKE, 0),
    0x23: (_WORD, (PUBLISH,), 1),
    0x24: (_BYTE, (CONNACK,), 0),
    0x25: (_BYTE, (CONNACK,), 0),
    0x26: (_PAIR, _ANSWERS + (CONNECT, WILL, PUBLISH, SUBSCRIBE, UNSUBSCRIBE), 0),
    0x27: (_LONG, _HANDSHAKE, 1),
    0x28: (_BYTE, (CONNACK,), 0),
    0x29: (_BYTE, (CONNACK,), 0),
    0x2A: (_BYTE, (CONNACK,), 0),
}
_MOST = {_BYTE: 1, _WORD: 0xFFFF, _LONG: 0xFFFFFFFF, _NUMBER: MAX_REMAINING}


def known_prop(id):
    """Raise ValueError unless there is a property of that identifier."""
    if id not in _PROPS:
        raise ValueError("no property has this identifier")


def get_varint(buf, at, end):
    """A variable byte integer in buf[at:end]: (value, where it ends), None if it does not end before end."""
    value = 0
    for i in range(4):
        if at + i == end:
            return None
        byte = buf[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            if i and not byte:
                break
            return value, at + i + 1
    raise Bad(*VARINT)


def put_varint(value):
    """A variable byte integer as bytes."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def take(buf, at, end):
    """A length and as many bytes: where they end, and how many they are."""
    if end - at < 2:
        raise Bad(*SHORT)
    n = buf[at] << 8 | buf[at + 1]
    if n > end - at - 2:
        raise Bad(*SHORT)
    return at + 2 + n, n


def _check_number(id, kind, value):
    if not 0 <= value <= _MOST[kind]:
        raise Bad(*PROP_VALUE)
    if value < _PROPS[id][2]:
        raise Bad(*(ALIAS if id == 0x23 else PROP_VALUE))


def read_prop(buf, at, end):
    """The property that begins at buf[at]: (identifier, value, where the next one begins)."""
    id = buf[at]
    at += 1
    if id not in _PROPS:
        raise Bad(*PROP_ID)
    kind = _PROPS[id][0]
    if kind < _BINARY:
        if kind == _NUMBER:
            found = get_varint(buf, at, end)
            if found is None:
                raise Bad(*SHORT)
            value, at = found
        else:
            size = 4 if kind == _LONG else kind
            if end - at < size:
                raise Bad(*SHORT)
            value = int.from_bytes(bytes(memoryview(buf)[at : at + size]), "big")
            at += size
        _check_number(id, kind, value)
        return id, value, at
    if kind == _PAIR:
        at, n = take(buf, at, end)
        key = at - n, at
    at, n = take(buf, at, end)
    if id == 0x08:
        check_topic(buf, at - n, at)
    elif kind == _PAIR:
        check_string(buf, *key)
    if kind != _BINARY:
        check_string(buf, at - n, at)
    value = bytes(memoryview(buf)[at - n : at])
    if kind == _PAIR:
        value = bytes(memoryview(buf)[key[0] : key[1]]).decode(), value.decode()
    elif kind == _TEXT:
        value = value.decode()
    return id, value, at


def check_props(buf, at, end, kind):
    """Raise Bad unless the properties buf[at:end] may be in a packet of that type. Returns their identifiers."""
    seen = []
    while at < end:
        id, _, at = read_prop(buf, at, end)
        if kind not in _PROPS[id][1]:
            raise Bad(*PROP_ID)
        if id not in seen:  # thousands of user properties cost no memory: CVE-2021-41039
            seen.append(id)
        elif id != 0x26 and not (id == 0x0B and kind == PUBLISH):
            raise Bad(*PROP_TWICE)
    if (0x16 in seen or kind == AUTH) and 0x15 not in seen:
        raise Bad(*NO_METHOD)
    return seen


def _string(s):
    if len(s) > 0xFFFF:
        raise Bad(*STRING)
    return bytes((len(s) >> 8, len(s) & 255)) + s


def as_bytes(s):
    """A str or bytes-like object as bytes."""
    return s.encode() if isinstance(s, str) else bytes(memoryview(s))


def encode_prop(id, value):
    """One property as bytes."""
    known_prop(id)
    kind = _PROPS[id][0]
    if kind < _BINARY:
        if not isinstance(value, int):
            raise TypeError("can't convert %s to int" % type(value).__name__)
        _check_number(id, kind, value)
        if kind == _NUMBER:
            return bytes((id,)) + put_varint(value)
        return bytes((id,)) + value.to_bytes(4 if kind == _LONG else kind, "big")
    out = bytes((id,))
    if kind == _PAIR:
        if not isinstance(value, (tuple, list)):
            raise TypeError("expected a (key, value) pair")
        key, value = value
        key = as_bytes(key)
        value = as_bytes(value)
        out += _string(key)
        _string(value)
        check_string(key, 0, len(key))
    else:
        value = as_bytes(value)
    text = _string(value)
    if id == 0x08:
        check_topic(value, 0, len(value))
    elif kind != _BINARY:
        check_string(value, 0, len(value))
    return out + text
