"""coldframe crash, coldframe reset: why did it fail, and start it again."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import typer

from .. import context, views
from ..errors import FAILED, CliError, DeviceError, Refused, SessionLost, Timeout
from ..options import App, DeviceArgument
from ..session import Session

_Device = Annotated[str, DeviceArgument]
_ATTEMPT = 3.0  # s for one attempt to reach a device that is restarting
_LOOK = 8.0  # s without a word until it is asked; more than a Session takes to be sure that it was forgotten


class Mode(StrEnum):
    """How a device restarts."""

    HARD = "hard"
    SOFT = "soft"
    SAFE = "safe"
    NORMAL = "normal"
    BOOTLOADER = "bootloader"


def register(app: App) -> None:
    app.command()(crash)
    app.command()(reset)


def crash(
    device: _Device,
    clear: Annotated[
        bool, typer.Option("--clear", help="Then remove it, from the device and from the broker.")
    ] = False,
) -> None:
    """Show the report of a device's last crash: the cause, where, and the last lines of its log."""
    now = context.current()
    data = bytearray()
    with now.session(device) as session:
        told = session.call("crash", timeout=now.timeout, on_data=data.extend)
        report = _report(session.base, bytes(data))
        now.out.value({"crash": report, **{key: told[key] for key in ("published",) if key in told}})
        if report is None:
            now.out.text("no crash is known")
        elif not now.json:
            now.out.console.print(views.crash(report))
        if clear and report is not None:
            session.call("crash", {"clear": True}, timeout=now.timeout, repeat=True)
            now.out.note("removed")


def reset(
    device: _Device,
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            "-m",
            help="hard: as by its button; soft: MicroPython only; safe: without your programs; normal: out of "
            "safe mode; bootloader: wait for a new firmware over USB.",
        ),
    ] = Mode.HARD,
    wait: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds to wait until it is there again; 0: do not.")
    ] = 60.0,
) -> None:
    """Restart a device."""
    now = context.current()
    back = threading.Event()
    with now.session(device) as session:
        # What a device says when it connects, which is not what the broker has kept from before.
        stop = now.link().listen(
            f"{session.base}/available",
            lambda topic, payload, retained: back.set() if payload == b"online" and not retained else None,
        )
        try:
            begun = time.monotonic()
            told = session.call("reset", {"mode": mode.value}, timeout=now.timeout)
            if mode is Mode.BOOTLOADER or not wait:
                now.out.value(told)
                what = "it waits for a new firmware over USB" if mode is Mode.BOOTLOADER else "it restarts"
                now.out.text(what)
                return
            if mode is Mode.SAFE:
                now.out.note("safe mode: your programs and components are left out until --mode normal")
            after = _again(session, device, back, begun + wait)
        finally:
            stop()
    took = time.monotonic() - begun
    now.out.value({**told, "seconds": round(took, 1), **after})
    now.out.text(f"{device} is there again after {took:.1f} s", style="green")


def _again(session: Session, device: str, back: threading.Event, end: float) -> dict[str, Any]:
    # Until it says that it is online; should that be lost, until it has forgotten the session, as a restart makes it.
    while (left := end - time.monotonic()) > 0 and not back.wait(min(_LOOK, left)):
        with suppress(Timeout):
            try:
                session.call("ping", timeout=_LOOK, repeat=False)
            except SessionLost:
                break
    while (left := end - time.monotonic()) > 0:
        with suppress(Timeout, SessionLost, Refused, DeviceError):
            session.open(min(_ATTEMPT, left))
            return session.call("ping", timeout=min(_ATTEMPT, left), repeat=False)
    raise Timeout(f"{device}: restarted, and not there again in time (--wait); is it in reach of its broker?")


def _report(base: str, data: bytes) -> dict[str, Any] | None:
    if not data:
        return None
    try:
        report = json.loads(data)
    except ValueError:
        report = None
    if not isinstance(report, dict):
        raise CliError(f"{base}: crash: expected a JSON object, got {data[:60]!r}", FAILED)
    return report
