"""What a user sees: text and colour in a terminal, one JSON value per line for scripts (--json)."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table


class Output:
    """Writes results to stdout, and everything else (errors, notes, progress) to stderr.

    ``json``: results are JSON; nothing else is written to stdout then.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.json = as_json
        self.console = Console(highlight=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def value(self, value: object) -> None:
        """A result as a line of JSON; only with --json."""
        if self.json:
            print(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")), flush=True)

    def text(self, text: str, style: str = "") -> None:
        """A line for people; nothing with --json. Brackets in ``text`` are no markup."""
        if not self.json:
            self.console.print(text, style=style or None, markup=False)

    def note(self, text: str, style: str = "dim") -> None:
        """A line beside the result, on stderr."""
        self.errors.print(text, style=style, markup=False)

    def error(self, text: str, code: str = "error") -> None:
        """An error: red on stderr; with --json also as an object on stdout."""
        with contextlib.suppress(OSError):  # that stdout cannot be written may be the very error
            self.value({"ok": False, "error": {"code": code, "text": text}})
        self.errors.print(f"[bold red]error:[/] {_plain(text)}")

    def raw(self, data: bytes) -> None:
        """What a device has written, as it comes; nothing with --json."""
        if not self.json:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def table(
        self, columns: Iterable[str] | None, rows: Iterable[Iterable[object]], *, right: Iterable[str] = ()
    ) -> None:
        """A table for people; nothing with --json.

        Args: columns: None for a list of names and values; right: the columns whose cells are numbers.
        """
        if self.json:
            return
        aligned = set(right)
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=columns is not None)
        for column in ("name", "value") if columns is None else columns:
            table.add_column(column, justify="right" if column in aligned else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_plain("" if cell is None else str(cell)) for cell in row))
        self.console.print(table)

    def progress(self) -> Progress:
        """A progress bar on stderr with rate and remaining time; hidden with --json or without a terminal."""
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=self.errors,
            disable=self.json or not self.errors.is_terminal,
            transient=True,
        )


def size(count: float) -> str:
    """Bytes as people read them: 999 B, 1.2 kB, 3.4 MB."""
    units = ["B", "kB", "MB", "GB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        del units[0]
    return f"{count:.0f} B" if units[0] == "B" else f"{count:.1f} {units[0]}"


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
