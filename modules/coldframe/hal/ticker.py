"""hal.ticks(): a function that is called again and again, whatever program runs. Imported where it is asked for."""

from coldframe import hal
from micropython import const

_LOOK = const(1000)  # ms between two looks of the watchdog


class _Shared:
    # The watchdog's timer, made faster; it has its looks as before.

    def __init__(self, dog, period, function):
        self._dog = dog
        self._period = period
        self._function = function
        self._passed = 0
        self._start(period, self._tick)

    def _start(self, period, callback):
        timer = self._dog._timer
        timer.init(mode=hal.machine.Timer.PERIODIC, period=period, callback=callback)

    def _tick(self, timer):
        self._passed += self._period
        if self._passed >= _LOOK:
            self._passed = 0
            self._dog._look(timer)
        self._function(timer)

    def deinit(self):
        self._start(_LOOK, self._dog._look)


def start(period, function):
    """See hal.ticks()."""
    number = hal.DOG_TIMER
    if number is None or not hasattr(hal.machine, "Timer"):
        return None
    dog = hal._dog
    if number >= 0 and dog and dog._timer:
        return _Shared(dog, period, function)
    timer = hal.machine.Timer(number)
    timer.init(mode=hal.machine.Timer.PERIODIC, period=period, callback=function)
    return timer
