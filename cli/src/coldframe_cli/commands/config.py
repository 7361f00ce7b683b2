"""coldframe config: the settings of a device, its config.json."""

from __future__ import annotations

import json
import os
import queue
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.syntax import Syntax

from .. import context, settings, transfer
from ..errors import FAILED, CliError, DeviceError, Refused, SessionLost, Timeout
from ..options import App, DeviceArgument
from ..session import Session

_Device = Annotated[str, DeviceArgument]
_Changes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH=VALUE",
        help="Changes, such as mqtt.port=8883 or 'name=\"Shed\"'; PATH=null goes back to the default.",
        show_default=False,
    ),
]
_File = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", metavar="FILE", help="A whole config.json, which takes the place of the old one."
    ),
]
_Trial = Annotated[
    int,
    typer.Option(
        min=10, max=3600, metavar="S", help="Seconds that the device has to reach its broker again."
    ),
]
MASK = (
    "*****"  # what a device shows in place of a password; it keeps the one that it has where that comes back
)
_STAGE = "/config.new"  # where a configuration waits that is too long for one message
_START = 60.0  # s beyond the trial until a device that says nothing is given up: two restarts are in it
_ASK_EVERY = 3.0  # s


def register(app: App) -> None:
    config = App(help="Show and change the settings of a device (its config.json).")
    config.command()(get)
    config.command("set")(set_)
    config.command(many=False)(edit)
    config.command()(validate)
    config.command("apply")(apply)
    config.command(many=False)(check)
    app.add_typer(config, name="config")


def get(
    device: _Device,
    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="Only this part, such as wifi or mqtt.port.", show_default=False),
    ] = "",
) -> None:
    """Show the settings of a device, as JSON. Passwords and keys are shown as *****."""
    now = context.current()
    with now.session(device) as session:
        value, told = _get(session, path)
    now.out.value(value)
    if not now.json:
        text = json.dumps(value, indent=2, ensure_ascii=False)
        now.out.console.print(Syntax(text, "json", background_color="default", word_wrap=True))
    if told.get("default"):
        now.out.note(f"{path} is not set: this is the default")
    if told.get("whole") is False:
        now.out.note("config.json on the device is broken; this is its last good copy, config.bak", "yellow")


def set_(device: _Device, changes: _Changes = None) -> None:
    """Change settings of a device. It takes them up when it starts the next time.

    What could cut the device off from its broker is safer with `config apply`.
    """
    if not changes:
        raise typer.BadParameter("expected PATH=VALUE, such as mqtt.port=8883")
    now = context.current()
    with now.session(device) as session:
        told = session.call("config", {"op": "set", "changes": _merged(changes)}, timeout=now.timeout)
    now.out.value(told)
    if not told.get("changed"):
        now.out.text("nothing changed: that is how it was")
        return
    now.out.text("saved", style="green")
    if told.get("restart"):
        now.out.note(f"in force after a restart: coldframe reset {device}")


def validate(device: _Device, changes: _Changes = None, file: _File = None) -> None:
    """Have a device check settings, without changing anything: its own, changes to them, or a whole file."""
    now = context.current()
    data = bytearray()
    with now.session(device) as session, _request("validate", changes, file, session) as (args, body):
        told = session.call("config", args, body, timeout=now.timeout, on_data=data.extend)
    lines = data.decode("utf-8", "replace").splitlines()
    now.out.value({**told, "texts": lines})
    for line in lines:
        now.out.text(line, style="yellow" if line.startswith("warning:") else "red")
    if not told.get("ok"):
        raise typer.Exit(FAILED)
    now.out.text("no mistakes", style="green")


def apply(device: _Device, changes: _Changes = None, file: _File = None, trial: _Trial = 120) -> None:
    """Change settings on trial: the device restarts with them, and goes back if it does not reach its broker.

    Waits for the outcome. Nothing is lost if this command is interrupted: the device decides by itself.
    """
    if not changes and file is None:
        raise typer.BadParameter("expected PATH=VALUE, or --file FILE")
    now = context.current()
    with now.session(device) as session, _request("apply", changes, file, session) as (args, body):
        _apply(session, device, {**args, "trial": trial}, body)


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A config.json on this computer.")],
) -> None:
    """Check a config.json on this computer, without a device."""
    out = context.current().out
    settings.read(file)
    out.value({"ok": True})
    out.text(f"{file}: no mistakes", style="green")


def edit(
    device: _Device,
    trial: _Trial = 120,
    direct: Annotated[
        bool, typer.Option("--no-trial", help="Only save: in force after the next restart, and no way back.")
    ] = False,
) -> None:
    """Edit the settings of a device in your editor ($VISUAL, $EDITOR), and apply them on trial.

    Passwords and keys are shown as *****; leave the stars and they stay as they are.
    """
    now = context.current()
    with now.session(device) as session:
        old, told = _get(session, "")
        if told.get("whole") is False:
            now.out.note(
                "config.json on the device is broken; this is its last good copy, config.bak", "yellow"
            )
        new = _edited(old, device)
        if new == old:
            now.out.text("nothing changed")
            return
        body = json.dumps(new, ensure_ascii=False).encode()
        if direct:
            with _whole("set", body, session) as (args, body):
                told = session.call("config", args, body, timeout=now.timeout)
            now.out.text("saved; in force after a restart", style="green")
            return
        with _whole("apply", body, session) as (args, body):
            _apply(session, device, {**args, "trial": trial}, body)


def unmasked(data: Any) -> Any:
    """A configuration for the check on this computer: a long text in place of each mask, which is right anywhere."""
    if isinstance(data, dict):
        return {key: unmasked(value) for key, value in data.items()}
    if isinstance(data, list):
        return [unmasked(value) for value in data]
    return MASK * 4 if data == MASK else data


def _merged(assignments: list[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for text in assignments:
        # Not settings.merge(): null is a change of its own here.
        _into(changes, settings.assign(text))
    return changes


def _into(changes: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(changes.get(key), dict):
            _into(changes[key], value)
        else:
            changes[key] = value


@contextmanager
def _request(
    op: str, changes: list[str] | None, file: Path | None, session: Session
) -> Iterator[tuple[dict[str, Any], bytes]]:
    # The arguments of the command, and what goes behind them.
    if file is not None:
        if changes:
            raise typer.BadParameter("expected PATH=VALUE or --file, not both")
        try:
            text = file.read_text("utf-8").removeprefix("\ufeff")
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
        settings.parse(text, str(file))  # JSON, and an object; what is in it the device judges
        with _whole(op, text.encode(), session) as request:
            yield request
    elif changes:
        yield {"op": op, "changes": _merged(changes)}, b""
    else:
        yield {"op": op}, b""


@contextmanager
def _whole(op: str, body: bytes, session: Session) -> Iterator[tuple[dict[str, Any], bytes]]:
    args: dict[str, Any] = {"op": op, "replace": True}
    assert session.welcome
    # With room for the arguments that are added to these.
    if len(json.dumps(args)) + len(body) + 40 <= session.welcome.to_device:
        yield args, body
        return
    transfer.put(session, body, _STAGE)
    try:
        yield {"op": op, "file": _STAGE}, b""
    except BaseException:
        _remove_stage(session)
        raise
    if op == "validate":  # else the device has taken it
        _remove_stage(session)


def _remove_stage(session: Session) -> None:
    # It may hold passwords that can be read.
    with suppress(CliError):
        session.call("rm", {"path": _STAGE}, timeout=_ASK_EVERY)


def _get(session: Session, path: str) -> tuple[Any, dict[str, Any]]:
    data = bytearray()
    args: dict[str, Any] = {"op": "get"}
    if path:
        args["path"] = path
    told = session.call("config", args, timeout=context.current().timeout, on_data=data.extend, repeat=True)
    try:
        return settings.ordered(json.loads(data), settings.entry(path) if path else None), told
    except ValueError:
        raise CliError(f"{session.base}: config: expected JSON, got {bytes(data[:60])!r}", FAILED) from None


def _apply(session: Session, device: str, args: dict[str, Any], body: bytes) -> None:
    now = context.current()
    results: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stop = now.link().listen(
        f"{session.base}/config/result", lambda topic, payload, retained: results.put(payload)
    )
    try:
        told = session.call("config", args, body, timeout=now.timeout)
        if not told.get("changed"):
            now.out.value(told)
            now.out.text("nothing changed: that is how it was")
            return
        seconds = float(told.get("trial", args["trial"]))
        now.out.note(f"{device} restarts with the new settings; it has {seconds:g} s to reach its broker")
        outcome = _outcome(
            session.base, device, str(told["id"]), time.monotonic() + seconds + _START, results
        )
    finally:
        stop()
    now.out.value(outcome)
    why = f": {outcome['why']}" if outcome.get("why") else ""
    if outcome.get("state") != "kept":
        raise CliError(f"{device}: the new settings were taken back{why}; the old ones are in force", FAILED)
    now.out.text(f"kept: {device} has reached its broker with them", style="green")


def _outcome(
    base: str, device: str, trial_id: str, end: float, results: queue.SimpleQueue[bytes]
) -> dict[str, Any]:
    # What came of it: the device publishes it once; asked now and then as well, should that have been lost.
    ask_at = time.monotonic() + 2 * _ASK_EVERY
    while time.monotonic() < end:
        try:
            told = json.loads(results.get(timeout=0.5))
        except (queue.Empty, ValueError):
            told = None
        if told is None and time.monotonic() > ask_at:
            told = _ask(base, device)
            ask_at = time.monotonic() + _ASK_EVERY
        if isinstance(told, dict) and told.get("id") == trial_id and told.get("state") != "trying":
            return told
    raise Timeout(
        f"{device}: no word since it restarted for the trial. It goes back to the old settings by itself; "
        f"look later with: coldframe config get {device}. If they name another broker or base topic, it is there now"
    )


def _ask(base: str, device: str) -> dict[str, Any] | None:
    now = context.current()
    session = Session(now.link(), base, now.profile.key_for(base, device))
    try:
        session.open(_ASK_EVERY)
        return session.call("config", {"op": "result"}, timeout=_ASK_EVERY, repeat=True)
    except (Timeout, SessionLost, Refused, DeviceError):
        return None  # it is restarting
    finally:
        session.close()


def _edited(old: dict[str, Any], device: str) -> dict[str, Any]:
    # What the user makes of it; asked again as long as it is wrong.
    out = context.current().out
    with tempfile.TemporaryDirectory(prefix="coldframe-") as folder:  # made with mode 700
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(old, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        while True:
            _open_editor(path)
            try:
                new = settings.parse(path.read_text("utf-8"), "config.json")
                if wrong := settings.check(unmasked(new)):
                    raise settings.SettingsError(wrong)
                return new
            except settings.SettingsError as error:
                out.error(error.text, error.code)
                if not typer.confirm("Edit again?", default=True, err=True):
                    raise CliError(f"{device}: nothing was changed") from None


def _open_editor(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        done = subprocess.run([*shlex.split(editor), str(path)])
    except OSError as error:
        raise CliError(f"{editor}: {error.strerror}; set EDITOR to the editor that you want") from None
    if done.returncode:
        raise CliError(f"{editor} ended with {done.returncode}; nothing was changed")
