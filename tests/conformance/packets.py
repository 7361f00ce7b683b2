"""MQTT packets for the tests' own broker: written a second time, apart from the firmware's codec, and strict.

parse() takes one packet that a client has sent and refuses what a client must not send; the functions below it
make what a server sends. Properties are lists of (identifier, value), value being an int, str, bytes, or a pair
of str for a user property.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

# fmt: off
NAMES = (
    "0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
    "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)
# fmt: on

# Properties of MQTT 5, section 2.2.2.2.
FORMAT, EXPIRY, CONTENT, RESPONSE, CORRELATION = 0x01, 0x02, 0x03, 0x08, 0x09
SUBSCRIPTION, SESSION_EXPIRY, ASSIGNED_ID, SERVER_KEEP_ALIVE = 0x0B, 0x11, 0x12, 0x13
METHOD, DATA, PROBLEM_INFO, WILL_DELAY, RESPONSE_INFO_WANTED = 0x15, 0x16, 0x17, 0x18, 0x19
RESPONSE_INFO, SERVER_REFERENCE, REASON = 0x1A, 0x1C, 0x1F
RECEIVE_MAX, ALIAS_MAX, ALIAS, MAX_QOS, RETAIN_AVAILABLE = 0x21, 0x22, 0x23, 0x24, 0x25
USER, MAX_SIZE, WILDCARDS, SUBSCRIPTION_IDS, SHARED = 0x26, 0x27, 0x28, 0x29, 0x2A

_BYTE = {
    FORMAT,
    PROBLEM_INFO,
    RESPONSE_INFO_WANTED,
    MAX_QOS,
    RETAIN_AVAILABLE,
    WILDCARDS,
    SUBSCRIPTION_IDS,
    SHARED,
}
_TWO = {SERVER_KEEP_ALIVE, RECEIVE_MAX, ALIAS_MAX, ALIAS}
_FOUR = {EXPIRY, SESSION_EXPIRY, WILL_DELAY, MAX_SIZE}
_STRING = {CONTENT, RESPONSE, ASSIGNED_ID, METHOD, RESPONSE_INFO, SERVER_REFERENCE, REASON}
_BINARY = {CORRELATION, DATA}

# What a client may put where.
_ALLOWED = {
    CONNECT: {
        SESSION_EXPIRY,
        METHOD,
        DATA,
        PROBLEM_INFO,
        RESPONSE_INFO_WANTED,
        RECEIVE_MAX,
        ALIAS_MAX,
        USER,
        MAX_SIZE,
    },
    0: {FORMAT, EXPIRY, CONTENT, RESPONSE, CORRELATION, WILL_DELAY, USER},  # of the will
    PUBLISH: {FORMAT, EXPIRY, CONTENT, RESPONSE, CORRELATION, ALIAS, USER},
    SUBSCRIBE: {SUBSCRIPTION, USER},
    UNSUBSCRIBE: {USER},
    DISCONNECT: {SESSION_EXPIRY, REASON, USER},
    AUTH: {METHOD, DATA, REASON, USER},
}
_ALLOWED.update(dict.fromkeys((PUBACK, PUBREC, PUBREL, PUBCOMP), {REASON, USER}))

# The reason codes that a client may send, by packet.
_RECEIVED = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
REASONS = {
    PUBACK: _RECEIVED,
    PUBREC: _RECEIVED,
    PUBREL: {0x00, 0x92},
    PUBCOMP: {0x00, 0x92},
    DISCONNECT: {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99},
    AUTH: {0x18, 0x19},
}

Properties = list[tuple[int, Any]]


class Violation(AssertionError):
    """The client has sent what no client may send."""


@dataclass
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    props: Properties


@dataclass
class Packet:
    """One packet that a client has sent; which fields mean something depends on the type."""

    type: int
    flags: int
    raw: bytes
    id: int = 0
    code: int = 0
    topic: str = ""
    payload: bytes = b""
    props: Properties = field(default_factory=list)
    filters: list[tuple[str, int]] = field(
        default_factory=list
    )  # SUBSCRIBE: with options; UNSUBSCRIBE: with 0
    level: int = 0
    clean: bool = False
    keepalive: int = 0
    client_id: str = ""
    user: str | None = None
    password: bytes | None = None
    will: Will | None = None

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3 if self.type == PUBLISH else 0

    @property
    def dup(self) -> bool:
        return self.type == PUBLISH and bool(self.flags & 8)

    @property
    def retain(self) -> bool:
        return self.type == PUBLISH and bool(self.flags & 1)

    def prop(self, identifier: int) -> Any:
        """The first property of that identifier, None if there is none."""
        return next((value for known, value in self.props if known == identifier), None)

    def __str__(self) -> str:
        return f"{NAMES[self.type]} {self.raw[:40].hex(' ')}{'...' if len(self.raw) > 40 else ''}"


class _Reader:
    """Takes fields from the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, n: int) -> bytes:
        check(n <= len(self.data), "a field reaches past the end of its packet")
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n))

    def variable(self) -> int:
        value = used = 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << 7 * used
            used += 1
            if byte < 128:
                break
            check(used < 4, "a variable byte integer of more than 4 bytes")
        check(len(variable(value)) == used, "a variable byte integer longer than needed")
        return value

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def string(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError as error:
            raise Violation(f"not UTF-8: {error}") from None
        check("\0" not in text, "U+0000 in a string")
        return text

    def properties(self, packet: int) -> Properties:
        block = _Reader(self.take(self.variable()))
        found: Properties = []
        while block.data:
            identifier = block.variable()
            check(identifier in _ALLOWED[packet], f"property {identifier:#x} in {NAMES[packet]}")
            if identifier != USER:
                check(identifier not in dict(found), f"property {identifier:#x} twice")
            found.append((identifier, block.property(identifier)))
        return found

    def property(self, identifier: int) -> Any:
        if identifier in _BYTE:
            value = self.number(1)
            check(value < 2, f"property {identifier:#x} is {value}")
            return value
        if identifier in _TWO or identifier in _FOUR:
            value = self.number(2 if identifier in _TWO else 4)
            check(
                value or identifier in (SESSION_EXPIRY, EXPIRY, WILL_DELAY, ALIAS_MAX),
                f"property {identifier:#x} is 0",
            )
            return value
        if identifier == USER:
            return self.string(), self.string()
        if identifier == SUBSCRIPTION:
            value = self.variable()
            check(value > 0, "subscription identifier 0")
            return value
        return self.binary() if identifier in _BINARY else self.string()


def check(right: object, what: str) -> None:
    """Raise Violation(what) unless that is right."""
    if not right:
        raise Violation(what)


def variable(value: int) -> bytes:
    """A variable byte integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return len(data).to_bytes(2) + data


def properties(props: Properties | None) -> bytes:
    """A block of properties with its length in front."""
    out = bytearray()
    for identifier, value in props or ():
        out += variable(identifier)
        if identifier in _BYTE:
            out.append(value)
        elif identifier in _TWO or identifier in _FOUR:
            out += value.to_bytes(2 if identifier in _TWO else 4)
        elif identifier == USER:
            out += string(value[0]) + string(value[1])
        elif identifier == SUBSCRIPTION:
            out += variable(value)
        else:
            out += string(value)
    return variable(len(out)) + bytes(out)


def packet(first: int, *parts: bytes) -> bytes:
    """A packet of that first byte and what follows its length."""
    body = b"".join(parts)
    return bytes([first]) + variable(len(body)) + body


def take_packet(data: bytes) -> int:
    """How many bytes of the data are its first packet; 0 if that is not complete."""
    length = 0
    for i in range(1, 5):
        if i >= len(data):
            return 0
        length |= (data[i] & 127) << 7 * (i - 1)
        if data[i] < 128:
            return i + 1 + length if len(data) > i + length else 0
    raise Violation(f"a remaining length of more than 4 bytes: {data[:5].hex(' ')}")


def parse(raw: bytes, version: int) -> Packet:
    """Take one packet of a client apart.

    Args:
        raw: exactly the packet.
        version: 4 or 5, what CONNECT has said; CONNECT itself says it.

    Raises:
        Violation: it is not one that a client may send.
    """
    found = Packet(raw[0] >> 4, raw[0] & 15, raw)
    body = _Reader(raw[1:])
    body.variable()
    five = version == 5
    kind = found.type
    if kind != PUBLISH:
        check(found.flags == (2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0), f"flags of {found}")
    if kind == CONNECT:
        _connect(found, body)
    elif kind == PUBLISH:
        _publish(found, body, five)
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        found.id = body.number(2)
        if five and body.data:
            found.code = body.number(1)
            if body.data:
                found.props = body.properties(kind)
    elif kind in (SUBSCRIBE, UNSUBSCRIBE):
        _subscribe(found, body, five)
    elif kind in (DISCONNECT, AUTH):
        check(five or kind == DISCONNECT, "AUTH in MQTT 3.1.1")
        if five and body.data:
            found.code = body.number(1)
            if body.data:
                found.props = body.properties(kind)
    else:
        check(kind == PINGREQ, f"a client sends no {NAMES[kind]}")
    check(not body.data, f"bytes left over in {found}")
    if kind in REASONS:
        check(found.code in REASONS[kind], f"reason code {found.code:#x} in {NAMES[kind]}")
    if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, UNSUBSCRIBE) or found.qos:
        check(found.id, f"packet identifier 0 in {NAMES[kind]}")
    return found


def _connect(found: Packet, body: _Reader) -> None:
    check(body.binary() == b"MQTT", "another protocol name than MQTT")
    found.level = body.number(1)
    check(found.level in (4, 5), f"protocol level {found.level}")
    flags = body.number(1)
    check(not flags & 1, "reserved connect flag")
    found.clean = bool(flags & 2)
    found.keepalive = body.number(2)
    if found.level == 5:
        found.props = body.properties(CONNECT)
    found.client_id = body.string()
    qos, retain = flags >> 3 & 3, bool(flags & 32)
    if flags & 4:
        check(qos < 3, "will QoS 3")
        props = body.properties(0) if found.level == 5 else []
        found.will = Will(body.string(), body.binary(), qos, retain, props)
        check_topic(found.will.topic)
    else:
        check(not qos and not retain, "will QoS or will retain without a will")
    if flags & 128:
        found.user = body.string()
    if flags & 64:
        check(found.level == 5 or flags & 128, "a password without a user name")
        found.password = body.binary()


def _publish(found: Packet, body: _Reader, five: bool) -> None:
    check(found.qos < 3, "QoS 3")
    check(found.qos or not found.dup, "DUP with QoS 0")
    found.topic = body.string()
    if found.qos:
        found.id = body.number(2)
    if five:
        found.props = body.properties(PUBLISH)
    if found.topic or found.prop(ALIAS) is None:
        check_topic(found.topic)
    if found.prop(RESPONSE) is not None:
        check_topic(found.prop(RESPONSE))
    found.payload, body.data = body.data, b""


def _subscribe(found: Packet, body: _Reader, five: bool) -> None:
    found.id = body.number(2)
    if five:
        found.props = body.properties(found.type)
    while body.data:
        name = body.string()
        options = body.number(1) if found.type == SUBSCRIBE else 0
        check_filter(name)
        check(
            options & 3 < 3 and not options & (0xC0 if five else 0xFC), f"subscription options {options:#x}"
        )
        check(options & 0x30 != 0x30, "retain handling 3")
        check(not (options & 4 and name.startswith("$share/")), "no local on a shared subscription")
        found.filters.append((name, options))
    check(found.filters, f"{NAMES[found.type]} without a filter")


def check_topic(name: str) -> None:
    """Raise Violation unless it is a topic name."""
    check(name and not set(name) & set("+#"), f"not a topic name: {name!r}")


def check_filter(name: str) -> None:
    """Raise Violation unless it is a topic filter."""
    check(name, "an empty topic filter")
    levels = name.split("/")
    if levels[0] == "$share":
        check(len(levels) > 2 and levels[1] and not set(levels[1]) & set("+#"), f"not a share name: {name!r}")
        check("/".join(levels[2:]), f"a shared subscription without a filter: {name!r}")
    for i, level in enumerate(levels):
        check(level in ("+", "#") or not set(level) & set("+#"), f"not a topic filter: {name!r}")
        check(level != "#" or i == len(levels) - 1, f"# is not at the end: {name!r}")


# ---- what a server sends; version 4 has neither reason codes nor properties


def connack(version: int, session: bool = False, code: int = 0, props: Properties | None = None) -> bytes:
    return packet(0x20, bytes([session, code]), properties(props) if version == 5 else b"")


def publish(
    version: int,
    topic: str,
    payload: bytes = b"",
    qos: int = 0,
    id: int = 0,
    *,
    retain: bool = False,
    dup: bool = False,
    props: Properties | None = None,
) -> bytes:
    first = 0x30 | dup << 3 | qos << 1 | retain
    number = id.to_bytes(2) if qos else b""
    return packet(first, string(topic), number, properties(props) if version == 5 else b"", payload)


def ack(kind: int, id: int, code: int | None = None, props: Properties | None = None) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP; with a code, in the form of MQTT 5."""
    body = b"" if code is None else bytes([code])
    if props is not None:
        body = bytes([code or 0]) + properties(props)
    return packet(kind << 4 | (2 if kind == PUBREL else 0), id.to_bytes(2), body)


def suback(version: int, id: int, *codes: int, props: Properties | None = None) -> bytes:
    return packet(0x90, id.to_bytes(2), properties(props) if version == 5 else b"", bytes(codes))


def unsuback(version: int, id: int, *codes: int) -> bytes:
    return packet(0xB0, id.to_bytes(2), properties(None) + bytes(codes) if version == 5 else b"")


def disconnect(code: int = 0, props: Properties | None = None) -> bytes:
    return packet(0xE0, bytes([code]), properties(props))


def auth(code: int = 0, props: Properties | None = None) -> bytes:
    return packet(0xF0, bytes([code]), properties(props))


PINGRESP_PACKET = b"\xd0\x00"
