"""The images in dist/, built first where they are not there or not of the present tree."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from kit import facts, fresh, ui

ROOT = Path(__file__).resolve().parent.parent.parent
DIST = ROOT / "dist"


def ensure(boards: list[str]) -> None:
    """Build those of *boards* whose images in dist/ do not belong to the present state of the tree.

    Raises:
        SystemExit: build.py failed (it has said why); with its exit status.
    """
    todo = fresh.stale(ROOT, boards, DIST)
    if not todo:
        ui.say(f"dist/ is up to date: {', '.join(boards)}")
        return
    start = time.monotonic()
    key = fresh.inputs_key(ROOT)  # now: whoever edits a file meanwhile gets a new build the next time
    command = [sys.executable, str(ROOT / "scripts" / "build.py"), *todo, "--out", str(DIST)]
    done = subprocess.run(command)
    if done.returncode:
        raise SystemExit(done.returncode)
    fresh.mark(key, todo, DIST)
    ui.say(f"built {', '.join(todo)} in {time.monotonic() - start:.0f} s")


def path(board: str, suffix: str = "") -> Path:
    """Return the image of *board* in dist/ (suffix ".uf2", ".elf" or "" for the simulated board)."""
    return DIST / f"coldframe-{board}-{facts.version(ROOT)}{suffix}"
