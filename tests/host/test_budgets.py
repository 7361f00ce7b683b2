"""scripts/budgets.py: what is too big fails, with the difference shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import budgets
import pytest
from kit import report
from kit.ui import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A dist/ with the report of one image."""
    folder = tmp_path / "dist"
    folder.mkdir()
    image = {
        "format": report.FORMAT,
        "board": "RPI_PICO",
        "size": {"text": 300_000, "data": 4_000, "static_ram": 10_000, "frozen": 60_000},
        "flash": {"used": 304_000},
    }
    (folder / "coldframe-RPI_PICO-0.1.0.json").write_text(json.dumps(image))
    return folder


def run(dist: Path, limits: str, *args: str) -> subprocess.CompletedProcess[str]:
    (dist.parent / "budgets.toml").write_text(limits)
    cmd = [sys.executable, ROOT / "scripts" / "budgets.py", "--dist", dist]
    return subprocess.run(
        [*cmd, "--budgets", dist.parent / "budgets.toml", *args], capture_output=True, text=True
    )


def test_within_the_limits(dist: Path) -> None:
    done = run(dist, "[RPI_PICO]\nflash = 304_000\nstatic_ram = 10_001\nfrozen = 70_000\n")
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == ["ok"] * 3


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("flash = 303_000", "flash is 304,000, 1,000 bytes too much (limit 303,000)"),
        ("static_ram = 9_999", "static_ram is 10,000, 1 bytes too much (limit 9,999)"),
        ("frozen = 50_000", "frozen is 60,000, 10,000 bytes too much (limit 50,000)"),
    ],
)
def test_a_limit_exceeded_fails_with_the_difference(dist: Path, limit: str, message: str) -> None:
    done = run(dist, f"[RPI_PICO]\n{limit}\n")
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: RPI_PICO: {message}"
    assert "EXCEEDED" in done.stdout


def test_the_heap_is_a_lower_limit(dist: Path) -> None:
    limits = "[RPI_PICO]\nheap = 110_000\n"
    assert run(dist, limits, "--heap", "RPI_PICO=110000").returncode == 0
    done = run(dist, limits, "--heap", "RPI_PICO=109000")
    assert done.returncode == 1 and "heap is 109,000, 1,000 bytes too little (limit 110,000)" in done.stderr


def test_the_heap_comes_from_the_measurements_of_the_device_tests(dist: Path) -> None:
    (dist / "measurements.json").write_text(
        '{"RPI_PICO": {"heap_free_after_boot_bytes": 109000, "other": 1}}'
    )
    assert run(dist, "[RPI_PICO]\nheap = 110_000\n").returncode == 1
    # What is given by hand wins.
    assert run(dist, "[RPI_PICO]\nheap = 110_000\n", "--heap", "RPI_PICO=120000").returncode == 0


def test_a_figure_that_was_not_measured_is_said_and_with_all_is_a_failure(dist: Path) -> None:
    limits = "[RPI_PICO]\nheap = 110_000\n"
    done = run(dist, limits)
    assert done.returncode == 0 and "not measured" in done.stdout
    assert run(dist, limits, "--all").returncode == 1


def test_exact_figures_of_the_mqtt_client_are_upper_limits(dist: Path) -> None:
    (dist / "measurements.json").write_text(
        '{"RPI_PICO": {"mqtt_received_us": 119.2, "mqtt_kept_bytes": 3001}}'
    )
    assert run(dist, "[RPI_PICO]\nmqtt_received = 120\n").returncode == 0
    done = run(dist, "[RPI_PICO]\nmqtt_received = 119\nmqtt_kept = 3_000\n")
    assert done.returncode == 1
    assert "mqtt_received is 120, 1 µs too much (limit 119)" in done.stderr
    assert "mqtt_kept is 3,001, 1 bytes too much (limit 3,000)" in done.stderr


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("[RPI_PICO]\nflsh = 1\n", "unknown key 'flsh'; expected 'flash' (the nearest known key)"),
        ("[RPI_PICOO]\nflash = 1\n", "unknown board 'RPI_PICOO'; expected 'RPI_PICO'"),
        ("[RPI_PICO]\nflash = 0\n", "RPI_PICO.flash: got 0; expected a number, more than 0"),
        ("[RPI_PICO\n", "not valid TOML"),
        ("[UNIX]\nflash = 1\n", "no image with limits"),
    ],
)
def test_a_wrong_budget_file_is_one_error(dist: Path, limits: str, message: str) -> None:
    done = run(dist, limits)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and message in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_heap_option_is_one_error(dist: Path) -> None:
    with pytest.raises(UserError, match="--heap: got 'RPI_PICO=many'; expected BOARD=BYTES"):
        budgets.measurements(dist / "none.json", ["RPI_PICO=many"])
