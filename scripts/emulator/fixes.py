"""Repairs of rp2040py 0.3.6, applied to a machine at run time; the package itself stays as it is.

Each is for a difference from the real chip that firmware notices. The version is pinned in
requirements.txt because these reach into the package; `check_version` says so when it is another.
"""

from __future__ import annotations

import importlib.metadata
import random
from collections.abc import Callable
from typing import Any

from kit.ui import UserError

VERSION = "0.3.6"

_READ_UNIQUE_ID = 0x4B
_UNIQUE_ID_DELAY = 5  # command and four dummy bytes come first
_PAGE_PROGRAM = 0x02
_SECTOR_ERASE = 0x20
_BLOCK_ERASE = 0xD8
_SECTOR = 4096
_BLOCK = 65536
_PAGE = 256

# Bytes gathered for this long make one USB packet, as a host's driver does.
_USB_GATHER_NANOS = 125_000


def check_version() -> None:
    """Make sure that the emulator package is there, in the version these repairs are for.

    Raises:
        UserError: when it is missing or another version.
    """
    hint = "scripts/setup.sh, then run the command with .venv/bin/python"
    try:
        found = importlib.metadata.version("rp2040py")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("the Python package rp2040py is not installed", expected=VERSION, hint=hint) from None
    if found != VERSION:
        raise UserError(f"the emulator package rp2040py is version {found}", expected=VERSION, hint=hint)


class ConsoleInput:
    """What is typed into the guest's USB console.

    The package answers every poll of the guest for input with an empty packet after 10 us, which
    keeps the guest in its USB interrupt and never lets it sleep: emulated time then runs at 2 to 3
    percent of real time. A real host sends nothing while it has nothing to say; so does this. The
    package also drops what does not fit its 512-byte buffer; here the guest's own readiness is the
    only limit.
    """

    def __init__(self, cdc: Any) -> None:
        self._cdc = cdc
        self._usb = cdc.usb
        self._queue = bytearray()
        self._asked: tuple[int, int] | None = None
        self._alarm = self._usb.rp2040.clock.create_alarm(self._serve)
        self._upstream_read = self._usb.on_endpoint_read
        self._upstream_reset = self._usb.on_reset
        self._usb.on_endpoint_read = self._read
        self._usb.on_reset = self._reset

    def send(self, data: bytes) -> None:
        """Queue *data* for the guest; it takes it when it is ready."""
        self._queue += data
        if self._asked is not None and self._queue:
            self._alarm.schedule(_USB_GATHER_NANOS)

    @property
    def waiting(self) -> int:
        """Bytes that the guest has not taken yet."""
        return len(self._queue)

    def _read(self, endpoint: int, size: int) -> None:
        if endpoint != self._cdc._out_endpoint:
            self._upstream_read(endpoint, size)
            return
        self._asked = (endpoint, size)
        if self._queue:
            self._serve()

    def _serve(self) -> None:
        if self._asked is None or not self._queue:
            return
        endpoint, size = self._asked
        self._asked = None
        packet = bytes(self._queue[:size])
        del self._queue[:size]
        self._usb.endpoint_read_done(endpoint, packet)

    def _reset(self) -> None:
        self._asked = None
        self._queue.clear()
        self._alarm.cancel()
        self._upstream_reset()


class StartOfFrame:
    """The host's start-of-frame packet each millisecond, for as long as the guest asks for it.

    The package's host sends none. TinyUSB counts them before it sends what the firmware has printed
    while the port was being opened, and waits for one before some of its transfers: the first
    lines of a program would never arrive.
    """

    INTR_DEV_SOF = 1 << 17
    INTE = 0x90
    SOF_RD = 0x48
    FRAME_NANOS = 1_000_000

    def __init__(self, usb: Any) -> None:
        self._usb = usb
        self._read = usb.read_uint32
        self._write = usb.write_uint32
        self._clock = usb.rp2040.clock
        self._alarm = self._clock.create_alarm(self._frame)
        self._running = False
        usb.read_uint32 = self._read_uint32
        usb.write_uint32 = self._write_uint32

    def _wanted(self) -> bool:
        return bool(self._usb._int_enable & self.INTR_DEV_SOF) and not self._usb._host_mode

    def _write_uint32(self, offset: int, value: int) -> None:
        self._write(offset, value)
        if offset == self.INTE and self._wanted() and not self._running:
            self._next()

    def _next(self) -> None:
        self._running = True
        self._alarm.schedule(self.FRAME_NANOS - self._clock.nanos % self.FRAME_NANOS)

    def _frame(self) -> None:
        self._running = False
        if self._wanted():
            self._usb._int_raw |= self.INTR_DEV_SOF
            self._usb.check_interrupts()
            self._next()

    def _read_uint32(self, offset: int) -> int:
        if offset == self.SOF_RD and not self._usb._host_mode:
            self._usb._int_raw &= ~self.INTR_DEV_SOF
            self._usb.check_interrupts()
            return int(self._clock.nanos / self.FRAME_NANOS) & 0x7FF
        return self._read(offset)


class FlashChip:
    """The flash chip's own behaviour, on top of the package's command decoder.

    * The unique id: the package does not know the command for it, so every board would be
      ff..ff, and two of them could not be told apart by a broker.
    * `writes` counts program and erase commands, and `cut_at` ends one of them half-way: power
      is lost while the chip is busy.
    """

    def __init__(self, mcu: Any, unique_id: bytes) -> None:
        self._mcu = mcu
        self._ssi = mcu.ssi
        self._unique_id = unique_id
        self._shift = self._ssi._shift_byte
        self._apply = self._ssi._apply_command
        self._ssi._shift_byte = self._shift_byte
        self._ssi._apply_command = self._apply_command
        self.writes = 0
        self._cut_at = 0
        self._torn: random.Random | None = None
        self._on_cut: Callable[[], None] = lambda: None

    def cut_at(self, nth: int, on_cut: Callable[[], None], seed: int | None = None) -> None:
        """Lose power at the *nth* program or erase command from now on.

        Args:
            nth: 1 is the next one; 0 takes the order back.
            on_cut: called instead of the rest of the command.
            seed: None: the command has no effect at all. A number: it stops half-way, after some
                of its bytes, with the last of them only partly programmed.
        """
        self._cut_at = self.writes + nth if nth else 0
        self._on_cut = on_cut
        self._torn = random.Random(seed) if seed is not None else None

    def _shift_byte(self, byte: int) -> int:
        answer = self._shift(byte)
        sent = self._ssi._tx_buffer
        if sent[0] == _READ_UNIQUE_ID and len(sent) > _UNIQUE_ID_DELAY:
            index = len(sent) - 1 - _UNIQUE_ID_DELAY
            return self._unique_id[index] if index < len(self._unique_id) else 0xFF
        return answer

    def _apply_command(self) -> None:
        sent = self._ssi._tx_buffer
        writes = bool(sent) and sent[0] in (_PAGE_PROGRAM, _SECTOR_ERASE, _BLOCK_ERASE)
        if not (writes and self._ssi._write_enabled and len(sent) >= 4):
            self._apply()
            return
        self.writes += 1
        if self.writes == self._cut_at:
            self._cut_at = 0
            if self._torn is not None:
                self._tear(bytes(sent), self._torn)
            self._ssi._tx_buffer = bytearray()
            self._on_cut()
            return
        self._apply()

    def _tear(self, command: bytes, chance: random.Random) -> None:
        flash = self._mcu.flash
        address = int.from_bytes(command[1:4], "big")
        if command[0] == _PAGE_PROGRAM:
            data = command[4 : 4 + _PAGE]
            done = chance.randrange(len(data) + 1)
            for i in range(done):
                flash[address + i] &= data[i]
            if done < len(data):  # only some of this byte's bits have fallen
                flash[address + done] &= data[done] | chance.randrange(256)
        else:
            size = _SECTOR if command[0] == _SECTOR_ERASE else _BLOCK
            address &= ~(size - 1)
            for i in range(address, address + size):  # each byte somewhere between old and erased
                flash[i] |= chance.randrange(256)


def stop_watchdog_at_reset(mcu: Any) -> None:
    """Let a reset stop the watchdog timer.

    On the chip every reset leaves the watchdog switched off until the firmware starts it again;
    the package lets it run on, so that a board reset by its RUN pin would be reset once more while
    it boots.
    """
    upstream = mcu.usb_ctrl.on_reset

    def on_reset() -> None:
        watchdog = mcu.watchdog
        watchdog._enable = False
        watchdog.timer.enable = False
        watchdog.alarm.enable = False
        upstream()

    mcu.usb_ctrl.on_reset = on_reset
