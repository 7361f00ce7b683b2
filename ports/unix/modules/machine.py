"""The hardware of the simulated board, with the interface of MicroPython's machine module.

Where ports differ, it does as the rp2 port does; reset causes are those of the esp32 port, which tells more of them.
"""

import time

import _simboard
import simulated
from micropython import const
from simulated import world
from simulated.bus import I2C, SPI, SoftI2C, SoftSPI  # noqa: F401
from simulated.pins import ADC, PWM, Pin, bitstream, dht_readinto  # noqa: F401
from simulated.uart import UART  # noqa: F401
from umachine import *  # idle, Signal, disable_irq, enable_irq, time_pulse_us, soft_reset

PWRON_RESET = const(1)
HARD_RESET = const(2)
WDT_RESET = const(3)
DEEPSLEEP_RESET = const(4)
SOFT_RESET = const(5)

_freq = 125000000


def reset():
    """Restart the board; reset_cause() is then HARD_RESET."""
    _simboard.reset(HARD_RESET)


def reset_cause():
    """PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET or SOFT_RESET."""
    return simulated.reset_cause


def unique_id():
    """8 bytes, kept in the node's folder."""
    return simulated.unique_id


def freq(hz=None):
    """CPU clock in Hz; setting it changes nothing but what is returned."""
    global _freq
    if hz is None:
        return _freq
    _freq = hz


def lightsleep(ms=None):
    """Wait, for ever without an argument."""
    while ms is None:
        time.sleep_ms(1000)
    time.sleep_ms(ms)


def deepsleep(ms=None):
    """Switch everything off for ms milliseconds (None: for ever), then start anew with cause DEEPSLEEP_RESET."""
    _simboard.air(1, False)
    _simboard.on_event(None)
    _simboard.show("sleep", -1 if ms is None else ms)
    lightsleep(ms)
    _simboard.reset(DEEPSLEEP_RESET)


def bootloader(_=None):
    """A real board would wait for a new firmware now; this one ends."""
    print(
        "machine.bootloader(): a real board would now wait for a new firmware; the simulated board is switched off."
    )
    _simboard.cut()


class Timer:
    """A timer that calls callback(timer). Only id -1 or a number that tells timers apart; all of them are virtual."""

    ONE_SHOT = const(0)
    PERIODIC = const(1)

    def __init__(self, id=-1, **options):
        self._n = None
        if options:
            self.init(**options)

    def init(self, *, mode=1, period=-1, freq=-1, tick_hz=1000, callback=None, hard=False):
        """Start it anew: every period ms (or freq times a second), or once after that time."""
        self.deinit()
        ms = int(1000 / freq) if freq != -1 else period * 1000 // tick_hz
        self._callback, self._once = callback, mode == Timer.ONE_SHOT
        self._n = world.timer(self._fire)
        _simboard.timer(self._n, max(1, ms), not self._once)

    def _fire(self):
        if self._once:
            self.deinit()
        if self._callback:
            self._callback(self)

    def deinit(self):
        if self._n is not None:
            world.release(self._n)
            self._n = None


class RTC:
    """The clock. It runs on over every reset, and is the PC's after power-on unless the world says "clock": "unset"."""

    def __init__(self, id=0):
        pass

    def datetime(self, t=None):
        """(year, month, day, weekday from Monday = 0, hours, minutes, seconds, microseconds); sets it if given."""
        if t is None:
            ns = time.time_ns()
            g = time.gmtime(ns // 1000000000)
            return (g[0], g[1], g[2], g[6], g[3], g[4], g[5], ns // 1000 % 1000000)
        _simboard.set_clock(time.mktime((t[0], t[1], t[2], t[4], t[5], t[6], 0, 0)), t[7])

    def memory(self, data=None):
        """Up to 2048 bytes that outlive resets and deep sleep, not a loss of power."""
        return _simboard.rtc() if data is None else _simboard.rtc(data)


class WDT:
    """The hardware watchdog: resets the board unless fed within timeout ms, even if Python hangs.

    Nothing but a reset stops it.
    """

    def __init__(self, id=0, timeout=5000):
        if timeout < 1:
            raise ValueError("timeout: expected 1 ms or more")
        self._timeout = timeout
        self.feed()

    def feed(self):
        _simboard.watchdog(self._timeout)


def retained():
    """A bytearray over 8 KiB of RAM that resets leave alone; noise after power-on. Only on the simulated board."""
    return _simboard.retained()
