"""coldframe ping, coldframe info: is it there, and how is it?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from .. import context, views
from ..errors import CliError
from ..options import DeviceArgument


def register(app: typer.Typer) -> None:
    app.command()(ping)
    app.command()(info)


def ping(device: Annotated[str, DeviceArgument]) -> None:
    """Ask a device whether it is there, and how long it takes to answer."""
    now = context.current()
    with now.session(device) as session:
        begun = time.monotonic()
        told = session.call("ping", timeout=now.timeout)
        took = time.monotonic() - begun
        assert session.welcome
        who = session.welcome
        shown = {name: told[name] for name in ("uptime", "mem_free") if name in told}
        now.out.value({"device": session.base, "ms": round(took * 1000, 1), **shown})
        uptime = told.get("uptime")
        up = "" if uptime is None else f", up {views.span(uptime)}"
        now.out.text(
            f"{session.base}: {who.name}, {who.board}, Coldframe {who.version}, {took * 1000:.0f} ms{up}"
        )


def info(device: Annotated[str, DeviceArgument]) -> None:
    """Show what a device tells of itself: name, board, version, uptime, memory, network."""
    now = context.current()
    with now.session(device) as session:
        data = bytearray()
        session.call("info", timeout=now.timeout, on_data=data.extend)
        try:
            told = json.loads(data)
        except ValueError:
            raise CliError(f"{session.base}: info: expected JSON, got {bytes(data[:60])!r}", 1) from None
        now.out.value(told)
        now.out.table(None, _rows(told))


def _rows(told: dict, above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in told.items():
        if isinstance(value, dict) and value:
            yield from _rows(value, f"{above}{name}.")
        elif name in ("uptime", "downtime") and isinstance(value, int):
            yield above + name, views.span(value)
        else:
            yield above + name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
