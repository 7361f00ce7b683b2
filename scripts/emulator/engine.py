"""The loop that runs the emulated chip beside the host's other asyncio tasks, and keeps its time.

The package's own loop lets idle time pass at once: a guest that waits two seconds for an answer
from the network gives up after 30 ms of real time, before the broker has had a chance. Paced, the
guest's clock never runs ahead of real time (it falls behind when the guest computes, because the
emulation is some 50 times slower than the chip; the time lost is not made up for).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from rp2040py.simulator import Simulator

from emulator.idlepio import IdlePio

STEP_NANOS = 1_000_000  # how far a batch may run ahead of real time
LONGEST_NAP = 0.05  # seconds between two looks at the world while the guest sleeps
CYCLE_NANOS = 8  # 125 MHz


class GuestFault(Exception):
    """The guest executed a breakpoint instruction: a panic or a hard fault in the firmware."""


class Engine(Simulator):
    """Runs the chip. One per machine; everything happens on the caller's event loop."""

    def __init__(self, rp2040: Any, pace: bool = True, speed: float = 1.0) -> None:
        super().__init__(rp2040=rp2040)
        self.rp2040.on_break = self._on_break
        self.pace = pace
        self.speed = speed
        self.powered = False
        self.busy_seconds = 0.0  # the host's CPU time spent emulating
        self.on_batch: list[Callable[[], None]] = []  # called after each batch
        self.on_end: Callable[[BaseException | None], None] = lambda error: None
        self._task: asyncio.Task[None] | None = None
        self._kick = asyncio.Event()
        self._pio = IdlePio(self)
        self._limit = self.clock.create_alarm(self._end_batch)
        self._cycles_before = 0
        self._fault: GuestFault | None = None
        self._origin = (0.0, 0.0)  # (guest nanoseconds, host seconds) from which pacing counts

    # -- counters --------------------------------------------------------------------------------

    @property
    def nanos(self) -> float:
        """Guest time since the machine was made, in nanoseconds, sleep included."""
        return self.clock.nanos

    @property
    def cycles(self) -> int:
        """CPU cycles executed since the machine was made, sleep not included."""
        return self._cycles_before + self.rp2040.core.cycles

    def keep_cycles(self) -> None:
        """To be called before each reset of the core, which zeroes the core's own counter."""
        self._cycles_before += self.rp2040.core.cycles

    # -- control ---------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start running on the current event loop."""
        self.bind_loop()
        self.powered = True
        self._rebase()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="rp2040")

    async def halt(self) -> None:
        """Stop for good."""
        if self._task is not None:
            self.stopped = True
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def power(self, on: bool) -> None:
        """Hold or release the chip; nothing runs and no time passes while it is off."""
        self.powered = on
        self.stopped = True  # leaves the batch that is running
        self._rebase()
        self._kick.set()

    def kick(self) -> None:
        """Something has arrived for the guest: do not sleep on."""
        self._kick.set()

    # -- the loop --------------------------------------------------------------------------------

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            while True:
                if not self.powered or self.rp2040.run_pin_low:
                    await self._kick.wait()
                    self._kick.clear()
                    self._rebase()
                    continue
                await self._turn()
                if self._fault is not None:
                    raise self._fault
        except asyncio.CancelledError:
            raise
        except BaseException as exception:
            error = self.engine_room_error = exception
        finally:
            self.stopped = True
            self.on_end(error)

    async def _turn(self) -> None:
        """One batch, and the pause after it that pacing asks for."""
        if self.pace:
            self._limit.schedule(max(STEP_NANOS, STEP_NANOS + self._behind_nanos()))
        self.stopped = False
        started = time.thread_time()
        self._pio.run(self._execute_batch)
        self.busy_seconds += time.thread_time() - started
        self._limit.cancel()
        for call in self.on_batch:
            call()
        if not self.pace:
            await asyncio.sleep(0)
            return
        behind = self._behind_nanos()
        if behind > 0:
            if behind > 50e6 * self.speed:
                self._rebase()  # too slow: the guest's time is late from here on, no catching up
            await asyncio.sleep(0)
            return
        await self._nap(-behind / 1e9 / self.speed)

    async def _nap(self, ahead: float) -> None:
        """Sleep until real time has caught up; while the guest sleeps too, until its next event."""
        asleep = self.rp2040.core.waiting and self._pio.stopped
        idle = 0.0
        if asleep:
            idle = LONGEST_NAP
            if self.clock.has_scheduled_alarm:
                idle = self.clock.nanos_to_next_alarm / 1e9 / self.speed
        delay = min(max(ahead, 0) + idle, LONGEST_NAP)
        if delay < 0.0005:
            await asyncio.sleep(0)
            return
        self._kick.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._kick.wait()
        passed = self._behind_nanos()
        if asleep and passed > 0:
            # the guest waits for an event: pass the time without a batch for each millisecond
            limit = self.clock.nanos_to_next_alarm if self.clock.has_scheduled_alarm else passed
            self.clock.tick(min(passed, limit))

    def _behind_nanos(self) -> float:
        """How far the guest's clock is behind real time; negative when it is ahead."""
        nanos, seconds = self._origin
        return (time.monotonic() - seconds) * 1e9 * self.speed - (self.clock.nanos - nanos)

    def _rebase(self) -> None:
        self._origin = (self.clock.nanos, time.monotonic())

    def _end_batch(self) -> None:
        self.stopped = True

    def _on_break(self, code: int) -> None:
        core = self.rp2040.core
        self._fault = GuestFault(
            f"the firmware ran into a breakpoint instruction (BKPT {code}: a panic or a hard fault) "
            f"at {core.pc:#010x}, called from {core.registers[14]:#010x}"
        )
        self.stopped = True
