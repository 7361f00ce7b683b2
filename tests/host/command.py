"""The command `coldframe` as a user starts it: a process of its own, with nothing of this machine's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host.brokers import DEADLINE, until

SOURCES = Path(__file__).resolve().parents[2] / "cli" / "src"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Variables for the command: its configuration in `folder`, COLDFRAME_* as given (broker="...")."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLDFRAME_")}
    ours = {f"COLDFRAME_{name.upper()}": value for name, value in more.items()}
    return (
        kept
        | {"COLDFRAME_CONFIG": str(folder / "config.toml"), "PYTHONPATH": str(SOURCES), "COLUMNS": "80"}
        | {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
        | ours
    )


def words(*args: object) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "coldframe_cli", *map(str, args)]


def run(
    *args: object, env: dict[str, str], code: int = 0, cwd: Path | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which must have this exit code and no traceback."""
    done = subprocess.run(
        words(*args), env=env, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=6 * DEADLINE
    )
    said = f"coldframe {' '.join(map(str, args))}: {done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, said
    assert done.returncode == code, said
    return done


def rows(text: str) -> list[dict[str, Any]]:
    """The lines of --json."""
    return [json.loads(line) for line in text.splitlines()]


class Running:
    """The command while it runs; its lines as they come."""

    def __init__(self, args: Sequence[object], env: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            words(*args), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, text: str, deadline: float = DEADLINE) -> str:
        """Wait for a line with this text; returns it."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line]

        until(lambda: found() or self.process.poll() is not None, f"{text!r} in {self.lines}", deadline)
        assert found(), f"it ended without {text!r}: {self.lines}"
        return found()[0]

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        self.process.send_signal(2)
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def kill(self) -> None:
        """End it; for the end of a test."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
