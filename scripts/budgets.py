"""Compare the images in dist/ with the limits in budgets.toml; fail when one is exceeded."""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import board as boards
from kit import report, ui
from kit.board import PROJECT
from kit.ui import UserError

# Kind of limit → how the figure is called in the .json, or None when it has to be measured.
KINDS: dict[str, tuple[str, str] | None] = {
    "flash": ("flash", "used"),
    "static_ram": ("size", "static_ram"),
    "frozen": ("size", "frozen"),
    "heap": None,
    "mqtt_received": None,
    "mqtt_published": None,
    "mqtt_received_alone": None,
    "mqtt_published_alone": None,
    "mqtt_kept": None,
    "mqtt_publish_heap": None,
    "mqtt_receive_heap": None,
    "log_ready": None,
    "log_arguments": None,
    "log_below": None,
    "log_moving": None,
    "log_kept": None,
    "log_ram": None,
    "node_ram": None,
    "remote_waiting": None,
    "remote_session": None,
    "node_block": None,
}
_MICROSECONDS = """
    mqtt_received mqtt_published mqtt_received_alone mqtt_published_alone
    log_ready log_arguments log_below log_moving
"""
UNITS = dict.fromkeys(_MICROSECONDS.split(), "µs")
ZERO = {"log_kept"}  # limits that may be 0; of the others that would be a mistake
AT_LEAST = {"heap", "node_block"}  # lower limits; all others are upper limits
# Names under which the tests write these figures to measurements.json; the first one that is there counts.
NAMES = {
    "heap": ("heap_free_after_boot_bytes", "heap_free_after_import_bytes", "heap_free_bytes"),
    "mqtt_received": ("mqtt_received_us",),
    "mqtt_published": ("mqtt_published_us",),
    "mqtt_received_alone": ("mqtt_received_alone_us",),
    "mqtt_published_alone": ("mqtt_published_alone_us",),
    "mqtt_kept": ("mqtt_kept_bytes",),
    "mqtt_publish_heap": ("mqtt_publish_1_heap_bytes",),
    "mqtt_receive_heap": ("mqtt_receive_1_heap_bytes",),
    "log_ready": ("log_ready_us",),
    "log_arguments": ("log_arguments_us",),
    "log_below": ("log_below_us",),
    "log_moving": ("log_moving_us",),
    "log_kept": ("log_kept_bytes",),
    "log_ram": ("log_ram_bytes",),
    "node_ram": ("node_ram_bytes",),
    "remote_waiting": ("remote_waiting_bytes",),
    "remote_session": ("remote_session_bytes",),
    "node_block": ("node_block_bytes",),
}


@dataclass(frozen=True)
class Row:
    """One figure of one board beside its limit."""

    board: str
    kind: str
    limit: int
    measured: int | None

    @property
    def left(self) -> int:
        """Bytes up to the limit; negative when it is exceeded."""
        if self.measured is None:
            return 0
        return self.measured - self.limit if self.kind in AT_LEAST else self.limit - self.measured

    @property
    def verdict(self) -> str:
        """ "ok", "EXCEEDED" or "not measured"."""
        if self.measured is None:
            return "not measured"
        return "ok" if self.left >= 0 else "EXCEEDED"


def load(path: Path, known: Sequence[str]) -> dict[str, dict[str, int]]:
    """Read budgets.toml: board → kind → limit in bytes.

    Raises:
        UserError: it is missing or not TOML, or has an unknown board or kind, or a limit that is
            not a number.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("there is no such file", where=path, expected="limits per board") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"not valid TOML: {error}", where=path) from None
    for name, limits in data.items():
        if name not in known:
            close = ui.nearest(name, known)
            raise UserError(
                f"unknown board {name!r}", where=path, expected=repr(close) if close else "a board"
            )
        if not isinstance(limits, dict):
            raise UserError(f"got {limits!r}", where=f"{path}: {name}", expected="a table [BOARD]")
        for kind, limit in limits.items():
            if kind not in KINDS:
                close = ui.nearest(kind, list(KINDS))
                raise UserError(
                    f"unknown key {kind!r}",
                    where=f"{path}: [{name}]",
                    expected=f"{close!r} (the nearest known key)" if close else "one of " + ", ".join(KINDS),
                )
            if not isinstance(limit, int) or isinstance(limit, bool) or limit < (kind not in ZERO):
                raise UserError(
                    f"got {limit!r}", where=f"{path}: {name}.{kind}", expected="a number, more than 0"
                )
    return data


def compare(limits: dict[str, int], image: dict[str, Any], found: dict[str, int]) -> list[Row]:
    """The figures of one image beside its limits.

    Args:
        limits: the board's table in budgets.toml.
        image: the image's .json.
        found: kind → figure, of those that have to be measured.
    """
    rows = []
    for kind, limit in limits.items():
        place = KINDS[kind]
        if place is None:
            measured = found.get(kind)
        else:
            measured = (image.get(place[0]) or {}).get(place[1])
            if measured is None and kind == "flash":  # no flash: the size of the program itself
                measured = image["size"]["text"] + image["size"]["data"]
        rows.append(Row(image["board"], kind, limit, measured))
    return rows


def measurements(path: Path, given: Sequence[str]) -> dict[str, dict[str, int]]:
    """What was measured: board → kind → figure, from the tests' file and from --heap.

    Args:
        path: measurements.json; need not exist. Fractions are rounded up.
        given: free heap after boot, "BOARD=BYTES" each; these win.

    Raises:
        UserError: the file is damaged, or an item is not of that form.
    """
    found: dict[str, dict[str, int]] = {}
    if path.exists():
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            for board, values in data.items():
                found[board] = {
                    kind: math.ceil(next(values[name] for name in names if name in values))
                    for kind, names in NAMES.items()
                    if any(name in values for name in names)
                }
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"cannot be read: {error}", where=path, expected='{"BOARD": {"name": number}}'
            ) from None
    for item in given:
        board, _, value = item.partition("=")
        if not board or not value.isdigit():
            raise UserError(f"got {item!r}", where="--heap", expected="BOARD=BYTES")
        found.setdefault(board, {})["heap"] = int(value)
    return found


def table(rows: Sequence[Row]) -> str:
    """The comparison as text."""
    lines = [f"{'board':<20} {'what':<20} {'limit':>12} {'now':>12} {'left':>12}"]
    for row in rows:
        now = "-" if row.measured is None else f"{row.measured:,}"
        left = "-" if row.measured is None else f"{row.left:+,}"
        sign = "≥" if row.kind in AT_LEAST else "≤"
        limit = f"{sign} {row.limit:,}"
        lines.append(f"{row.board:<20} {row.kind:<20} {limit:>12} {now:>12} {left:>12}  {row.verdict}")
    return "\n".join(lines)


def run(argv: Sequence[str]) -> int:
    """The command. Returns 1 when a limit is exceeded or a required figure is missing."""
    parser = argparse.ArgumentParser(prog="scripts/budgets.py", description=__doc__)
    parser.add_argument("boards", nargs="*", metavar="BOARD", help="default: all images in the folder")
    parser.add_argument("--dist", type=Path, default=PROJECT / "dist", metavar="DIR", help="default: dist/")
    parser.add_argument("--budgets", type=Path, default=PROJECT / "budgets.toml", metavar="FILE")
    parser.add_argument(
        "--measurements", type=Path, metavar="FILE", help="default: measurements.json in --dist"
    )
    parser.add_argument(
        "--heap", action="append", default=[], metavar="BOARD=BYTES", help="free heap after boot"
    )
    parser.add_argument("--all", action="store_true", help="a figure that was not measured is a failure too")
    args = parser.parse_args(argv)
    limits = load(args.budgets, boards.names())
    found = measurements(args.measurements or args.dist / "measurements.json", args.heap)
    images = {image["board"]: image for image in map(report.load, sorted(args.dist.glob("coldframe-*.json")))}
    wanted = args.boards or [name for name in images if name in limits]
    rows: list[Row] = []
    for name in wanted:
        if name not in images:
            raise UserError(f"no image of {name} in {args.dist}", hint=f"build it: scripts/build.py {name}")
        if name not in limits:
            raise UserError(f"no limits for {name}", where=args.budgets, expected=f"a table [{name}]")
        rows += compare(limits[name], images[name], found.get(name, {}))
    if not rows:
        raise UserError(f"no image with limits in {args.dist}", hint="build one: scripts/build.py UNIX")
    print(table(rows))
    bad = [row for row in rows if row.verdict == "EXCEEDED" or (args.all and row.measured is None)]
    for row in bad:
        if row.measured is None:
            ui.say(f"error: {row.board}: {row.kind} was not measured; run tests/device and tests/emulator")
        else:
            what = "too little" if row.kind in AT_LEAST else "too much"
            unit = UNITS.get(row.kind, "bytes")
            figure = f"{row.kind} is {row.measured:,}, {-row.left:,} {unit} {what} (limit {row.limit:,})"
            ui.say(f"error: {row.board}: {figure}")
    return 1 if bad else 0


if __name__ == "__main__":
    ui.main(run)
