"""What the recipes of all ports share: the context they get, what they give back, running tools.

A recipe is the module kit/ports/PORT.py with

* `OPTIONS`: the keys that a board.toml of this port may have in its [build] table, with their types;
* `build(ctx: Context) -> Artifacts`: compile and link, everything inside `ctx.build`.

Recipes never write anywhere but into `ctx.build`, never reach the network, and give the unmodified
upstream port our own board folder.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import IO

from kit import diagnose, ui
from kit.board import Board
from kit.ui import UserError

# Progress as the tools print it: ninja's "[12/340] …" and the first word of MicroPython's make rules.
_NINJA = re.compile(r"^\[(\d+)/(\d+)\] (.*)")
_MAKE = re.compile(r"^(CC|CXX|AS|MPY|GEN|LINK|AR|CREATE) (\S+)")


@dataclass
class Artifacts:
    """What a port's build made. All paths are inside `Context.build`."""

    image: Path  # what is flashed or run
    elf: Path  # the linked program with symbols
    map: Path | None = None  # the linker's map
    frozen: Path | None = None  # the object file of frozen_content.c, for the frozen code's size
    extra: dict[str, Path] = field(default_factory=dict)  # suffix → file, e.g. {"-merged.bin": path}
    flash_used: int | None = None  # bytes of flash that the image takes in its region
    ram: tuple[tuple[int, int], ...] = ()  # address ranges of the target's RAM, see kit.elf


@dataclass
class Context:
    """All that a recipe needs to build one board."""

    board: Board
    project: Path  # the Coldframe tree
    tree: Path  # MicroPython's tree, a fresh copy with its lib/ folders filled
    build: Path  # an empty folder for the port's objects
    sources: dict[str, Path]  # the board's other sources, unpacked
    manifest: Path  # give this to the port as FROZEN_MANIFEST
    mpy_cross: Path
    libraries: Path  # a folder that stands in for an empty micropython-lib
    log: Path  # all output of the tools goes here
    jobs: int
    env: dict[str, str]  # the whole environment of every tool
    step: ui.Step | None = None  # where progress is shown

    @property
    def prefixes(self) -> list[tuple[str, str]]:
        """Folders of this machine and what stands for them in the results; outer folders first."""
        pairs = [
            (str(self.tree), "/micropython"),
            (str(self.build), "/build"),
            (str(self.project), "/coldframe"),
        ]
        pairs += [(str(path), f"/{name}") for name, path in sorted(self.sources.items())]
        return sorted(pairs, key=lambda pair: len(pair[0]))

    @property
    def prefix_map(self) -> str:
        """Compiler flags that keep this machine's folders out of debug information and __FILE__."""
        # gcc uses the last option that matches, so the inner folders come last.
        return " ".join(f"-ffile-prefix-map={path}={to}" for path, to in self.prefixes)

    def neutral(self, text: str) -> str:
        """A text, such as the linker's map, with the same replacements."""
        for path, to in reversed(self.prefixes):
            text = text.replace(path, to)
        return text

    def run(
        self, cmd: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Run one tool, its output in the log and its progress on the screen.

        Args:
            cmd: program and arguments.
            cwd: where to run it, by default `build`.
            env: variables on top of `self.env`.

        Raises:
            UserError: the tool is missing or failed; the message carries the first error it reported.
        """
        run(cmd, cwd=cwd or self.build, env={**self.env, **(env or {})}, log=self.log, step=self.step)


def run(
    cmd: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    step: ui.Step | None = None,
) -> None:
    """Run a tool with its output appended to `log`. See `Context.run`."""
    args = [str(c) for c in cmd]
    began = time.monotonic()
    with log.open("ab") as out:
        start = out.tell()
        out.write(f"\n$ cd {cwd}\n$ {' '.join(args)}\n".encode())
        out.flush()
        try:
            # A session of its own, so that Ctrl-C reaches us alone and we stop all its children.
            process = subprocess.Popen(
                args,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise UserError(
                f"the tool {args[0]!r} is not installed",
                hint="without --native the build runs in a container that has all tools",
            ) from None
        try:
            assert process.stdout is not None
            _follow(process.stdout, out, step)
            status = process.wait()
        except BaseException:
            stop(process)
            raise
        out.write(f"# status {status}, {time.monotonic() - began:.1f} s\n".encode())
    if status:
        raise diagnose.failure(args[0], status, log, start)


def _follow(stream: IO[bytes], out: IO[bytes], step: ui.Step | None) -> None:
    for raw in stream:
        out.write(raw)
        if step is None:
            continue
        line = raw.decode("utf-8", "replace").rstrip()
        if found := _NINJA.match(line):
            step.update(int(found[1]), int(found[2]), note=found[3].split("/")[-1])
        elif found := _MAKE.match(line):
            step.update(step.done + 1, note=found[2].split("/")[-1])


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a tool and everything it started (it leads a process group of its own)."""
    for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()


def recipe(port: str, where: str | None = None) -> ModuleType:
    """The recipe of a port.

    Raises:
        UserError: there is none; names those that there are.
    """
    known = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "base"))
    if port not in known:
        raise UserError(f"unknown port {port!r}", where=where, expected="one of " + ", ".join(known))
    return importlib.import_module(f"kit.ports.{port}")


Builder = Callable[[Context], Artifacts]
