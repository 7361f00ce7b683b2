"""The options that pick many devices, and what a command does with them.

A command whose first parameter is ``device`` gets them from options.App: with one of them DEVICE is left out, and the
command's function is run once for each device, in a thread with a context of its own. What it hands to ``out.value``
is the result of that device.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

import typer
import typer.core
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import context, fleet
from .errors import INTERRUPTED, OK, SOME_FAILED
from .output import Output

_PANEL = "Many devices"
_WIDE = 100  # characters of a result in the table


def _option(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=_PANEL, show_default=False, **more)


# The parameters, with what typer wants to know.
OPTIONS: dict[str, Any] = {
    "select_all": Annotated[
        bool, _option("--all", help="Instead of DEVICE: all that are found at the broker.")
    ],
    "select_name": Annotated[
        list[str] | None,
        _option(
            "--name", metavar="PATTERN", help="Instead of DEVICE: those of that name or id, e.g. 'pump-*'."
        ),
    ],
    "select_board": Annotated[
        list[str] | None,
        _option("--board", metavar="PATTERN", help="Instead of DEVICE: those with that board."),
    ],
    "select_tag": Annotated[
        list[str] | None,
        _option("--tag", metavar="TAG", help="Instead of DEVICE: those that the profile has that tag for."),
    ],
    "select_failed": Annotated[
        bool,
        _option(
            "--failed", help="Instead of DEVICE: those on which the last command to many devices failed."
        ),
    ],
    "select_jobs": Annotated[
        int, _option("--jobs", min=1, max=500, metavar="N", help="So many at the same time: 32.")
    ],
}
_FLAGS = ("--all", "--name", "--board", "--tag", "--failed")


class Command(typer.core.TyperCommand):
    """A command whose DEVICE is left out when a selector is there."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does, with an empty DEVICE put in front where a selector stands for it."""
        options = args[: args.index("--")] if "--" in args else args
        own = {flag for param in self.params for flag in param.opts if param.name in OPTIONS}
        if any(arg.partition("=")[0] in own & set(_FLAGS) for arg in options):
            args = ["", *args]
        return super().parse_args(ctx, args)


def add(function: Callable, name: str) -> Callable:
    """Give a command's function the options of this module. name: the command's, for messages."""
    signature = inspect.signature(function, eval_str=True)
    taken = {flag for p in signature.parameters.values() for flag in _flags(p)}
    added = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=_default(option))
        for option, kind in OPTIONS.items()
        if not taken & set(kind.__metadata__[0].param_decls)
    ]

    @functools.wraps(function)
    def command(*args: Any, **values: Any) -> Any:
        given = {option: values.pop(option, _default(option)) for option in OPTIONS}
        selection = from_options(**given)
        device = values.get("device", "")
        if not selection and any(c in device for c in "*?["):
            selection = fleet.Selection(names=(device,))
        if not selection:
            return function(*args, **values)
        each(
            selection,
            given["select_jobs"],
            lambda target: function(**{**values, "device": target.base}),
            name,
        )
        return None

    parameters = sorted([*signature.parameters.values(), *added], key=lambda p: p.kind)
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__  # type: ignore[attr-defined]
    return command


def from_options(
    select_all: bool = False,
    select_name: list[str] | None = None,
    select_board: list[str] | None = None,
    select_tag: list[str] | None = None,
    select_failed: bool = False,
    select_jobs: int = 0,
) -> fleet.Selection:
    """The Selection that the options stand for; false if none was given."""
    return fleet.Selection(
        select_all,
        tuple(select_name or ()),
        tuple(select_board or ()),
        tuple(select_tag or ()),
        select_failed,
    )


def each(selection: fleet.Selection, jobs: int, work: Callable[[fleet.Target], Any], name: str) -> None:
    """Run a command's function for each device, show what came of it, and end with the exit code for it."""
    now = context.current()
    targets = fleet.find(selection, now.link(), now.profile)
    folders = _folders(targets)
    contexts: set[context.One] = set()  # of those at work

    def one(target: fleet.Target) -> Any:
        out = Collector()
        with context.one(context.One(now, target.base, target.name, out, folders[target.base])) as own:
            contexts.add(own)
            try:
                work(target)
            except typer.Exit as end:
                if end.exit_code != OK:
                    raise fleet.Failure(_why(out.taken()), out.taken(), end.exit_code) from None
            finally:
                contexts.discard(own)
        return out.taken()

    def cancel() -> None:
        for own in list(contexts):
            own.cancel()

    with _progress(now.out) as bar:
        task = bar.add_task(name, total=len(targets), failed="")
        failures = 0

        def told(result: fleet.Result) -> None:
            nonlocal failures
            failures += not result.ok
            bar.update(task, advance=1, failed=f"[red]{failures} failed" if failures else "")
            now.out.value(result.as_dict())

        results = fleet.run(targets, one, jobs, told=told, cancel=cancel)
    _show(now.out, results)
    kept = fleet.remember(now.profile, results)
    bad = [result for result in results if not result.ok]
    again = (
        f"; the same with --failed tries {'it' if len(bad) == 1 else 'these'} again" if bad and kept else ""
    )
    now.out.note(
        f"{name}: {len(results) - len(bad)} of {len(results)} devices done{again}", "bold" if bad else "dim"
    )
    if any(result.code == "interrupted" for result in bad):
        raise typer.Exit(INTERRUPTED)
    if bad:
        raise typer.Exit(SOME_FAILED)


def _folders(targets: list[fleet.Target]) -> dict[str, str]:
    # A device tells its name itself: it is not to choose where its files are written.
    names = {target.base: _tame(target.name) for target in targets}
    taken = Counter(name.casefold() for name in names.values())
    return {
        base: name if name and taken[name.casefold()] == 1 else _tame(base.replace("/", "_"))
        for base, name in names.items()
    }


def _tame(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ")


class Collector(Output):
    """The output of a command that is run for one of many devices: what it would show is kept instead."""

    def __init__(self) -> None:
        super().__init__(True)
        self.values: list[Any] = []

    def value(self, value: object) -> None:
        self.values.append(value)

    def raw(self, data: bytes) -> None:
        pass

    def note(self, text: str, style: str = "dim") -> None:
        pass

    def taken(self) -> Any:
        """What there was: nothing, one value, or a list of them."""
        return self.values[0] if len(self.values) == 1 else self.values or None


def short(value: Any) -> str:
    """A result in one line of the table."""
    if isinstance(value, dict):
        if "output" in value or "value" in value:  # eval, exec
            text = str(value.get("output") or "") + str(value.get("value") or "")
        else:
            told = {key: entry for key, entry in value.items() if key not in _IMPLIED}
            text = ", ".join(f"{key} {_plain(entry)}" for key, entry in told.items())
            if len(text) > _WIDE:  # of long lists, how long they are
                counts = {
                    key: len(entry) if isinstance(entry, list) else entry for key, entry in told.items()
                }
                text = ", ".join(f"{key} {_plain(entry)}" for key, entry in counts.items())
    else:
        text = "" if value is None else _plain(value)
    text = " ".join(text.split())
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"


_IMPLIED = ("ok", "device", "sha256")  # what the table says anyway, or nobody reads there


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _why(value: Any) -> str:
    # The last word of what a command has shown before it ended with an exit code.
    if isinstance(value, dict) and value.get("error"):
        error = value["error"]
        return str(error.get("text") if isinstance(error, dict) else error)
    return short(value) or "failed"


def _show(out: Output, results: list[fleet.Result]) -> None:
    rows = [(r.target.name, "", short(r.value), f"{r.seconds:.1f} s") for r in results if r.ok]
    rows += [(r.target.name, r.code, r.error, f"{r.seconds:.1f} s") for r in results if not r.ok]
    if any(not r.ok for r in results):
        out.table(("device", "failed", "result", "time"), rows, right=("time",))
    else:
        out.table(("device", "result", "time"), [(a, c, d) for a, _, c, d in rows], right=("time",))


def _progress(out: Output) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        TimeRemainingColumn(compact=True),
        console=out.errors,
        disable=out.json or not out.errors.is_terminal,
        transient=True,
    )


def _default(option: str) -> Any:
    return {"select_all": False, "select_failed": False, "select_jobs": fleet.JOBS}.get(option)


def _flags(parameter: inspect.Parameter) -> tuple[str, ...]:
    for extra in getattr(parameter.annotation, "__metadata__", ()):
        return tuple(getattr(extra, "param_decls", None) or ())
    return ()
