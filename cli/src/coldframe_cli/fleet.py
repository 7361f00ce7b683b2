"""Many devices at once: which ones are meant, and a piece of work done on each, so many at a time.

    targets = find(Selection(tags=("roof",)), link, profile)
    results = run(targets, work, jobs=32)          # work(target) is called in a thread of its own for each

What failed is remembered (``remember``), so that Selection(failed=True) means just those devices next time.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from .errors import FAILED, OK, UNREACHABLE, CliError, os_error

if TYPE_CHECKING:
    from .devices import Device
    from .link import Link
    from .profiles import Profile

JOBS = 32  # devices that are worked on at the same time
_PATIENCE = 5.0  # s after Ctrl-C that those at work have to end


@dataclass(frozen=True)
class Selection:
    """Which devices are meant: those to which every given kind of condition applies, by one of its values.

    names, boards: patterns with * ? [ ]; names are also compared with ids and base topics. tags: those of the profile.
    failed: those where the last command to many devices failed.
    """

    everything: bool = False
    names: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    failed: bool = False

    def __bool__(self) -> bool:
        return bool(self.everything or self.names or self.boards or self.tags or self.failed)

    def matches(self, device: Device, profile: Profile) -> bool:
        """Whether a device is one of them; ``failed`` is not looked at."""
        if self.names and not any(device.matches(name) for name in self.names):
            return False
        if self.boards and not any(fnmatchcase(device.board.lower(), board.lower()) for board in self.boards):
            return False
        return not self.tags or any(
            device.matches(pattern) for tag in self.tags for pattern in patterns(profile, tag)
        )

    def __str__(self) -> str:
        said = [f"--name {name}" for name in self.names] + [f"--board {board}" for board in self.boards]
        said += [f"--tag {tag}" for tag in self.tags]
        return " ".join(said) or ("--failed" if self.failed else "--all")


@dataclass(frozen=True)
class Target:
    """One device that is meant. state: as devices.Device has it, "" if it is not known."""

    base: str
    name: str
    state: str = ""


@dataclass
class Result:
    """What came of the work on one device: its value, or an error with its code, and the exit code it stands for."""

    target: Target
    value: Any = None
    code: str = ""
    error: str = ""
    exit_code: int = OK
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.exit_code == OK

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        told: dict[str, Any] = {"device": self.target.base, "name": self.target.name, "ok": self.ok}
        told["seconds"] = round(self.seconds, 3)
        if self.value is not None:
            told["result"] = self.value
        if not self.ok:
            told["error"] = {"code": self.code, "text": self.error}
        return told


class Failure(Exception):
    """Raised by the work on a device: it failed, and ``value`` is nevertheless what is to be shown."""

    def __init__(self, text: str, value: Any = None, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.value = value
        self.exit_code = exit_code


def patterns(profile: Profile, tag: str) -> list[str]:
    """The patterns that a tag of the profile stands for. Raises CliError if there is no such tag."""
    if tag not in profile.tags:
        known = ", ".join(sorted(profile.tags)) or "none"
        raise CliError(f"tag {tag!r}: not in the profile; it has: {known}")
    return profile.tags[tag]


def find(selection: Selection, link: Link, profile: Profile, wait: float = 3.0) -> list[Target]:
    """The devices that are meant, sorted by name. Raises CliError if there is none."""
    if selection.failed:
        record = recall(profile)
        found = [
            Target(base, name)
            for base, name in record
            if not selection.names or any(fnmatchcase(n, p) for n in (base, name) for p in selection.names)
        ]
        if not found:
            raise CliError("--failed: there is none; the last command to many devices failed on none of them")
        return found
    from . import devices

    for tag in selection.tags:
        patterns(profile, tag)
    known = devices.find(link, profile, ask=True, wait=wait)
    states = {device.base: device.state for device in known}
    _name(known, profile)
    found = [Target(d.base, d.name, states[d.base]) for d in known if selection.matches(d, profile)]
    found.sort(key=lambda target: (target.name.casefold(), target.base))
    if not found:
        raise CliError(
            f"{selection}: no such device; {len(known) or 'none'} found below {profile.base} at {link.broker}",
            UNREACHABLE,
        )
    return found


def run(
    targets: Sequence[Target],
    work: Callable[[Target], Any],
    jobs: int = JOBS,
    *,
    told: Callable[[Result], None] | None = None,
    cancel: Callable[[], None] | None = None,
) -> list[Result]:
    """Do ``work(target)`` for each, at most ``jobs`` at the same time, each in a thread.

    Args:
        work: returns the value of the Result; raises CliError or Failure.
        told: called here, in the caller's thread, with each Result as it comes.
        cancel: called on Ctrl-C: it shall make those that are at work end soon.

    Returns:
        The results, in the order of the targets. After Ctrl-C those that were not done have the code "interrupted".
    """
    waiting = deque(targets)
    finished: queue.SimpleQueue[Result] = queue.SimpleQueue()

    def worker() -> None:
        while True:
            try:
                target = waiting.popleft()
            except IndexError:
                return
            finished.put(_one(target, work))

    threads = [threading.Thread(target=worker, daemon=True) for _ in range(min(jobs, len(targets)))]
    for thread in threads:
        thread.start()
    done: dict[str, Result] = {}

    def take(result: Result) -> None:
        done[result.target.base] = result
        if told is not None:
            told(result)

    try:
        while len(done) < len(targets):
            take(finished.get())
    except KeyboardInterrupt:
        waiting.clear()
        if cancel is not None:
            cancel()
        end = time.monotonic() + _PATIENCE
        with suppress(KeyboardInterrupt):
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
        with suppress(queue.Empty):
            while True:
                take(finished.get_nowait())
    return [
        done.get(target.base) or Result(target, code="interrupted", error="not done", exit_code=FAILED)
        for target in targets
    ]


def _one(target: Target, work: Callable[[Target], Any]) -> Result:
    begun = time.monotonic()
    result = Result(target)
    if target.state == "offline":
        result.code, result.error, result.exit_code = "offline", "the device is offline", UNREACHABLE
        return result
    try:
        result.value = work(target)
    except CliError as error:
        result.code, result.error, result.exit_code = error.code, error.text, error.exit_code
    except Failure as failure:
        result.code, result.error, result.exit_code = "failed", str(failure), failure.exit_code
        result.value = failure.value
    except OSError as error:
        result.code, result.error, result.exit_code = "error", os_error(error), FAILED
    except Exception as error:  # one of many: the others go on, and this one is shown like any failure
        result.code, result.error, result.exit_code = "error", f"{type(error).__name__}: {error}", FAILED
    result.seconds = time.monotonic() - begun
    return result


# What is remembered from one command to the next


def _file(what: str, profile: Profile) -> Path:
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in profile.name or "default")
    return Path(platformdirs.user_state_dir("coldframe")) / f"{what}-{name}.json"


def _write(path: Path, value: Any) -> bool:
    new = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError:
        return False
    return True


def _name(known: Sequence[Device], profile: Profile) -> None:
    # A device that is offline does not tell its name and board. It is to be one of those that are meant nevertheless,
    # and to be shown as one that could not be reached: so they are taken from what it has told before.
    path = _file("names", profile)
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        kept = {str(base): dict(told) for base, told in before.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        before, kept = None, {}
    for device in known:
        if device.info:
            kept[device.base] = {key: device.info.get(key) for key in ("name", "id", "board")}
        else:
            device.info = dict(kept.get(device.base, {}))
    if kept != before:
        _write(path, kept)


def record_file(profile: Profile) -> Path:
    """Where the devices are kept on which the last command failed."""
    return _file("failed", profile)


def remember(profile: Profile, results: Iterable[Result]) -> Path | None:
    """Keep the devices that failed, for --failed. Returns the file; None if it cannot be written."""
    path = record_file(profile)
    failed = [{"base": r.target.base, "name": r.target.name, "error": r.error} for r in results if not r.ok]
    kept = _write(path, {"when": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "failed": failed})
    return path if kept else None


def recall(profile: Profile) -> list[tuple[str, str]]:
    """(base topic, name) of the devices on which the last command failed."""
    path = record_file(profile)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return [(str(row["base"]), str(row["name"])) for row in kept["failed"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CliError(
            f"{path}: cannot be read ({error}); expected what the last command left there"
        ) from None
