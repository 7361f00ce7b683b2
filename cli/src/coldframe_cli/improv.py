"""Wi-Fi settings over a serial line: the host's end of Improv (improv-wifi.com/serial, version 1).

    with open_port("/dev/ttyUSB0") as line:
        device = Improv(line)
        print(device.info())
        url = device.wifi("Farm", "secret")

Works with every firmware that speaks Improv, not only with ours. The device's own console lines may stand between the
packets; they are kept in ``said``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from . import tools
from .errors import FAILED, UNREACHABLE, CliError

_MAGIC = b"IMPROV\x01"
_STATE, _ERROR, _COMMAND, _RESULT = 1, 2, 3, 4
_SETTINGS, _ASK_STATE, _INFO, _SCAN, _HOSTNAME, _NAME, _NETWORK = range(1, 8)
STATES = {1: "locked", 2: "ready", 3: "joining", 4: "connected"}
_ERRORS = {
    1: "the device takes the packet for invalid",
    2: "the device does not know this command",
    3: "the device cannot connect: wrong password, or the network is not in reach",
    4: "the device wants to be asked by a button first",
    5: "the device does not accept this host name",
    255: "the device could not do it; its console says why",
}
_AGAIN = 1.0  # s until a question is asked again: a board that is starting misses the first ones
_SAID = 4000  # bytes of the console that are kept


class ImprovError(CliError):
    """What the device answered, or that it did not; a sentence for the user."""


class Line(Protocol):
    """A serial port, as pyserial has it: read() returns what has come within its time-out, b"" if nothing."""

    def read(self, size: int = 1) -> bytes:
        """Up to so many bytes."""

    def write(self, data: bytes, /) -> Any:
        """Send bytes."""


@dataclass(frozen=True)
class Info:
    """What a device says of itself."""

    firmware: str
    version: str
    chip: str
    name: str


@dataclass(frozen=True)
class Network:
    """A Wi-Fi network in the device's reach. rssi: dBm."""

    ssid: str
    rssi: int
    protected: bool


class Improv:
    """A device at the other end of a line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._have = bytearray()
        self.said = bytearray()

    def info(self, timeout: float = 20) -> Info:
        """What it is. timeout: seconds for a device that is just starting. Raises ImprovError."""
        texts = self._ask(_INFO, timeout=timeout)
        return Info(*(texts + [""] * 4)[:4])

    def state(self, timeout: float = 10) -> str:
        """ "ready" (it has no network), "connected", "joining" or "locked". Raises ImprovError."""
        for kind, data in self._talk(_packet(_ASK_STATE), timeout, again=True):
            if kind == _STATE and len(data) == 1:
                return STATES.get(data[0], f"state {data[0]}")
        raise AssertionError  # _talk() raises when the time is over

    def scan(self, timeout: float = 30) -> list[Network]:
        """The networks in its reach, the strongest first. Raises ImprovError."""
        found: dict[str, Network] = {}
        for texts in self._rows(_SCAN, timeout):
            if not texts:
                break
            if len(texts) >= 3:
                rssi = int(texts[1]) if texts[1].lstrip("-").isdigit() else -100
                known = found.get(texts[0])
                if known is None or known.rssi < rssi:
                    found[texts[0]] = Network(texts[0], rssi, texts[2] != "NO")
        return sorted(found.values(), key=lambda network: -network.rssi)

    def name(self, text: str, timeout: float = 10) -> None:
        """Give it a name, as people call it. Raises ImprovError."""
        self._ask(_NAME, text.encode(), timeout=timeout)

    def wifi(self, ssid: str, password: str, timeout: float = 60) -> str:
        """Have it join a network, and keep that if it works.

        timeout: seconds for joining.

        Returns:
            The address of its web page, "" if it has none.

        Raises:
            ImprovError: it cannot join, or does not answer.
        """
        parts = [text.encode() for text in (ssid, password)]
        if not 1 <= len(parts[0]) <= 32:
            raise ImprovError(f"{ssid!r}: expected a network name of 1 to 32 bytes")
        if len(parts[1]) > 64:
            raise ImprovError("expected a Wi-Fi password of at most 64 bytes")
        texts = self._ask(_SETTINGS, b"".join(bytes((len(p),)) + p for p in parts), timeout=timeout)
        return texts[0] if texts else ""

    def _ask(self, command: int, data: bytes = b"", *, timeout: float) -> list[str]:
        return next(self._rows(command, timeout, data))

    def _rows(self, command: int, timeout: float, data: bytes = b"") -> Iterator[list[str]]:
        # A command that changes something is sent once; a question may be asked again.
        for kind, answer in self._talk(_packet(command, data), timeout, again=not data):
            if kind == _RESULT and answer[:1] == bytes((command,)):
                yield _texts(answer)

    def _talk(self, packet: bytes, timeout: float, *, again: bool) -> Iterator[tuple[int, bytes]]:
        # Send a packet, give what comes. Raises ImprovError for an error, and at the end of the time.
        end = time.monotonic() + timeout
        ask = 0.0
        heard = False
        self._write(packet)
        ask = time.monotonic() + _AGAIN
        while time.monotonic() < end:
            for kind, data in self._packets():
                heard = True
                if kind == _ERROR and data and data[0]:
                    raise ImprovError(
                        _ERRORS.get(data[0], f"the device answers with error {data[0]}"), FAILED
                    )
                if kind in (_STATE, _RESULT):
                    yield kind, data
            if again and not heard and time.monotonic() > ask:
                self._write(packet)
                ask = time.monotonic() + _AGAIN
        what = "did not finish" if heard else "no answer"
        raise ImprovError(
            f"{what} within {timeout:g} s; a device listens for some seconds after power-on, and always while it "
            "knows no network. Is something else using the port?",
            UNREACHABLE,
        )

    def _write(self, packet: bytes) -> None:
        try:
            self._line.write(packet + b"\n")
        except OSError as error:
            raise ImprovError(f"the port is gone: {error.strerror or error}", UNREACHABLE) from None

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        try:
            self._have += self._line.read(512)
        except OSError as error:
            raise ImprovError(f"the port is gone: {error.strerror or error}", UNREACHABLE) from None
        while True:
            at = self._have.find(_MAGIC)
            if at < 0:
                # All of it is the console's, but for what may be the beginning of a packet.
                keep = next((n for n in range(len(_MAGIC) - 1, 0, -1) if self._have.endswith(_MAGIC[:n])), 0)
                self._console(len(self._have) - keep)
                return
            self._console(at)
            if len(self._have) < 9 or len(self._have) < 10 + self._have[8]:
                return
            size = 9 + self._have[8]
            packet = bytes(self._have[: size + 1])
            if sum(packet[:-1]) & 0xFF != packet[-1]:
                self._console(1)  # damaged on the line: look for the next one
                continue
            del self._have[: size + 1]
            yield packet[7], packet[9:-1]

    def _console(self, n: int) -> None:
        self.said += self._have[:n]
        del self.said[:-_SAID]
        del self._have[:n]


def open_port(port: str, baud: int = 115200) -> Any:
    """Open a serial port for Improv; to be closed, or used in a with statement. Raises ToolError, ImprovError."""
    tools.need("serial")
    import serial

    try:
        return serial.Serial(port, baud, timeout=0.05, write_timeout=5)
    except (serial.SerialException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImprovError(f"{port}: cannot be opened: {reason}", UNREACHABLE) from None


def _packet(command: int, data: bytes = b"") -> bytes:
    body = bytes((command, len(data))) + data
    out = _MAGIC + bytes((_COMMAND, len(body))) + body
    return out + bytes((sum(out) & 0xFF,))


def _texts(data: bytes) -> list[str]:
    # The texts of a result: behind the command and the length, each with its length before it.
    found = []
    rest = data[2:]
    while rest:
        found.append(rest[1 : 1 + rest[0]].decode("utf-8", "replace"))
        rest = rest[1 + rest[0] :]
    return found
