"""coldframe sync: a folder of a device as one of this computer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .. import context, syncplan
from ..errors import REFUSED, USAGE, CliError
from ..options import DeviceArgument
from ..output import size
from ..session import Session

_LOOK = 0.5  # s between two looks at the folder
_AGAIN = 3.0  # s until the next attempt after a failure
_WORDS = {"new": "put new", "changed": "put changed", "mkdir": "mkdir", "rm": "rm"}


def register(app: typer.Typer) -> None:
    app.command()(sync)


def sync(
    device: Annotated[str, DeviceArgument],
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder of this computer."),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The folder on the device.")] = "/",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete what only the device has (not what it keeps for itself).")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done.")] = False,
    mpy: Annotated[
        bool, typer.Option("--mpy", help="Compile .py files to .mpy, but for main.py and boot.py.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            "-x",
            metavar="PATTERN",
            help="Leave out such names or paths; !PATTERN takes back in. Hidden files and __pycache__ are left out.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on, and sync whenever a file is saved.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Restart the programs of the device after something has changed.")
    ] = False,
) -> None:
    """Put what has changed in a folder onto a device, compared by sha256.

    What only the device has stays there, unless --delete is given.
    """
    now = context.current()
    job = _Job(folder, "/" + target.strip("/"), tuple(exclude or ()), delete, dry_run, reset)
    job.compiler = syncplan.Compiler() if mpy else None
    if not watch:
        with now.session(device) as session:
            job.run(session)
        return
    _watch(device, job)


class _Job:
    compiler: syncplan.Compiler | None = None

    def __init__(
        self, folder: Path, target: str, exclude: tuple[str, ...], delete: bool, dry_run: bool, reset: bool
    ) -> None:
        self.folder = folder
        self.target = target
        self.exclude = exclude
        self.delete = delete
        self.dry_run = dry_run
        self.reset = reset

    def run(self, session: Session) -> None:
        now = context.current()
        out = now.out
        begun = time.monotonic()
        here = syncplan.local(self.folder, self.exclude, self.compiler, self.target)
        plan = syncplan.plan(session, self.target, here, delete=self.delete, exclude=self.exclude)
        if self.dry_run:
            syncplan.steps(plan, _teller(out.text))
        else:
            with out.progress() as bar:
                task = bar.add_task(session.base, total=plan.bytes or None, visible=bool(plan.bytes))
                tell = _teller(lambda text: bar.console.print(text, markup=False) if not now.json else None)
                syncplan.carry_out(session, plan, tell, lambda done: bar.update(task, completed=done))
            if self.reset and not plan.empty:
                session.call("reset", {"mode": "soft"})
        for path in plan.kept:
            out.note(f"{path} stays: it is the device's own")
        seconds = time.monotonic() - begun
        out.value(
            {
                "device": session.base,
                "dry_run": self.dry_run,
                "made": plan.make,
                "put": [{"path": path, "size": s.size, "why": why} for path, s, why in plan.put],
                "removed": plan.remove,
                "kept": plan.kept,
                "same": plan.same,
                "bytes": plan.bytes,
                "seconds": round(seconds, 2),
            }
        )
        would = "to put" if self.dry_run else "put"
        out.text(
            f"{session.base}: {len(plan.put)} {would} ({size(plan.bytes)}), {len(plan.remove)} "
            f"{'to remove' if self.dry_run else 'removed'}, {plan.same} the same, {seconds:.1f} s"
        )


def _teller(show: Callable[[str], None]) -> Callable[[str, str, int], None]:
    def tell(what: str, path: str, count: int) -> None:
        show(f"{_WORDS[what]:11} {path}" + (f" ({size(count)})" if what in ("new", "changed") else ""))

    return tell


def _watch(device: str, job: _Job) -> None:
    # A session for each sync: between two of them may be hours.
    now = context.current()
    done: tuple | None = None
    while True:
        seen = syncplan.changed(job.folder)
        if seen == done:
            time.sleep(_LOOK)
            continue
        while (later := syncplan.changed(job.folder)) != seen:  # a save is still under way
            seen = later
            time.sleep(_LOOK)
        try:
            with now.session(device) as session:
                job.run(session)
            done = seen
            now.out.note(f"watching {job.folder}; Ctrl-C ends it")
        except CliError as error:
            now.out.error(error.text, error.code)
            if done is None and error.exit_code in (USAGE, REFUSED):
                raise
            if error.exit_code == USAGE:
                done = seen  # such as a mistake in a program: it is the next save that may mend it
            _rest(job.folder, seen)


def _rest(folder: Path, seen: tuple) -> None:
    # Until it is worth trying again: soon after the next save.
    end = time.monotonic() + _AGAIN
    while time.monotonic() < end and syncplan.changed(folder) == seen:
        time.sleep(_LOOK)
