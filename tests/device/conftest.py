"""pytest for tests that run on devices: every test_*.py is one test per target, as `test_store.py::lx106`."""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from device import targets
from kit import images
from kit.ui import UserError

MEASUREMENTS = "measurements.json"  # in dist/: board -> name -> number; budgets.py compares them
_OK = re.compile(r"^ok (\S+)$")
_SKIP = re.compile(r"^skip (\S+): (.*)$")
_FAIL = re.compile(r"^FAIL (\S+): ")
_MEASURE = re.compile(r"^MEASURE (\w+) (-?\d+(?:\.\d+)?)$")
_LAST = re.compile(r"^(\d+) passed, (\d+) failed$")


@dataclass
class Report:
    """What minitest printed, taken apart."""

    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # name -> reason
    failed: dict[str, str] = field(default_factory=dict)  # name -> its lines, traceback included
    measured: dict[str, float] = field(default_factory=dict)
    complete: bool = False  # the last line was there and its numbers are right


def read(output: str) -> Report:
    """Take minitest's output apart."""
    report = Report()
    failing: str | None = None
    for line in output.splitlines():
        if found := _OK.match(line):
            report.passed.append(found[1])
            failing = None
        elif found := _SKIP.match(line):
            report.skipped[found[1]] = found[2]
            failing = None
        elif found := _FAIL.match(line):
            failing = found[1]
            report.failed[failing] = line
        elif found := _MEASURE.match(line):
            report.measured[found[1]] = float(found[2]) if "." in found[2] else int(found[2])
        elif found := _LAST.match(line):
            report.complete = (int(found[1]), int(found[2])) == (len(report.passed), len(report.failed))
            failing = None
        elif failing is not None:
            report.failed[failing] += "\n" + line
    return report


class DeviceError(Exception):
    """A device test failed; the text is all there is to say, pytest adds no traceback of the host."""


class DeviceTest(pytest.Item):
    """One script on one target."""

    def __init__(self, *, target: targets.Target, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target

    def runtest(self) -> None:
        with tempfile.TemporaryDirectory(prefix="coldframe-device-") as scratch:
            outcome = self.target.run(self.path, Path(scratch))
        report = read(outcome.output)
        self.add_report_section("call", self.target.name, outcome.output)
        store(self.target.board, report.measured)
        judge(report, outcome)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, DeviceError | UserError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.path.name}::{self.name}"


def judge(report: Report, outcome: targets.Outcome) -> None:
    """Raise what a report means: DeviceError for a failure, pytest's skip when nothing ran."""
    problems = list(report.failed.values())
    if not report.complete:
        problems.append(f"the script did not reach its last line: {outcome.end}\n{outcome.output}")
    elif outcome.end != targets.ENDED:
        problems.append(f"after the last line: {outcome.end}\n{outcome.output}")
    elif not report.passed and not report.failed and not report.skipped:
        problems.append("the script has no test (a function test_*)")
    if problems:
        done = f"{len(report.passed)} passed, {len(report.failed)} failed"
        raise DeviceError("\n\n".join([*problems, done]))
    if not report.passed:
        pytest.skip("; ".join(sorted(set(report.skipped.values()))))


def store(board: str, measured: dict[str, float]) -> None:
    """Add figures to dist/measurements.json; several pytest processes may do so at once."""
    if not measured:
        return
    path = images.DIST / MEASUREMENTS
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        known = json.loads(path.read_text()) if path.exists() else {}
        known.setdefault(board, {}).update(measured)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
        fresh.replace(path)
    finally:
        os.close(fd)


class DeviceFile(pytest.File):
    """One script: a test for each target."""

    def collect(self) -> Iterator[DeviceTest]:
        for target in targets.TARGETS:
            yield DeviceTest.from_parent(self, name=target.name, target=target)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Any:
    """Collect the files of this folder as device scripts: the host's Python cannot import them."""
    return DeviceFile.from_parent(parent, path=module_path)
