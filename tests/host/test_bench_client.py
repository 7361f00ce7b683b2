"""bench/client.py runs, and what is exact of it is held to its goals; its times are nobody's test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench"))

from mqtt import flood, table  # noqa: E402


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "bench" / "client.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_heap_per_message_reaches_its_goals(tmp_path: Path) -> None:
    done = run("--only", "heap", "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["missing_peers"] == ["mqtt_async", "mqtt_as", "simple", "robust"]
    assert "mqtt_async: not measured, its source is not in --peers" in done.stdout
    for client in ("coldframe", "coldframe-5"):
        heap = {case: figures[client] for case, figures in found["heap"].items()}
        assert 0 <= heap["publish_0"] <= 32 and 0 < heap["publish_1"] <= 32, heap
        assert 20 < heap["receive_0"] <= 84 and 20 < heap["receive_1"] <= 84, heap
    assert [goal["met"] for goal in found["goals"]] == [True] * 4


def test_a_folder_of_peers_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    done = run("--peers", tmp_path / "none")
    assert done.returncode == 2
    assert "no such folder" in done.stderr and "Traceback" not in done.stderr


def test_goals_are_ratios_within_a_round() -> None:
    speed = {"publish_0_20": {"raw": [100.0, 10.0], "coldframe": [70.0, 5.0], "mqtt_async": [20.0, 2.0]}}
    found = {goal["what"] + goal["wanted"]: goal for goal in table.goals({"speed": speed})}
    against_raw = found["publish QoS 0, 20 B≥ 0.6 × raw"]
    assert against_raw["measured"] == pytest.approx(0.6) and against_raw["met"]
    against_peer = found["publish QoS 0, 20 B≥ 3 × mqtt_async"]
    assert against_peer["measured"] == pytest.approx(3.0) and against_peer["met"]
    assert found["round trip p50≤ 1 × mqtt_async"]["met"] is None  # not measured


@pytest.mark.parametrize("version", [4, 5])
def test_the_flood_is_what_a_decoder_takes(version: int) -> None:
    data = flood.stream(b"flood/200/1", version)
    first, body, size = flood.cut(data) or (0, b"", 0)
    assert first == 0x32 and body.startswith(b"\0\x0bflood/200/1\0\x01") and body.endswith(b"x" * 200)
    assert len(data) == 65535 * size
    assert flood.cut(data[: size - 1]) is None
