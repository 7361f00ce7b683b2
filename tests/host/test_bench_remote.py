"""bench/remote.py runs; its times are nobody's test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "bench" / "remote.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_files_and_programs_are_measured_without_peers(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = run("--only", "put", "get", "eval", "--rounds", "1", "--delay", "0", "--json", out)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    for way in ("put", "get"):
        assert [list(rates) for rates in found[way].values()] == [["coldframe"]] * 6
        assert all(rates["coldframe"] > 0 for rates in found[way].values()), found
    assert set(found["eval"]) == {"coldframe", "opening"}
    assert {goal["measured"] for goal in found["goals"]} == {"mqboard is missing"}


def test_a_folder_without_mqboard_is_one_error(tmp_path: Path) -> None:
    done = run("--peers", tmp_path)
    assert done.returncode == 2
    assert "no mqboard there" in done.stderr and "Traceback" not in done.stderr
