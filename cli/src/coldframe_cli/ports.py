"""Boards that hang on this computer: by the numbers of their USB chips, and boot drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import tools
from .bootdrive import Drive
from .errors import CliError

# USB vendor numbers (usb.org; github.com/raspberrypi/usb-pid, github.com/espressif/usb-pids) of what boards have.
RASPBERRY, ESPRESSIF = 0x2E8A, 0x303A
ADAPTERS = {
    0x10C4: "CP210x",
    0x1A86: "CH340",
    0x0403: "FTDI",
    0x067B: "PL2303",
}  # on ESP boards, and anywhere else


@dataclass(frozen=True)
class Port:
    """A serial port. vendor, product: USB numbers, None where it is no USB port."""

    name: str
    vendor: int | None = None
    product: int | None = None
    text: str = ""

    @property
    def kind(self) -> str:
        """What hangs there: "rp2", "esp", "adapter" (a USB-to-serial chip, perhaps an ESP board's) or ""."""
        if self.vendor == RASPBERRY:
            return "rp2"
        if self.vendor == ESPRESSIF:
            return "esp"
        return "adapter" if self.vendor in ADAPTERS else ""

    def __str__(self) -> str:
        what = {"rp2": "Raspberry Pi board", "esp": "Espressif chip"}.get(self.kind, "")
        if self.kind == "adapter" and self.vendor is not None:
            what = f"{ADAPTERS[self.vendor]} adapter"
        text = self.text if self.text not in ("", "n/a") else what
        return f"{self.name} ({text})" if text else self.name


def serial_ports() -> list[Port]:
    """The serial ports of this computer that may have a board. Raises ToolError without pyserial."""
    tools.need("serial")
    from serial.tools import list_ports

    found = [Port(p.device, p.vid, p.pid, p.description or "") for p in list_ports.comports()]
    return sorted((port for port in found if port.vendor is not None), key=lambda port: port.name)


def choose(ports: Sequence[Port], drives: Sequence[Drive], want: str | None) -> Port | Drive:
    """The one board that is meant. want: "rp2", "esp", or None for either.

    A boot drive comes before a port: somebody has just pressed its button.

    Raises:
        CliError: there is none, or more than one; with what there is and how to name one.
    """
    if want in (None, "rp2") and drives:
        if len(drives) > 1:
            raise CliError(
                f"several boot drives: say which one with --drive: {_listed(d.path for d in drives)}"
            )
        return drives[0]
    kinds = {"rp2": ("rp2",), "esp": ("esp", "adapter")}.get(want or "", ("rp2", "esp", "adapter"))
    fitting = [port for port in ports if port.kind in kinds]
    if not fitting:
        how = {
            "rp2": "hold BOOTSEL while you plug the board in",
            "esp": "connect the board by USB",
        }.get(want or "", "connect a board by USB; hold BOOTSEL of a Pico meanwhile")
        raise CliError(f"no board found: {how}, or name its port with --port or its drive with --drive")
    if len(fitting) > 1:
        raise CliError(f"several boards: say which one with --port: {_listed(fitting)}")
    return fitting[0]


def _listed(things: object) -> str:
    return ", ".join(str(thing) for thing in things)  # type: ignore[attr-defined]
