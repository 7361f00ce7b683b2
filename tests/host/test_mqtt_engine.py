"""The MQTT client's engine on the unix image against a real mosquitto, in both versions of MQTT."""

from __future__ import annotations

from pathlib import Path

import pytest
from host.mqttnode import MqttNode

SCRIPT = Path(__file__).parent / "scripts" / "mqtt_engine.py"


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    "scenario",
    [
        "every_qos",
        "ways_to_await",
        "callbacks",
        "iterates",
        "slow_consumer",
        "streams",
        "limits",
        "goes_and_comes",
        "flat",
    ],
)
def test_both_versions(broker, closing, scenario, version):
    run(broker, closing, scenario, version)


@pytest.mark.parametrize("scenario", ["properties", "requests"])
def test_version_5(broker, closing, scenario):
    run(broker, closing, scenario, 5)


def run(broker, closing, scenario, version):
    node = closing(MqttNode(broker.port, script=SCRIPT, version=version, scenario=scenario))
    node.wait_for("OK", 60)
    assert node.count("Traceback") == 0
