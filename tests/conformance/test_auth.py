"""MQTT 5: enhanced authentication."""

from __future__ import annotations

import pytest
from conformance import packets
from conformance.node import Refused
from conformance.packets import AUTH, CONNECT, DATA, DISCONNECT, METHOD, auth, connack


@pytest.fixture
def broker(make_broker):
    return make_broker(5)


def props(method: str, data: bytes | None = None) -> packets.Properties:
    return [(METHOD, method)] + ([(DATA, data)] if data is not None else [])


@pytest.mark.mqtt(
    "5:MQTT-3.1.2-30", "5:MQTT-4.12.0-2", "5:MQTT-4.12.0-3", "5:MQTT-4.12.0-5", "5:MQTT-3.15.2-1"
)
@pytest.mark.mqtt("5:MQTT-3.15.1-1", "5:MQTT-3.15.2-2", "5:MQTT-3.15.2-3")
def test_challenges_are_answered_before_connack(broker, make_node):
    node = make_node(broker, auth=["SCRAM", b"first"], answers=[b"second", b"third"])
    link = broker.accept()
    waiting = [
        node.call("publish", "a", "y", 1),
        node.call("subscribe", "s", 0),
    ]
    hello = link.expect(CONNECT)
    assert (hello.prop(METHOD), hello.prop(DATA)) == ("SCRAM", b"first")
    for i, (challenge, answer) in enumerate(((b"one", b"second"), (b"two", b"third")), 1):
        link.send(auth(0x18, props("SCRAM", challenge)))
        # Nothing but AUTH comes, with the method of CONNECT, and no more in it than the method and the answer.
        said = link.expect(AUTH, code=0x18)
        assert said.props == props("SCRAM", answer)
        assert node.event(event="challenge", count=i)["data"] == "hex:" + challenge.hex()
    link.send(connack(5, False, 0, props("SCRAM", b"proof")))
    node.up()
    assert {link.next().type, link.next().type} == {packets.PUBLISH, packets.SUBSCRIBE}
    assert waiting


@pytest.mark.mqtt("5:MQTT-4.12.0-4", "5:MQTT-4.12.0-1")
@pytest.mark.parametrize("code", [0x8C, 0x87])
def test_a_server_may_refuse(broker, make_node, code):
    node = make_node(broker, auth=["M", b"x"], answers=[b"y"])
    link = broker.accept()
    link.expect(CONNECT)
    link.send(auth(0x18, props("M", b"?")))
    link.expect(AUTH)
    link.send(connack(5, False, code))
    link.ended()
    assert not node.events(event="up")


@pytest.mark.mqtt("5:MQTT-4.12.0-5")
def test_another_method_is_refused(broker, make_node):
    node = make_node(broker, auth=["M", b"x"], answers=[b"y"])
    link = broker.accept()
    link.expect(CONNECT)
    link.send(auth(0x18, props("Other", b"?")))
    assert [p.type for p in link.rest()] in ([], [DISCONNECT])
    assert not node.events(event="challenge")
    # In CONNACK, too.
    link = broker.accept()
    link.expect(CONNECT)
    link.send(connack(5, False, 0, props("Other")))
    assert [p.type for p in link.rest()] in ([], [DISCONNECT])
    assert not node.events(event="up")


@pytest.mark.mqtt("5:MQTT-4.12.0-6", "5:MQTT-4.12.0-7")
def test_without_a_method_there_is_no_auth(broker, make_node):
    node = make_node(broker)
    link = broker.accept()
    hello = link.expect(CONNECT)
    assert hello.prop(METHOD) is None
    link.send(auth(0x18, props("M", b"?")))
    assert AUTH not in [p.type for p in link.rest()]
    assert not node.events(event="up")
    broker.accepted()
    node.up()
    with pytest.raises(Refused):
        node.call("reauth").result()


@pytest.mark.mqtt("5:MQTT-4.12.1-1", "5:MQTT-4.12.0-5", "5:MQTT-4.12.0-3")
def test_authenticating_again(broker, make_node):
    node = make_node(broker, auth=["M", b"x"], answers=[b"y"])
    link = broker.accepted(props=props("M"))
    node.up()
    again = node.call("reauth", b"new")
    said = link.expect(AUTH, code=0x19)
    assert said.props == props("M", b"new")
    link.send(auth(0x18, props("M", b"?")))
    assert link.expect(AUTH, code=0x18).props == props("M", b"y")
    link.send(auth(0x00, props("M")))
    again.result()
    link.alive()


@pytest.mark.mqtt("5:MQTT-4.12.1-2")
def test_a_failed_second_authentication_ends_the_connection(broker, make_node):
    node = make_node(broker, auth=["M", b"x"])
    link = broker.accepted(props=props("M"))
    node.up()
    again = node.call("reauth")
    link.expect(AUTH, code=0x19)
    link.send(auth(0x00, props("Other")))
    assert [p.type for p in link.rest()] in ([], [DISCONNECT])
    with pytest.raises(Refused):
        again.result()
