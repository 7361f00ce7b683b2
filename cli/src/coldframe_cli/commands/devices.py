"""coldframe ls, watch, discover: which devices are there, and how they are."""

from __future__ import annotations

import threading
import time
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .. import completion, context, mdns, views
from ..devices import Device, Directory, discovery_patterns, find, others
from ..fleet import Selection, patterns
from ..options import App

_Pattern = Annotated[
    str | None,
    typer.Argument(
        metavar="PATTERN",
        help="Only devices with this name, id or base topic; * ? [] are wildcards.",
        autocompletion=completion.devices,
    ),
]
_Boards = Annotated[
    list[str] | None,
    typer.Option("--board", metavar="BOARD", help="Only this kind of board; * ? [] are wildcards."),
]
_Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Only devices with this tag of the profile.")
]
_Wide = Annotated[bool, typer.Option("--wide", "-w", help="Base topic, id and address as well.")]
_Wait = Annotated[float, typer.Option(min=0.1, metavar="S", help="Seconds to wait for the slowest device.")]


def register(app: App) -> None:
    app.command("ls")(ls)
    app.command()(watch)
    app.command()(discover)


def ls(
    pattern: _Pattern = None,
    boards: _Boards = None,
    tags: _Tags = None,
    wide: _Wide = False,
    online: Annotated[bool, typer.Option("--online", help="Only those that are online.")] = False,
    trouble: Annotated[
        bool, typer.Option("--trouble", help="Only those with trouble, or in safe mode.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", "-q", help="Do not ask the devices: names and states only.")
    ] = False,
    wait: _Wait = 3.0,
) -> None:
    """List the devices.

    UP is how long a device has run, RSSI its Wi-Fi signal in dBm, HEAP its free memory in bytes,
    TROUBLE the cause of its last crash or its newest error. Needs no key.
    """
    now = context.current()
    selection = _selection(pattern, boards, tags)
    found = find(now.link(), now.profile, ask=not quick, wait=wait)
    found = [device for device in found if selection.matches(device, now.profile)]
    found = [device for device in found if device.online or not online]
    found = [device for device in found if not trouble or device.trouble or device.state == "safe"]
    if now.json:
        for device in found:
            now.out.value(device.as_dict())
        return
    if found:
        _print(views.devices(found, wide=wide, width=None if wide else _width()))
    now.out.note(views.summary(found) if found else _none(pattern, boards or tags))


def watch(
    pattern: _Pattern = None,
    boards: _Boards = None,
    tags: _Tags = None,
    wide: _Wide = False,
    every: Annotated[
        float, typer.Option(min=1, metavar="S", help="Ask the devices again after so many seconds.")
    ] = 10.0,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, metavar="N", help="End after so many rounds; 0: at Ctrl-C.")
    ] = 0,
) -> None:
    """Show the devices as they come, go and change, until Ctrl-C.

    With --json a line for each change.
    """
    now = context.current()
    selection = _selection(pattern, boards, tags)
    changes = threading.Event()

    def changed(device: Device) -> None:
        if now.json and selection.matches(device, now.profile):
            now.out.value(device.as_dict())
        changes.set()

    with others(now.link(), now.profile) as further:
        directory = Directory(now.link(), now.profile.places, others=further, changed=changed)
        directory.look(timeout=2)
        if now.json:
            _rounds(directory, every, count, lambda: None, changes)
            return
        console = now.out.console
        # On a terminal the whole screen; into a file or a pipe only the last picture, at the end.
        with Live(console=console, screen=console.is_terminal, auto_refresh=False, transient=False) as live:

            def show() -> None:
                found = [device for device in directory.devices() if selection.matches(device, now.profile)]
                rows = max(1, console.size.height - 3) if console.is_terminal else None
                hidden = 0 if rows is None else max(0, len(found) - rows)
                line = views.summary(found) if found else _none(pattern, boards or tags)
                if hidden:
                    line += f"; {hidden} more below"
                if not now.link().connected:
                    line += "; no connection to the broker"
                clock = time.strftime("%H:%M:%S")
                foot = Text(f"{clock}  {line}  (Ctrl-C ends)" if console.is_terminal else line, style="dim")
                foot.no_wrap = True
                table = views.devices(found, wide=wide, most=rows, width=_width())
                live.update(Group(table, foot), refresh=True)

            _rounds(directory, every, count, show, changes)


def discover(
    wait: _Wait = 3.0,
    lan: Annotated[
        bool, typer.Option("--mdns/--no-mdns", help="Look in the local network as well, by mDNS.")
    ] = True,
) -> None:
    """Find devices wherever they are: on the broker under any base topic, and in the local network.

    On the broker, those that keep a topic `available`, or have told Home Assistant about themselves.
    In the local network, those that have wifi.mdns set (needs the extra: pipx inject coldframe zeroconf).
    """
    now = context.current()
    neighbours: list[mdns.Neighbour] = []
    missing = ""
    search = None
    if lan:
        missing = mdns.why_not()
        if not missing:
            search = mdns.Search()
    try:
        with others(now.link(), now.profile) as further:
            directory = Directory(now.link(), discovery_patterns(), others=further, announced=True)
            found = directory.look(timeout=wait)
            if search:
                search.wait(max(0.0, wait - search.age))
    finally:
        if search:
            neighbours = search.close()
    # What answers to SYSINFO_ is one of ours; of what is off-line nobody can tell.
    ours = [device for device in found if device.info or not device.online]
    strangers = [device for device in found if device.online and not device.info]
    known = {device.id for device in found}
    if now.json:
        for device in found:
            row = device.as_dict()
            row["lan"] = next((n.address for n in neighbours if n.id == device.id), None)
            now.out.value(row)
        for neighbour in neighbours:
            if neighbour.id not in known:
                now.out.value(neighbour.as_dict())
        return
    console = now.out.console
    if ours:
        console.print(Text(f"On the broker {now.link().broker}:", style="bold"))
        _print(views.bases(ours, now.profile.base, _width()))
    if strangers:
        console.print(
            Text("Perhaps devices (they say `available`, and do not answer to SYSINFO_):", style="bold")
        )
        for device in strangers:
            console.print("  " + views.clean(device.base), markup=False)
    if neighbours:
        console.print(Text("In the local network (mDNS):", style="bold"))
        _print(views.neighbours(neighbours, known, _width()))
    if not found and not neighbours:
        now.out.note("nothing found; is the broker the right one, and are the devices switched on?")
    if missing:
        now.out.note(missing)


def _width() -> int | None:
    # Of the terminal; a file or a pipe takes lines of any length.
    console = context.current().out.console
    return console.width if console.is_terminal else None


def _print(table: Table) -> None:
    # The table has its width already: rich shall not fit it to the terminal once more.
    console = context.current().out.console
    Console(file=console.file, width=2000, highlight=False, force_terminal=console.is_terminal).print(table)


def _rounds(directory: Directory, every: float, count: int, show, changes: threading.Event) -> None:
    done = 0
    asked = time.monotonic()
    show()
    while True:
        left = asked + every - time.monotonic()
        if left <= 0:
            done += 1
            if count and done >= count:
                return
            directory.ask()
            asked = time.monotonic()
            continue
        # Not more often than people can read, whatever the fleet says.
        if changes.wait(min(left, 1.0)):
            changes.clear()
            time.sleep(min(0.2, every / 5))
        show()


def _selection(pattern: str | None, boards: list[str] | None, tags: list[str] | None) -> Selection:
    selection = Selection(
        names=(pattern,) if pattern else (), boards=tuple(boards or ()), tags=tuple(tags or ())
    )
    for tag in selection.tags:
        patterns(context.current().profile, tag)  # that there is such a tag is known at once
    return selection


def _none(pattern: str | None, selected: object = None) -> str:
    if pattern:
        return f"no device is called {pattern!r}"
    if selected:
        return "no such device"
    base = context.current().profile.base
    return f"no devices below {base}; `coldframe discover` looks everywhere, --base names another place"
