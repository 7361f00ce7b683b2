"""The part of the node that keeps the time of day: asks NTP servers, notices when somebody else sets the clock.

A small error is made good slowly, so that nothing happens twice; a large one at once. An answer that would move a
clock that was right by more than a quarter of an hour must be confirmed by another one.
"""

import asyncio
import os

from micropython import const

from . import clock, log, wallclock

_STEP = const(100)  # ms; a smaller error is made good at _SLEW
_SLEW = const(2000)  # ms of waiting in which the clock is moved by 1 ms: 500 ppm, as NTP does
_DOUBT = const(1000000)  # ms that a clock that was right can hardly be wrong by
_AGREE = const(2000)  # ms by which two servers may differ
_DAY = const(86400)  # s
_RARELY = const(
    _DAY * 1000
)  # ms; not even a server that wants to be asked less often is asked less often than that
_PAUSE = const(2000)  # ms before the same server is asked again
_FIRST = const(15000)  # ms to the second attempt, then twice as long each time
_LOOK = const(60000)  # ms between two looks at the chip's clock
_LOOK_SOON = const(10000)  # while somebody waits for event "clock"

_log = log.getLogger("time")
state = None  # the Keeper, for those who ask how it is


def start(node):
    """Add the service "time" to a node."""
    global state
    c = node.config
    if c["time.tz"]:
        try:
            from .timezone import parse

            parse(c["time.tz"])
        except ValueError as e:
            node._error("time.tz: %s" % e)
            _log.error("time.tz: %s", e)
    hosts = c["time.ntp"]
    if hosts is None:
        hosts = ("pool.ntp.org",) if c["wifi.networks"] else ()
    state = Keeper(node, hosts, c["time.every"] * 1000)
    node.service("time", state.run)


class Keeper:
    """What is known of the servers. Attributes: server (that has answered last), offset (ms by which the clock was
    wrong then), error (why none did, None if one has), failures in a row."""

    server = offset = error = None
    failures = 0

    def __init__(self, node, hosts, every):
        self.node = node
        self.hosts = list(hosts)
        self._every = every
        self._due = 0  # clock.ms()
        self._slew = 0  # ms still to be made good

    async def run(self):
        """Keep the time, for ever."""
        looked = -_LOOK
        while True:
            pause = _LOOK_SOON if "clock" in self.node._hooks else _LOOK
            now = clock.ms()
            if now - looked >= pause:
                looked = now
                moved = wallclock.look()
                if moved:
                    _log.warning("a program has moved the clock by %d s", int(moved))
                    self._slew = 0
                    self._due = 0  # is that right?
            if self.hosts and now >= self._due and self._network():
                await self._synchronise()
                now = clock.ms()
            wait = looked + pause - now
            if self._slew:
                step = 1 if self._slew > 0 else -1
                clock._offset += step
                self._slew -= step
                wait = _SLEW
            elif self.hosts:
                # While there is no network, look for it every second.
                wait = min(wait, max(1000, self._due - now))
            await asyncio.sleep_ms(wait)

    def _network(self):
        node = self.node
        if node.config["wifi.networks"]:
            return node.wifi and node.wifi.up.is_set()
        return True

    async def _synchronise(self):
        # Ask the servers in turn until one can be believed.
        from . import sntp

        doubtful = None
        hosts = list(self.hosts)
        for n, host in enumerate(hosts * 2):
            if n >= len(hosts) and doubtful is None:
                break  # the second round is for asking again only
            try:
                offset, distance = await sntp.query(host)
            except sntp.Kiss as e:
                self.error = "%s: %s" % (host, e)
                if e.code in ("DENY", "RSTR"):
                    _log.warning("%s; it is not asked any more", self.error)
                    if host in self.hosts:
                        self.hosts.remove(host)
                else:
                    self._every = min(self._every * 2, _RARELY)
                continue
            except OSError as e:
                self.error = "%s: %s" % (host, e)
                continue
            clock.unix_ms()  # so that there is an offset
            moved = offset - clock._offset
            if self._doubt(moved, offset) and (doubtful is None or abs(offset - doubtful) > _AGREE):
                self.error = "%s: it would move the clock by %d s, and nobody confirms that" % (
                    host,
                    moved // 1000,
                )
                doubtful = offset
                if n == len(hosts) - 1:
                    await asyncio.sleep_ms(_PAUSE)
                continue
            self._take(host, offset, moved)
            break
        if not self.error:
            self._wait(self._every)
            return
        if not self.failures:
            _log.warning("%s; trying again", self.error)
        self._wait(min(_FIRST << min(self.failures, 12), self._every))
        self.failures += 1

    def _doubt(self, moved, offset):
        # Whether an answer is hard to believe: who was right cannot be so wrong now, and no time comes twice.
        if clock.valid():
            return abs(moved) > _DOUBT
        known = wallclock.last_known()
        return known and offset + clock.ms() < (known - _DAY) * 1000

    def _take(self, host, offset, moved):
        first = self.error or wallclock.source != "ntp"
        self.server = host
        self.offset = moved
        self.error = None
        self.failures = 0
        self.hosts.remove(host)
        self.hosts.insert(0, host)
        was = clock.valid()
        if was and abs(moved) < _STEP:
            self._slew = moved
            wallclock.confirm("ntp")
        else:
            self._slew = 0
            wallclock.set(offset + clock.ms(), "ntp")
        if first or not self._slew:
            from .timezone import text

            _log.info("%s says %s%s", host, text(), ", the clock was %d ms off" % moved if was else "")

    def _wait(self, ms):
        # Not all devices of a house at the same moment.
        self._due = clock.ms() + ms - ms // 8 + int.from_bytes(os.urandom(3), "big") * (ms // 4) // 0xFFFFFF
