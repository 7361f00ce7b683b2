"""The firmware's MQTT client on a bad network: nothing lost, nothing doubled, no memory eaten up."""

from __future__ import annotations

from statistics import median

import pytest
from host.brokers import Aedes, Amqtt, Mosquitto, Peer, RabbitMQ
from host.mqttnode import MqttNode
from host.proxy import Proxy
from host.traffic import KINDS, Traffic, plan

SILENCE = 26  # s
# Broker, version of MQTT, QoS, messages of each QoS and way, faults, kinds of fault that make no sense with it.
# What is missing is in the broker's ``cannot``.
MASS = [
    pytest.param(Mosquitto, 4, (1, 2), 10_000, 50, (), id="mosquitto-v4"),
    pytest.param(Mosquitto, 5, (1, 2), 10_000, 50, (), id="mosquitto-v5"),
    pytest.param(
        RabbitMQ, 4, (1,), 10_000, 50, (), id="rabbitmq-v4", marks=pytest.mark.xdist_group("rabbitmq")
    ),
    pytest.param(
        Aedes, 4, (1, 2), 10_000, 50, ("restart",), id="aedes-v4", marks=pytest.mark.xdist_group("aedes")
    ),
    pytest.param(
        Amqtt, 4, (1, 2), 10_000, 50, ("restart",), id="amqtt-v4", marks=pytest.mark.xdist_group("amqtt")
    ),
]


def test_link_that_is_silent_for_long_loses_nothing(broker, closing):
    # One message each 100 ms, as a sensor sends them; mqtt_as loses a third of them here.
    ways = {"stalled": Proxy.stall, "away": Proxy.take_away}
    peer = closing(Peer(broker.port, [f"{way}/#" for way in ways]))
    links = {way: (closing(Proxy(broker.port)), closing(Peer(broker.port))) for way in ways}
    nodes = {way: closing(MqttNode(proxy.port, way)) for way, (proxy, _) in links.items()}
    count = (SILENCE + 4) * 10
    for way, node in nodes.items():
        node.subscribe(f"to/{way}", 1)
        node.tell("every", 100, f"{way}/out", count, 1)
        peer.wait_for(f"{way}/out", "9")
        ways[way](links[way][0])
    # Half of the silence is over when the half of the messages has been published: the node says so.
    for way, node in nodes.items():
        links[way][1].publish(f"to/{way}", "into the silence")
        node.wait_for(f"PUBLISHING {10 * SILENCE}", SILENCE + 10)
        assert peer.payloads(f"{way}/out")[-1] != b"%d" % (10 * SILENCE)
    for way, (proxy, _) in links.items():
        proxy.heal()
        nodes[way].wait_for("b'into the silence'", 30)
        nodes[way].wait_for("ALL ACKNOWLEDGED", 30)
        got = [int(p) for p in peer.payloads(f"{way}/out")]
        assert sorted(set(got)) == list(range(count))


@pytest.mark.parametrize("kind, version, qos, n, faults, without", MASS)
def test_many_messages_through_many_faults(
    closing, tmp_path, request, kind, version, qos, n, faults, without
):
    if not request.config.getoption("full"):
        n, faults = n // 10, len(KINDS)
    broker = closing(kind(tmp_path / "broker", **({"queue": 0} if kind is Mosquitto else {}))).start()
    options = {} if version == 4 else {"version": version}
    traffic = closing(Traffic(broker, n, qos, response_time=2, **options))
    traffic.run(plan(1, faults, [k for k in KINDS if k not in without]), 500)
    for q in qos:
        assert traffic.lost(q) == 0
    if 2 in qos:
        assert traffic.doubled(2) == (0, 0)
    assert traffic.node.count("READY") == 1
    assert traffic.node.count("Traceback") == 0
    heaps = [state["heap"] for state in traffic.states]
    quarter = len(heaps) // 4
    early, late = median(heaps[quarter : 2 * quarter]), median(heaps[-quarter:])
    assert late < early + 1000, "the heap grows"
