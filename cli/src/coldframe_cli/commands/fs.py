"""coldframe fs ls|tree|cat|get|put|rm|mkdir|mv|df: the files of a device."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.tree import Tree

from .. import context, transfer
from ..errors import FAILED, SOME_FAILED, CliError, DeviceError
from ..options import App, DeviceArgument
from ..output import size as human
from ..session import Session

app = App(help="Look at the files of a device, fetch, store, move and remove them.")

_Device = Annotated[str, DeviceArgument]
_Path = Annotated[str, typer.Argument(metavar="PATH", help="The folder on the device.", show_default=False)]
_Resume = Annotated[
    bool,
    typer.Option("--resume/--no-resume", help="Go on where an earlier transfer stopped, if there was one."),
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="fs")


@app.command()
def ls(
    device: _Device,
    path: _Path = "/",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="And what is in its folders.")] = False,
    sha: Annotated[bool, typer.Option("--sha", help="With the sha256 of each file.")] = False,
) -> None:
    """List a folder: size and name."""
    now = context.current()
    with now.session(device) as session:
        rows = transfer.listing(session, path, recursive=recursive, sha=sha)
    now.out.value(
        [
            {
                "name": row[0],
                "size": row[1],
                "dir": row[1] is None,
                **({"sha256": row[2]} if len(row) > 2 else {}),
            }
            for row in rows
        ]
    )
    for name, size, *more in rows:
        mark = f"{more[0] or '':64}  " if sha else ""
        if size is None:
            now.out.text(f"{'':>9}  {mark}{name}/", style="bold blue")
        else:
            now.out.text(f"{size:>9}  {mark}{name}")


@app.command()
def tree(device: _Device, path: _Path = "/") -> None:
    """Show a folder and all that is in it as a tree, and how much room is left."""
    now = context.current()
    with now.session(device) as session:
        rows = transfer.listing(session, path, recursive=True)
        free = session.call("stat", {"path": path}, timeout=now.timeout).get("free")
    now.out.value({"path": path, "free": free, "entries": [{"name": r[0], "size": r[1]} for r in rows]})
    if now.json:
        return
    root = Tree(f"[bold blue]{_plain(path)}[/]")
    folders = {"": root}
    for name, size, *_ in sorted(rows, key=lambda row: row[0].split("/")):
        above, _, last = name.rpartition("/")
        if size is None:
            folders[name] = folders[above].add(f"[bold blue]{_plain(last)}/[/]")
        else:
            folders[above].add(f"{_plain(last)}  [dim]{human(size)}[/]")
    now.out.console.print(root)
    files = [row[1] for row in rows if row[1] is not None]
    left = "" if free is None else f", {human(free)} free"
    now.out.text(f"{len(files)} files, {human(sum(files))}{left}", style="dim")


@app.command()
def cat(device: _Device, path: Annotated[str, typer.Argument(help="The file on the device.")]) -> None:
    """Write a file of the device to standard output."""
    get(device, path, "-")


@app.command()
def get(
    device: _Device,
    path: Annotated[str, typer.Argument(help="The file or folder on the device.")],
    local: Annotated[
        str | None,
        typer.Argument(
            help="Where to put it here; - for standard output. Default: its name, here.", show_default=False
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="A folder, with all that is in it.")
    ] = False,
    resume: _Resume = True,
) -> None:
    """Fetch a file, or with -r a folder, from the device.

    From many devices, each into a folder of its own with the device's name.
    """
    now = context.current()
    local = now.own_place(local)
    with now.session(device) as session:
        stat = session.call("stat", {"path": path}, timeout=now.timeout)
        if stat.get("dir"):
            if not recursive:
                raise CliError(f"{path} is a folder; -r fetches it with all that is in it")
            _get_tree(session, path, Path(local or path.rstrip("/").rsplit("/", 1)[-1] or "flash"), resume)
            return
        if local == "-":
            sink = io.BytesIO()
            told = transfer.get(session, path, sink, size=stat.get("size"))
            told["text"] = sink.getvalue().decode("utf-8", "replace")
            now.out.raw(sink.getvalue())
        else:
            name = path.rstrip("/").rsplit("/", 1)[-1]
            target = Path(local) if local else Path(name)
            if target.is_dir() or (local or "").endswith("/"):
                target = target / name
            told = _get(session, path, target, stat.get("size"), resume)
            now.out.text(f"{target}: {_summary(told)}")
        now.out.value({"path": path, **told})


@app.command()
def put(
    device: _Device,
    local: Annotated[str, typer.Argument(help="The file or folder here; - for standard input.")],
    path: Annotated[
        str | None,
        typer.Argument(
            help="Where it goes on the device; with a slash at the end, into that folder. Default: its name, in /.",
            show_default=False,
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="A folder, with all that is in it.")
    ] = False,
    resume: _Resume = True,
) -> None:
    """Store a file, or with -r a folder, on the device.

    Goes on by itself after cut connections, and when it is called again. At PATH there is the old file or the whole
    new one, never a mix.
    """
    now = context.current()
    here = Path(local)
    if local == "-" and not path:
        raise CliError("expected the PATH on the device for what is read from standard input")
    if local != "-" and not here.exists():
        raise CliError(f"{local}: no such file or folder here")
    if local != "-" and here.is_dir():
        if not recursive:
            raise CliError(f"{local} is a folder; -r stores it with all that is in it")
        with now.session(device) as session:
            _put_tree(session, here, path or "/" + here.resolve().name, resume)
        return
    target = path or "/" + here.name
    if target.endswith("/"):
        target += here.name if local != "-" else ""
    source = now.standard_input() if local == "-" else here
    with now.session(device) as session:
        told = _put(session, source, target, resume)
    now.out.value({"path": target, **told})
    now.out.text(f"{target}: {_summary(told)}")


@app.command()
def rm(
    device: _Device,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files or folders on the device.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Folders, with all that is in them.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="What is not there is no error.")] = False,
) -> None:
    """Remove files or empty folders."""
    now = context.current()
    removed: list[str] = []
    failed: DeviceError | None = None
    with now.session(device) as session:
        for path in paths:
            try:
                session.call("rm", {"path": path, "recursive": recursive}, timeout=30.0)
                removed.append(path)
            except DeviceError as error:
                if error.code == "missing" and force:
                    continue
                if failed:
                    now.out.note(f"{failed.text}", style="red")
                failed = error
    if failed:
        raise failed
    now.out.value({"removed": removed})


@app.command()
def mkdir(
    device: _Device,
    path: Annotated[str, typer.Argument(help="The new folder on the device.")],
    parents: Annotated[
        bool, typer.Option("--parents", "-p", help="And the folders above it; no error if it is there.")
    ] = False,
) -> None:
    """Make a folder."""
    now = context.current()
    with now.session(device) as session:
        session.call("mkdir", {"path": path, "parents": parents}, timeout=now.timeout)
    now.out.value({"path": path})


@app.command()
def mv(
    device: _Device,
    path: Annotated[str, typer.Argument(help="The file or folder on the device.")],
    to: Annotated[str, typer.Argument(help="Its new path.")],
) -> None:
    """Rename or move a file or folder."""
    now = context.current()
    with now.session(device) as session:
        session.call("mv", {"path": path, "to": to}, timeout=now.timeout)
    now.out.value({"path": path, "to": to})


@app.command()
def df(device: _Device) -> None:
    """Show how much room is left."""
    now = context.current()
    with now.session(device) as session:
        free = session.call("stat", {"path": "/"}, timeout=now.timeout).get("free")
    now.out.value({"free": free})
    now.out.text("not known" if free is None else f"{human(free)} free")


@contextmanager
def _bar(label: str) -> Iterator[transfer.Progress]:
    out = context.current().out
    try:
        with out.progress() as progress:
            task = progress.add_task(label, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)
    except KeyboardInterrupt:
        out.note("interrupted; the same command goes on where this one has stopped")
        raise


def _waiting(text: str) -> None:
    context.current().out.note(f"{text}; trying on")


def _put(session: Session, source: Path | bytes, path: str, resume: bool) -> dict:
    with _bar(path) as progress:
        return transfer.put(session, source, path, progress=progress, resume=resume, waiting=_waiting)


def _get(session: Session, path: str, target: Path, size: int | None, resume: bool) -> dict:
    with _bar(path) as progress:
        return transfer.get_file(
            session, path, target, size=size, progress=progress, resume=resume, waiting=_waiting
        )


def _put_tree(session: Session, here: Path, path: str, resume: bool) -> None:
    folders: list[str] = []
    files: list[tuple[Path, str]] = []
    for folder, names, found in os.walk(here):
        names.sort()
        below = "/".join((path.rstrip("/"), *Path(folder).relative_to(here).parts)) or "/"
        folders.append(below)
        files += [(Path(folder) / name, f"{below.rstrip('/')}/{name}") for name in sorted(found)]
    for folder in folders:
        if folder != "/":
            session.call("mkdir", {"path": folder, "parents": True}, repeat=True)
    _each(files, lambda source, target: _put(session, source, target, resume), lambda source, target: target)


def _get_tree(session: Session, path: str, here: Path, resume: bool) -> None:
    files: list[tuple[str, Path, int]] = []
    top = here.resolve()
    for name, size, *_ in transfer.listing(session, path, recursive=True):
        target = here / name
        # A name like ../x must not lead out of the folder here, whatever the device says.
        if top not in target.resolve().parents:
            raise CliError(f"{name!r}: the device names a file outside of the folder", FAILED)
        if size is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            files.append((f"{path.rstrip('/')}/{name}", target, size))
    here.mkdir(parents=True, exist_ok=True)
    _each(files, lambda *a: _get(session, *a, resume), lambda name, target, size: str(target))


def _each(jobs: list[tuple], work, label) -> None:
    # One file that cannot be had does not keep the others away.
    out = context.current().out
    failed = 0
    done = []
    for job in jobs:
        name = label(*job)
        try:
            told = work(*job)
        except DeviceError as error:
            failed += 1
            out.note(f"{name}: {error.text}", style="red")
            done.append({"path": name, "ok": False, "error": {"code": error.code, "text": error.text}})
            continue
        out.text(f"{name}: {_summary(told)}")
        done.append({"path": name, "ok": True, **told})
    out.value(done)
    if failed:
        raise CliError(f"{failed} of {len(jobs)} files failed", SOME_FAILED)


def _summary(told: dict) -> str:
    seconds = told["seconds"]
    moved = told["size"] - told.get("resumed", 0)
    rate = f", {human(moved / seconds)}/s" if seconds > 0 else ""
    on = f", went on at {human(told['resumed'])}" if told.get("resumed") else ""
    return f"{human(told['size'])} in {seconds:.1f} s{rate}{on}, sha256 checked"


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
