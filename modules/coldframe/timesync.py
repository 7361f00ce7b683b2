"""Asking NTP servers for the time of day, and noticing when somebody else sets the clock. Used by timekeeper only.

A small error is made good slowly, so that nothing happens twice; a large one at once. An answer that would move a
clock that was right by more than a quarter of an hour must be confirmed by another one.
"""

import asyncio
import os

from micropython import const

import coldframe

from . import clock, log, wallclock

_STEP = const(100)  # ms; a smaller error is made good slowly
_DOUBT = const(1000000)  # ms that a clock that was right can hardly be wrong by
_AGREE = const(2000)  # ms by which two servers may differ
_DAY = const(86400)  # s
_RARELY = const(
    86400000
)  # ms; not even a server that wants to be asked less often is asked less often than that
_PAUSE = const(2000)  # ms before the same server is asked again
_FIRST = const(15000)  # ms to the second attempt, then twice as long each time

_log = log.getLogger("time")


def hosts(node):
    """The servers that a node asks, as a list. Reports a time zone that is none."""
    c = node.config
    if c["time.tz"]:
        from .timezone import parse

        try:
            parse(c["time.tz"])
        except ValueError as e:
            node._error("time.tz: %s" % e)
            _log.error("time.tz: %s", e)
        coldframe.forget("timezone")
    found = c["time.ntp"]
    if found is None:
        found = ("pool.ntp.org",) if c["wifi.networks"] else ()
    return list(found)


def look(keeper):
    """See whether a program has set the chip's clock. Returns what is to be added to time.time() for Unix seconds."""
    moved = wallclock.look()
    if moved:
        _log.warning("a program has moved the clock by %d s", int(moved))
        keeper.slew = 0
        keeper.due = 0  # is that right?
    epoch = wallclock.EPOCH
    coldframe.forget("wallclock")
    return epoch


async def synchronise(keeper):
    """Ask the servers in turn until one can be believed."""
    from . import sntp

    try:
        await _ask_all(keeper, sntp)
    finally:
        coldframe.forget("sntp")
        coldframe.forget("wallclock")


async def _ask_all(keeper, sntp):
    doubtful = None
    hosts = list(keeper.hosts)
    for n, host in enumerate(hosts * 2):
        if n >= len(hosts) and doubtful is None:
            break  # the second round is for asking again only
        if host not in keeper.hosts:
            continue  # it has said meanwhile that it does not want to be asked
        try:
            offset, distance = await sntp.query(host)
        except sntp.Kiss as e:
            keeper.error = "%s: %s" % (host, e)
            if e.code in ("DENY", "RSTR"):
                _log.warning("%s; it is not asked any more", keeper.error)
                if host in keeper.hosts:
                    keeper.hosts.remove(host)
            else:
                keeper.every = min(_every(keeper) * 2, _RARELY)
            continue
        except (OSError, ImportError) as e:  # a board without a network
            keeper.error = "%s: %s" % (host, e)
            continue
        clock.unix_ms()  # so that there is an offset
        moved = offset - clock._offset
        if _doubt(moved, offset) and (doubtful is None or abs(offset - doubtful) > _AGREE):
            keeper.error = "%s: it would move the clock by %d s, and nobody confirms that" % (
                host,
                moved // 1000,
            )
            doubtful = offset
            if n == len(hosts) - 1:
                await asyncio.sleep_ms(_PAUSE)
            continue
        _take(keeper, host, offset, moved)
        break
    if not keeper.error:
        _wait(keeper, _every(keeper))
        return
    if not keeper.failures:
        _log.warning("%s; trying again", keeper.error)
    _wait(keeper, min(_FIRST << min(keeper.failures, 12), _every(keeper)))
    keeper.failures += 1


def _every(keeper):
    return keeper.every or keeper.node.config["time.every"] * 1000


def _doubt(moved, offset):
    # Whether an answer is hard to believe: who was right cannot be so wrong now, and no time comes twice.
    if clock.valid():
        return abs(moved) > _DOUBT
    known = wallclock.last_known()
    return known and offset + clock.ms() < (known - _DAY) * 1000


def _take(keeper, host, offset, moved):
    first = keeper.error or clock.source != "ntp"
    keeper.server = host
    keeper.offset = moved
    keeper.error = None
    keeper.failures = 0
    keeper.hosts.remove(host)
    keeper.hosts.insert(0, host)
    was = clock.valid()
    keeper.slew = 0
    if was and abs(moved) < _STEP:
        keeper.slew = moved
        wallclock.confirm("ntp")
    else:
        wallclock.set(offset + clock.ms(), "ntp")
    if first or abs(moved) >= _STEP:
        _log.info("%s says %s%s", host, wallclock.text(), ", the clock was %d ms off" % moved if was else "")


def _wait(keeper, ms):
    # Not all devices of a house at the same moment.
    keeper.due = clock.ms() + ms - ms // 8 + int.from_bytes(os.urandom(3), "big") * (ms // 4) // 0xFFFFFF
