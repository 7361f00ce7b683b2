"""What a broker must not send: the connection is closed, in MQTT 5 after a DISCONNECT that says why."""

from __future__ import annotations

import pytest
from conformance import packets
from conformance.packets import (
    CONNECT,
    DISCONNECT,
    PUBACK,
    SUBSCRIBE,
    connack,
    packet,
    publish,
    string,
)

NO_PROPS = b"\x00"


def both(name: str, version: int, code: int, *data: bytes):
    return pytest.param(version, code, b"".join(data), id=f"{name}-{'mqtt311' if version == 4 else 'mqtt5'}")


def in_publish(version: int, topic: bytes, rest: bytes = b"") -> bytes:
    return packet(0x30, topic, NO_PROPS if version == 5 else b"", rest)


BAD = []
for v in (4, 5):
    none = NO_PROPS if v == 5 else b""
    BAD += [
        both("ill-formed UTF-8", v, 0x81, in_publish(v, string(b"a\xff"))),
        both("surrogate", v, 0x81, in_publish(v, string(b"\xed\xa0\x80"))),
        both("NUL", v, 0x81, in_publish(v, string("a\0"))),
        both("wildcard in a topic", v, 0x81, in_publish(v, string("a/+"))),
        both("topic longer than the packet", v, 0x81, packet(0x30, b"\x00\x09abc")),
        both("QoS 3", v, 0x81, packet(0x36, string("a"), b"\x00\x01", none)),
        both("DUP with QoS 0", v, 0x81, packet(0x38, string("a"), none)),
        both("identifier 0", v, 0x82, packet(0x32, string("a"), b"\x00\x00", none)),
        both("flags of PUBACK", v, 0x81, b"\x41\x02\x00\x01"),
        both("flags of PUBREL", v, 0x81, b"\x60\x02\x00\x01"),
        both("flags of SUBACK", v, 0x81, b"\x92\x03\x00\x01\x00"),
        both("flags of PINGRESP", v, 0x81, b"\xd1\x00"),
        both("length of five bytes", v, 0x81, b"\x30\xff\xff\xff\xff\x01"),
        both("packet type 0", v, 0x81, b"\x00\x00"),
        both("SUBSCRIBE of a server", v, 0x82, packet(0x82, b"\x00\x01", none, string("a"), b"\x00")),
        both("PINGREQ of a server", v, 0x82, b"\xc0\x00"),
        both("bytes left over", v, 0x81, b"\xd0\x01\x00"),
    ]
BAD += [
    both("AUTH", 4, 0x81, b"\xf0\x00"),
    both("DISCONNECT of a server", 4, 0x82, b"\xe0\x00"),
    both("flags of DISCONNECT", 5, 0x81, b"\xe1\x00"),
    both("flags of AUTH", 5, 0x81, b"\xf1\x00"),
    both("AUTH that nobody asked for", 5, 0x82, packets.auth(0x18, [(packets.METHOD, "m")])),
    both("empty topic without alias", 5, 0x82, packet(0x30, string(""), NO_PROPS)),
    both("length with a byte too many", 5, 0x81, packet(0x30, string("a"), b"\x80\x00")),
    both("property of another packet", 5, 0x82, publish(5, "a", props=[(packets.SERVER_KEEP_ALIVE, 5)])),
    both("unknown property", 5, 0x81, packet(0x30, string("a"), b"\x02\x7f\x00")),
    both("property twice", 5, 0x82, publish(5, "a", props=[(packets.EXPIRY, 5), (packets.EXPIRY, 5)])),
    both("property cut short", 5, 0x81, packet(0x30, string("a"), b"\x03\x02\x00\x00")),
    both("pair that is not UTF-8", 5, 0x81, packet(0x30, string("a"), b"\x07\x26\x00\x01a\x00\x01\xff")),
    both("response topic with wildcard", 5, 0x82, publish(5, "a", props=[(packets.RESPONSE, "a/+")])),
    both("response topic not UTF-8", 5, 0x81, publish(5, "a", props=[(packets.RESPONSE, b"\xff")])),
    both("content type not UTF-8", 5, 0x81, publish(5, "a", props=[(packets.CONTENT, b"\xff")])),
    both("subscription identifier 0", 5, 0x82, packet(0x30, string("a"), b"\x02\x0b\x00")),
    both("topic alias 0", 5, 0x94, publish(5, "a", props=[(packets.ALIAS, 0)])),
    both("topic alias above our maximum", 5, 0x94, publish(5, "a", props=[(packets.ALIAS, 9)])),
    both("topic alias that is not known", 5, 0x94, publish(5, "", props=[(packets.ALIAS, 3)])),
    both("reason code of PUBACK", 5, 0x82, b"\x40\x03\x00\x01\x01"),
    both("reason code of DISCONNECT", 5, 0x82, b"\xe0\x01\x01"),
]  # fmt: skip

# Where the standard leaves open whether a packet is malformed or a protocol error, either code is right.
_EITHER = {0x81, 0x82}
_ALIAS = {0x82, 0x94}  # so is it for an alias


@pytest.mark.mqtt("3:MQTT-1.5.3-1", "3:MQTT-1.5.3-2", "3:MQTT-2.2.2-2", "3:MQTT-3.3.1-4", "3:MQTT-4.8.0-1")
@pytest.mark.mqtt("5:MQTT-1.5.4-1", "5:MQTT-1.5.4-2", "5:MQTT-1.5.5-1", "5:MQTT-1.5.7-1", "5:MQTT-2.1.3-1")
@pytest.mark.mqtt("5:MQTT-3.3.1-2", "5:MQTT-3.3.1-4", "5:MQTT-3.3.2-2", "5:MQTT-3.3.2-8", "5:MQTT-3.3.2-11")
@pytest.mark.mqtt(
    "5:MQTT-3.3.2-13", "5:MQTT-3.3.2-14", "5:MQTT-3.3.2-19", "5:MQTT-3.14.1-1", "5:MQTT-3.15.1-1"
)
@pytest.mark.mqtt("5:MQTT-3.14.2-1", "5:MQTT-4.13.1-1", "5:MQTT-4.12.0-6", "5:MQTT-4.13.2-1")
@pytest.mark.mqtt("5:MQTT-3.14.4-1", "5:MQTT-3.14.4-2", "3:MQTT-3.6.1-1", "5:MQTT-3.6.1-1")
@pytest.mark.parametrize(("version", "code", "data"), BAD)
def test_a_broken_packet_ends_the_connection(make_broker, make_node, version, code, data):
    broker = make_broker(version)
    node = make_node(broker, **({"alias": 8} if version == 5 else {}))
    link = broker.accepted()
    node.up()
    link.send(data)
    if version == 5:
        said = link.expect(DISCONNECT)
        assert said.code == code or {said.code, code} <= _EITHER or {said.code, code} <= _ALIAS, (
            f"DISCONNECT {said.code:#x}, not {code:#x}"
        )
    link.ended()
    assert node.event(event="down")["why"]
    # And it tries again.
    broker.accepted()
    node.up(2)
    node.got()


@pytest.mark.mqtt("3:MQTT-2.2.2-2", "3:MQTT-4.8.0-1", "5:MQTT-3.2.2-1", "5:MQTT-3.2.2-6", "5:MQTT-3.2.2-8")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda v: packet(0x20, b"\x02\x00", NO_PROPS if v == 5 else b""), id="reserved flag"),
        pytest.param(lambda v: connack(v, True, 5 if v == 4 else 0x87), id="session present and refused"),
        pytest.param(lambda v: connack(v, False, 6 if v == 4 else 0x05), id="unknown reason"),
        pytest.param(lambda v: packet(0x21, b"\x00\x00", NO_PROPS if v == 5 else b""), id="flags"),
        pytest.param(lambda v: packet(0x20, b"\x00"), id="too short"),
    ],
)
def test_a_broken_connack_ends_the_connection(broker, make_node, data):
    node = make_node(broker)
    link = broker.accept()
    link.expect(CONNECT)
    link.send(data(broker.version))
    # Before a CONNACK that it can use, a client need not say why; if it does, nothing comes after that.
    more = link.rest()
    assert [p.type for p in more] in ([], [DISCONNECT])
    assert not node.events(event="up")
    broker.accepted()
    node.up()


@pytest.mark.mqtt("5:MQTT-3.2.2-4", "3:MQTT-3.2.2-1", "5:MQTT-3.2.2-2")
def test_a_session_that_cannot_be_is_not_used(broker, make_node):
    # A clean session, and yet the broker has one from before.
    node = make_node(broker, clean=True)
    link = broker.accept()
    link.expect(CONNECT, clean=True)
    link.send(connack(broker.version, True))
    more = link.rest()
    assert [p.type for p in more] in ([], [DISCONNECT])
    assert not node.events(event="up")
    broker.accepted()
    node.up()


@pytest.mark.mqtt("5:MQTT-3.8.4-6", "3:MQTT-3.9.3-2", "5:MQTT-3.9.3-2", "5:MQTT-3.9.3-1", "3:MQTT-3.8.4-5")
@pytest.mark.parametrize("codes", [(0, 0), (3,), ()], ids=["two for one filter", "QoS 3", "none"])
def test_a_suback_that_does_not_fit_ends_the_connection(broker, make_node, codes):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    node.call("subscribe", "a", 1)
    asked = link.expect(SUBSCRIBE)
    link.send(packets.suback(broker.version, asked.id, *codes))
    if broker.version == 5:
        assert link.expect(DISCONNECT).code in _EITHER
    link.ended()
    link = broker.accepted()
    link.expect(SUBSCRIBE, filters=[("a", 1)])


@pytest.mark.mqtt("3:MQTT-4.8.0-2")
def test_a_connection_that_breaks_inside_a_packet_is_made_again(broker, make_node):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(publish(v, "a", b"x" * 100, 1, 1)[:50])
    link.cut()
    link = broker.accepted(session=True)
    link.send(publish(v, "a", b"whole", 1, 1, dup=True))
    link.expect(PUBACK, id=1)
    node.got(b"whole")
