"""The command `coldframe`."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from . import __version__, context
from .errors import USAGE, CliError, os_error
from .options import App

# Each module of the package `commands` adds its own to the application, in this order.
# fmt: off
COMMANDS = (
    "devices",
    "info",
    "config",
    "params",
    "logs",
    "admin",
    "code",
    "repl",
    "fs",
    "sync",
    "collect",
    "flash",
    "provision",
    "bridge",
)
# fmt: on

app = App(
    help="Work with boards that run the Coldframe firmware.",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coldframe {__version__}")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


@app.callback()
def _root(version: _Version = False) -> None:
    pass


@app.command()
def version() -> None:
    """Show the version."""
    _show_version(True)


for _name in COMMANDS:
    importlib.import_module(f"{__package__}.commands.{_name}").register(app)


def main(args: list[str] | None = None) -> None:
    """Run the command with ``args`` (else the process's own) and exit with its code."""
    now = context.begin()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed, as by >&- or by a service manager
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without emoji shows "?" instead
    with _orderly_end():
        try:
            typer.main.get_command(app).main(args, prog_name="coldframe")
        except CliError as error:
            now.out.error(error.text, error.code)
            sys.exit(error.exit_code)
        except OSError as error:  # a folder that may not be written, a full disk
            now.out.error(os_error(error))
            sys.exit(USAGE)
        except (
            UnicodeEncodeError
        ) as error:  # of a name on the command line, which goes to the device as UTF-8
            now.out.error(f"{ascii(error.object[:100])}: expected text in UTF-8")
            sys.exit(USAGE)
        finally:
            now.close()


@contextmanager
def _orderly_end() -> Iterator[None]:
    # SIGTERM and a closed terminal end what runs on devices, and what the broker keeps for us, as Ctrl-C does.
    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    changed = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                changed[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, before in changed.items():
            signal.signal(number, before)
