"""The time of day over MQTT, for devices that reach a broker but no NTP server.

The device sends "_" to TOPIC_ when it connects, every 10 seconds until it has an answer, then every hour. Whoever knows
the time answers on TOPIC, with one of

    [2026, 11, 21, 5, 12, 34, 56, 0]     year, month, day, weekday, hour, minute, second, part of a second, as
                                         FmPyIOT's server sends it; in the local time of time.tz. The weekday is not
                                         looked at, nor is the part of a second
    1795260896                           seconds since 1970-01-01 UTC, or milliseconds
    2026-11-21T12:34:56+01:00            ISO 8601; without an offset in local time, "Z" is UTC

An NTP server that answers is believed, not this. A message that a broker had kept is old: what comes in during the
first second of a connection is not looked at.
"""

import asyncio
import json

from micropython import const

from . import clock, log, timezone, wallclock

_ASK = const(10)  # s between two questions while the time is not known
_HOUR = const(3600)
_KEPT = const(1000)  # ms in which the broker hands out what it had kept

_log = log.getLogger("time")


def start(node):
    """Add the service "time.mqtt" to a node."""
    topic = node.config["time.mqtt"]
    if "+" in topic or "#" in topic:
        raise ValueError("time.mqtt: expected a topic without + and #, got %r" % topic)
    keeper = _Asker(node, topic)
    node.subscribe(topic, keeper.answer)
    node.on("up", keeper.up)
    node.service("time.mqtt", keeper.run)


class _Asker:
    def __init__(self, node, topic):
        self.node = node
        self.topic = topic
        self._since = 0  # clock.ms() of the connection
        self._wake = asyncio.Event()

    def up(self):
        self._since = clock.ms()
        self._wake.set()

    async def run(self):
        while True:
            self._wake.clear()
            wait = _HOUR
            client = self.node.client
            if client and client.up.is_set():
                await asyncio.sleep_ms(_KEPT)
                if not _ntp(self.node):
                    await self.node.publish(self.topic + "_", "_")
                    if not clock.valid() or clock.source != "mqtt":
                        wait = _ASK
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except asyncio.TimeoutError:
                pass

    def answer(self, payload):
        if not self._since or clock.ms() - self._since < _KEPT or _ntp(self.node):
            return
        ms = parse(payload)
        if not wallclock.believable(ms):
            raise ValueError("expected a time from 2025 to 2059, got %r" % payload)
        moved = ms - clock.unix_ms()
        was = clock.valid()
        # The way here takes longer than that, and many send whole seconds.
        if was and -1000 < moved < 1000:
            wallclock.confirm("mqtt")
        else:
            wallclock.set(ms, "mqtt")
            _log.info(
                "%s says %s%s",
                self.topic,
                timezone.text(),
                ", the clock was %d s off" % (moved // 1000) if was else "",
            )


def _ntp(node):
    # Whether an NTP server has answered lately.
    return (
        clock.source == "ntp" and clock.valid() and clock.ms() - clock.when < node.config["time.every"] * 2000
    )


def parse(payload):
    """Unix milliseconds of one of the forms above. payload: str or bytes. Raises ValueError."""
    try:
        text = payload.strip() if isinstance(payload, str) else payload.decode().strip()
        if text[0] in "[(":
            # Whole numbers only: one that is not would make all of clock inexact for ever.
            t = [int(x) for x in json.loads("[" + text[1:-1] + "]")[:7]]
            return _local(t[0], t[1], t[2], t[4], t[5], t[6]) * 1000
        if "-" not in text[1:]:
            number, part = _split(text)  # a float of a small chip has not enough digits
            number = int(number)
            return number if number > 100000000000 else number * 1000 + int((part + "000")[:3])
        return _iso(text.strip('"'))
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError):
        raise ValueError(
            "expected [year, month, day, weekday, hour, minute, second, 0], Unix seconds or ISO 8601, got %r"
            % (payload,)
        )


def _iso(text):
    # 2026-11-21T12:34[:56[.789]][Z|+01:00|+0100|+01], "T" may be a blank.
    date, clock_ = text[:10], text[11:]
    if text[10] not in "Tt ":
        raise ValueError
    offset = None
    if clock_[-1] in "Zz":
        clock_ = clock_[:-1]
        offset = 0
    for sign in "+-":
        at = clock_.find(sign)
        if at > 0:
            digits = clock_[at + 1 :].replace(":", "")
            if len(digits) not in (2, 4):
                raise ValueError
            offset = int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60
            if sign == "-":
                offset = -offset
            clock_ = clock_[:at]
    clock_, part = _split(clock_)
    y, mo, d = [int(x) for x in date.split("-")]
    hms = [int(x) for x in clock_.split(":")]
    if not 2 <= len(hms) <= 3:
        raise ValueError
    h, mi, s = hms + [0] * (3 - len(hms))
    ms = int((part + "000")[:3]) if part else 0
    _check(y, mo, d, h, mi, s)
    if offset is None:
        return timezone.to_unix(y, mo, d, h, mi, s) * 1000 + ms
    return (timezone.utc(y, mo, d) + h * 3600 + mi * 60 + s - offset) * 1000 + ms


def _split(text):
    # What stands before and after the point.
    parts = text.split(".", 1)
    return parts if len(parts) > 1 else (text, "")


def _local(*t):
    _check(*t)
    return timezone.to_unix(*t)


def _check(y, mo, d, h, mi, s):
    if not (
        1 <= mo <= 12
        and 1 <= d <= 31
        and 0 <= h <= 24
        and 0 <= mi <= 59
        and 0 <= s <= 60
        and 1970 <= y < 3000
    ):
        raise ValueError
