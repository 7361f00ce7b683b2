"""Local time, by the rules of a POSIX time zone string such as "CET-1CEST,M3.5.0,M10.5.0/3".

    from coldframe import timezone

    timezone.local()            # (2026, 11, 21, 12, 34, 56, 5, 325, 3600, False)
    timezone.unix()             # 1795260896
    timezone.to_unix(2026, 11, 21, 12, 34, 56)

The zone is `time.tz` of the configuration, else UTC; use() sets another one. The format is that of POSIX
(IEEE Std 1003.1, 8.3, TZ) with the extension of RFC 8536, 3.3.1: the times at which daylight saving begins and ends
may be -167:59:59 to 167:59:59. All seconds here are counted from 1970-01-01 UTC, whatever the port counts time.time()
from.
"""

from micropython import const

import coldframe

from . import clock

_DAY = const(86400)

_zone = None  # (name, offset, name in summer, offset in summer, its beginning, its end); the last four may be None
_span = (0, 0, 0, False)  # answer of the last search: (first second, first second after it, offset, is_dst)


def unix():
    """Seconds since 1970-01-01 UTC; as right as clock.valid() says."""
    return clock.unix_ms() // 1000


def local(when=None):
    """The local time of an instant.

    when: seconds since 1970-01-01 UTC; None = now.
    Returns (year, month, day, hour, minute, second, weekday from Monday = 0, day of the year from 1, seconds east of
    UTC, whether that is daylight-saving time).
    """
    if when is None:
        when = unix()
    offset, dst = _at(when)
    days, s = divmod(when + offset, _DAY)
    year, month, day = _date(days)
    return (
        year,
        month,
        day,
        s // 3600,
        s // 60 % 60,
        s % 60,
        (days + 3) % 7,
        days - _days(year, 1, 1) + 1,
        offset,
        dst,
    )


def to_unix(year, month, day, hour=0, minute=0, second=0):
    """Seconds since 1970-01-01 UTC of a local time.

    Numbers beyond their range count on: day 32 of a month is in the next one, hour 24 on the next day. An hour that
    comes twice when the clocks go back is the first one; one that is left out when they go forward is moved by as
    much as the clocks are.
    """
    month -= 1
    wall = (
        (_days(year + month // 12, month % 12 + 1, 1) + day - 1) * _DAY + hour * 3600 + minute * 60 + second
    )
    zone = _zone or _configured()
    offsets = (zone[1],) if zone[2] is None else (max(zone[1], zone[3]), min(zone[1], zone[3]))
    for offset in offsets:
        if _at(wall - offset)[0] == offset:
            return wall - offset
    return wall - offsets[-1]


def utc(year, month, day):
    """Seconds since 1970-01-01 UTC of the beginning of a date in UTC."""
    return _days(year, month, day) * _DAY


def name(when=None):
    """The zone's short name at an instant, such as "CET" or "CEST". when: as for local()."""
    dst = _at(unix() if when is None else when)[1]
    return _zone[2] if dst else _zone[0]


def text(when=None):
    """An instant as ISO 8601 in local time, "2026-11-21T12:34:56+01:00". when: as for local()."""
    t = local(when)
    offset = t[8]
    out = "%04d-%02d-%02dT%02d:%02d:%02d" % t[:6]
    if not offset:
        return out + "Z"
    return "%s%s%02d:%02d" % (out, "-" if offset < 0 else "+", abs(offset) // 3600, abs(offset) // 60 % 60)


def use(zone):
    """Change the zone. zone: POSIX string, None = that of the configuration. Raises ValueError for what is none."""
    global _zone, _span
    _zone = parse(zone) if zone is not None else None
    _span = (0, 0, 0, False)


def _configured():
    # The zone of the configuration. One that is wrong has been reported when the node started.
    global _zone
    node = coldframe.node
    try:
        _zone = parse(node.config["time.tz"] or "UTC0")
    except (AttributeError, KeyError, ValueError):
        _zone = ("UTC", 0, None, None, None, None)
    return _zone


def _at(when):
    # (offset, is_dst) of an instant.
    global _span
    if _span[0] <= when < _span[1]:
        return _span[2:]
    zone = _zone or _configured()
    if zone[2] is None:
        return zone[1], False
    # Summer is from its beginning to the end that follows. The years around count as well, as rules may reach a week
    # into another year; where one summer ends as the next one begins, it goes on (daylight saving all year).
    before = -1 << 62
    after = 1 << 62
    summer = False
    year = _date((when + zone[1]) // _DAY)[0]
    for y in (year - 1, year, year + 1):
        begin = _moment(zone[4], y) - zone[1]
        end = _moment(zone[5], y) - zone[3]
        for change in (begin, end):
            if change > when:
                after = min(after, change)
            else:
                before = max(before, change)
        if end <= begin:  # south of the equator
            end = _moment(zone[5], y + 1) - zone[3]
        if begin <= when < end:
            summer = True
    _span = (before, after, zone[3] if summer else zone[1], summer)
    return _span[2:]


def _moment(rule, year):
    # When a rule applies in a year, in seconds of the clock on the wall.
    kind, month, week, day, at = rule
    first = _days(year, 1, 1)
    if kind == "J":  # 1 to 365, February 29 is never counted
        days = first + day - 1
        if day > 59 and _days(year, 3, 1) - first == 60:
            days += 1
    elif kind == "M":
        first = _days(year, month, 1)
        # 0 is Sunday in a rule, and 1970-01-01, day 0, was a Thursday.
        days = first + (day - 4 - first) % 7 + (week - 1) * 7
        if days >= _days(year + month // 12, month % 12 + 1, 1):  # week 5 is the last one
            days -= 7
    else:  # 0 to 365
        days = first + day
    return days * _DAY + at


def _days(year, month, day):
    # Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March here, so that the day that
    # comes every four years is its last.
    if month < 3:
        year -= 1
        month += 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (month * 153 - 457) // 5 + day - 719469


def _date(days):
    # (year, month, day) of a number of days since 1970-01-01; the inverse of _days().
    days += 719468
    n = days % 146097  # in the 400 years
    y = (n - n // 1460 + n // 36524 - n // 146096) // 365
    n -= y * 365 + y // 4 - y // 100
    m = (n * 5 + 2) // 153  # 0 is March
    year = days // 146097 * 400 + y
    return (year if m < 10 else year + 1), m + 3 if m < 10 else m - 9, n - (m * 153 + 2) // 5 + 1


def parse(text):
    """Take a time zone string apart.

    Returns (name, seconds east of UTC, and of daylight saving, None if there is none: name, seconds east of UTC, rule
    of its beginning, rule of its end); a rule is (kind "J", "n" or "M", month, week, day, second of the day).
    Raises ValueError.
    """
    try:
        return _parse(text)
    except (ValueError, IndexError):
        raise ValueError('expected a time zone such as "CET-1CEST,M3.5.0,M10.5.0/3", got %r' % (text,))


def _parse(text):
    std, i = _name(text, 0)
    n, i = _time(text, i, 24)
    if i == len(text):
        return std, -n, None, None, None, None
    dst, i = _name(text, i)
    summer = n - 3600
    if i < len(text) and text[i] != ",":
        summer, i = _time(text, i, 24)
    # Without rules: those of the USA, as everybody does.
    rules = text[i + 1 :].split(",") if i < len(text) else ("M3.2.0", "M11.1.0")
    if len(rules) != 2:
        raise ValueError
    return std, -n, dst, -summer, _rule(rules[0]), _rule(rules[1])


def _name(text, i):
    # Three or more letters, or anything of letters, digits and signs in <>.
    begin = i
    if text[i] == "<":
        end = text.index(">", i)
        begin += 1
        good = "0123456789+-"
        i = end + 1
    else:
        while i < len(text) and _letter(text[i]):
            i += 1
        end = i
        good = ""
    name = text[begin:end]
    if len(name) < 3 or not all(_letter(c) or c in good for c in name):
        raise ValueError
    return name, i


def _letter(c):
    return "a" <= c <= "z" or "A" <= c <= "Z"


def _time(text, i, most):
    # [+-]hh[:mm[:ss]] in seconds; hours from 0 to most.
    sign = 1
    if text[i] in "+-":
        sign = -1 if text[i] == "-" else 1
        i += 1
    total = 0
    for k in range(3):
        begin = i
        while i < len(text) and "0" <= text[i] <= "9":
            i += 1
        number = int(text[begin:i])
        if number > (59 if k else most) or i - begin > 3:
            raise ValueError
        total = total * 60 + number
        if k == 2 or text[i : i + 1] != ":":
            break
        i += 1
    for _ in range(2 - k):
        total *= 60
    return sign * total, i


def _rule(text):
    second = 7200
    at = text.find("/")
    if at >= 0:
        second, i = _time(text, at + 1, 167)
        if i != len(text):
            raise ValueError
        text = text[:at]
    date = text
    kind = date[0]
    if kind == "M":
        month, week, day = [_number(part) for part in date[1:].split(".")]
        if not (1 <= month <= 12 and 1 <= week <= 5 and day <= 6):
            raise ValueError
        return kind, month, week, day, second
    day = _number(date[1:] if kind == "J" else date)
    if day > 365 or kind == "J" and not day:
        raise ValueError
    return ("J" if kind == "J" else "n"), 0, 0, day, second


def _number(text):
    if not text.isdigit():
        raise ValueError
    return int(text)
