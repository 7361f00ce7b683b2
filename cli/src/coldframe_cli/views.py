"""How devices look in a terminal: times, sizes and tables that fit into 80 columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from .devices import Device
from .mdns import Neighbour

_STATES = {"online": "green", "safe": "yellow", "silent": "yellow", "offline": "red"}
_SPANS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def span(seconds: float) -> str:
    """A time in at most 6 characters, two units of it: 59s, 4m30s, 3h07m, 12d5h."""
    rest = max(0, int(seconds))
    size, unit = next((row for row in _SPANS if rest >= row[0]), _SPANS[-1])
    count, rest = divmod(rest, size)
    if unit == "s":
        return f"{count}s"
    small, small_unit = {"d": (3600, "h"), "h": (60, "m"), "m": (1, "s")}[unit]
    more = rest // small
    if not more or count > 99:
        return f"{count}{unit}"
    return f"{count}{unit}{more:02d}{small_unit}" if unit != "d" else f"{count}{unit}{more}{small_unit}"


def size(n: float) -> str:
    """Bytes in at most 5 characters: 812, 9.6K, 140K, 3.2M."""
    for unit in ("", "K", "M", "G"):
        if n < 1000 or unit == "G":
            return f"{n:.0f}{unit}" if not unit or n >= 99.5 else f"{n:.1f}{unit}"
        n /= 1024
    raise AssertionError


def clean(text: str) -> str:
    """A text of a device without the control characters with which it could play tricks on a terminal."""
    return "".join(c if c.isprintable() else "?" if c not in "\t" else " " for c in text)


@dataclass(frozen=True)
class Column:
    """A column of a table. most: characters that it may have; least: what it is not made narrower than."""

    title: str
    most: int = 1000
    least: int = 4
    right: bool = False


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None, indent: int = 0
) -> Table:
    """A table whose widest columns give way, the last ones first, until it fits. width: characters, None: any."""
    widths = [
        min(column.most, max([cell_len(column.title), *(row[i].cell_len for row in rows)]))
        for i, column in enumerate(columns)
    ]
    if width is not None:
        over = indent + sum(widths) + len(widths) - 1 - width
        for i in reversed(range(len(widths))):
            if over > 0:
                less = min(over, max(0, widths[i] - columns[i].least))
                widths[i] -= less
                over -= less
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for i, (column, n) in enumerate(zip(columns, widths, strict=True)):
        title = " " * indent + column.title if i == 0 else column.title
        table.add_column(
            title,
            no_wrap=True,
            overflow="ellipsis",
            width=n + (indent if i == 0 else 0),
            justify="right" if column.right else "left",
        )
    for row in rows:
        table.add_row(Text(" " * indent) + row[0], *row[1:])
    return table


def devices(
    found: Sequence[Device], *, wide: bool = False, most: int | None = None, width: int | None = None
) -> Table:
    """A table of devices. wide: with id, base topic and address; most: rows at most; width: characters, None: any."""
    where = [Column("BASE TOPIC"), Column("ID"), Column("ADDRESS")] if wide else []
    columns = [
        Column("NAME", most=1000 if wide else 24, least=12),
        *where,
        Column("BOARD", most=18, least=8),
        Column("VERSION", most=10, least=7),
        Column("UP", least=6, right=True),
        Column("RSSI", right=True),
        Column("HEAP", right=True),
        Column("TROUBLE", least=12),
    ]
    return fitted(columns, [_row(device, wide) for device in found[:most]], width)


def bases(found: Sequence[Device], own: str, width: int | None = None) -> Table:
    """A table of where devices are. own: the pattern of base topics that the profile looks at."""
    columns = [
        Column("NAME", most=24, least=12),
        Column("BOARD", most=18, least=8),
        Column("VERSION", most=10),
        Column("STATE"),
        Column("BASE TOPIC", least=20),
    ]
    rows = [
        [
            Text(clean(device.name)),
            Text(clean(device.board)),
            Text(clean(str(device.info.get("version") or ""))),
            Text(device.state, style=_STATES[device.state]),
            Text(clean(device.base), style="" if below(device.base, own) else "yellow"),
        ]
        for device in sorted(found, key=lambda device: device.base)
    ]
    return fitted(columns, rows, width, indent=2)


def neighbours(found: Sequence[Neighbour], known: Collection[str], width: int | None = None) -> Table:
    """A table of devices in the local network. known: ids of those that are on the broker."""
    columns = [
        Column("NAME", most=24, least=12),
        Column("BOARD", most=18, least=8),
        Column("VERSION", most=10),
        Column("ADDRESS", least=15),
        Column("ON THE BROKER"),
    ]
    rows = [
        [
            Text(clean(one.name)),
            Text(clean(one.board)),
            Text(clean(one.version)),
            Text(clean(one.address)),
            Text("yes") if one.id in known else Text("no", style="yellow"),
        ]
        for one in found
    ]
    return fitted(columns, rows, width, indent=2)


def below(base: str, pattern: str) -> bool:
    """Whether a base topic is among those of a pattern with +."""
    parts, wanted = base.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(w in ("+", p) for p, w in zip(parts, wanted, strict=True))


def summary(found: Sequence[Device]) -> str:
    """How many there are, in a sentence."""
    online = sum(bool(device.online) for device in found)
    troubled = sum(bool(device.trouble) for device in found)
    text = f"{len(found)} device{'' if len(found) == 1 else 's'}, {online} online"
    return text + (f", {troubled} with trouble" if troubled else "")


def _row(device: Device, wide: bool) -> list[Text]:
    info = device.info
    wifi = info.get("wifi")
    rssi = wifi.get("rssi") if isinstance(wifi, dict) else None
    state = device.state
    up = Text(span(_number(info.get("uptime")) or 0) if state in ("online", "safe") else state)
    if state != "online":
        up.stylize(_STATES[state])
    cells = [Text(clean(device.name), style="" if device.online else "dim")]
    if wide:
        address = info.get("ifconfig")
        cells += [
            Text(clean(device.base)),
            Text(clean(device.id)),
            Text(clean(str(address.get("ip", ""))) if isinstance(address, dict) else ""),
        ]
    trouble = ("safe mode; " if state == "safe" else "") + clean(device.trouble)
    cells += [
        Text(clean(device.board)),
        Text(clean(str(info.get("version") or ""))),
        up,
        Text("" if _number(rssi) is None else f"{rssi:.0f}"),
        Text("" if _number(info.get("mem_free")) is None else size(info["mem_free"])),
        Text(trouble.removesuffix("; "), style="yellow"),
    ]
    return cells


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def crash(report: dict[str, Any]) -> Text:
    """The report of a crash (docs/recovery.md) for people."""
    text = Text()
    text.append(clean(str(report.get("cause", "unknown cause"))) + "\n", style="bold red")
    facts = []
    for key, label in (
        ("time", "at"),
        ("layer", "in layer"),
        ("boot", "start number"),
        ("failed", "failed starts before"),
        ("level", "level"),
        ("reset", "reset by"),
        ("heap", "bytes of heap free"),
        ("board", "board"),
        ("version", "version"),
        ("micropython", "MicroPython"),
    ):
        if key in report and report[key] != "":
            facts.append(f"{label} {clean(str(report[key]))}")
    uptime = _number(report.get("uptime"))
    if uptime is not None:
        facts.insert(0, f"after {span(uptime)}")
    text.append(", ".join(facts) + "\n", style="dim")
    if report.get("traceback"):
        for row in str(report["traceback"]).splitlines():
            text.append(f"  {clean(row)}\n")
    rows = report.get("log")
    if isinstance(rows, list) and rows:
        text.append("Last lines of the log:\n", style="dim")
        for row in rows:
            text.append(f"  {clean(str(row))}\n")
    text.rstrip()
    return text
