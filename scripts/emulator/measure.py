"""Exact costs of code on the emulated chip: CPU cycles, time and heap, the same in every run.

    cost = await measure(board, "codec.publish(buf, 't', 20)", setup="from coldframe import codec; ...")
    print(cost.cycles, cost.microseconds, cost.heap)

The cycles are those of the emulator's model of the Cortex-M0+ (no flash cache misses), counted from
outside between two writes to an address that the chip does not have; the guest's clock and its
resolution play no part.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from rp2040py.peripherals.peripheral import BasePeripheral

from emulator.console import EmulatorError
from emulator.machine import DEADLINE, Emulator

MHZ = 125
MARK = 0x4007_8000  # in the peripherals' range, and unused on the RP2040
_BLOCK = 16  # bytes of a block of MicroPython's heap on a 32-bit chip


@dataclass(frozen=True)
class Cost:
    """What one run of a piece of code costs.

    cycles: CPU cycles; time asleep does not count. microseconds: at 125 MHz, time asleep included.
    heap: bytes allocated. All three less what the surrounding loop costs.
    """

    cycles: float
    microseconds: float
    heap: float


@dataclass(frozen=True)
class Heap:
    """State of the guest's heap after a collection, in bytes."""

    free: int
    used: int
    largest: int  # largest free block


@dataclass(frozen=True)
class Mark:
    """A moment of the guest: the counters when it wrote `value` to MARK."""

    cycles: int
    nanos: float
    value: int


class Marker(BasePeripheral):
    """Notes the counters whenever the guest writes to MARK, as `machine.mem32[MARK] = 1` does.

    Use as a context manager: it takes the address only so long.

    Args:
        board: a started board.
    """

    def __init__(self, board: Emulator) -> None:
        super().__init__(board.mcu, "MARKER")
        self._board = board
        self.marks: list[Mark] = []

    def __enter__(self) -> Marker:
        self._board.mcu.peripherals[MARK >> 12] = self
        return self

    def __exit__(self, *error: object) -> None:
        del self._board.mcu.peripherals[MARK >> 12]

    def write_uint32(self, offset: int, value: int) -> None:
        self.marks.append(Mark(self._board.cycles, self._board.engine.nanos, value))


_LOOP = """
def _measured(_n):
    import gc, machine
    _mark = machine.mem32
    gc.collect()
    gc.disable()
    try:
        _before = gc.mem_alloc()
        _mark[{mark}] = 1
        for _i in range(_n):
{body}
        _mark[{mark}] = 1
        _after = gc.mem_alloc()
    finally:
        gc.enable()
    return _after - _before
for _round in range({rounds}):
    print(_measured({runs}))
"""


async def measure(
    board: Emulator,
    code: str,
    setup: str = "",
    *,
    runs: int = 50,
    rounds: int = 3,
    deadline: float = DEADLINE,
) -> Cost:
    """Measure *code* on *board*, whose program is stopped for it.

    Args:
        board: a started board.
        code: one or more statements; they see what *setup* has made global.
        setup: run once before, not measured.
        runs: how often the code is run in a round; all its garbage of a round must fit the heap.
        rounds: the cheapest of these counts (an interrupt may fall into one).
        deadline: seconds of real time.

    Returns:
        The cost of one run.

    Raises:
        GuestError: the code ended in an exception.
    """
    nothing = await _rounds(board, "pass", setup, runs, rounds, deadline)
    something = await _rounds(board, code, setup, runs, rounds, deadline)
    cycles, nanos, heap = (max(0.0, (b - a) / runs) for a, b in zip(nothing, something, strict=True))
    return Cost(cycles, nanos / 1000, heap)


async def _rounds(
    board: Emulator, code: str, setup: str, runs: int, rounds: int, deadline: float
) -> tuple[float, float, float]:
    with Marker(board) as marker:
        body = textwrap.indent(textwrap.dedent(code).strip(), " " * 12)
        loop = _LOOP.format(mark=MARK, body=body, rounds=rounds, runs=runs)
        output = await board.exec(textwrap.dedent(setup) + "\n" + loop, deadline)
    heaps = [int(line) for line in output.split()[-rounds:]]
    if len(marker.marks) != 2 * rounds or len(heaps) != rounds:
        raise EmulatorError(f"the measured code left its loop: {output[-200:]!r}")
    starts, ends = marker.marks[::2], marker.marks[1::2]
    cycles = min(end.cycles - start.cycles for start, end in zip(starts, ends, strict=True))
    nanos = min(end.nanos - start.nanos for start, end in zip(starts, ends, strict=True))
    return cycles, nanos, min(heaps)


async def heap(board: Emulator, deadline: float = DEADLINE) -> Heap:
    """Collect garbage on *board*, whose program is stopped for it, and return the state of its heap."""
    output = await board.exec(
        "import gc, micropython; gc.collect(); print(gc.mem_free(), gc.mem_alloc()); micropython.mem_info()",
        deadline,
    )
    free, used = (int(word) for word in output.split()[:2])
    largest = re.search(r"max free sz: (\d+)", output)
    if largest is None:
        raise EmulatorError(f"no free block in mem_info's output: {output!r}")
    return Heap(free, used, int(largest[1]) * _BLOCK)
