"""coldframe eval, exec, run: Python on a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .. import context
from ..errors import FAILED, CliError, DeviceError
from ..options import DeviceArgument
from ..session import Session

_SILENCE = 30.0  # s
_NAME = 64  # bytes of a name that the device takes

_Device = Annotated[str, DeviceArgument]
_Limit = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="S",
        help="End the code on the device after that many seconds: 60 unless told; 0: never.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command("eval")(eval_)
    app.command("exec")(exec_)
    app.command()(run)


def eval_(
    device: _Device,
    expression: Annotated[str, typer.Argument(help="A Python expression, such as node.name.")],
    limit: _Limit = None,
) -> None:
    """Evaluate an expression on a device and show its value.

    `node` is the node itself. Names that are made by `exec` stay until the device restarts.
    """
    _run(device, "eval", expression, limit)


def exec_(
    device: _Device,
    code: Annotated[str, typer.Argument(help="Python statements; - reads them from standard input.")],
    limit: _Limit = None,
) -> None:
    """Run Python statements on a device and show what they print."""
    try:
        code = _input() if code == "-" else code
    except UnicodeDecodeError as error:
        raise CliError(f"standard input: expected Python code in UTF-8: {error}") from None
    _run(device, "exec", code, limit)


def run(
    device: _Device,
    file: Annotated[Path, typer.Argument(help="A Python file on this computer; - for standard input.")],
    limit: _Limit = None,
) -> None:
    """Run a Python file of this computer on a device, without storing it there."""
    try:
        code = _input() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CliError(f"{file}: expected Python code in UTF-8: {error}") from None
    _run(device, "exec", code, limit, "stdin" if str(file) == "-" else file.name)


def _input() -> str:
    return context.current().standard_input().decode("utf-8")


def _run(device: str, verb: str, code: str, limit: float | None, name: str | None = None) -> None:
    now = context.current()
    with now.session(device) as session:
        told = execute(session, verb, code, limit, show=now.out.raw, keep=now.json, name=name)
    now.out.value(told)
    if not told["ok"]:
        raise typer.Exit(FAILED)


def execute(
    session: Session,
    verb: str,
    code: str,
    limit: float | None,
    *,
    show: Callable[[bytes], None],
    keep: bool = False,
    name: str | None = None,
) -> dict:
    """Run ``code`` by ``verb`` ("eval" or "exec"), giving its output to ``show`` as it comes.

    Args: limit: s until the device ends it, None: its own limit of a minute, 0: none; name: what tracebacks call it.
    Returns {"ok", "ms", "error" if there was one}, and with ``keep`` also "output" and, of eval, "value".
    """
    kept = bytearray()
    tail = b"\n"

    def on_data(data: bytes) -> None:
        nonlocal tail
        tail = data[-1:] or tail
        show(data)
        if keep:
            kept.extend(data)

    def on_lost(count: int) -> None:
        show(f"\n[{count} messages of the output were lost]\n".encode())

    args: dict = {} if limit is None else {"limit": limit}
    if name is not None:
        args["name"] = name.encode()[:_NAME].decode("utf-8", "ignore")
    silence = max(_SILENCE, (limit or 0) + 10.0)  # code may keep the device from answering
    data = code.encode("utf-8", "surrogateescape")
    try:
        told = session.call(verb, args, data, timeout=silence, on_data=on_data, on_lost=on_lost)
    except DeviceError as error:  # "limit", for one: what it has said until then counts
        if not keep:
            raise
        told = {"ok": False, "error": error.text, "code": error.code}
    if tail != b"\n":
        show(b"\n")
    if not keep:
        return told
    length = int(told.pop("value", 0) or 0)
    cut = len(kept) - length
    told["output"] = kept[:cut].decode("utf-8", "replace")
    if verb == "eval" and told["ok"]:
        told["value"] = kept[cut:].decode("utf-8", "replace") if length else None
    return told
