"""The receiver's side: acknowledgements, their order, messages that come twice, messages nobody wants."""

from __future__ import annotations

import pytest
from conformance.packets import (
    EXPIRY,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIPTION,
    USER,
    ack,
    publish,
)


@pytest.mark.mqtt("3:MQTT-3.3.4-1", "5:MQTT-3.3.4-1", "3:MQTT-4.3.2-2", "5:MQTT-4.3.2-4", "5:MQTT-2.2.1-5")
@pytest.mark.mqtt("3:MQTT-4.3.3-2", "5:MQTT-4.3.3-8", "5:MQTT-4.3.3-11", "3:MQTT-2.3.1-6", "5:MQTT-3.4.2-1")
@pytest.mark.mqtt("5:MQTT-3.5.2-1", "5:MQTT-3.7.2-1")
def test_each_qos_gets_its_answer(broker, make_node):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(publish(v, "a", b"0", 0))
    link.send(publish(v, "a", b"1", 1, 7))
    link.expect(PUBACK, id=7, code=0)
    link.send(publish(v, "a", b"2", 2, 8))
    link.expect(PUBREC, id=8, code=0)
    link.send(ack(PUBREL, 8))
    link.expect(PUBCOMP, id=8, code=0)
    node.got(b"0", b"1", b"2")
    link.alive()


@pytest.mark.mqtt("3:MQTT-4.3.2-2", "5:MQTT-4.3.2-5")
@pytest.mark.parametrize("dup", [False, True])
def test_after_puback_the_same_identifier_is_a_new_message(broker, make_node, dup):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    for text in (b"first", b"second"):
        link.send(publish(v, "a", text, 1, 3, dup=dup))
        link.expect(PUBACK, id=3)
    node.got(b"first", b"second")


@pytest.mark.mqtt("3:MQTT-4.3.3-2", "5:MQTT-4.3.3-10", "5:MQTT-4.3.3-12", "5:MQTT-4.1.0-1", "3:MQTT-4.1.0-1")
def test_a_message_of_qos_2_is_delivered_once(broker, make_node):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(publish(v, "a", b"once", 2, 3))
    link.expect(PUBREC, id=3, code=0)
    link.send(publish(v, "a", b"once", 2, 3, dup=True))
    link.expect(PUBREC, id=3, code=0)
    link.cut()
    # The identifier belongs to the session, not to the connection.
    link = broker.accepted(session=True)
    link.send(publish(v, "a", b"once", 2, 3, dup=True))
    link.expect(PUBREC, id=3, code=0)
    link.send(ack(PUBREL, 3))
    link.expect(PUBCOMP, id=3, code=0)
    node.got(b"once")
    link.send(publish(v, "a", b"another", 2, 3))
    link.expect(PUBREC, id=3, code=0)
    node.got(b"once", b"another")


@pytest.mark.mqtt("5:MQTT-3.2.2-5", "3:MQTT-4.3.3-2")
def test_a_lost_session_frees_the_identifiers_of_qos_2(broker, make_node):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(publish(v, "a", b"1", 2, 3))
    link.expect(PUBREC, id=3)
    link.cut()
    link = broker.accepted(session=False)
    link.send(publish(v, "a", b"2", 2, 3))
    link.expect(PUBREC, id=3)
    node.got(b"1", b"2")


@pytest.mark.mqtt("5:MQTT-3.7.2-1", "3:MQTT-4.3.3-2", "5:MQTT-4.3.3-11")
def test_pubrel_is_answered_also_when_it_is_unknown_or_comes_again(broker, make_node):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted(session=True)
    node.up()
    link.send(ack(PUBREL, 99))
    assert link.expect(PUBCOMP, id=99).code in (0, 0x92)
    link.send(publish(v, "a", b"1", 2, 3))
    link.expect(PUBREC, id=3)
    for _ in range(2):
        link.send(ack(PUBREL, 3))
        assert link.expect(PUBCOMP, id=3).code in (0, 0x92)
    link.alive()
    node.got(b"1")


@pytest.mark.mqtt("3:MQTT-4.6.0-2", "5:MQTT-4.6.0-2", "3:MQTT-4.6.0-3", "5:MQTT-4.6.0-3")
def test_acknowledgements_keep_the_order(broker, make_node):
    v = broker.version
    node = make_node(broker, **({"receive_max": 100} if v == 5 else {}))
    link = broker.accepted()
    node.up()
    ids = [(i * 37) % 61 + 1 for i in range(60)]
    link.send(*(publish(v, "a", str(i).encode(), 1 + i % 2, id) for i, id in enumerate(ids)))
    answers = [link.next() for _ in ids]
    found = {kind: [p.id for p in answers if p and p.type == kind] for kind in (PUBACK, PUBREC)}
    assert found == {PUBACK: ids[0::2], PUBREC: ids[1::2]}
    node.got(*(str(i).encode() for i in range(60)))


@pytest.mark.mqtt("3:MQTT-4.5.0-2", "5:MQTT-4.5.0-2", "3:MQTT-3.3.2-3", "5:MQTT-3.3.2-3")
@pytest.mark.parametrize("qos", [1, 2])
def test_what_nobody_wants_is_acknowledged(broker, make_node, qos):
    v = broker.version
    node = make_node(broker, buffer=256)
    link = broker.accepted()
    node.up()
    answer = PUBACK if qos == 1 else PUBREC
    link.send(publish(v, "raise", b"the callback fails", qos, 1))
    link.expect(answer, id=1, code=0)
    link.send(publish(v, "never/subscribed", b"x", qos, 2))
    link.expect(answer, id=2, code=0)
    link.send(publish(v, "too/large", bytes(5000), qos, 3))
    link.expect(answer, id=3, code=0)
    link.send(publish(v, "long/" + "x" * 2000, b"", qos, 4))
    link.expect(answer, id=4, code=0)
    link.alive()
    assert node.get("skipped") == [2]


@pytest.mark.mqtt("5:MQTT-4.3.3-13")
def test_an_expired_message_is_acknowledged_to_the_end(make_broker, make_node):
    broker = make_broker(5)
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(publish(5, "a", b"x", 2, 1, props=[(EXPIRY, 0)]))
    link.expect(PUBREC, id=1, code=0)
    link.send(ack(PUBREL, 1))
    link.expect(PUBCOMP, id=1, code=0)
    link.alive()


@pytest.mark.mqtt("3:MQTT-3.3.1-3", "5:MQTT-3.3.1-3")
def test_dup_of_what_came_says_nothing_about_what_goes(broker, make_node):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    link.send(publish(v, "a", b"x", 1, 1, dup=True))
    link.expect(PUBACK, id=1)
    assert node.event(event="message")["dup"] is True
    call = node.call("publish", "a", "x", 1)
    sent = link.expect(PUBLISH, dup=False)
    link.send(ack(PUBACK, sent.id))
    call.result()


@pytest.mark.mqtt("3:MQTT-7.1.2-1", "5:MQTT-4.2.0-1")
def test_packets_may_arrive_byte_by_byte(broker, make_node):
    v = broker.version
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    data = b"".join(publish(v, "a/b", b"x" * n, n % 3, n) for n in range(1, 9))
    for byte in data:
        link.send(bytes([byte]))
    node.got(*(b"x" * n for n in range(1, 9)))


@pytest.mark.mqtt("5:MQTT-3.3.4-3", "5:MQTT-3.3.4-4", "5:MQTT-3.3.4-5", "5:MQTT-3.3.2-17", "5:MQTT-3.3.2-18")
def test_subscription_identifiers_and_user_properties_are_received(make_broker, make_node):
    broker = make_broker(5)
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    props = [
        (SUBSCRIPTION, 1),
        (USER, ("b", "2")),
        (SUBSCRIPTION, 268435455),
        (USER, ("a", "1")),
        (USER, ("b", "2")),
    ]
    link.send(publish(5, "a", b"x", 1, 1, props=props))
    link.expect(PUBACK, id=1)
    got = bytes.fromhex(node.event(event="message", topic="a")["props"][4:])
    assert publish(5, "a", props=props).endswith(got) and len(got) > 20
