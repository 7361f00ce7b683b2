"""Line and branch coverage of the plain C cores, measured with gcc and gcov.

The cores are compiled without optimisation, so that every condition is a branch of its own, and with the
fuzz harness, which itself is not counted. tests/fuzz/unreachable.toml lists what cannot be reached:

    [[line]]                        # or [[branch]]
    file = "mqttpacket.c"
    text = "if (BOUND(4, n > room)) {"   # the source line without its indentation
    missed = 1                      # how many of its branches are never taken, over all lines with this text
    reason = "why"
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kit import fuzzing, host
from kit.ui import UserError

UNREACHABLE = fuzzing.FUZZ / "unreachable.toml"
# Inputs of our own generator per target; with the cases of cases.c they reach everything that can be reached.
COUNTS = {"decode": 60_000, "encode": 60_000, "props": 60_000, "topic": 60_000, "ringlog": 20_000}
_FLAGS = ["-std=gnu99", "-g", "-O0", "-Wall", "-Wextra", "-Werror"]


@dataclass
class File:
    """What was reached of one source file."""

    name: str
    lines: int = 0
    lines_hit: int = 0
    branches: int = 0
    branches_hit: int = 0
    excused_lines: int = 0
    excused_branches: int = 0


@dataclass
class Report:
    """The coverage of all cores and what is wrong with it."""

    files: list[File] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return the figures for a JSON file."""
        return {"files": [vars(file) for file in self.files], "problems": self.problems}

    def table(self) -> str:
        """Return the figures as a table."""
        rows = [f"{'file':28} {'lines':>12} {'branches':>12}   unreachable: lines, branches"]
        for file in self.files:
            rows.append(
                f"{file.name:28} {file.lines_hit:5} / {file.lines:4} {file.branches_hit:5} / {file.branches:4}"
                f"   {file.excused_lines}, {file.excused_branches}"
            )
        return "\n".join(rows)


def measure(folder: Path, corpus: Path | None = None) -> Report:
    """Compile, run and evaluate in *folder*.

    :param corpus: folder with further inputs per target, or None.
    :raises UserError: when gcc or gcov are not there, or a run fails.
    """
    gcc, gcov = host.find("gcc"), host.find("gcov")
    if gcc is None or gcov is None:
        raise UserError("gcc or gcov is not installed", where="C coverage", expected="both; Debian: gcc")
    harness = fuzzing.driver_sources()
    cores = [*fuzzing.core_sources("mqttpacket"), *fuzzing.core_sources("ringlog")]
    includes = [f"-I{path}" for path in [*fuzzing.CORES.values(), fuzzing.FUZZ]]
    objects = []
    for source in [*harness, *cores]:
        # The harness of the ring log includes its core: that copy counts as well.
        counted = source in cores or source.name == "fuzz_ringlog.c"
        if source in cores and source.parent == fuzzing.CORES["ringlog"]:
            continue
        out = folder / f"{source.stem}.o"
        flags = [*_FLAGS, *(["--coverage"] if counted else []), *includes]
        _run([gcc, *flags, "-c", str(source), "-o", str(out)], folder)
        objects.append(str(out))
    driver = folder / "driver"
    _run([gcc, "--coverage", *objects, "-o", str(driver)], folder)
    _run([str(driver), "cases"], folder)
    for target, count in COUNTS.items():
        _run([str(driver), target, str(count), "1"], folder)
        for path in sorted((corpus / target).iterdir()) if corpus else []:
            _run([str(driver), target, str(path)], folder)
    data = sorted(str(path) for path in folder.glob("*.gcda"))
    text = _run([gcov, "--json-format", "--stdout", "--branch-probabilities", *data], folder)
    # A header counts where it has code, as ringlog_room.h has.
    headers = [path for core in fuzzing.CORES.values() for path in sorted(core.glob("*.h"))]
    documents = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return evaluate(documents, [*cores, *headers])


def evaluate(documents: list[dict], cores: list[Path], unreachable: Path = UNREACHABLE) -> Report:
    """Turn gcov's JSON documents into a report on the files of *cores*."""
    report = Report()
    excuses = tomllib.loads(unreachable.read_text())
    for core in cores:
        hits: dict[int, int] = {}
        branches: dict[tuple[int, int], int] = {}
        for document in documents:
            for file in document["files"]:
                if Path(document["current_working_directory"], file["file"]).resolve() != core:
                    continue
                for line in file["lines"]:
                    number = line["line_number"]
                    hits[number] = hits.get(number, 0) + line["count"]
                    for index, branch in enumerate(line["branches"]):
                        key = (number, index)
                        branches[key] = branches.get(key, 0) + branch["count"]
        if hits or core.suffix == ".c":
            report.files.append(_judge(core, hits, branches, excuses, report.problems))
    names = {core.name for core in cores}
    for kind in ("line", "branch"):
        for entry in excuses.get(kind, []):
            if entry["file"] not in names or not entry.get("reason"):
                report.problems.append(f"{unreachable.name}: no such file, or no reason: {entry}")
    return report


def _judge(
    core: Path,
    hits: dict[int, int],
    branches: dict[tuple[int, int], int],
    excuses: dict[str, list[dict]],
    problems: list[str],
) -> File:
    """Compare what was missed in one file with the list of what cannot be reached."""
    source = core.read_text().splitlines()
    file = File(
        core.name,
        lines=len(hits),
        lines_hit=sum(count > 0 for count in hits.values()),
        branches=len(branches),
        branches_hit=sum(count > 0 for count in branches.values()),
    )
    missed = {
        "line": [number for number, count in hits.items() if count == 0],
        # The branches of a line that is never reached are missed with it.
        "branch": [number for (number, _), count in branches.items() if count == 0 and hits[number] > 0],
    }
    if not hits:
        problems.append(f"{core.name}: gcov has nothing on it")
    for kind, numbers in missed.items():
        found = Counter(source[number - 1].strip() for number in numbers)
        listed = Counter(
            {
                entry["text"]: entry.get("missed", 1)
                for entry in excuses.get(kind, [])
                if entry["file"] == core.name
            }
        )
        for number in sorted(set(numbers)):
            text = source[number - 1].strip()
            if found[text] > listed[text]:
                problems.append(f"{core.name}:{number}: {kind} not covered ({found[text]}): {text}")
        for text, count in listed.items():
            if found[text] < count:
                problems.append(f"{core.name}: listed as unreachable, but it is not: {kind} {text}")
        excused = sum(min(found[text], count) for text, count in listed.items())
        if kind == "line":
            file.excused_lines = excused
        else:
            file.excused_branches = excused
    return file


def _run(command: list[str], folder: Path) -> str:
    """Run a command in *folder* and return its standard output."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode != 0:
        raise UserError(
            f"{Path(command[0]).name} failed",
            where="C coverage",
            expected="exit status 0",
            hint=done.stderr[-3000:],
        )
    return done.stdout
