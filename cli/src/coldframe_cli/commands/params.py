"""coldframe params: the parameters of the program on a device (docs/params.md)."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from .. import context
from ..errors import FAILED, CliError
from ..options import App, DeviceArgument
from ..session import Session
from ..views import clean

_Device = Annotated[str, DeviceArgument]
_Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Only these; all if left out.", show_default=False),
]


def register(app: App) -> None:
    params = App(help="Show and change the parameters of the program on a device.")
    params.command("list")(list_)
    params.command()(get)
    params.command("set")(set_)
    params.command()(drop)
    app.add_typer(params, name="params")


def list_(device: _Device) -> None:
    """Show the parameters of a device: values, limits, what they are for."""
    now = context.current()
    with now.session(device) as session:
        text = _text(session, {"op": "describe"})
        values = json.loads(_text(session, {"op": "get"}) or "{}")
    rows = [json.loads(line) for line in text.splitlines() if line]
    now.out.value(rows)
    if not rows:
        now.out.note("its program has no parameters")
        return
    now.out.table(
        ("NAME", "VALUE", "UNIT", "KIND", "LIMITS", "DEFAULT"),
        [
            (
                clean(str(row.get("name", ""))),
                clean(_shown(row.get("value", values.get(row.get("name"))))),
                clean(str(row.get("unit") or "")),
                row.get("kind", ""),
                clean(_limits(row)),
                clean(_shown(row.get("default"))),
            )
            for row in rows
        ],
        right=("VALUE",),
    )


def get(device: _Device, names: _Names = None) -> None:
    """Show the values of parameters, as JSON."""
    now = context.current()
    with now.session(device) as session:
        args: dict[str, Any] = {"op": "get"}
        if names:
            args["names"] = names
        values = json.loads(_text(session, args) or "{}")
    now.out.value(values)
    now.out.text(json.dumps(values, indent=2, ensure_ascii=False))


def set_(
    device: _Device,
    values: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE", help="Such as threshold=21.5.", show_default=False)
    ],
) -> None:
    """Change parameters, at once: all of them or, if one is wrong, none."""
    wanted: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r}: expected NAME=VALUE, such as threshold=21.5")
        try:
            wanted[name] = json.loads(value)
        except ValueError:
            wanted[name] = value
    _change(device, {"op": "set", "values": wanted})


def drop(
    device: _Device,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Which ones.", show_default=False)],
) -> None:
    """Have parameters go back to their defaults."""
    _change(device, {"op": "drop", "names": names})


def _change(device: str, args: dict[str, Any]) -> None:
    now = context.current()
    with now.session(device) as session:
        told = session.call("params", args, timeout=now.timeout)
    now.out.value(told)
    now.out.text("done" if told.get("changed") else "nothing changed: that is how it was")


def _text(session: Session, args: dict[str, Any]) -> str:
    data = bytearray()
    session.call("params", args, timeout=context.current().timeout, on_data=data.extend, repeat=True)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CliError(f"{session.base}: params: expected UTF-8, got {bytes(data[:60])!r}", FAILED) from None


def _shown(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _limits(row: dict[str, Any]) -> str:
    if row.get("choices"):
        return ", ".join(_shown(choice) for choice in row["choices"])
    low, high = row.get("low"), row.get("high")
    if low is None and high is None:
        return ""
    return f"{_shown(low)} to {_shown(high)}".strip() if low is not None else f"to {_shown(high)}"
