"""Several brokers: tried in turn, the first one first, with what was not acknowledged."""

from __future__ import annotations

import time

import pytest
from host.brokers import Mosquitto, Peer, until
from host.mqttnode import MqttNode
from host.proxy import Proxy
from host.simboards import boards

HOME = "127.0.0.1"


@pytest.fixture
def two(tmp_path):
    """Two brokers, of which none is started."""
    brokers = [Mosquitto(tmp_path / name) for name in ("first", "second")]
    yield brokers
    for broker in brokers:
        broker.stop()


def node(first: int, second: int, **settings: object) -> MqttNode:
    return MqttNode(first, also=[[second, HOME, None]], **settings)


def connected(broker: Mosquitto) -> int:
    return broker.log.count("as node")


def test_second_is_used_when_the_first_is_not_there(two, closing):
    first, second = two
    second.start()
    peer = closing(Peer(second.port, ["out"]))
    n = closing(node(first.port, second.port))
    n.subscribe("in", 1)
    n.ask("pub", "out", "hello", 1, answer="DONE")
    peer.wait_for("out", "hello")
    peer.publish("in", "answer")
    n.wait_for("MSG in b'answer'")


def test_first_is_tried_first_after_each_loss(two, closing):
    first, second = two
    second.start()
    n = closing(node(first.port, second.port))
    n.wait_for("UP")
    assert connected(second) == 1
    first.start()
    second.kill()
    until(lambda: n.count("UP") == 2, "the node to come back")
    assert connected(first) == 1
    first.kill()
    second.start()
    until(lambda: n.count("UP") == 3, "the node to come back")
    first.start()
    time_of_loss = time.monotonic()
    second.kill()
    until(lambda: n.count("UP") == 4, "the node to come back")
    assert connected(first) == 2
    assert time.monotonic() - time_of_loss < 5


def test_messages_that_the_first_has_not_acknowledged_go_to_the_second(two, closing):
    first, second = two
    first.start()
    second.start()
    proxy = closing(Proxy(first.port))
    peer = closing(Peer(second.port, ["out"]))
    n = closing(node(proxy.port, second.port, response_time=2))
    n.subscribe("in", 1)
    proxy.damage = lambda way, data: b"" if way == "down" else data  # no acknowledgement comes back
    for i in range(12):  # more than the window of 8
        n.tell("pub", "out", str(i), 1)
    until(lambda: "Received PUBLISH from node" in first.log, "the first to have got one")
    first.kill()
    proxy.cut()
    for i in range(12):
        n.wait_for(f"DONE out {i}")
    assert peer.payloads("out") == [str(i).encode() for i in range(12)]
    # And the second one, which has never seen it, knows its subscriptions.
    peer.publish("in", "here")
    n.wait_for("MSG in b'here'")


def test_broker_that_refuses_is_passed_over(tmp_path, two, closing):
    _, second = two
    second.start()
    closed = Mosquitto(tmp_path / "closed", users={"u": "p"}).start()
    try:
        n = closing(node(closed.port, second.port))
        n.wait_for("refused the connection")
        n.wait_for("UP", 10)
        assert connected(second) == 1
    finally:
        closed.stop()


def test_broker_that_says_nothing_is_passed_over(two, closing):
    first, second = two
    first.start()
    second.start()
    proxy = closing(Proxy(first.port))
    proxy.stall()
    n = closing(node(proxy.port, second.port, response_time=1))
    since = time.monotonic()
    n.wait_for("UP", 10)
    assert 0.8 < time.monotonic() - since < 5
    assert connected(second) == 1


@pytest.fixture
def make_board(tmp_path):
    yield from boards(tmp_path)


def test_node_takes_its_brokers_from_the_configuration(two, closing, make_board):
    first, second = two
    second.start()
    peer = closing(Peer(second.port, ["b/available"]))
    board = make_board("import coldframe\ncoldframe.Node().run()")
    board.put(
        "config.json",
        {
            "mqtt": {
                "host": f"mqtt://{HOME}:{first.port}",
                "base": "b",
                "window": 4,
                "fallback": [{"host": "localhost", "port": second.port}],
            }
        },
    )
    board.start()
    peer.wait_for("b/available", "online")


def test_password_in_a_url_is_used_and_never_shown(tmp_path, closing, make_board):
    broker = Mosquitto(tmp_path / "closed", users={"u": "s@cret"}).start()
    try:
        peer = closing(Peer(broker.port, ["b/#"], user=("u", "s@cret")))
        board = make_board("import coldframe\ncoldframe.Node().run()")
        board.put("config.json", {"mqtt": {"host": f"mqtt://u:s%40cret@{HOME}:{broker.port}", "base": "b"}})
        board.start()
        peer.wait_for("b/available", "online")
        board.stop()
        board.put("config.json", {"mqtt": {"host": f"ws://u:s%40cret@{HOME}:{broker.port}", "base": "b"}})
        board.start()
        board.wait_for(
            "mqtt.host: expected a host, mqtt://HOST or mqtts://HOST, got a URL that begins with ws"
        )
        assert "cret" not in board.console
    finally:
        broker.stop()
