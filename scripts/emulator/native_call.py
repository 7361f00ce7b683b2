"""Call a C function of the very image that is released, on the emulated chip, and count its cycles.

    calls = NativeCalls(board, elf)
    space = calls.room(64)
    result, cycles = calls.call("mqtt_decoder_next", decoder)

The board has booted and waits at its prompt; memory and registers are put back afterwards, so that it can go
on as if nothing had been. Interrupts are off during a call. The count is that of the emulator's model of the
Cortex-M0+: the call's own instructions from the first to the return, no flash cache misses.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType

from emulator.console import EmulatorError
from emulator.machine import Emulator

# The second core's stack and data: nothing else uses this memory, and that core is not started.
_RAM = 0x2004_0000
_RAM_SIZE = 4096
_STACK = 1024  # bytes of it for the called function
_SENTINEL = 0x1000_0100  # where a call returns to; never executed
_MOST = 1_000_000  # instructions of one call


def symbols(elf: Path) -> dict[str, int]:
    """The addresses of the functions in an ELF file (32 bits, little-endian).

    Raises:
        EmulatorError: it is not one, or has no symbols.
    """
    data = elf.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise EmulatorError(f"{elf}: not a 32-bit little-endian ELF file")
    (table,) = struct.unpack_from("<I", data, 32)
    size, count = struct.unpack_from("<HH", data, 46)
    found: dict[str, int] = {}
    for index in range(count):
        kind, _, _, offset, length, link = struct.unpack_from("<6I", data, table + index * size + 4)
        if kind != 2:  # SHT_SYMTAB
            continue
        (names,) = struct.unpack_from("<I", data, table + link * size + 16)
        for at in range(offset, offset + length, 16):
            name, value, _, info = struct.unpack_from("<IIIB", data, at)
            if info & 15 == 2:  # STT_FUNC
                end = data.index(b"\0", names + name)
                found[data[names + name : end].decode()] = value & ~1
    if not found:
        raise EmulatorError(f"{elf}: no symbols")
    return found


class NativeCalls:
    """Calls into one booted board; use it as a context manager.

    Args:
        board: started, its program stopped.
        elf: of the same build as its image.
    """

    def __init__(self, board: Emulator, elf: Path) -> None:
        self._core = board.mcu.core
        self._mcu = board.mcu
        self._symbols = symbols(elf)
        self._next = _RAM

    def __enter__(self) -> NativeCalls:
        core = self._core
        self._registers = [core.registers[i] for i in range(16)]
        self._state = (core.apsr, core.pm, core.waiting)
        self._memory = self.read(_RAM, _RAM_SIZE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        core = self._core
        self.write(_RAM, self._memory)
        for i, value in enumerate(self._registers):
            core.registers[i] = value
        core.apsr, core.pm, core.waiting = self._state

    def room(self, size: int) -> int:
        """The address of so many free bytes, aligned to 8."""
        at = self._next
        self._next += (size + 7) & ~7
        if self._next > _RAM + _RAM_SIZE - _STACK:
            raise EmulatorError("no room left for what a native call needs")
        return at

    def read(self, at: int, size: int) -> bytes:
        """Memory of the chip."""
        return bytes(self._mcu.read_uint8(at + i) for i in range(size))

    def write(self, at: int, data: bytes) -> None:
        """Change memory of the chip."""
        for i, byte in enumerate(data):
            self._mcu.write_uint8(at + i, byte)

    def call(self, function: str, *args: int) -> tuple[int, int]:
        """Call a C function with integers and addresses; those after the fourth go onto the stack.

        Returns:
            Its result (r0, signed), and the cycles from its first instruction to its return.

        Raises:
            EmulatorError: the image has no such function, or it does not return.
        """
        if function not in self._symbols:
            raise EmulatorError(f"no function {function} in the image (inlined, or not linked?)")
        core = self._core
        core.pm = True  # no interrupt
        core.waiting = False
        rest = args[4:]
        stack = (_RAM + _RAM_SIZE - 4 * len(rest)) & ~7
        for i, value in enumerate(rest):
            self._mcu.write_uint32(stack + 4 * i, value & 0xFFFF_FFFF)
        for i, value in enumerate(args[:4]):
            core.registers[i] = value & 0xFFFF_FFFF
        core.registers[13] = stack
        core.registers[14] = _SENTINEL | 1
        core.registers[15] = self._symbols[function]
        cycles = 0
        for _ in range(_MOST):
            cycles += core.execute_instruction()
            if core.registers[15] & ~1 == _SENTINEL:
                result = int(core.registers[0])
                return result - (result >> 31 << 32), cycles
        raise EmulatorError(f"{function} did not return")
