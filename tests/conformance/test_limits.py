"""MQTT 5: what either side allows the other, and what the client makes of it."""

from __future__ import annotations

import time

import pytest
from conformance import packets
from conformance.node import Refused
from conformance.packets import (
    ALIAS,
    ALIAS_MAX,
    ASSIGNED_ID,
    CONNECT,
    DISCONNECT,
    MAX_QOS,
    MAX_SIZE,
    PINGREQ,
    PINGRESP_PACKET,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    RECEIVE_MAX,
    RETAIN_AVAILABLE,
    SERVER_KEEP_ALIVE,
    SESSION_EXPIRY,
    SHARED,
    SUBSCRIBE,
    WILDCARDS,
    WILL_DELAY,
    ack,
    connack,
    publish,
    suback,
)


@pytest.fixture
def broker(make_broker):
    return make_broker(5)


@pytest.mark.mqtt("5:MQTT-3.1.2-21", "5:MQTT-3.2.2-21")
@pytest.mark.parametrize("own", [60, 0])
def test_the_servers_keep_alive_counts(broker, make_node, own):
    make_node(broker, keepalive=own)
    link = broker.accepted(props=[(SERVER_KEEP_ALIVE, 2)])
    assert link.hello.keepalive == own
    begin = time.monotonic()
    link.expect(PINGREQ)
    assert time.monotonic() - begin < 2.0
    link.send(PINGRESP_PACKET)
    # It counts for this connection only.
    link.cut()
    link = broker.accepted()
    assert link.hello.keepalive == own
    link.silent(2.5)


@pytest.mark.mqtt("5:MQTT-3.2.2-11", "5:MQTT-3.2.2-9", "5:MQTT-3.2.2-10")
def test_no_qos_above_the_servers_maximum(broker, make_node):
    node = make_node(broker)
    link = broker.accepted(props=[(MAX_QOS, 1)])
    node.up()
    with pytest.raises(Refused):
        node.call("publish", "a", "2", 2).result()
    call = node.call("publish", "a", "1", 1)
    link.send(ack(PUBACK, link.expect(PUBLISH, payload=b"1", qos=1).id))
    call.result()
    # Subscriptions may ask for more; the server grants what it can.
    taken = node.call("subscribe", "s", 2)
    link.send(suback(5, link.expect(SUBSCRIBE, filters=[("s", 2)]).id, 1))
    assert taken.result() == 1


@pytest.mark.mqtt("5:MQTT-3.2.2-11", "5:MQTT-3.2.2-14")
def test_a_new_limit_counts_for_messages_accepted_before_it(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    calls = [node.call("publish", "a", "2", 2), node.call("publish", "a", "r", 1, True)]
    link.expect(PUBLISH, qos=2)
    link.expect(PUBLISH, retain=True)
    link.cut()
    link = broker.accepted(props=[(MAX_QOS, 1), (RETAIN_AVAILABLE, 0)])
    node.up(2)
    link.alive_after(lambda p: p.type == PUBLISH and p.qos < 2 and not p.retain)
    for call in calls:
        try:
            call.result()
        except Refused as refused:
            assert refused.kind in ("MQTTError", "ValueError")


@pytest.mark.mqtt("5:MQTT-3.2.2-14")
def test_nothing_retained_where_the_server_retains_nothing(broker, make_node):
    node = make_node(broker)
    link = broker.accepted(props=[(RETAIN_AVAILABLE, 0)])
    node.up()
    for qos in (0, 1):
        with pytest.raises(Refused):
            node.call("publish", "a", "x", qos, True).result()
    node.call("publish", "a", "plain", 0).result()
    link.expect(PUBLISH, payload=b"plain", retain=False)


@pytest.mark.mqtt("5:MQTT-3.2.2-15", "5:MQTT-3.4.2-2", "5:MQTT-3.4.2-3", "5:MQTT-3.5.2-2", "5:MQTT-3.5.2-3")
@pytest.mark.mqtt("5:MQTT-3.6.2-2", "5:MQTT-3.6.2-3", "5:MQTT-3.7.2-2", "5:MQTT-3.7.2-3")
@pytest.mark.mqtt("5:MQTT-3.14.2-3", "5:MQTT-3.14.2-4")
def test_no_packet_larger_than_the_servers_maximum(broker, make_node):
    node = make_node(broker)
    link = broker.accepted(props=[(MAX_SIZE, 30)])
    node.up()
    for qos in (0, 1, 2):
        with pytest.raises(Refused):
            node.call("publish", "a", "x" * 30, qos).result()
    with pytest.raises(Refused):
        node.call("subscribe", "s" * 30, 0).result()
    # 5 bytes of header, topic and property length, then the payload: exactly 30.
    node.call("publish", "a", "x" * 24, 0).result()
    assert len(link.expect(PUBLISH).raw) == 30
    # Acknowledgements and DISCONNECT carry nothing that could be left out.
    link.send(
        publish(5, "a", b"", 1, 1), publish(5, "a", b"", 2, 2), ack(PUBREL, 2), ack(PUBREC, 9), b"\x00\x00"
    )
    small = link.rest()
    assert [p.type for p in small] == [PUBACK, PUBREC, PUBCOMP, PUBREL, DISCONNECT]
    assert all(not p.props and len(p.raw) < 7 for p in small)


@pytest.mark.mqtt("5:MQTT-3.2.2-15")
def test_a_message_that_has_become_too_large_is_settled(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    large = node.call("publish", "a", "x" * 100, 1)
    link.expect(PUBLISH)
    link.cut()
    link = broker.accepted(session=True, props=[(MAX_SIZE, 50)])
    with pytest.raises(Refused):
        large.result()
    small = node.call("publish", "a", "x", 1)
    link.send(ack(PUBACK, link.expect(PUBLISH, payload=b"x").id))
    small.result()


@pytest.mark.mqtt("5:MQTT-3.3.4-7", "5:MQTT-3.3.4-8", "5:MQTT-4.9.0-1", "5:MQTT-4.9.0-2", "5:MQTT-4.9.0-3")
def test_the_servers_receive_maximum(broker, make_node):
    node = make_node(broker, window=8)
    link = broker.accepted(props=[(RECEIVE_MAX, 2)])
    node.up()
    calls = [node.call("publish", "a", str(i), 1 + i % 2) for i in range(6)]
    flying = [link.expect(PUBLISH, payload=b"0"), link.expect(PUBLISH, payload=b"1")]
    # The quota is used up: no other message of QoS 1 or 2, but everything else.
    node.call("publish", "a", "qos 0", 0).result()
    link.expect(PUBLISH, payload=b"qos 0", qos=0)
    node.call("subscribe", "s", 0)
    link.send(suback(5, link.expect(SUBSCRIBE).id, 0))
    link.send(publish(5, "a", b"", 2, 1), ack(PUBREL, 1))
    link.expect(PUBREC, id=1)
    link.expect(PUBCOMP, id=1)
    # PUBREC does not give the quota back, PUBCOMP does.
    link.send(ack(PUBREC, flying[1].id))
    link.expect(PUBREL)
    link.alive()
    link.send(ack(PUBCOMP, flying[1].id))
    third = link.expect(PUBLISH, payload=b"2")
    link.alive()
    link.send(ack(PUBACK, flying[0].id))
    fourth = link.expect(PUBLISH, payload=b"3")
    # So does a PUBREC that refuses.
    link.send(ack(PUBREC, fourth.id, 0x80))
    link.expect(PUBLISH, payload=b"4")
    link.alive()
    link.cut()
    # After a reconnect the limit holds for what is sent again, too.
    link = broker.accepted(session=True, props=[(RECEIVE_MAX, 1)])
    link.expect(PUBLISH, payload=b"2", id=third.id, dup=True)
    link.alive()
    link.send(ack(PUBACK, third.id))
    last = link.expect(PUBLISH, payload=b"4", dup=True)
    link.alive()
    link.send(ack(PUBACK, last.id))
    last = link.expect(PUBLISH, payload=b"5", dup=False)
    link.send(ack(PUBREC, last.id))
    link.expect(PUBREL)
    link.send(ack(PUBCOMP, last.id))
    with pytest.raises(Refused):
        calls[3].result()
    for i in (0, 1, 2, 4, 5):
        calls[i].result()


@pytest.mark.mqtt("5:MQTT-3.3.4-9", "5:MQTT-3.3.4-10")
def test_the_clients_receive_maximum(broker, make_node):
    node = make_node(broker, receive_max=3)
    link = broker.accepted()
    assert link.hello.prop(RECEIVE_MAX) == 3
    node.up()
    for i in range(1, 4):
        link.send(publish(5, "a", b"", 2, i))
        link.expect(PUBREC, id=i)
    link.send(publish(5, "a", b"", 2, 1, dup=True))  # one of the three
    link.expect(PUBREC, id=1)
    link.send(ack(PUBREL, 1))
    link.expect(PUBCOMP, id=1)
    link.send(publish(5, "a", b"", 2, 4))
    link.expect(PUBREC, id=4)
    # A server that goes on is told so, now or some messages later (there are servers that exceed it a little).
    link.send(*(publish(5, "a", b"", 2, i) for i in range(5, 1000)))
    said = link.rest()
    assert said[-1].type == DISCONNECT and said[-1].code == 0x93
    assert [p.id for p in said[:-1]] == list(range(5, 4 + len(said)))


@pytest.mark.mqtt("5:MQTT-3.2.2-17", "5:MQTT-3.3.2-9", "5:MQTT-3.3.2-8", "5:MQTT-3.3.2-7")
def test_outgoing_topic_aliases_stay_within_the_servers_maximum(broker, make_node):
    node = make_node(broker)
    for _ in range(2):
        link = broker.accepted(props=[(ALIAS_MAX, 2)])
        node.up(len(broker.links))
        known: dict[int, str] = {}
        for i in range(40):
            topic = f"home/room/{i % 4}"
            node.call("publish", topic, str(i), 0).result()
            sent = link.expect(PUBLISH, payload=str(i).encode())
            alias = sent.prop(ALIAS)
            assert alias is None or 1 <= alias <= 2
            if sent.topic and alias:
                known[alias] = sent.topic
            # Whatever the last connection knew is forgotten.
            assert (sent.topic or known[alias]) == topic
        link.cut()


@pytest.mark.mqtt("5:MQTT-3.2.2-18", "5:MQTT-3.2.2-17")
@pytest.mark.parametrize("props", [[], [(ALIAS_MAX, 0)]], ids=["absent", "0"])
def test_no_topic_alias_without_a_maximum(broker, make_node, props):
    node = make_node(broker)
    link = broker.accepted(props=props)
    node.up()
    for _ in range(5):
        node.call("publish", "home/room", "x", 0).result()
        link.expect(PUBLISH, topic="home/room", props=[])


@pytest.mark.mqtt("5:MQTT-3.3.2-10", "5:MQTT-3.3.2-7", "5:MQTT-3.1.2-26")
def test_incoming_topic_aliases(broker, make_node):
    node = make_node(broker, alias=5)
    link = broker.accepted()
    assert link.hello.prop(ALIAS_MAX) == 5
    node.up()
    for alias in (1, 5, 3):
        link.send(publish(5, f"topic/{alias}", b"set", 0, props=[(ALIAS, alias)]))
        link.send(publish(5, "", b"used", 1, alias, props=[(ALIAS, alias)]))
        link.expect(PUBACK, id=alias)
    link.send(publish(5, "other", b"set", 0, props=[(ALIAS, 5)]))
    link.send(publish(5, "", b"used", 2, 1, props=[(ALIAS, 5)]))
    link.expect(PUBREC)
    node.got(*(b"set", b"used") * 4)
    topics = [event["topic"] for event in node.events(event="message")]
    assert topics == ["topic/1", "topic/1", "topic/5", "topic/5", "topic/3", "topic/3", "other", "other"]
    link.cut()
    link = broker.accepted(session=True)
    link.send(publish(5, "", b"x", 0, props=[(ALIAS, 5)]))  # of the connection before
    assert link.expect(DISCONNECT).code in (0x82, 0x94)
    link.ended()


@pytest.mark.mqtt("5:MQTT-3.1.2-27")
def test_without_aliases_none_is_announced_and_none_accepted(broker, make_node):
    make_node(broker, alias=0)
    link = broker.accepted()
    assert not link.hello.prop(ALIAS_MAX)
    link.send(publish(5, "a", b"x", 0, props=[(ALIAS, 1)]))
    link.expect(DISCONNECT, code=0x94)
    link.ended()


@pytest.mark.mqtt("5:MQTT-3.1.2-24", "5:MQTT-3.1.2-25")
def test_the_clients_maximum_packet_size(broker, make_node):
    node = make_node(broker, limit=200, buffer=512)
    link = broker.accepted()
    assert link.hello.prop(MAX_SIZE) == 200
    node.up()
    link.send(publish(5, "a", b"x" * 190, 1, 1))
    link.expect(PUBACK, id=1)
    # A server that does not keep to it: the message is left out, and acknowledged or complained about.
    link.send(publish(5, "a", b"x" * 300, 1, 2))
    answer = link.next()
    assert answer is not None
    assert (answer.type, answer.code) in ((PUBACK, 0), (PUBACK, 0x97), (DISCONNECT, 0x95))
    node.got(b"x" * 190)


@pytest.mark.mqtt("5:MQTT-3.1.2-23", "5:MQTT-4.1.0-2")
@pytest.mark.parametrize(
    ("settings", "expiry"), [({}, 86400), ({"session_expiry": 100}, 100), ({"clean": True}, 0)]
)
def test_session_expiry(broker, make_node, settings, expiry):
    node = make_node(broker, **settings)
    link = broker.accepted()
    assert (link.hello.prop(SESSION_EXPIRY) or 0) == expiry
    node.up()
    node.call("disconnect").result()
    # Once 0, it must not be set in DISCONNECT (3.14.2.2.2); otherwise it may be left as it is.
    said = link.expect(DISCONNECT, code=0)
    assert expiry or not said.prop(SESSION_EXPIRY)


@pytest.mark.mqtt("5:MQTT-3.2.2-16", "5:MQTT-3.1.3-7", "5:MQTT-3.1.3-6", "5:MQTT-3.1.3-3", "5:MQTT-3.1.3-2")
def test_the_assigned_client_identifier_is_kept(broker, make_node):
    make_node(broker, client_id="")
    link = broker.accept()
    link.expect(CONNECT, client_id="")
    link.send(connack(5, False, 0, [(ASSIGNED_ID, "given-1")]))
    link.alive()
    link.cut()
    for _ in range(2):
        link = broker.accepted(session=True)
        assert (link.hello.client_id, link.hello.clean) == ("given-1", False)
        link.alive()
        link.cut()


@pytest.mark.mqtt("5:MQTT-4.8.2-1", "5:MQTT-4.8.2-2", "5:MQTT-3.8.3-4", "5:MQTT-4.7.1-1", "5:MQTT-4.7.1-2")
def test_filters_that_cannot_be(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    for name in ("$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/g#/a", "a/#/b", "a+", ""):
        with pytest.raises(Refused, match="ValueError"):
            node.call("subscribe", name, 0).result()
    with pytest.raises(Refused, match="ValueError"):
        node.call("subscribe", "$share/g/a", 0, None, options=4).result()
    taken = node.call("subscribe", "$share/g/a/+", 1)
    link.send(suback(5, link.expect(SUBSCRIBE, filters=[("$share/g/a/+", 1)]).id, 1))
    taken.result()
    taken = node.call("subscribe", "b", 1, None, options=0x2C)
    link.send(suback(5, link.expect(SUBSCRIBE, filters=[("b", 0x2D)]).id, 1))
    taken.result()


@pytest.mark.mqtt("5:MQTT-3.3.4-6")
def test_no_subscription_identifier_in_a_message(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    for qos in (0, 1):
        with pytest.raises(Refused, match="ValueError"):
            node.call("publish", "a", "x", qos, props=b"\x0b\x01").result()
    node.call("publish", "a", "x", 0, props=b"\x03\x00\x01t").result()
    link.expect(PUBLISH, props=[(packets.CONTENT, "t")])


@pytest.mark.parametrize(("prop", "name"), [(WILDCARDS, "a/+"), (SHARED, "$share/g/a")])
def test_filters_that_the_server_does_not_have(broker, make_node, prop, name):
    node = make_node(broker)
    link = broker.accepted(props=[(prop, 0)])
    node.up()
    with pytest.raises(Refused):
        node.call("subscribe", name, 0).result()
    node.call("subscribe", "plain", 0)
    link.expect(SUBSCRIBE, filters=[("plain", 0)])


@pytest.mark.mqtt("5:MQTT-3.1.2-9", "5:MQTT-3.1.3-1", "5:MQTT-3.1.3-10")
def test_will_properties(broker, make_node):
    props = [
        (WILL_DELAY, 30),
        (packets.CONTENT, "text/plain"),
        (packets.USER, ("a", "1")),
        (packets.USER, ("a", "2")),
    ]
    block = packets.properties(props)[1:]
    make_node(broker, will=["w", "gone", 1, False, block], user="u", password="p")
    hello = broker.accept().expect(CONNECT, user="u", password=b"p")
    assert hello.will is not None
    assert (hello.will.topic, hello.will.payload, hello.will.props) == ("w", b"gone", props)


@pytest.mark.mqtt("5:MQTT-3.3.2-13", "5:MQTT-3.3.2-14", "5:MQTT-3.3.2-16", "5:MQTT-3.3.2-15")
def test_request_and_response(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    call = node.call("request", "do/it", "now")
    asked = link.next()
    assert asked is not None
    if asked.type == SUBSCRIBE:
        link.send(suback(5, asked.id, asked.filters[0][1] & 3))
        asked = link.next()
    assert asked is not None and (asked.type, asked.topic, asked.payload) == (PUBLISH, "do/it", b"now")
    if asked.qos:
        link.send(ack(PUBACK, asked.id))
    back, mark = asked.prop(packets.RESPONSE), asked.prop(packets.CORRELATION)
    assert back and mark
    link.send(publish(5, back, b"of another request", 0, props=[(packets.CORRELATION, mark + b"x")]))
    link.send(publish(5, back, b"done", 0, props=[(packets.CORRELATION, mark)]))
    assert call.result()[1] == "hex:" + b"done".hex()


def test_another_server(broker, make_broker, make_node):
    # Section 4.11, which has no numbered statement: 0x9C is for now, 0x9D for good.
    other = make_broker(5)
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(packets.disconnect(0x9C, [(packets.SERVER_REFERENCE, f"127.0.0.1:{other.port}")]))
    link.ended()
    other.accepted()
    node.up(2)
