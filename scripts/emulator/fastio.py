"""The registers that firmware touches all the time, on a shorter way: divider and microsecond timer.

Each conversion of the time from microseconds costs two divisions and two reads of the timer, so a
program that waits spends most of its bus accesses here, and the package goes through a long chain of
comparisons for each. The divider also computes in whole numbers here, once per division and not per
operand, and does not charge 8 cycles that the firmware already spends waiting for it.
"""

from __future__ import annotations

from typing import Any

_MASK = 0xFFFF_FFFF
_SIGN = 0x8000_0000

_CPUID = 0x00
_UDIVIDEND, _UDIVISOR, _SDIVIDEND, _SDIVISOR = 0x60, 0x64, 0x68, 0x6C
_QUOTIENT, _REMAINDER, _CSR = 0x70, 0x74, 0x78
_READY, _DIRTY = 1, 2

_TIMERAWH, _TIMERAWL = 0x24, 0x28


class Divider:
    """The hardware divider of the chip's SIO block."""

    def __init__(self, sio: Any) -> None:
        self._sio = sio
        self._read = sio.read_uint32
        self._write = sio.write_uint32
        self._due: bool | None = None  # operands written and not yet divided: signed or not
        sio.read_uint32 = self.read_uint32
        sio.write_uint32 = self.write_uint32

    def read_uint32(self, offset: int) -> int:
        """Read a register of the SIO block."""
        sio = self._sio
        if offset == _CSR:
            return int(sio.div_csr)
        if offset in (_QUOTIENT, _REMAINDER):
            if self._due is not None:
                self._divide(self._due)
            if offset == _REMAINDER:
                return int(sio.div_remainder)
            sio.div_csr &= ~_DIRTY
            return int(sio.div_quotient)
        if offset == _CPUID:
            return 0
        return int(self._read(offset))

    def write_uint32(self, offset: int, value: int) -> None:
        """Write a register of the SIO block."""
        if not _UDIVIDEND <= offset <= _REMAINDER:
            self._write(offset, value)
            return
        sio = self._sio
        sio.div_csr = _READY | _DIRTY
        if offset in (_UDIVIDEND, _SDIVIDEND):
            sio.div_dividend = value & _MASK
        elif offset in (_UDIVISOR, _SDIVISOR):
            sio.div_divisor = value & _MASK
        else:  # an interrupt handler puts back what it has found
            if self._due is not None:
                self._divide(self._due)
            if offset == _QUOTIENT:
                sio.div_quotient = value & _MASK
            else:
                sio.div_remainder = value & _MASK
            return
        self._due = offset >= _SDIVIDEND

    def _divide(self, signed: bool) -> None:
        sio = self._sio
        self._due = None
        dividend, divisor = sio.div_dividend & _MASK, sio.div_divisor & _MASK
        if signed:
            dividend -= (dividend & _SIGN) << 1
            divisor -= (divisor & _SIGN) << 1
        if divisor == 0:  # RP2040 datasheet, 2.3.1.5
            quotient, remainder = (1 if signed and dividend < 0 else -1), dividend
        else:
            quotient, remainder = divmod(abs(dividend), abs(divisor))
            if (dividend < 0) != (divisor < 0):
                quotient = -quotient
            if dividend < 0:
                remainder = -remainder
        sio.div_quotient = quotient & _MASK
        sio.div_remainder = remainder & _MASK


def quick_timer(timer: Any) -> None:
    """Let the raw counter of the microsecond timer be read directly."""
    upstream = timer.read_uint32
    clock = timer.clock

    def read_uint32(offset: int) -> int:
        if offset == _TIMERAWL:
            return int((clock.nanos - timer._epoch_nanos) / 1000) & _MASK
        if offset == _TIMERAWH:
            return int((clock.nanos - timer._epoch_nanos) / 1000) >> 32
        return int(upstream(offset))

    timer.read_uint32 = read_uint32
