"""coldframe logs: the log lines of devices."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import typer

from .. import completion, context
from ..devices import find
from ..errors import CliError, DeviceError, SessionLost, Timeout
from ..logview import LEVELS, Line, RingReader, of_topic, rank
from ..options import App
from ..session import Session

_Device = Annotated[
    str,
    typer.Argument(
        metavar="DEVICE",
        help="The device: its name, or its base topic. With * ? [] or left out: all that match send.",
        show_default=False,
        autocompletion=completion.devices,
    ),
]


def register(app: App) -> None:
    app.command(many=False)(logs)  # of many devices it shows the lines as they come


def logs(
    device: _Device = "*",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    level: Annotated[
        str,
        typer.Option("--level", "-l", metavar="NAME", help=f"Least important lines: {', '.join(LEVELS)}."),
    ] = "DEBUG",
    lines: Annotated[
        int,
        typer.Option("--lines", "-n", min=0, metavar="N", help="The newest lines; 0: all that are there."),
    ] = 50,
    since: Annotated[
        int | None,
        typer.Option("--since", min=0, metavar="NUMBER", help="Lines from this number on (--numbers)."),
    ] = None,
    before: Annotated[
        bool, typer.Option("--before", help="Only the lines of before the last restart: what led to a crash.")
    ] = False,
    numbers: Annotated[bool, typer.Option("--numbers", help="Show the number of each line.")] = False,
    published: Annotated[
        bool,
        typer.Option("--published", help="What the device publishes by itself (log.mqtt): needs no key."),
    ] = False,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP",
            help="With --published: several of us share the lines, each gets some of them (MQTT shared subscription).",
        ),
    ] = None,
) -> None:
    """Show the log of a device, or of many.

    Of one device: what is in its memory, also what was there before a crash; with -f also what comes.
    Of many: what they publish by themselves on ./log/LEVEL (log.mqtt in their configuration), until Ctrl-C.
    """
    if level.upper() not in LEVELS:
        raise typer.BadParameter(f"--level {level!r}: expected one of {', '.join(LEVELS)}")
    lowest = level.upper()
    many = any(c in device for c in "*?[")
    if published or many or share:
        if before or since is not None or numbers:
            raise typer.BadParameter(
                "--before, --since and --numbers: for the log of one device, without --published"
            )
        _published(device, lowest, share)
        return
    _ring(device, lowest, lines, since, before, numbers, follow)


def _published(pattern: str, lowest: str, share: str | None) -> None:
    now = context.current()
    link = now.link()
    # A name is not always the end of the base topic: who has it is known from what the devices say.
    many = "/" not in pattern or any(c in pattern for c in "*?[")
    base = now.profile.base if many else pattern.rstrip("/")
    group = f"$share/{share}/" if share else ""
    names: dict[str, str] = {}
    if many:
        names = {device.base: device.name for device in find(link, now.profile, wait=1.5)}
    wanted = None if pattern == "*" else pattern
    width = min(20, max([len(name) for name in names.values()], default=12)) if many else 0
    lock = threading.Lock()

    def came(topic: str, payload: bytes, retained: bool) -> None:
        where, _, level = topic.rpartition("/log/")
        if retained or level not in LEVELS or rank(level) < rank(lowest):
            return
        name = names.get(where) or where.rpartition("/")[2]
        if wanted is not None and many and not _matches(wanted, name, where):
            return
        with lock:
            _show(of_topic(name, level, payload), clock=True, width=width)

    link.listen(f"{group}{base}/log/+", came)
    now.out.note(f"listening on {link.broker}, {base}/log/+ (Ctrl-C ends)")
    while True:
        time.sleep(3600)


def _matches(pattern: str, name: str, base: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern) or fnmatchcase(base, pattern)


def _ring(
    device: str, lowest: str, lines: int, since: int | None, before: bool, numbers: bool, follow: bool
) -> None:
    now = context.current()
    reader = RingReader(device)
    missed = 0
    newest = -1  # number of the last line that was shown: none is shown twice, whatever is asked for again

    def show(found: list[Line]) -> None:
        nonlocal newest
        for line in found:
            if line.seq is not None:
                if line.seq <= newest:
                    continue
                newest = line.seq
            _show(line if numbers or now.json else replace(line, seq=None))

    def came(data: bytes) -> None:
        show(reader.feed(data))
        if follow:
            show(reader.end())  # a record is sent whole: what has come so far is complete

    def missing(n: int) -> None:
        nonlocal missed
        missed += n

    args: dict[str, object] = {"lines": lines, "level": lowest, "number": True}
    args |= {"since": since} if since is not None else {}
    args |= {name: True for name, value in (("before", before), ("follow", follow)) if value}
    with now.session(device) as session:
        while True:
            try:
                told = session.call(
                    "log",
                    args,
                    timeout=max(now.timeout, 20),
                    on_data=came,
                    on_lost=missing,
                    repeat=not follow,
                )
                break
            except (SessionLost, Timeout, DeviceError) as error:
                show(reader.end())
                # A device that is told to restart ends what runs in its sessions first.
                if not follow or isinstance(error, DeviceError) and error.code not in ("cancelled", "gone"):
                    raise
                now.out.note(f"{device} does not answer; going on when it is there again (Ctrl-C ends)")
                after = _again(session)
                if after <= newest:  # its memory was lost with the power: it counts anew
                    newest = -1
                    args = {**args, "lines": 0}
                    args.pop("since", None)
                else:
                    args = {**args, "since": newest + 1}
        show(reader.end())
    if missed:
        raise CliError(f"{device}: {missed} pieces of the answer were lost on the way")
    if told.get("lost"):
        now.out.note(f"{told['lost']} older lines had made room for newer ones")
    if numbers and "next" in told:
        now.out.note(f"the next number is {told['next']}")


def _again(session: Session) -> int:
    # Open the session again, however long it takes; returns the number that the device's next line will have.
    while True:
        with suppress(SessionLost, Timeout, DeviceError):
            session.open(5.0)
            return int(session.call("log", {"lines": 1}, timeout=5.0, repeat=False).get("next", 0))


def _show(line: Line, *, clock: bool = False, width: int = 0) -> None:
    out = context.current().out
    if out.json:
        out.value(line.as_dict())
        return
    stamp = time.strftime("%H:%M:%S") if clock else None
    text = line.shown(time=stamp, width=width)
    if line.seq is not None:
        text = text.__class__(f"{line.seq:>6} ", style="dim") + text
    out.console.print(text)
