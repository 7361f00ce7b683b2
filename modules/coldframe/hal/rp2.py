"""RP2040: Raspberry Pi Pico and Pico W."""

import machine
from micropython import const
from .words import load as _load
from .words import store as _store

# Registers of the watchdog (RP2040 datasheet, 4.7.6). Its scratch registers 0 to 3 are free for programs; a
# watchdog or software reset leaves them, a loss of power clears them.
_CTRL = const(0x40058000)
_REASON = const(0x40058008)
_ENABLE = const(0x40000000)
_SCRATCH = const(0x4005800C)

DOG_LONGEST = const(8000)  # ms; the counter of the hardware ends at 8388
DOG_TIMER = const(-1)
MDNS = True
LED = "LED"  # on the Pico W the light hangs on the Wi-Fi chip, and only this name reaches it


def keep(data):
    return _store(_SCRATCH, data)


def kept():
    return _load(_SCRATCH)


def reset_cause():
    """See hal.reset_cause(). The watchdog makes every reset by software, too; its register tells the two apart."""
    if SLEPT:
        return "deepsleep"
    if machine.reset_cause() != machine.WDT_RESET:
        return "power"  # or the RUN pin
    return "soft" if machine.mem32[_REASON] & 2 else "watchdog"


def dog_off():
    """Stop the hardware watchdog, also one that a soft reset has left running."""
    machine.mem32[_CTRL + 0x3000] = (
        _ENABLE  # +0x3000: clear the bits that are 1 here (RP2040 datasheet, 2.1.2)
    )


# This chip has no deep sleep that ends by itself and starts the program anew: doze() comes nearest. The fourth scratch
# register tells the next start what it was.
_SLEPT = const(0x40058018)
_MARK = const(0x5DEE9)
SLEPT = machine.mem32[_SLEPT] == _MARK
machine.mem32[_SLEPT] = 0


def doze(ms):
    """Wait with the clocks low, then reset the chip."""
    from time import ticks_add, ticks_diff, ticks_ms

    while ms > 0:
        part = min(ms, 3600000)  # machine.lightsleep() takes no more than 71 minutes
        end = ticks_add(ticks_ms(), part)
        while ticks_diff(end, ticks_ms()) > 0:  # any interrupt ends it
            machine.lightsleep(max(2, ticks_diff(end, ticks_ms())))
        ms -= part
    machine.mem32[_SLEPT] = _MARK
    machine.reset()


def dog_on():
    """Let it go on."""
    machine.mem32[_CTRL + 0x2000] = _ENABLE  # set bits
