"""Running an engine's commands: output passed on as it comes, and nothing left behind on Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kit.ui import UserError


def ask(command: Sequence[str], *, seconds: float = 60) -> str | None:
    """Run a short command; return what it prints, or None when it fails or takes longer."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            timeout=seconds,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def need(command: Sequence[str], what: str) -> str:
    """Run a command that must not fail; return what it prints.

    Raises:
        UserError: with the end of what it said, when it does.
    """
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise UserError(f"{what} failed", where=command[0], hint=last)
    return done.stdout.strip()


def attached(command: Sequence[str]) -> int:
    """Run a command on our own standard streams; return its exit status.

    When we are interrupted, the command and all its descendants are ended before the exception goes on.
    """
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except BaseException:
        # From the keyboard it has had the signal itself, and may be busy ending properly.
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        end_tree(process)
        raise


def watched(command: Sequence[str], line: Callable[[str], None], *, env: Mapping[str, str] | None = None,
            silence: float | None = None) -> int:  # fmt: skip
    """Run a command and call `line` with each line of its output; return its exit status.

    Args:
        command: what to run, in a session of its own, so that a Ctrl-C reaches only us.
        line: called with each line, without its end.
        env: its whole environment; by default ours.
        silence: end it when it says nothing for so many seconds before its second line (it is trying
            to reach somebody who does not answer).
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        start_new_session=True, text=True, errors="replace",
    )  # fmt: skip
    assert process.stdout is not None
    try:
        if silence is not None:
            _await_second_line(process, line, silence)
        for text in process.stdout:
            line(text.rstrip("\n"))
        return process.wait()
    except BaseException:
        end_tree(process)
        raise
    finally:
        process.stdout.close()


def _await_second_line(process: subprocess.Popen[str], line: Callable[[str], None], silence: float) -> None:
    import threading

    assert process.stdout is not None
    watch = threading.Timer(silence, lambda: end_tree(process))
    watch.start()
    try:
        for _ in range(2):
            text = process.stdout.readline()
            if text:
                line(text.rstrip("\n"))
    finally:
        watch.cancel()


def end_tree(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float = 3) -> None:
    """End a process that we started, and everything that it started."""
    pids = [process.pid, *descendants(process.pid)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            process.poll()
            if not any(_alive(pid) for pid in pids):
                return
            time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                # "pid (name) state parent …"; the name may have spaces and brackets
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
