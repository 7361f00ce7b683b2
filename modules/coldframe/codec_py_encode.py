"""The encoders of the Python codec, and the topic-filter match: the twin of mqttpacket_encode.c; see codec_py."""

from coldframe.codec_py_checks import (
    AUTH,
    CODE,
    CONNACK,
    CONNECT,
    CONNECT_FLAGS,
    DISCONNECT,
    ID,
    MAX_REMAINING,
    NO_ENTRY,
    NO_TOPIC,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    QOS,
    SESSION,
    STRING,
    SUBACK,
    SUBSCRIBE,
    TOO_BIG,
    TYPE,
    UNSUBACK,
    UNSUBSCRIBE,
    WILL,
    Bad,
    as_bytes,
    check_filter,
    check_first_byte,
    check_options,
    check_props,
    check_string,
    check_topic,
    code_valid,
    encode_prop,
    put_varint,
    shared_filter,
)


def _id(value):
    if value < 0 or value > 0xFFFF:
        raise ValueError("packet identifier: expected 1 to 65535")
    return value


def _byte(value):
    # 255 is no packet type, reason code or options byte.
    return value if 0 <= value <= 255 else 255


def _encoder(fn):
    # Errors of the encoders are plain ValueErrors.
    def wrapper(*args, **kwargs):
        try:
            return fn(*args, **kwargs)
        except Bad as e:
            text = e.args[1]
        raise ValueError(text)

    return wrapper


def _put(buf, first, body, payload_len=0, payload=None):
    # The whole packet into buf, if it fits: first byte, remaining length, body and payload.
    length = len(body) + payload_len
    if length > MAX_REMAINING:
        raise Bad(*TOO_BIG)
    head = bytes((first,)) + put_varint(length)
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
    return _word(len(s)) + s


def _word(value):
    return bytes((value >> 8, value & 255))


def _props(props, kind):
    # Properties with their length, checked; nothing for MQTT 3.1.1.
    if props is None:
        return b""
    check_props(props, 0, len(props), kind)
    return put_varint(len(props)) + props


def _given(props):
    # The argument of that name, and the version that it means.
    return (None, 4) if props is None else (as_bytes(props), 5)


@_encoder
def connect(
    buf, client_id, keepalive, clean=True, user=None, password=None,
    will_topic=None, will_payload=None, will_qos=0, will_retain=False, props=None, will_props=None,
):  # fmt: skip
    """Encode CONNECT into buf; see mqttpacket.pyi. Returns the packet's length in bytes."""
    if not 0 <= keepalive <= 0xFFFF:
        raise ValueError("keepalive: expected 0 to 65535 seconds")
    props, version = _given(props)
    will_props = b"" if will_props is None else as_bytes(will_props)
    client_id = as_bytes(client_id)
    fields = [client_id]
    flags = 2 if clean else 0
    if will_topic is not None:
        will_topic = as_bytes(will_topic)
        fields += [will_topic, as_bytes(will_payload or b"")]
        flags |= 4 | (will_qos << 3) | (32 if will_retain else 0)
    for field, flag in ((user, 0x80), (password, 0x40)):
        if field is not None:
            fields.append(as_bytes(field))
            flags |= flag
    if max([len(field) for field in fields]) > 0xFFFF:
        raise Bad(*STRING)
    check_string(client_id, 0, len(client_id))
    if will_topic is not None:
        check_topic(will_topic, 0, len(will_topic))
    if user is not None:
        user = as_bytes(user)
        check_string(user, 0, len(user))
    if not 0 <= will_qos <= 2:
        raise Bad(*QOS)
    if will_topic is None and (will_qos or will_retain or will_payload or will_props):
        raise Bad(*CONNECT_FLAGS)
    if version < 5 and (
        (not client_id and not clean) or (password is not None and user is None) or will_props
    ):
        raise Bad(*CONNECT_FLAGS)
    body = b"\x00\x04MQTT" + bytes((version, flags)) + _word(keepalive) + _props(props, CONNECT)
    fields = [_string(field) for field in fields]
    if will_topic is not None and version >= 5:
        fields.insert(1, _props(will_props, WILL))
    return _put(buf, CONNECT << 4, body + b"".join(fields))


@_encoder
def connack(buf, session, code, props=None):
    """Encode CONNACK into buf. Returns the packet's length in bytes."""
    props, version = _given(props)
    code = _byte(code)
    if not code_valid(version, CONNACK, code):
        raise Bad(*CODE)
    if session and code:
        raise Bad(*SESSION)
    return _put(buf, CONNACK << 4, bytes((1 if session else 0, code)) + _props(props, CONNACK))


@_encoder
def publish(buf, topic, payload_len, qos=0, retain=False, dup=False, id=0, props=None):
    """Encode PUBLISH into buf: its header only if payload_len is an int, else all of it."""
    payload = None
    if not isinstance(payload_len, int):
        payload = as_bytes(payload_len)
        payload_len = len(payload)
    id = _id(id)
    props, _ = _given(props)
    if not 0 <= qos <= 2:
        raise Bad(*QOS)
    first = PUBLISH << 4 | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    check_first_byte(first, 4)
    topic = as_bytes(topic)
    if topic or props is None:
        check_topic(topic, 0, len(topic))
    if bool(qos) != bool(id):
        raise Bad(*ID)
    body = _string(topic) + (_word(id) if qos else b"") + _props(props, PUBLISH)
    if not topic and 0x23 not in check_props(props, 0, len(props), PUBLISH):
        raise Bad(*NO_TOPIC)
    if payload_len < 0:
        raise Bad(*TOO_BIG)
    return _put(buf, first, body, payload_len, payload)


def _reason(buf, first, body, code, props):
    # A packet that ends in a reason code and properties, which may be left out where they say nothing.
    kind = first >> 4
    props, version = _given(props)
    code = _byte(code)
    if not code_valid(version, kind, code):
        raise Bad(*CODE)
    if props or kind == AUTH:
        body += bytes((code,)) + _props(props, kind)
    elif code:
        body += bytes((code,))
    return _put(buf, first, body)


@_encoder
def ack(buf, type, id, code=0, props=None):
    """Encode PUBACK, PUBREC, PUBREL or PUBCOMP, or UNSUBACK of 3.1.1, into buf. Returns its length in bytes."""
    id = _id(id)
    if type not in (PUBACK, PUBREC, PUBREL, PUBCOMP) and not (type == UNSUBACK and props is None):
        raise Bad(*TYPE)
    if not id:
        raise Bad(*ID)
    return _reason(buf, type << 4 | (2 if type == PUBREL else 0), _word(id), code, props)


@_encoder
def disconnect(buf, code=0, props=None):
    """Encode DISCONNECT into buf. Returns its length in bytes."""
    return _reason(buf, DISCONNECT << 4, b"", code, props)


@_encoder
def auth(buf, code, props):
    """Encode AUTH into buf. Returns its length in bytes."""
    if props is None:
        raise Bad(*TYPE)
    return _reason(buf, AUTH << 4, b"", code, props)


@_encoder
def subscribe(buf, id, topic, options, props=None):
    """Encode SUBSCRIBE to one topic filter into buf. Returns the packet's length in bytes."""
    id = _id(id)
    props, version = _given(props)
    topic = as_bytes(topic)
    options = _byte(options)
    check_filter(topic, 0, len(topic))
    check_options(version, options, topic, 0, len(topic))
    if not id:
        raise Bad(*ID)
    body = _word(id) + _props(props, SUBSCRIBE) + _string(topic) + bytes((options,))
    return _put(buf, SUBSCRIBE << 4 | 2, body)


@_encoder
def unsubscribe(buf, id, topic, props=None):
    """Encode UNSUBSCRIBE from one topic filter into buf. Returns the packet's length in bytes."""
    id = _id(id)
    props, _ = _given(props)
    topic = as_bytes(topic)
    check_filter(topic, 0, len(topic))
    if not id:
        raise Bad(*ID)
    return _put(buf, UNSUBSCRIBE << 4 | 2, _word(id) + _props(props, UNSUBSCRIBE) + _string(topic))


def _codes(buf, kind, id, codes, props):
    id = _id(id)
    props, version = _given(props)
    if kind == UNSUBACK and version < 5:
        raise Bad(*TYPE)
    if not id:
        raise Bad(*ID)
    codes = as_bytes(codes)
    if not codes:
        raise Bad(*NO_ENTRY)
    for code in codes:
        if not code_valid(version, kind, code):
            raise Bad(*CODE)
    return _put(buf, kind << 4, _word(id) + _props(props, kind) + codes)


@_encoder
def suback(buf, id, codes, props=None):
    """Encode SUBACK with return or reason codes (bytes) into buf. Returns the packet's length in bytes."""
    return _codes(buf, SUBACK, id, codes, props)


@_encoder
def unsuback(buf, id, codes, props):
    """Encode UNSUBACK of MQTT 5 with reason codes (bytes) into buf; of 3.1.1: see ack()."""
    return _codes(buf, UNSUBACK, id, codes, props)


@_encoder
def put_prop(buf, at, id, value):
    """Write one property at buf[at]. Returns where it ends."""
    if not 0 <= at <= len(buf):
        raise ValueError("at: expected a position in the buffer")
    data = encode_prop(id, value)
    end = at + len(data)
    if end > len(buf):
        raise ValueError("packet needs %d bytes, buffer has %d" % (end, len(buf)))
    memoryview(buf)[at:end] = data
    return end


def match(filter, topic):
    """Does the topic filter (+, #, perhaps $share/GROUP/ before it) select the topic?"""
    filter = as_bytes(filter)
    topic = as_bytes(topic)
    start = shared_filter(filter, 0, len(filter))
    if start is None:
        return False
    filter = filter[start:]
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
