"""coldframe bridge: a board without a network, at a serial line, joined to a broker."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer
from rich.logging import RichHandler

from .. import address, context, lines
from ..bridge import Bridge
from ..errors import INTERRUPTED, CliError

_Broker = Annotated[
    str, typer.Option(metavar="HOST[:PORT]", help="The MQTT broker. The port is 1883 if left out.")
]
_Serial = Annotated[
    str | None, typer.Option(metavar="PORT", help="The board's serial port: /dev/ttyUSB0, COM3, ...")
]
_Listen = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Take the line's bytes over TCP instead: from an emulator or a serial server. 0: a free port.",
    ),
]
_Baud = Annotated[int, typer.Option(min=300, help="The speed of the serial port.")]
_Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tell more.")]


def register(app: typer.Typer) -> None:
    app.command()(bridge)


def bridge(
    broker: _Broker,
    serial: _Serial = None,
    listen: _Listen = None,
    baud: _Baud = 115200,
    verbose: _Verbose = False,
) -> None:
    """Connect a board without a network to an MQTT broker, over its serial line.

    Runs until Ctrl-C. The port may be unplugged, the broker may stop: it all comes back by itself.
    """
    if (serial is None) == (listen is None):
        raise typer.BadParameter("expected one of --serial and --listen")
    try:
        host, port = address.parse(broker, 1883)
        listen_at = address.parse(listen) if listen else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(message)s",
        datefmt="[%X]",
        handlers=[RichHandler(console=context.current().out.errors, show_path=False)],
    )

    def make(send, name: str) -> Bridge:
        return Bridge(host, port, send, name=name)

    def ready(number: int) -> None:
        print(f"listening on {listen_at[0]}:{number} for broker {host}:{port}", flush=True)

    try:
        if listen_at:
            asyncio.run(lines.serve_tcp(*listen_at, make, ready))
        else:
            asyncio.run(lines.serve_serial(serial, baud, make))
    except lines.PortError as error:
        raise CliError(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
