"""A clock that only goes forward.

``time.ticks_ms()`` starts again from 0 after 12 days and ``time.time()`` jumps when the time of day is set.
These two do neither, as long as one of them is called every 6 days (the running node does).
"""

import time

_last = time.ticks_ms()
_total = 0


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
