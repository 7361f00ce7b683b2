"""Our codecs against another one: mqtt-packet, on generated packets of both versions, both ways."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from host.brokers import packages
from host.mqttnode import ROOT, image
from kit import host

SCRIPTS = Path(__file__).resolve().parent / "scripts"
COUNT, SEED = 5000, 20261121


def oracle(*arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    """Run scripts/packet_oracle.js."""
    node = host.find("node")
    assert node, "node is not installed: sudo apt-get install nodejs npm"
    # aedes is built on mqtt-packet, so what the broker tests have installed is enough.
    command = [node, SCRIPTS / "packet_oracle.js", packages.node("aedes"), *arguments]
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120)


def test_both_codecs_agree_with_mqtt_packet():
    made = oracle("make", str(COUNT), str(SEED))
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("\n") == COUNT
    ours = subprocess.run(
        [image(), SCRIPTS / "packet_oracle.py"],
        env={**os.environ, "MICROPYPATH": f"{ROOT / 'modules'}:.frozen"},
        input=made.stdout,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ours.returncode == 0, ours.stderr + ours.stdout[-2000:]
    checked = oracle("check", lines=ours.stdout)
    assert checked.stdout.endswith(f"{2 * COUNT} packets, 0 different\n"), checked.stdout + checked.stderr
