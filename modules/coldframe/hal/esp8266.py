"""ESP8266."""

import machine
from micropython import const
from .words import load as _load
from .words import store as _store

# The last three words of the 512 bytes of RTC memory that programs may use. machine.RTC().memory() has the same
# bytes but fills them from the front, so the two meet only when a program stores more than 470 bytes there. (The
# log's last lines lie in the 256 bytes before these words.)
_RTC = const(0x60001200 + 512 - 12)

SUBSECOND = const(1)
RTC_DRIFTS = True
DOG_TIMER = const(-1)
SLEEP_LONGEST = const(4200000)  # the counter of the sleep ends after 71 minutes
JOIN_WRITES = True
RXBUF = const(512)
UART_PINS = False  # they are fixed


def keep(data):
    return _store(_RTC, data)


def kept():
    return _load(_RTC)


def reset_cause():
    """See hal.reset_cause(). The numbers are those of rst_reason in Espressif's SDK (user_interface.h)."""
    n = machine.reset_cause()
    return ("power", "watchdog", "crash", "watchdog", "soft", "deepsleep", "hard")[n] if n < 7 else "unknown"
