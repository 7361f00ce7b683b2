"""The watchdog. Imported only where watchdog.timeout is set.

A timer looks once a second whether the program has called feed() in time. If so it feeds the hardware watchdog,
which takes care of what stops even the timer; if not, the chip is reset. So the time-out may be longer than the
hardware can wait, and a person at the REPL is not thrown out.
"""

import time

from coldframe import hal


class Dog:
    def __init__(self, timeout, before):
        machine = hal.machine
        self._limit = timeout
        self._before = before
        self._paused = False
        self._wdt = self._timer = None
        self.feed()
        if hal.DOG_TIMER is not None and hasattr(machine, "Timer"):
            if hal.DOG_LONGEST:
                self._wdt = machine.WDT(timeout=hal.DOG_LONGEST)
            self._timer = machine.Timer(hal.DOG_TIMER)
            self._timer.init(mode=machine.Timer.PERIODIC, period=1000, callback=self._look)
        elif hasattr(machine, "WDT"):
            self._wdt = machine.WDT(timeout=timeout)
        else:
            raise OSError(19, "this board has no watchdog")

    def feed(self):
        self._fed = time.ticks_ms()
        if self._timer is None and self._wdt:
            self._wdt.feed()

    def pause(self, on):
        self._paused = on
        self.feed()

    def _look(self, _):
        if not self._paused and time.ticks_diff(time.ticks_ms(), self._fed) > self._limit:
            try:
                if self._before:
                    self._before()
            finally:
                hal.reset()
        elif self._wdt:
            self._wdt.feed()
