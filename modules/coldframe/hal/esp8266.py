"""ESP8266."""

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
RXBUF = const(512)
UART_PINS = False  # they are fixed


def keep(data):
    return _store(_RTC, data)


def kept():
    return _load(_RTC)
