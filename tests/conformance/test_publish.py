"""The sender's side: identifiers, DUP, what is sent again and what is not, QoS 2, order."""

from __future__ import annotations

import pytest
from conformance.node import Refused
from conformance.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBSCRIBE, ack, suback


@pytest.mark.mqtt("3:MQTT-4.3.1-1", "5:MQTT-4.3.1-1", "3:MQTT-3.3.1-2", "5:MQTT-3.3.1-2", "5:MQTT-2.2.1-2")
@pytest.mark.mqtt("3:MQTT-2.3.1-5", "5:MQTT-2.2.2-1", "5:MQTT-3.3.4-6")
def test_qos_0(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    node.call("publish", "a/b", "text", 0).result()
    node.call("publish", "a/c", b"\x00\xff", 0, True).result()
    node.call("publish", "a/d", "", 0).result()
    link.expect(PUBLISH, topic="a/b", payload=b"text", flags=0, props=[])
    link.expect(PUBLISH, topic="a/c", payload=b"\x00\xff", flags=1, props=[])
    link.expect(PUBLISH, topic="a/d", payload=b"", flags=0, props=[])


@pytest.mark.mqtt("3:MQTT-4.3.2-1", "5:MQTT-4.3.2-1", "5:MQTT-4.3.2-2", "5:MQTT-4.3.2-3", "5:MQTT-2.2.1-5")
@pytest.mark.mqtt("3:MQTT-2.3.1-1", "3:MQTT-2.3.1-6", "5:MQTT-2.2.1-3")
def test_qos_1_ends_with_its_puback(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    call = node.call("publish", "a", "x", 1)
    sent = link.expect(PUBLISH, topic="a", payload=b"x", qos=1, dup=False, retain=False)
    link.send(ack(PUBACK, sent.id % 65535 + 1))
    link.alive()
    assert not call.ended
    link.send(ack(PUBACK, sent.id))
    call.result()
    link.alive()


@pytest.mark.mqtt("3:MQTT-4.3.3-1", "5:MQTT-4.3.3-1", "5:MQTT-4.3.3-2", "5:MQTT-4.3.3-3", "5:MQTT-4.3.3-4")
@pytest.mark.mqtt("5:MQTT-2.2.1-5", "3:MQTT-2.3.1-6", "3:MQTT-3.6.1-1", "5:MQTT-3.6.1-1", "5:MQTT-3.6.2-1")
def test_qos_2_ends_with_its_pubcomp(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    call = node.call("publish", "a", "x", 2)
    sent = link.expect(PUBLISH, topic="a", payload=b"x", qos=2, dup=False, retain=False)
    link.send(ack(PUBCOMP, sent.id % 65535 + 1))  # of another message
    if broker.version == 5:
        link.send(ack(PUBACK, sent.id))  # not what it waits for
    link.alive()
    assert not call.ended
    link.send(ack(PUBREC, sent.id))
    link.expect(PUBREL, id=sent.id, code=0)
    link.send(ack(PUBCOMP, sent.id))
    call.result()
    link.alive()


@pytest.mark.mqtt("3:MQTT-2.3.1-2", "3:MQTT-2.3.1-3", "5:MQTT-2.2.1-3", "5:MQTT-4.3.2-1", "5:MQTT-4.3.3-1")
def test_no_identifier_is_used_twice_at_a_time(broker, make_node):
    node = make_node(broker, window=4)
    link = broker.accepted()
    node.up()
    node.call("subscribe", "s", 0)
    asked = link.expect(SUBSCRIBE)  # is never answered, so its identifier stays in use
    calls = [node.call("publish", "a", str(i), 1 + i % 2) for i in range(12)]
    flying = [link.expect(PUBLISH) for _ in range(4)]
    assert len({p.id for p in flying} | {asked.id}) == 5
    while flying:
        # The one that was sent second is the first to be acknowledged.
        done = flying.pop(min(1, len(flying) - 1))
        if done.qos == 2:
            link.send(ack(PUBREC, done.id))
            link.expect(PUBREL, id=done.id)
        link.send(ack(PUBACK if done.qos == 1 else PUBCOMP, done.id))
        if len([p for p in link.seen if p.type == PUBLISH]) < len(calls):
            new = link.expect(PUBLISH)
            assert new.id not in {p.id for p in flying} | {asked.id}
            flying.append(new)
    for call in calls:
        call.result()


@pytest.mark.mqtt("3:MQTT-2.3.1-1", "3:MQTT-2.3.1-2", "3:MQTT-2.3.1-3", "5:MQTT-2.2.1-3", "5:MQTT-4.3.2-1")
def test_identifiers_begin_anew_without_0_and_without_those_in_use(broker, make_node):
    node = make_node(broker, window=20)
    link = broker.accepted()
    node.up()
    held = node.call("publish", "t", "held", 1)
    first = link.expect(PUBLISH, payload=b"held")
    count = 66000  # more than there are identifiers
    flood = node.call("flood", "t", count, 1)
    last = first.id
    for _ in range(count):
        sent = link.next()  # refuses identifier 0
        assert sent is not None and sent.type == PUBLISH and sent.id != first.id
        link.send(ack(PUBACK, sent.id))
        last = max(last, sent.id)
    assert last == 65535
    link.send(ack(PUBACK, first.id))
    held.result()
    flood.result()


@pytest.mark.mqtt("3:MQTT-3.3.1-1", "5:MQTT-3.3.1-1", "3:MQTT-3.3.1-3", "5:MQTT-3.3.1-3", "3:MQTT-2.3.1-3")
@pytest.mark.mqtt("3:MQTT-4.4.0-1", "5:MQTT-4.4.0-1", "3:MQTT-4.6.0-1", "5:MQTT-4.6.0-1", "3:MQTT-4.1.0-1")
@pytest.mark.mqtt("3:MQTT-4.1.0-2", "5:MQTT-4.1.0-1", "5:MQTT-3.1.2-23", "3:MQTT-3.1.2-4", "5:MQTT-4.3.3-3")
def test_what_is_unacknowledged_is_sent_again_in_its_order(broker, make_node):
    node = make_node(broker, window=8)
    link = broker.accepted()
    node.up()
    calls = [node.call("publish", "t", str(i), 1 + i % 2) for i in range(5)]
    first = [link.expect(PUBLISH, payload=str(i).encode(), dup=False) for i in range(5)]
    link.send(ack(PUBACK, first[2].id))
    calls[2].result()
    link.cut()

    link = broker.accepted(session=True)
    for i in (0, 1, 3, 4):
        link.expect(PUBLISH, payload=str(i).encode(), id=first[i].id, qos=1 + i % 2, dup=True)
    # A new one is no repetition.
    new = node.call("publish", "t", "new", 1)
    last = link.expect(PUBLISH, payload=b"new", dup=False)
    assert last.id not in {p.id for p in first if p is not first[2]}
    link.send(ack(PUBACK, last.id))
    new.result()
    for i in (0, 4):
        link.send(ack(PUBACK, first[i].id))
    for i in (1, 3):
        link.send(ack(PUBREC, first[i].id))
        link.expect(PUBREL, id=first[i].id)
        link.send(ack(PUBCOMP, first[i].id))
    for call in calls:
        call.result()


@pytest.mark.mqtt("5:MQTT-4.4.0-1", "3:MQTT-4.4.0-1")
def test_nothing_is_sent_again_on_a_connection_that_lasts(broker, make_node):
    # However long the acknowledgement takes, as long as the broker shows life.
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    one = node.call("publish", "t", "1", 1)
    two = node.call("publish", "t", "2", 2)
    first, second = link.expect(PUBLISH, qos=1), link.expect(PUBLISH, qos=2)
    link.silent(2)
    link.alive()
    link.send(ack(PUBREC, second.id))
    link.expect(PUBREL, id=second.id)
    link.silent(2)
    link.alive()
    link.send(ack(PUBACK, first.id), ack(PUBCOMP, second.id))
    one.result()
    two.result()


@pytest.mark.mqtt("3:MQTT-4.3.3-1", "5:MQTT-4.3.3-5", "5:MQTT-4.3.3-6", "3:MQTT-4.4.0-1", "5:MQTT-4.4.0-1")
def test_after_pubrel_the_message_is_never_sent_again(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    call = node.call("publish", "t", "x", 2)
    sent = link.expect(PUBLISH, qos=2)
    link.send(ack(PUBREC, sent.id))
    link.expect(PUBREL, id=sent.id)
    link.cut()
    for _ in range(2):
        link = broker.accepted(session=True)
        link.expect(PUBREL, id=sent.id)
        link.alive()
        link.cut()
    link = broker.accepted(session=True)
    link.expect(PUBREL, id=sent.id)
    link.send(ack(PUBREC, sent.id))  # repeated by a broker that did not get the PUBREL
    link.expect(PUBREL, id=sent.id)
    link.send(ack(PUBCOMP, sent.id))
    call.result()
    link.alive()


@pytest.mark.mqtt("3:MQTT-4.4.0-1", "5:MQTT-4.4.0-1", "3:MQTT-2.3.1-3")
def test_acknowledged_messages_are_not_sent_again(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    one, two = node.call("publish", "t", "1", 1), node.call("publish", "t", "2", 2)
    link.send(ack(PUBACK, link.expect(PUBLISH, qos=1).id))
    sent = link.expect(PUBLISH, qos=2)
    link.send(ack(PUBREC, sent.id))
    link.expect(PUBREL)
    link.send(ack(PUBCOMP, sent.id))
    one.result()
    two.result()
    link.cut()
    link = broker.accepted(session=True)
    node.up(2)
    link.alive()


@pytest.mark.mqtt("5:MQTT-3.2.2-5")
def test_a_lost_session_is_dropped_and_its_messages_are_new_ones(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    taken = node.call("subscribe", "a/#", 1)
    link.send(suback(broker.version, link.expect(SUBSCRIBE).id, 1))
    taken.result()
    half = node.call("publish", "t", "half", 2)
    sent = link.expect(PUBLISH, qos=2)
    link.send(ack(PUBREC, sent.id))
    link.expect(PUBREL)
    one = node.call("publish", "t", "1", 1)
    link.expect(PUBLISH, payload=b"1")
    link.cut()
    link = broker.accepted(session=False)
    # The broker had taken over the message of QoS 2: to send it again would double it.
    half.result()
    found = [link.next(), link.next()]
    assert {p.type for p in found if p} == {SUBSCRIBE, PUBLISH}
    for p in found:
        assert p is not None
        if p.type == SUBSCRIBE:
            assert p.filters == [("a/#", 1)]
            link.send(suback(broker.version, p.id, 1))
        else:
            assert (p.payload, p.qos, p.dup) == (b"1", 1, False)
            link.send(ack(PUBACK, p.id))
    one.result()
    link.alive()


@pytest.mark.mqtt("3:MQTT-4.6.0-4", "5:MQTT-4.6.0-4")
def test_pubrels_go_out_in_the_order_of_the_pubrecs(broker, make_node):
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    calls = [node.call("publish", "t", str(i), 2) for i in range(6)]
    sent = [link.expect(PUBLISH).id for _ in calls]
    order = [sent[i] for i in (3, 0, 5, 1, 4, 2)]
    link.send(*(ack(PUBREC, id) for id in order))
    assert [link.expect(PUBREL).id for _ in order] == order
    link.cut()
    link = broker.accepted(session=True)
    again = [link.expect(PUBREL).id for _ in order]
    assert sorted(again) == sorted(order)
    link.send(*(ack(PUBCOMP, id) for id in reversed(order)))
    for call in calls:
        call.result()


@pytest.mark.mqtt("5:MQTT-4.3.3-4", "5:MQTT-4.4.0-2", "5:MQTT-2.2.1-3")
def test_a_pubrec_of_failure_ends_the_exchange(make_broker, make_node):
    broker = make_broker(5)
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    call = node.call("publish", "t", "x", 2)
    sent = link.expect(PUBLISH, qos=2)
    link.send(ack(PUBREC, sent.id, 0x97))
    with pytest.raises(Refused, match="MQTTError") as refused:
        call.result()
    assert "uota" in str(refused.value) or "0x97" in str(refused.value)
    link.alive()  # no PUBREL
    link.cut()
    link = broker.accepted(session=True)
    node.up(2)
    link.alive()  # and nothing again


@pytest.mark.mqtt("5:MQTT-4.4.0-2", "5:MQTT-3.4.2-1")
def test_a_puback_of_failure_settles_the_message(make_broker, make_node):
    broker = make_broker(5)
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    for code in (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99):
        call = node.call("publish", "t", "x", 1)
        link.send(ack(PUBACK, link.expect(PUBLISH).id, code))
        with pytest.raises(Refused, match="MQTTError"):
            call.result()
    call = node.call("publish", "t", "x", 1)
    link.send(ack(PUBACK, link.expect(PUBLISH).id, 0x10))  # nobody has subscribed: that is a success
    call.result()
    link.cut()
    link = broker.accepted(session=True)
    node.up(2)
    link.alive()


@pytest.mark.mqtt("5:MQTT-3.6.2-1")
def test_an_unknown_pubrec_is_answered(broker, make_node):
    # The broker remembers an exchange that the node has forgotten, say over a power cut: it must not hang.
    node = make_node(broker)
    link = broker.accepted(session=True)
    node.up()
    link.send(ack(PUBREC, 4711))
    answer = link.expect(PUBREL, id=4711)
    assert answer.code in (0, 0x92)
    link.send(ack(PUBCOMP, 4711))
    link.alive()


@pytest.mark.mqtt("5:MQTT-4.3.3-7")
def test_a_message_that_was_sent_no_longer_expires(make_broker, make_node):
    broker = make_broker(5)
    node = make_node(broker)
    link = broker.accepted()
    node.up()
    call = node.call("publish", "t", "x", 2, expiry=1)
    sent = link.expect(PUBLISH, qos=2)
    assert sent.prop(2) == 1
    link.cut()
    link = broker.accept()
    link.expect(1)
    # The expiry interval passes while the broker takes its time: nothing to wait for but the clock.
    link.silent(1.2)
    link.send(b"\x20\x03\x01\x00\x00")
    link.expect(PUBLISH, id=sent.id, dup=True)
    link.send(ack(PUBREC, sent.id))
    link.expect(PUBREL)
    link.send(ack(PUBCOMP, sent.id))
    call.result()
