"""Setting the time of day, and keeping it over restarts. Needed for moments; coldframe.clock tells the time.

The chip's RTC runs on over a soft reset, on the ESP32 over every reset; only a loss of power stops it everywhere. What
it shows is believed when it is past 2025, as chips begin in 2000, 1970 or 2021. A chip that has lost the time
gets the last one that was known, from a file: it is too early, but better for dates of files and certificates than
2021. It does not count as valid, also not after a soft reset: the file remembers.
"""

import sys
import time

import coldframe

from . import clock, hal, log, store

FILE = "/clock.rec"  # one byte: 1 = the time was known, 0 = it is one that had been remembered; 5 bytes: Unix seconds
FIRST = 1735689600  # 2025-01-01: no time of day before it is believed
LAST = 2840140800  # 2060-01-01: nor any after it
_DAILY = 86400  # s between two writes of the file

EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0  # of this port, in Unix seconds


def believable(ms):
    """Whether a time of day in Unix milliseconds can be the present."""
    return FIRST * 1000 <= ms < LAST * 1000


def set(ms, by, sure=True):
    """Set the time of day, ours and the chip's, and tell it to the node (event "clock").

    ms: milliseconds since 1970-01-01 UTC, at this moment. by: who says so, for the log; sure: whether he knows.
    Returns the seconds by which the clock was moved. ValueError if it cannot be the present.
    """
    if sure and not believable(ms):
        raise ValueError("time: expected one from 2025 to 2059, got %d seconds since 1970" % (ms // 1000))
    before = clock.unix_ms()
    moved = ms - before
    clock._offset += moved
    clock._valid = sure
    clock.source = by
    clock.when = clock.ms()
    _set_rtc()
    if sure:
        _remember(ms // 1000)
    _tell(moved / 1000)
    return moved / 1000


def confirm(by):
    """Note that the time of day is right as it is. by: who says so."""
    clock.source = by
    clock.when = clock.ms()
    clock._valid = True
    _remember(clock.unix_ms() // 1000)


def last_known():
    """The last time of day in the file, in Unix seconds, 0 if there is none: it cannot be earlier than that."""
    return _remembered()[0]


def stamp_log():
    """Let the log show times of day, in local time, while the clock is right."""
    if not clock._valid:
        log.ring.wall = None
        return
    ms = clock.unix_ms()
    node = coldframe.node
    if node and node.config.get("time.tz"):
        ms += _zone("local", ms // 1000)[8] * 1000
    log.ring.wall = divmod(ms, 86400000)


def text():
    """The present as ISO 8601 in local time."""
    return _zone("text")


def _zone(name, *args):
    # A function of timezone, which stays only if it was there.
    there = "coldframe.timezone" in sys.modules
    from . import timezone

    try:
        return getattr(timezone, name)(*args)
    finally:
        if not there:
            coldframe.forget("timezone")


def restore():
    """Learn the time of day from the chip, or from the file if the chip has lost it. Done at the first question."""
    at, was_sure = _remembered()
    now = rtc_ms()
    kept = now >= FIRST * 1000 and not stale()
    if not kept and at and at * 1000 > now:
        now = at * 1000 + clock.ms()
        if was_sure:
            _write(at, 0)
        clock._offset = now - clock.ms()
        _set_rtc()
    clock._offset = now - clock.ms()
    clock._valid = kept and (was_sure or not at)


def look():
    """See whether a program has set the chip's RTC behind our back, and follow it. Returns seconds moved, 0 if not."""
    moved = rtc_ms() - clock.unix_ms()
    if -2000 < moved < 2000 or not hasattr(hal.machine, "RTC"):
        stamp_log()  # summer may have begun
        return 0
    if hal.RTC_DRIFTS:
        _set_rtc()  # nobody has set it, it is as bad as that
        return 0
    clock._offset += moved
    clock._valid = rtc_ms() >= FIRST * 1000
    clock.source = "rtc"
    clock.when = clock.ms()
    _tell(moved / 1000)
    return moved / 1000


def rtc_ms():
    """The chip's own time of day in Unix milliseconds."""
    try:
        return time.time_ns() // 1000000 + EPOCH * 1000
    except AttributeError:
        return (time.time() + EPOCH) * 1000


def stale():
    """Whether the chip's RTC stood still over this start."""
    return hal.RTC_DRIFTS and time.ticks_ms() < 10000


def _set_rtc():
    ms = clock.unix_ms()
    if not hal.SUBSECOND:
        ms += 500
    try:
        hal.set_clock(time.gmtime(ms // 1000 - EPOCH)[:6], ms % 1000)
    except OSError:
        pass  # a board without one: clock alone knows the time


def _tell(seconds):
    stamp_log()
    node = coldframe.node
    if node:
        node.emit("clock", seconds)


def _remembered():
    try:
        data = store.read(FILE, 6)
    except (OSError, ValueError):
        data = None
    if not data or len(data) != 6 or data[0] > 1:
        return 0, False
    at = int.from_bytes(data[1:], "big")
    return (at, data[0] == 1) if FIRST <= at < LAST else (0, False)


def _remember(seconds):
    # Not more often than it needs: the flash wears out.
    at, sure = _remembered()
    if not sure or abs(seconds - at) > _DAILY:
        _write(seconds, 1)


def _write(seconds, sure):
    try:
        store.write(FILE, bytes((sure,)) + seconds.to_bytes(5, "big"))
    except OSError as e:
        log.warning("%s: %s", FILE, e)  # a full flash must not cost the time
