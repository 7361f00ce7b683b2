"""The emulator's loop relieved of the PIO blocks while they stand still: half as fast again.

The package's loop looks at both PIO blocks after each instruction, which costs a third of its time;
firmware that uses none never starts them. While both are stopped, a batch is given an empty list of
blocks to look at; a write that starts one fills it, and from the next instruction on that block runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class _Watched:
    """One PIO block as the bus sees it; tells when a write may have started it."""

    def __init__(self, block: Any, written: Callable[[], None]) -> None:
        self._block = block
        self._written = written
        self.read_uint32 = block.read_uint32
        self.write_uint32 = block.write_uint32
        self.reset = block.reset

    def write_uint32_atomic(self, offset: int, value: int, kind: int) -> None:
        self._block.write_uint32_atomic(offset, value, kind)
        if not self._block.stopped:
            self._written()


class IdlePio:
    """Runs batches of *simulator* (see the module)."""

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator
        self._mcu = simulator.rp2040
        self._blocks = list(self._mcu.pio)
        self._looked_at: list[Any] = []  # what the running batch looks at
        self._waiting = False
        self._begun = simulator.clock.create_alarm(self._begin)
        peripherals = self._mcu.peripherals
        for key, peripheral in list(peripherals.items()):
            if any(peripheral is block for block in self._blocks):
                peripherals[key] = _Watched(peripheral, self._started)

    @property
    def stopped(self) -> bool:
        """Whether no PIO block runs."""
        return all(block.stopped for block in self._blocks)

    def run(self, batch: Callable[[], None]) -> None:
        """Run one batch of the package's loop."""
        if not self.stopped or self._mcu.run_pin_low:
            batch()
            return
        # The loop takes the chip's list once, at its beginning. Everybody else (pins, resets) needs
        # the real one, so that is put back before the first instruction: the batch begins with the
        # CPU asleep and an alarm that is due now, and the alarm wakes it.
        core = self._mcu.core
        self._looked_at.clear()
        self._waiting = core.waiting
        core.waiting = True
        self._begun.schedule(0)
        self._mcu.pio = self._looked_at
        try:
            batch()
        finally:
            if self._mcu.pio is self._looked_at:  # the batch ended before it began
                self._begun.cancel()
                self._begin()

    def _begin(self) -> None:
        self._mcu.pio = self._blocks
        self._mcu.core.waiting = self._waiting

    def _started(self) -> None:
        if not self._looked_at:
            self._looked_at.extend(self._blocks)
