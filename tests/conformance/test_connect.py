"""How a connection begins and ends: CONNECT, CONNACK, keep alive, DISCONNECT."""

from __future__ import annotations

import time

import pytest
from conformance import packets
from conformance.node import Refused
from conformance.packets import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP_PACKET,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    connack,
    disconnect,
)


@pytest.mark.mqtt("3:MQTT-3.1.0-1", "5:MQTT-3.1.0-1", "5:MQTT-3.1.2-1", "3:MQTT-3.1.0-2", "5:MQTT-3.1.0-2")
def test_connect_is_the_first_packet_and_comes_once(broker, make_node):
    node = make_node(broker)
    link = broker.accept()
    waiting = [node.call("publish", "a", "x", 1), node.call("subscribe", "b", 1)]
    link.expect(CONNECT, level=broker.version, client_id="node")
    link.send(connack(broker.version))
    # Link.next() refuses a second CONNECT, and anything before the first.
    sent = [link.next(), link.next()]
    assert {p.type for p in sent} == {PUBLISH, SUBSCRIBE}
    for p in sent:
        link.send(packets.ack(PUBACK, p.id) if p.type == PUBLISH else packets.suback(broker.version, p.id, 1))
    for call in waiting:
        call.result()
    link.alive()
    assert [p.type for p in link.seen].count(CONNECT) == 1


@pytest.mark.mqtt("3:MQTT-3.1.2-9", "3:MQTT-3.1.2-14", "3:MQTT-3.1.2-19", "3:MQTT-3.1.2-21", "3:MQTT-3.1.3-1")
@pytest.mark.mqtt("5:MQTT-3.1.2-9", "5:MQTT-3.1.2-12", "5:MQTT-3.1.2-17", "5:MQTT-3.1.2-19", "5:MQTT-3.1.3-1")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_connect_says_what_the_settings_say(broker, make_node, qos):
    will = ["the/will", "gone", qos, True]
    make_node(broker, client_id="n-1", keepalive=77, user="me", password="secret", will=will, clean=True)
    hello = broker.accept().expect(CONNECT)
    assert (hello.client_id, hello.keepalive, hello.clean) == ("n-1", 77, True)
    assert (hello.user, hello.password) == ("me", b"secret")
    assert hello.will is not None
    assert (hello.will.topic, hello.will.payload, hello.will.qos, hello.will.retain) == (
        "the/will",
        b"gone",
        qos,
        True,
    )


@pytest.mark.mqtt(
    "3:MQTT-3.1.2-11", "3:MQTT-3.1.2-13", "3:MQTT-3.1.2-15", "3:MQTT-3.1.2-18", "3:MQTT-3.1.2-20"
)
@pytest.mark.mqtt(
    "5:MQTT-3.1.2-11", "5:MQTT-3.1.2-13", "5:MQTT-3.1.2-16", "5:MQTT-3.1.2-18", "3:MQTT-7.0.0-2"
)
def test_connect_says_nothing_more(broker, make_node):
    make_node(broker)
    hello = broker.accept().expect(CONNECT, user=None, password=None, will=None)
    # Protocol name, level, flags, keep alive, properties, client identifier: parse() refuses what is left over.
    assert hello.client_id == "node"


@pytest.mark.mqtt("3:MQTT-3.1.3-2", "5:MQTT-3.1.3-2", "3:MQTT-3.1.2-4")
def test_the_session_is_asked_for_under_the_same_name_again(broker, make_node):
    make_node(broker, client_id="always")
    for _ in range(3):
        link = broker.accepted(session=True)
        assert (link.hello.client_id, link.hello.clean) == ("always", False)
        link.cut()


@pytest.mark.mqtt("3:MQTT-3.1.2-6", "5:MQTT-3.1.2-4")
def test_a_clean_session_forgets_between_connections(broker, make_node):
    node = make_node(broker, clean=True)
    link = broker.accepted()
    assert link.hello.clean
    taken = node.call("subscribe", "a/#", 1)
    asked = link.expect(SUBSCRIBE, filters=[("a/#", 1)])
    link.send(packets.suback(broker.version, asked.id, 1))
    taken.result()
    waiting = node.call("publish", "t", "x", 1)
    link.expect(PUBLISH, payload=b"x", dup=False)
    # A message of QoS 2 that the old session has half delivered ...
    link.send(packets.publish(broker.version, "a/1", b"old", 2, 5))
    link.expect(packets.PUBREC, id=5)
    link.cut()
    link = broker.accepted()
    assert link.hello.clean
    asked = link.expect(SUBSCRIBE, filters=[("a/#", 1)])
    link.send(packets.suback(broker.version, asked.id, 1))
    # ... is not known in the new one: the same identifier is another message. What was not acknowledged is no
    # repetition there.
    new = link.expect(PUBLISH, payload=b"x", dup=False)
    link.send(packets.ack(PUBACK, new.id))
    waiting.result()
    link.send(packets.publish(broker.version, "a/1", b"new", 2, 5))
    link.expect(packets.PUBREC, id=5)
    node.got(b"old", b"new")


@pytest.mark.mqtt("3:MQTT-3.1.3-7")
def test_an_empty_client_identifier_asks_for_a_clean_session(make_broker, make_node):
    broker = make_broker(4)
    make_node(broker, client_id="", clean=True)
    broker.accept().expect(CONNECT, client_id="", clean=True)
    with pytest.raises(AssertionError, match="ValueError"):
        make_node(broker, client_id="", clean=False)


@pytest.mark.mqtt("3:MQTT-3.2.2-5", "5:MQTT-3.2.2-7", "5:MQTT-4.13.2-1", "3:MQTT-3.1.4-5", "5:MQTT-3.1.4-6")
def test_a_refused_connection_is_closed(broker, make_node):
    node = make_node(broker)
    link = broker.accept()
    node.call("publish", "a", "x", 1)
    link.expect(CONNECT)
    link.send(connack(broker.version, False, 5 if broker.version == 4 else 0x87))
    link.ended()
    assert not node.events(event="up")


@pytest.mark.mqtt("3:MQTT-3.2.0-1", "5:MQTT-3.2.0-1", "3:MQTT-4.8.0-1")
def test_a_broker_that_does_not_begin_with_connack_is_left(broker, make_node):
    node = make_node(broker)
    link = broker.accept()
    link.expect(CONNECT)
    link.send(packets.publish(broker.version, "a", b"x"))
    link.ended()
    assert not node.events(event="message")
    broker.accepted()
    node.up()


@pytest.mark.mqtt("5:MQTT-3.2.0-2", "3:MQTT-4.8.0-1")
def test_a_second_connack_is_a_protocol_error(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(connack(broker.version))
    if broker.version == 5:
        link.expect(DISCONNECT, code=0x82)
    link.ended()


@pytest.mark.mqtt("3:MQTT-3.1.2-23", "5:MQTT-3.1.2-20")
def test_keep_alive(broker, make_node):
    make_node(broker, keepalive=2)
    link = broker.accepted()
    last = time.monotonic()
    for _ in range(2):
        link.expect(PINGREQ)
        now = time.monotonic()
        assert now - last < 2.0, f"{now - last:.2f} s between two packets with a keep alive of 2 s"
        last = now
        link.send(PINGRESP_PACKET)


@pytest.mark.mqtt("3:MQTT-3.12.4-1", "5:MQTT-3.12.4-1")
def test_a_ping_without_an_answer_ends_the_connection(broker, make_node):
    node = make_node(broker, keepalive=1, response_time=1)
    link = broker.accepted()
    node.up()
    link.expect(PINGREQ, deadline=3)
    begin = time.monotonic()
    more = link.rest(5)
    assert time.monotonic() - begin < 3
    assert [p.type for p in more] in ([], [DISCONNECT]), more
    node.event(event="down")


@pytest.mark.mqtt(
    "3:MQTT-3.14.4-1", "3:MQTT-3.14.4-2", "5:MQTT-3.14.4-1", "5:MQTT-3.14.4-2", "3:MQTT-3.14.4-3"
)
def test_after_disconnect_nothing_is_sent_and_the_connection_closed(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    gone = node.call("disconnect")
    link.expect(DISCONNECT, code=0, props=[])
    node.call("publish", "late", "x", 0)
    node.call("publish", "late", "x", 1)
    link.ended()
    gone.result()
    broker.nobody(0.5)


@pytest.mark.mqtt("3:MQTT-3.14.4-2", "5:MQTT-3.14.4-1")
def test_disconnect_comes_after_what_was_accepted(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(packets.publish(broker.version, "a", b"x", 1, 9))
    node.got(b"x")
    node.call("publish", "b", "y", 0).result()
    node.call("disconnect").result()
    assert [p.type for p in link.rest()] == [PUBACK, PUBLISH, DISCONNECT]


@pytest.mark.mqtt("5:MQTT-4.13.2-1")
def test_a_server_that_disconnects_is_obeyed(make_broker, make_node):
    broker = make_broker(5)
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(disconnect(0x8B, [(packets.REASON, "off for tea")]))
    link.ended()
    assert "off for tea" in node.event(event="down")["why"]


@pytest.mark.mqtt("3:MQTT-2.3.1-7", "5:MQTT-2.2.1-6", "3:MQTT-3.8.4-2", "5:MQTT-3.8.4-2", "3:MQTT-3.10.4-4")
@pytest.mark.mqtt("5:MQTT-3.10.4-5", "5:MQTT-3.8.4-1", "3:MQTT-3.8.4-1", "5:MQTT-3.10.4-4")
@pytest.mark.mqtt("3:MQTT-3.8.3-3", "5:MQTT-3.8.3-2", "3:MQTT-3.10.3-2", "5:MQTT-3.10.3-2")
def test_subscribing_waits_for_the_answer_of_the_same_identifier(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    taken = node.call("subscribe", "a/+", 1)
    asked = link.expect(SUBSCRIBE, filters=[("a/+", 1)])
    link.send(packets.suback(broker.version, asked.id % 65535 + 1, 1))
    link.alive()
    assert not taken.ended
    link.send(packets.suback(broker.version, asked.id, 1))
    assert taken.result() == 1
    left = node.call("unsubscribe", "a/+")
    asked = link.expect(UNSUBSCRIBE, filters=[("a/+", 0)])
    link.send(packets.unsuback(broker.version, asked.id % 65535 + 1, 0))
    link.alive()
    assert not left.ended
    link.send(packets.unsuback(broker.version, asked.id, 0))
    left.result()


@pytest.mark.mqtt("3:MQTT-3.8.4-5", "5:MQTT-3.8.4-7", "5:MQTT-3.9.3-2")
def test_a_refused_subscription_is_an_error(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    taken = node.call("subscribe", "no", 1)
    asked = link.expect(SUBSCRIBE)
    link.send(packets.suback(broker.version, asked.id, 0x80 if broker.version == 4 else 0x87))
    with pytest.raises(Refused, match="MQTTError"):
        taken.result()
    link.alive()
