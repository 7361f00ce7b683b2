"""The firmware's MQTT client against four brokers: what MQTT promises, before and after the broker was gone.

What a broker does not do is in its ``cannot``, with the reason; the test then expects what it does instead.
"""

from __future__ import annotations

import pytest
from host.brokers import ALL, Broker, Peer, until
from host.mqttnode import MqttNode
from host.proxy import Proxy

# Broker and version of MQTT; those that speak only 3.1.1 say so in ``cannot``.
SETUPS = [
    # One process of the test run for all tests of a broker, so that it is started once.
    pytest.param((name, version), id=f"{name}-v{version}", marks=pytest.mark.xdist_group(name))
    for name, broker in ALL.items()
    for version in (4, 5)
    if version == 4 or "MQTT 5" not in broker.cannot
]


@pytest.fixture(scope="module", params=SETUPS)
def setup(request, tmp_path_factory):
    """A broker that runs for all tests of this file, and the version to be spoken with it."""
    name, version = request.param
    broker = ALL[name](tmp_path_factory.mktemp(name)).start()
    yield broker, version
    broker.close()


@pytest.fixture
def place(request):
    """A word of its own for each test, as the brokers remember what earlier ones have left."""
    return request.node.originalname.removeprefix("test_")


@pytest.fixture
def meet(setup, place, closing):
    """Makes a node and a peer that has a session, each subscribed to what the other sends with ``qos``."""
    broker, _ = setup

    def make(qos: int, port: int = 0, **settings: object) -> tuple[MqttNode, Peer]:
        name = f"{place}{qos}"
        peer = closing(
            Peer(broker.port, [f"{name}/out"], client_id=f"peer-{name}", qos=qos, user=broker.login)
        )
        node = closing(MqttNode(port or broker.port, name, **options(setup), **settings))
        node.wait_for("UP", 30)
        expected = f"SUB {name}/in {granted(broker, qos)}"
        assert node.ask("sub", f"{name}/in", qos, answer="SUB") == expected
        return node, peer

    return make


def options(setup: tuple[Broker, int]) -> dict[str, object]:
    """What the node's client has to be told about the setup."""
    broker, version = setup
    user, password = broker.login or (None, None)
    return {"user": user, "password": password, **({} if version == 4 else {"version": version})}


def granted(broker: Broker, qos: int) -> int:
    """The QoS that the broker grants where ``qos`` is asked for."""
    return min(qos, 1) if "qos 2" in broker.cannot else qos


def received(node: MqttNode, topic: str) -> list[str]:
    """The payloads that the node has received under the topic, in order."""
    return [line.split("'")[1] for line in list(node.lines) if line.startswith(f"MSG {topic} ")]


def first_ones(words: list[str]) -> list[str]:
    """Without what came again: QoS 1 allows that."""
    return list(dict.fromkeys(words))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_both_ways(setup, place, meet, qos):
    broker, _ = setup
    node, peer = meet(qos)
    topic = f"{place}{qos}"
    node.tell("flood", f"{topic}/out", 100, qos)
    for i in range(100):
        peer.client.publish(f"{topic}/in", str(i), qos)
    until(lambda: len(peer.payloads(f"{topic}/out")) >= 100, "all from the node")
    until(lambda: node.count(f"MSG {topic}/in") >= 100, "all to the node")
    expected = [str(i) for i in range(100)]
    assert [p.decode() for p in peer.payloads(f"{topic}/out")] == expected
    assert received(node, f"{topic}/in") == expected
    assert {m.qos for m in peer.messages if m.topic == f"{topic}/out"} == {granted(broker, qos)}
    node.wait_for("FLOODED")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_of_all_sizes(place, meet, qos):
    node, peer = meet(qos, buffer=66000)
    topic = f"{place}{qos}"
    for size in (0, 1, 120, 121, 1000, 5000, 65000):
        node.tell("pub", f"{topic}/out", "x" * size, qos)
        peer.wait_for(f"{topic}/out", "x" * size)
        peer.publish(f"{topic}/in", "y" * size, qos)
        node.wait_for(f"MSG {topic}/in {size if size >= 50 else b'y' * size}")
    # Larger than the buffer: skipped, acknowledged, and what follows comes.
    peer.publish(f"{topic}/in", "y" * 100000, qos)
    peer.publish(f"{topic}/in", "after", qos)
    node.wait_for("b'after'")
    assert node.ask("state", answer="STATE") == "STATE True 1 1 0"


def test_retained(setup, place, meet, closing):
    broker, _ = setup
    node, peer = meet(1)
    peer.publish(f"{place}/a", "kept", retain=True)
    # The topic itself, as RabbitMQ looks up no retained messages for a filter with a wildcard.
    node.subscribe(f"{place}/a", 1)
    node.wait_for(f"MSG {place}/a b'kept' retained")
    peer.publish(f"{place}/a", "newer", retain=True)
    node.wait_for(f"MSG {place}/a b'newer' live")
    node.ask("pub", f"{place}/b", "by the node", 1, True, answer="DONE")
    assert (
        closing(Peer(broker.port, [f"{place}/b"], user=broker.login))
        .wait_for(f"{place}/b", "by the node")
        .retain
    )
    node.ask("pub", f"{place}/b", "", 1, True, answer="DONE")
    late = closing(Peer(broker.port, [f"{place}/b"], user=broker.login))
    late.publish(f"{place}/b", "end")
    late.wait_for(f"{place}/b", "end")
    assert len(late.payloads(f"{place}/b")) == 1


def test_will(setup, place, closing):
    broker, _ = setup
    peer = closing(Peer(broker.port, [f"{place}/a", f"{place}/b", f"{place}/end"], user=broker.login))
    nodes = [
        closing(
            MqttNode(broker.port, f"{place}-{x}", **options(setup), will=[f"{place}/{x}", "gone", 1, False])
        )
        for x in "ab"
    ]
    for node in nodes:
        node.wait_for("UP")
    nodes[0].ask("bye", answer="BYE")
    nodes[1].kill()
    peer.wait_for(f"{place}/b", "gone")
    peer.publish(f"{place}/end", "")
    peer.wait_for(f"{place}/end", "")
    assert peer.payloads(f"{place}/a") == []


@pytest.mark.parametrize("qos", [1, 2])
def test_session_outlives_connection(setup, place, meet, closing, qos):
    broker, _ = setup
    proxy = closing(Proxy(broker.port))
    topic = f"{place}{qos}"
    node, peer = meet(qos, proxy.port)
    up = min(qos, 1) if "finish QoS 2 after a reconnect" in broker.cannot else qos
    for turn in range(3):
        proxy.refuse()
        until(lambda n=turn + 1: node.count("DOWN") == n, "the node to notice")
        expected = [f"{turn}.{i}" for i in range(20)]
        for word in expected:
            peer.publish(f"{topic}/in", word, qos)
            node.tell("pub", f"{topic}/out", word, up)
        proxy.come_back()

        def got(now: str = f"{turn}.") -> list[str]:
            words = [w for w in received(node, f"{topic}/in") if w.startswith(now)]
            return words if granted(broker, qos) == 2 else first_ones(words)

        def sent(now: str = f"{turn}.") -> list[str]:
            words = [w for p in peer.payloads(f"{topic}/out") if (w := p.decode()).startswith(now)]
            return words if granted(broker, up) == 2 else first_ones(words)

        until(lambda got=got: len(got()) >= 20, "all to the node")
        until(lambda sent=sent: len(sent()) >= 20, "all from the node")
        assert got() == expected
        assert sorted(sent()) == sorted(expected)  # the window, in order, then who waited for room in it


@pytest.mark.parametrize("how", ["stop", "crash", "kill"])
def test_broker_comes_back(setup, place, meet, closing, how):
    broker, _ = setup
    if how == "crash" and "survive a crash" in broker.cannot:
        how = "kill"  # which is the worst that its crash can be
    topic = f"{place}1"
    proxy = closing(Proxy(broker.port))
    node, peer = meet(1, proxy.port)
    node.ask("pub", f"{topic}/out", "before", 1, answer="DONE")
    peer.wait_for(f"{topic}/out", "before")
    proxy.refuse()  # until it is all there
    getattr(broker, how)()
    node.wait_for("DOWN")
    words = [f"meanwhile {i}" for i in range(12)]  # more than the window of 8
    for word in words:
        node.tell("pub", f"{topic}/out", word, 1)
    broker.start()
    peer.wait_ready()
    proxy.come_back()
    until(lambda: node.count("UP") == 2, "the node to come back")
    for word in words:
        node.wait_for(f"DONE {topic}/out {word}")
        peer.wait_for(f"{topic}/out", word)
    peer.publish(f"{topic}/in", "after")
    node.wait_for("b'after'")
    assert node.count("Traceback") == 0


def test_queued_messages_outlive_a_restart(setup, place, meet, closing):
    broker, _ = setup
    proxy = closing(Proxy(broker.port))
    node, peer = meet(1, proxy.port)
    proxy.refuse()
    node.wait_for("DOWN")
    for i in range(20):
        peer.publish(f"{place}1/in", str(i))
    peer.close()
    broker.stop()
    broker.start()
    proxy.come_back()
    until(lambda: node.count("UP") == 2, "the node to come back")
    node.ask("pub", f"{place}1/end", "", 1, answer="DONE")  # it has its subscriptions now, as they go first
    closing(Peer(broker.port, user=broker.login)).publish(f"{place}1/in", "end")
    node.wait_for("b'end'")
    got = first_ones(received(node, f"{place}1/in"))
    if {"keep messages over a restart", "keep sessions over a restart"} & broker.cannot.keys():
        assert got[-1] == "end"
    else:
        assert got == [*(str(i) for i in range(20)), "end"]
