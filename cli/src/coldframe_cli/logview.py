"""Log lines of devices, as they come over MQTT (./log/LEVEL) or out of a device's ring, and how they look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from .views import clean

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_STYLES = {
    "DEBUG": "dim",
    "INFO": "",
    "WARNING": "yellow",
    "ERROR": "bold red",
    "CRITICAL": "bold white on red",
}
# What the ring gives: a time (seconds since the start, or date and time), the level in a column of 8, name: text
_RING = re.compile(
    r"^(?:(?P<seq>\d+) )?(?P<stamp> *\d+\.\d{3}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) "
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL|\d+) *(?P<name>[^:]*): (?P<text>.*)$",
    re.S,
)
_GAP = re.compile(r"^ \.\.\. (\d+) lines lost$")
# What ./log/LEVEL brings: seconds, perhaps how many were lost, name: text
_TOPIC = re.compile(
    r"^(?P<stamp>\d+\.\d{3}) (?:\((?P<lost>\d+) records lost\) )?(?P<name>[^:]*): (?P<text>.*)$", re.S
)


def rank(level: str) -> int:
    """How important a level is; of one that is no name, the number itself divided as the names are."""
    if level in LEVELS:
        return LEVELS.index(level)
    return min(4, max(0, int(level) // 10 - 1)) if level.isdigit() else 1


@dataclass(frozen=True)
class Line:
    """One line. stamp: seconds since the device's start, or its date and time; lost: lines before it that are."""

    device: str
    level: str
    stamp: str
    name: str
    text: str
    lost: int = 0
    seq: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        row: dict[str, Any] = {
            "device": self.device,
            "level": self.level,
            "stamp": self.stamp.strip(),
            "logger": self.name,
            "text": self.text,
        }
        if self.lost:
            row["lost"] = self.lost
        if self.seq is not None:
            row["seq"] = self.seq
        return row

    def shown(self, *, time: str | None = None, width: int = 0) -> Text:
        """As people read it. time: stands in front instead of the stamp; width: of the column of devices, 0: none."""
        style = _STYLES.get(self.level, "")
        out = Text()
        out.append((time if time is not None else self.stamp.rjust(10)) + " ", style="dim")
        if width:
            out.append(clean(self.device)[:width].ljust(width) + " ", style="cyan")
        out.append(self.level.ljust(8) + " ", style=style or "green")
        if self.lost:
            out.append(f"({self.lost} lines lost) ", style="yellow")
        first, *more = self.text.split("\n")
        if self.name:
            out.append(f"{clean(self.name)}: ", style=style or "bold")
        out.append(clean(first), style=style)
        for row in more:  # a traceback, a table: as it was written, a little to the right
            out.append(f"\n    {clean(row)}", style=style)
        return out


def of_topic(device: str, level: str, payload: bytes) -> Line:
    """The line in a message on ./log/LEVEL. One of another form is taken as text."""
    text = payload.decode("utf-8", "replace").rstrip("\n")
    match = _TOPIC.match(text)
    if not match:
        return Line(device, level, "", "", text)
    return Line(device, level, match["stamp"], match["name"], match["text"], int(match["lost"] or 0))


class RingReader:
    """Makes lines of what the command `log` of a device sends, which comes in pieces of any size."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._rest = b""
        self._open: Line | None = None
        self._lost = 0

    def feed(self, data: bytes) -> list[Line]:
        """The lines that are complete: those behind which another one has begun."""
        *rows, self._rest = (self._rest + data).split(b"\n")
        found = []
        for row in rows:
            found += self._row(row.decode("utf-8", "replace"))
        return found

    def end(self) -> list[Line]:
        """The last line. Also for a pause: what has come so far is shown."""
        found = self._row(self._rest.decode("utf-8", "replace")) if self._rest else []
        self._rest = b""
        if self._open:
            found.append(self._open)
            self._open = None
        return found

    def _row(self, row: str) -> list[Line]:
        if gap := _GAP.match(row):
            self._lost += int(gap[1])
            return []
        match = _RING.match(row)
        if match is None:
            if self._open is None:
                return [Line(self._device, "INFO", "", "", row)] if row else []
            # The text of a record may have several rows.
            old = self._open
            self._open = Line(
                old.device, old.level, old.stamp, old.name, f"{old.text}\n{row}", old.lost, old.seq
            )
            return []
        done = [self._open] if self._open else []
        self._open = Line(
            self._device,
            match["level"],
            match["stamp"],
            match["name"],
            match["text"],
            self._lost,
            int(match["seq"]) if match["seq"] else None,
        )
        self._lost = 0
        return done
