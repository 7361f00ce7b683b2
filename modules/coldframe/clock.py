"""A clock that only goes forward, and the time of day beside it.

``time.ticks_ms()`` starts again from 0 after 12 days and ``time.time()`` jumps when the time of day is set.
ms() and seconds() do neither, as long as one of them is called every 6 days (the running node does). Everything of
ours that waits goes by them, so that a time of day that jumps disturbs nothing.

The time of day is this clock plus an offset, which is set by wallclock: so it goes by the chip's crystal, also where
the chip's RTC is worse.
"""

import time

_last = time.ticks_ms()
_total = 0
_offset = None  # ms from ms() to the time of day; None while nobody has asked for it
_valid = False
source = None  # who has set it last: "ntp", "mqtt", "certificate", "rtc" (a program, behind our back) or who you said
when = None  # ms() of then


def ms():
    """Milliseconds since this module was first imported."""
    global _last, _total
    now = time.ticks_ms()
    _total += time.ticks_diff(now, _last)
    _last = now
    return _total


def seconds():
    """Whole seconds since this module was first imported."""
    return ms() // 1000


def unix_ms():
    """Milliseconds since 1970-01-01 UTC, on every port; as right as valid() says."""
    if _offset is None:
        from . import forget
        from .wallclock import restore

        restore()
        forget("wallclock")
    return _offset + ms()


def valid():
    """Whether the time of day is known: somebody who knows has set it since the chip lost it."""
    if _offset is None:
        unix_ms()
    return _valid
