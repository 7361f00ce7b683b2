"""Ctrl-C as a character like any other, for as long as somebody reads the console who looks for it.

Packets of Improv hold that byte, see improv. So that no program can lock a person out, beat() must be called every two
seconds; else Ctrl-C interrupts again.
"""

from time import ticks_diff, ticks_ms

import micropython
from micropython import const

from . import hal

_STUCK = const(2000)  # ms
_LOOK = const(500)  # ms
_CTRL_C = const(3)

_timer = None
_beat = 0
held = False


def hold():
    """From now on Ctrl-C is a character."""
    global held, _timer, _beat
    _beat = ticks_ms()
    held = True
    micropython.kbd_intr(-1)  # also if it was before: each program starts with Ctrl-C switched on
    if _timer is None and hal.DOG_TIMER is not None:
        number = hal.DOG_TIMER
        try:
            _timer = hal.machine.Timer(number if number < 0 else number + 1)
            _timer.init(mode=hal.machine.Timer.PERIODIC, period=_LOOK, callback=_look)
        except (OSError, ValueError):
            _timer = None  # there are no more timers


def beat():
    """Somebody reads the console."""
    global _beat
    _beat = ticks_ms()


def release():
    """From now on Ctrl-C interrupts."""
    global held, _timer
    if held:
        held = False
        micropython.kbd_intr(_CTRL_C)
    if _timer:
        _timer.deinit()
        _timer = None


def _look(_):
    if ticks_diff(ticks_ms(), _beat) > _STUCK:
        release()
