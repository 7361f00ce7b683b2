"""The firmware's MQTT client on a bad network: nothing lost, nothing doubled, no memory eaten up."""

from __future__ import annotations

from statistics import median

import pytest
from host.brokers import Aedes, Amqtt, Mosquitto, Peer, RabbitMQ, until
from host.mqttnode import MqttNode
from host.proxy import Proxy
from host.traffic import KINDS, Traffic, plan

SILENCE = 26  # s
# Broker, version of MQTT, QoS, and the kinds of fault: broker restarts where the broker keeps its state.
GENTLE = [kind for kind in KINDS if kind != "restart"]
MASS = [
    pytest.param(Mosquitto, 4, (1, 2), GENTLE, id="mosquitto-v4-not-restarted"),
    pytest.param(Mosquitto, 4, (1, 2), KINDS, id="mosquitto-v4"),
    pytest.param(Mosquitto, 5, (1, 2), KINDS, id="mosquitto-v5"),
    pytest.param(RabbitMQ, 4, (1,), KINDS, id="rabbitmq-v4", marks=pytest.mark.xdist_group("rabbitmq")),
    pytest.param(Amqtt, 4, (1,), GENTLE, id="amqtt-v4", marks=pytest.mark.xdist_group("amqtt")),
    pytest.param(Aedes, 4, (1,), GENTLE, id="aedes-v4", marks=pytest.mark.xdist_group("aedes")),
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
        # The broker has them all; the peer may still be reading.
        until(
            lambda w=way: set(map(int, peer.payloads(f"{w}/out"))) == set(range(count)),
            f"all that {way} has sent",
        )


@pytest.mark.parametrize("kind, version, qos, kinds", MASS)
def test_many_messages_through_many_faults(closing, tmp_path, request, kind, version, qos, kinds):
    n, faults = (10_000, 50) if request.config.getoption("full") else (1000, len(kinds))
    broker = closing(kind(tmp_path / "broker", **({"queue": 0} if kind is Mosquitto else {}))).start()
    options = {} if version == 4 else {"version": version}
    traffic = closing(Traffic(broker, n, qos, response_time=2, **options))
    careless = "lose nothing" in broker.cannot
    traffic.run(plan(1, faults, kinds), 500, settle=3 if careless else None)
    assert traffic.blame("node") == []
    assert traffic.blame("peer") == []
    if not careless:
        assert [traffic.lost(q) for q in qos] == [0] * len(qos)
        if "restart" not in kinds or "deliver QoS 2 once over its restart" not in broker.cannot:
            assert traffic.blame("broker") == []
            assert 2 not in qos or traffic.doubled(2) == (0, 0)
    assert traffic.node.count("READY") == 1
    assert traffic.node.count("Traceback") == 0
    heaps = [state["heap"] for state in traffic.states]
    quarter = len(heaps) // 4
    early, late = median(heaps[quarter : 2 * quarter]), median(heaps[-quarter:])
    assert late < early + 1000, "the heap grows"
