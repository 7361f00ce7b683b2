"""What a record of the log costs on the emulated RP2040: exact figures, so that they can have limits.

They are written to dist/measurements.json; the limits are those of budgets.toml. bench/log.py prints the same
figures beside those of micropython-lib's logging.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from device.conftest import store

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench"))

import log as bench  # noqa: E402

# Key of [RPI_PICO] in budgets.toml -> the line of the bench.
FIGURES = {
    "log_ready": "ready text of 20 characters",
    "log_arguments": "text with two arguments",
    "log_below": "below the level",
    "log_moving": "ready text at DEBUG, half of the ring protected",
}


async def test_cost(image: Path) -> None:
    results = {result.case: result for result in await bench.measure_all(image, None)}
    found = {f"{key}_us": results[case].microseconds for key, case in FIGURES.items()}
    found["log_kept_bytes"] = max(result.kept for result in results.values())
    store("RPI_PICO", found)
    limits = tomllib.loads((ROOT / "budgets.toml").read_text(encoding="utf-8"))["RPI_PICO"]
    over = {key: (found[f"{key}_us"], limits[key]) for key in FIGURES if found[f"{key}_us"] > limits[key]}
    assert not over, f"over the limits of budgets.toml (µs): {over}"
    assert found["log_kept_bytes"] == limits["log_kept"] == 0
    # The goals, whatever the limits say.
    for result in results.values():
        assert result.goal is None or result.microseconds <= result.goal
    assert results[FIGURES["log_ready"]].heap == 0
