"""The serial line: the guest's UART on one side, a bridge on the host on the other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from emulator.engine import Engine
from emulator.pl011 import Pl011


class Endpoint(Protocol):
    """What can be put at the host's end of the line, e.g. coldframe_cli.bridge.Bridge."""

    def feed(self, data: bytes) -> None:
        """Bytes have come from the guest."""

    def close(self) -> None:
        """The line is taken down."""


# Makes an endpoint from the function that sends bytes to the guest.
Wiring = Callable[[Callable[[bytes], None]], Endpoint]


class SerialLink:
    """Carries bytes at the line's baud rate, in the guest's time.

    Towards the guest there is flow control as with RTS/CTS wired: while the guest's receive FIFO
    is full the next byte waits, so none is lost to the emulation being slow. `waited` counts the
    bytes that had to wait: on a board without those wires, these would have been lost. While the
    guest's UART is off (reset, boot) bytes are lost as on a real line (`lost`).
    """

    def __init__(self, engine: Engine, uart: Pl011, wiring: Wiring) -> None:
        self._engine = engine
        self._uart = uart
        self._to_guest = bytearray()
        self._from_guest = bytearray()
        self._running = False
        self._held = False
        self._alarm = engine.clock.create_alarm(self._next)
        self.sent = 0  # bytes to the guest
        self.received = 0  # bytes from the guest
        self.waited = 0
        self.lost = 0
        uart.on_byte = self._from_guest.append
        engine.on_batch.append(self._flush)
        self.endpoint = wiring(self.send)

    def send(self, data: bytes) -> None:
        """Queue bytes for the guest."""
        self._to_guest += data
        if not self._running and self._to_guest:
            self._running = True
            self._alarm.schedule(self._uart.character_nanos)
            self._engine.kick()

    def _next(self) -> None:
        if not self._uart.listening:
            del self._to_guest[0]
            self.lost += 1
        elif self._uart.can_receive:
            self._uart.feed_byte(self._to_guest[0])
            del self._to_guest[0]
            self.sent += 1
            self._held = False
        elif not self._held:
            self._held = True
            self.waited += 1
        if self._to_guest:
            self._alarm.schedule(self._uart.character_nanos)
        else:
            self._running = False

    def _flush(self) -> None:
        if self._from_guest:
            data = bytes(self._from_guest)
            self._from_guest.clear()
            self.received += len(data)
            self.endpoint.feed(data)


def bridge(host: str, port: int) -> Wiring:
    """The bridge of the `coldframe` command to a TCP broker; it tries anew whenever the board does.

    Args:
        host: the broker's name or address.
        port: its TCP port.
    """
    source = Path(__file__).resolve().parents[2] / "cli" / "src"
    if str(source) not in sys.path:  # the scripts run from the tree, where cli may not be installed
        sys.path.insert(0, str(source))
    from coldframe_cli.bridge import Bridge

    return lambda send: Bridge(host, port, send, name="the emulated board")
