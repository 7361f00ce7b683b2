"""The firmware's MQTT client, on the unix image, against a real mosquitto: what it does, what it outlives."""

from __future__ import annotations

import socket
import time

import pytest
from host.brokers import Mosquitto, Peer, free_port, until
from host.mqttnode import MqttNode
from host.proxy import Proxy


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publishes(broker, closing, qos):
    peer = closing(Peer(broker.port, ["t/#"]))
    node = closing(MqttNode(broker.port))
    node.wait_for("UP")
    node.tell("pub", "t/word", "grün", qos)
    assert peer.wait_for("t/word", "grün").qos == min(qos, 1)  # which the peer has asked for
    for size in (0, 1, 200, 5000, 70000):
        node.tell("pub", "t/size", "x" * size, qos)
        peer.wait_for("t/size", "x" * size)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_receives_what_it_has_subscribed_to(broker, closing, qos):
    peer = closing(Peer(broker.port))
    peer.publish("t/kept", "old", retain=True)
    node = closing(MqttNode(broker.port))
    node.subscribe("t/+", qos)
    node.wait_for("MSG t/kept b'old' retained")
    peer.publish("other/x", "not for it", qos)
    peer.publish("t/x", "hello", qos)
    node.wait_for("MSG t/x b'hello' live")
    peer.publish("t/empty", "", qos)
    node.wait_for("MSG t/empty b'' live")
    node.ask("unsub", "t/+", answer="UNSUB")
    peer.publish("t/x", "too late", qos)
    node.ask("pub", "end", "", 1, answer="DONE")  # what came before it has been delivered by now
    assert node.count("other/x") == node.count("too late") == 0


def test_many_messages_both_ways_come_once_and_in_order(broker, closing):
    peer = closing(Peer(broker.port, ["out/#"]))
    node = closing(MqttNode(broker.port))
    node.subscribe("in", 1)
    node.tell("flood", "out/1", 500, 1)
    node.tell("flood", "out/0", 500, 0)
    for i in range(500):
        peer.client.publish("in", str(i), 1)
    node.wait_for("MSG in b'499'")
    until(
        lambda: len(peer.payloads("out/1")) >= 500 and len(peer.payloads("out/0")) >= 500, "500 messages each"
    )
    expected = [str(i).encode() for i in range(500)]
    assert peer.payloads("out/1") == expected
    assert peer.payloads("out/0") == expected
    got = [line.split()[2] for line in node.lines if line.startswith("MSG in ")]
    assert got == [f"b'{i}'" for i in range(500)]


def test_will_comes_when_the_node_is_killed_and_not_when_it_says_goodbye(broker, closing):
    peer = closing(Peer(broker.port, ["will/#"]))
    killed = closing(MqttNode(broker.port, "a", will=["will/a", "gone", 1, True]))
    leaving = closing(MqttNode(broker.port, "b", will=["will/b", "gone", 1, True]))
    for node in (killed, leaving):
        node.wait_for("UP")
    leaving.ask("bye", answer="BYE")
    killed.kill()
    peer.wait_for("will/a", "gone")
    assert peer.payloads("will/b") == []
    assert "Received DISCONNECT from b" in broker.log
    assert Peer(broker.port, ["will/a"]).wait_for("will/a", "gone").retain


def test_broker_that_comes_late(closing, tmp_path):
    broker = Mosquitto(tmp_path / "broker")
    node = closing(
        MqttNode(broker.port, first=[["sub", "t", 1], ["pub", "early", "kept", 1], ["pub", "e", "", 0]])
    )
    node.wait_for("ECONNREFUSED")
    node.wait_for("SUB t None")  # noted down
    broker.start()
    try:
        peer = closing(Peer(broker.port))
        node.wait_for("UP", 3)
        node.wait_for("DONE early kept")
        peer.publish("t", "now")
        node.wait_for("MSG t b'now'")
        assert node.ask("state", answer="STATE") == "STATE True 1 0 1"
        assert node.count("ECONNREFUSED") == 1  # told once, not with each attempt
    finally:
        broker.stop()


@pytest.mark.parametrize("keeps", [True, False], ids=["sessions kept", "sessions lost"])
def test_broker_is_restarted(closing, tmp_path, keeps):
    broker = Mosquitto(tmp_path / "broker").start()
    try:
        peer = closing(Peer(broker.port, ["out"], client_id="peer"))
        node = closing(MqttNode(broker.port))
        node.subscribe("in", 1)
        node.ask("pub", "out", "before", 1, answer="DONE")
        (broker.stop if keeps else broker.kill)()
        node.wait_for("DOWN", 3)
        for i in range(12):  # more than the window of 8
            node.tell("pub", "out", f"meanwhile {i}", 1)
        assert node.ask("state", answer="STATE").startswith("STATE False 1 ")
        broker.start()
        up = time.monotonic()
        until(lambda: node.count("UP") == 2, "the node to come back", 10)
        assert time.monotonic() - up < 2
        for i in range(12):
            node.wait_for(f"DONE out meanwhile {i}")
        peer.wait_ready()
        peer.publish("in", "after")
        node.wait_for("MSG in b'after'")
        if keeps:
            peer.wait_for("out", "meanwhile 11")
            order = [m for m in peer.payloads("out") if m.startswith(b"meanwhile")]
            assert order[:8] == [b"meanwhile %d" % i for i in range(8)]
            assert sorted(order) == sorted(b"meanwhile %d" % i for i in range(12))
    finally:
        broker.stop()


def test_queued_for_the_node_while_it_was_away(broker, closing):
    proxy = closing(Proxy(broker.port))
    peer = closing(Peer(broker.port))
    node = closing(MqttNode(proxy.port))
    node.subscribe("in", 1)
    proxy.cut()
    proxy.stall()
    node.wait_for("DOWN")
    for i in range(20):
        peer.publish("in", f"queued {i}")
    proxy.go_on()
    proxy.cut()
    node.wait_for("MSG in b'queued 19'")
    got = [line for line in node.lines if "queued" in line]
    assert list(dict.fromkeys(got)) == [f"MSG in b'queued {i}' live" for i in range(20)]


def test_unacknowledged_is_sent_again_with_dup_in_order(broker, closing):
    proxy = closing(Proxy(broker.port))
    node = closing(MqttNode(proxy.port, response_time=2))
    node.wait_for("UP")
    peer = closing(Peer(broker.port, ["out"]))
    proxy.damage = lambda way, data: b"" if way == "down" else data  # acknowledgements are lost
    for i in range(5):
        node.tell("pub", "out", str(i), 1)
    peer.wait_for("out", "4")
    proxy.damage = None
    proxy.cut()
    for i in range(5):
        node.wait_for(f"DONE out {i}")
    until(lambda: len(peer.payloads("out")) == 10, "each message twice")
    assert peer.payloads("out") == [str(i).encode() for i in range(5)] * 2
    again = [line for line in broker.log.splitlines() if "Received PUBLISH from node (d1, q1" in line]
    assert len(again) == 5


def test_half_open_link_is_noticed_within_1_5_keepalives_when_idle(broker, closing):
    proxy = closing(Proxy(broker.port))
    node = closing(MqttNode(proxy.port, keepalive=4))
    node.wait_for("UP")
    until(lambda: "Received PINGREQ from node" in broker.log, "a ping", 6)
    assert node.count("DOWN") == 0
    proxy.stall()
    since = time.monotonic()
    node.wait_for("DOWN", 8)
    assert time.monotonic() - since < 1.5 * 4
    node.wait_for("the broker does not answer")
    proxy.go_on()
    until(lambda: node.count("UP") == 2, "the node to come back", 8)


def test_half_open_link_is_noticed_within_the_response_time_with_traffic(broker, closing):
    proxy = closing(Proxy(broker.port))
    node = closing(MqttNode(proxy.port, keepalive=600, response_time=2))
    node.wait_for("UP")
    proxy.stall()
    since = time.monotonic()
    node.tell("pub", "t", "x", 1)
    node.wait_for("DOWN", 8)
    assert 1.5 < time.monotonic() - since < 3.5
    proxy.go_on()
    node.wait_for("DONE t x")


def test_host_that_does_not_answer_at_all_is_given_up(closing):
    # A full queue of connections: the kernel lets further ones go unanswered, as a host that is off does.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(2):
            filling = closing(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(deaf.getsockname())
        node = closing(MqttNode(deaf.getsockname()[1], response_time=1))
        node.wait_for("no answer to the connection attempt", 5)
        assert node.ask("state", answer="STATE") == "STATE False 0 0 0"


def test_broker_that_accepts_and_says_nothing_is_given_up(broker, closing):
    proxy = closing(Proxy(broker.port))
    proxy.stall()
    node = closing(MqttNode(proxy.port, response_time=2))
    node.wait_for("the broker does not answer", 5)
    proxy.go_on()
    node.wait_for("UP", 8)


def test_wrong_password_is_told_and_tried_again(closing, tmp_path):
    broker = Mosquitto(tmp_path / "broker", users={"u": "right"}).start()
    try:
        right = closing(MqttNode(broker.port, "right", user="u", password="right"))
        right.wait_for("UP")
        wrong = closing(MqttNode(broker.port, "wrong", user="u", password="other"))
        line = wrong.wait_for("refused the connection")
        assert "not authorised (code 5)" in line or "bad user name or password (code 4)" in line
        until(lambda: broker.log.count("(0, 5)") >= 2, "another attempt", 12)
        assert wrong.count("refused the connection") == 1
    finally:
        broker.stop()


def test_two_nodes_with_one_client_id_do_not_hammer_the_broker(broker, closing):
    nodes = [closing(MqttNode(broker.port, "same")) for _ in range(2)]
    since = time.monotonic()
    until(lambda: sum(node.count("UP") for node in nodes) >= 12, "them to have thrown each other out often")
    assert time.monotonic() - since > 1.5


def test_message_larger_than_the_buffer_does_no_harm(broker, closing):
    peer = closing(Peer(broker.port))
    node = closing(MqttNode(broker.port, buffer=256))
    node.subscribe("in", 1)
    peer.publish("in", "small")
    for size in (250, 256, 257, 10000, 300000):
        peer.publish("in", "x" * size, 1)
        peer.publish("in", "x" * size, 0)
    peer.publish("in", "after")
    node.wait_for("MSG in b'after'")
    assert node.count("bytes do not fit the buffer") == 10
    assert node.ask("state", answer="STATE") == "STATE True 1 10 0"
    node.wait_for("skipped in: 300000 bytes do not fit the buffer")
    until(lambda: broker.log.count("Received PUBACK from node") == 7, "all to be acknowledged")


def test_garbage_from_the_broker_ends_only_the_connection(broker, closing):
    proxy = closing(Proxy(broker.port))
    peer = closing(Peer(broker.port))
    node = closing(MqttNode(proxy.port))
    node.subscribe("in", 1)
    proxy.damage = lambda way, data: b"\xff\xff\xff\xff\xff\xff" if way == "down" else data
    peer.publish("in", "lost to the noise")
    node.wait_for("DOWN")
    proxy.damage = None
    node.wait_for("MSG in b'lost to the noise'")
    assert node.count("Traceback") == 0


def test_refused_orders_say_why(broker, closing):
    node = closing(MqttNode(broker.port))
    node.wait_for("UP")
    assert "t: expected QoS 0 to 2, got 3" in node.ask("pub", "t", "x", 3, answer="REFUSED")
    assert "t: expected QoS 0 to 2, got 3" in node.ask("sub", "t", 3, answer="REFUSED")
    node.ask("pub", "a/+", "x", 0, answer="REFUSED")
    node.ask("pub", "", "x", 1, answer="REFUSED")
    node.ask("pub", "t" * 300, "x", 1, answer="REFUSED")
    node.ask("sub", "a/#/b", 0, answer="REFUSED")
    node.ask("pub", "t", "fine", 1, answer="DONE")
    assert node.count("DOWN") == 0


def test_host_name_that_cannot_be_looked_up(closing):
    node = closing(MqttNode(free_port()))
    node.wait_for("ECONNREFUSED")
    assert node.count("Traceback") == 0
