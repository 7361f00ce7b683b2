"""What a message costs the MQTT client on the emulated RP2040: exact figures, so that they can have limits.

They are written to dist/measurements.json; the limits are those of budgets.toml. bench/client.py prints the same
figures beside those of other clients.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from device.conftest import store

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench"))

from mqtt import rp2040  # noqa: E402

# Key of [RPI_PICO] in budgets.toml -> the figure, and how it is called in measurements.json.
FIGURES = {
    "mqtt_received": ("received", "mqtt_received_us"),
    "mqtt_published": ("published", "mqtt_published_us"),
    "mqtt_received_alone": ("received_alone", "mqtt_received_alone_us"),
    "mqtt_published_alone": ("published_alone", "mqtt_published_alone_us"),
    "mqtt_kept": ("kept", "mqtt_kept_bytes"),
}


@pytest.mark.parametrize("client", ["coldframe", "coldframe-5"])
async def test_cost(image: Path, client: str) -> None:
    async with rp2040.Board(image, None) as board:
        cost = await board.cost(client)
    suffix = "_5" if client.endswith("5") else ""
    found = {name + suffix: getattr(cost, figure) for figure, name in FIGURES.values()}
    store("RPI_PICO", found)
    assert cost.idle_garbage == 0, "idle and connected, it makes garbage"
    assert cost.idle_cpu is not None and cost.idle_cpu < 0.01
    limits = tomllib.loads((ROOT / "budgets.toml").read_text(encoding="utf-8"))["RPI_PICO"]
    over = {
        key: f"{found[name + suffix]:.0f}, limit {limits[key]}"
        for key, (_, name) in FIGURES.items()
        if key in limits and found[name + suffix] > limits[key]
    }
    assert suffix or not over, f"over the limits of budgets.toml: {over}"
