"""The watchdog, and hal.later(): one timer for both, since some chips have few. Imported where it is asked for.

The timer looks once a second whether the program has called feed() in time. If so it feeds the hardware watchdog,
which takes care of what stops even the timer; if not, the program is interrupted, then the chip is reset. So the
time-out may be longer than the hardware can wait, and a person at the REPL is not thrown out.
"""

import time

from coldframe import hal
from micropython import const

_GRACE = const(5)  # looks that an interrupted program has to end
_RESERVE = const(256)  # bytes of heap for noting the end in the boot record


class Dog:
    limit = 0  # looks without feed(); 0 = no watchdog, only later()
    bitten = False  # the program was interrupted because it was stuck

    def __init__(self):
        self._paused = False
        self._wdt = self._timer = None
        self._looks = 0
        self._later = []

    def start(self, timeout, before, stuck):
        self._before = before
        self._stuck = stuck
        self._reserve = bytearray(_RESERVE)
        machine = hal.machine
        if hal.DOG_TIMER is not None and hasattr(machine, "Timer"):
            if hal.DOG_LONGEST and self._wdt is None:
                self._wdt = machine.WDT(timeout=hal.DOG_LONGEST)
            self.limit = max(2, timeout // 1000)
            self._tick()
        elif hasattr(machine, "WDT"):
            self._wdt = machine.WDT(timeout=timeout)
        else:
            raise OSError(19, "this board has no watchdog")
        self.feed()

    def _tick(self):
        if self._timer is None:
            machine = hal.machine
            self._timer = machine.Timer(hal.DOG_TIMER)
            self._timer.init(mode=machine.Timer.PERIODIC, period=1000, callback=self._look)

    def later(self, delay, function):
        self._later.append((time.ticks_add(time.ticks_ms(), delay), function))
        self._tick()

    def feed(self):
        self._looks = 0
        if self._timer is None and self._wdt:
            self._wdt.feed()

    def pause(self, on):
        self._paused = on
        self.bitten = False
        self.feed()

    def _look(self, _):
        # Looks are counted, not milliseconds: a chip that was busy with something in C for long, or a simulated board
        # whose PC was, has one look then, not many.
        if self._wdt:
            self._wdt.feed()
        for row in self._later:
            if time.ticks_diff(time.ticks_ms(), row[0]) >= 0:
                self._later.remove(row)
                row[1]()
                break
        if not self.limit or self._paused:
            return
        self._looks += 1
        if self._looks <= self.limit:
            return
        self._reserve = None  # the heap may be full
        if not self.bitten and self._stuck:
            self.bitten = True
            self._looks = self.limit - _GRACE
            if self._stuck():
                hal.interrupt()
                return  # without a jump: see hal.interrupt()
            return
        try:
            if self._before:
                self._before()
        finally:
            hal.reset()
