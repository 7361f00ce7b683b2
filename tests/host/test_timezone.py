"""Local time on the device image against CPython's zoneinfo and the C library, for every rule that the world has."""

from __future__ import annotations

import datetime
import io
import json
import os
import random
import time
import zoneinfo
from importlib import resources
from pathlib import Path

import pytest
from host.simboards import image
from kit import images
from kit.simboard import SimBoard

FIRST = 1830297600  # 2028-01-01: what the rules have not said of the years before is over
LAST = 2524608000  # 2050-01-01
EACH = 150  # instants of each zone; more around the changes
PLACES = [
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/Moscow",
    "Europe/Athens",
    "Europe/Chisinau",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Johannesburg",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Adak",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Havana",
    "America/Asuncion",
    "America/Nuuk",
    "America/Scoresbysund",
    "America/Caracas",
    "Atlantic/Azores",
    "Atlantic/Cape_Verde",
    "Asia/Beirut",
    "Asia/Jerusalem",
    "Asia/Gaza",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Dhaka",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Asia/Dubai",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Australia/Perth",
    "Australia/Lord_Howe",
    "Australia/Eucla",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Easter",
    "Pacific/Norfolk",
    "Antarctica/Troll",
    "Etc/GMT+12",
]
# Forms that no place uses now: days by number, seconds, changes days away from midnight, summer all year, over the turn
# of the year. zoneinfo counts the days of the form "n" from 1 (it should be 0), the C library does not.
OTHERS = (
    "CET-1CEST,J60,J300",
    "CET-1CEST,59,299/3",
    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
    "EET-2EEST,M3.4.4/50,M10.4.4/50",
    "AAA-1:02:03BBB-2:03:04,M4.1.0/1:02:03,J300/-1:00:01",
    "AAA5BBB,M1.1.0/-167,M12.5.6/167",
    "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
    "EST5EDT",
)


def file_of(place: str) -> bytes:
    """A place's file, of the version that requirements.txt names, not that of this machine."""
    return resources.files("tzdata").joinpath("zoneinfo", *place.split("/")).read_bytes()


def rule(place: str) -> str:
    """The POSIX string at the end of a place's file: what holds from now on."""
    return file_of(place).rsplit(b"\n", 2)[1].decode()


def instants(local: object, seed: str) -> list[int]:
    """Instants all over the years, and the seconds around each change."""
    source = random.Random(seed)
    found = [source.randrange(FIRST, LAST) for _ in range(EACH)]
    step = 86400 * 7
    for start in range(FIRST, FIRST + 86400 * 365 * 3, step):
        low, high = start, start + step
        if local(low) == local(high):  # type: ignore[operator]
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if local(middle) == local(low):  # type: ignore[operator]
                low = middle
            else:
                high = middle
        found += [high - 3600, high - 1, high, high + 1, high + 3599, high + 3600]
    return found


def expected(zone: str, place: str | None) -> list[list[int]]:
    """[instant, year, month, day, hour, minute, second, weekday, day of the year, offset, is_dst] of many."""
    if place:
        info = zoneinfo.ZoneInfo.from_file(io.BytesIO(file_of(place)))

        def offset(when: int) -> object:
            return datetime.datetime.fromtimestamp(when, info).utcoffset()

        rows = []
        for when in instants(offset, zone):
            d = datetime.datetime.fromtimestamp(when, info)
            east, dst = d.utcoffset(), d.dst()
            assert east is not None and dst is not None
            rows.append([when, *d.timetuple()[:8], int(east.total_seconds()), int(bool(dst))])
        return rows
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        return [
            [when, *time.localtime(when)[:8], time.localtime(when).tm_gmtoff, time.localtime(when).tm_isdst]
            # In order: going back in time, the C library is now and then wrong by what it remembers.
            for when in sorted(instants(lambda when: time.localtime(when).tm_gmtoff, zone))
        ]
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


CHECK = """
import json
from coldframe import timezone
count = 0
with open("/rows.json") as f:
    for line in f:
        zone, backwards, rows = json.loads(line)
        timezone.use(zone)
        for row in rows:
            got = list(timezone.local(row[0]))
            got[9] = int(got[9])
            if got != row[1:]:
                print("WRONG", zone, row, got)
            # And back; an hour that comes twice is the first one.
            back = timezone.to_unix(*got[:6])
            if back != row[0] and (back > row[0] or list(timezone.local(back))[:6] != got[:6]):
                print("WRONG BACK", zone, row[0], back)
            count += 1
print("DONE", count)
"""


@pytest.mark.parametrize("board", ["UNIX", "UNIX32"])
def test_local_time_is_what_others_say(tmp_path: Path, board: str) -> None:
    program = image() if board == "UNIX" else images.path(board)
    assert program.exists(), f"{program} is missing; build it: python3 scripts/build.py {board}"
    rules = {rule(place): place for place in PLACES}
    with SimBoard(program, tmp_path / "node") as node:
        count = 0
        with (node.flash / "rows.json").open("w") as f:
            for zone, place in [*rules.items(), *((zone, None) for zone in OTHERS)]:
                rows = expected(zone, place)
                count += len(rows)
                f.write(json.dumps([zone, 0, rows]) + "\n")
        assert len(rules) > 35 and count > 6000
        node.put("main.py", CHECK)
        node.start()
        node.wait_for("DONE", 60)
        wrong = [line for line in node.console.splitlines() if "WRONG" in line]
        assert wrong == []
        assert f"DONE {count}" in node.console


GAPS = """
from coldframe import timezone
timezone.use("CET-1CEST,M3.5.0,M10.5.0/3")
print(timezone.to_unix(2026, 3, 29, 2, 30) == timezone.to_unix(2026, 3, 29, 3, 30))     # left out
print(timezone.local(timezone.to_unix(2026, 10, 25, 2, 30))[9])                         # the first of two
print([timezone.to_unix(*t) == timezone.to_unix(2027, 1, 1) for t in ((2026, 12, 32), (2026, 13, 1))])
print(timezone.text(1795260896), timezone.name(1795260896), timezone.name(1782000000))
timezone.use("XXX3EDT4,0/0,J365/23")      # daylight saving all year
print(all(timezone.local(t)[9] for t in range(1735689600, 1900000000, 86400 * 3 + 3541)))
for text in {wrong!r}:
    try:
        print("TAKEN", text, timezone.parse(text))
    except ValueError as e:
        assert "got " + repr(text) in str(e), e
print("DONE")
"""
WRONG = (
    "", "C", "CE-1", "CET", "-1", "CET-25", "CET-1:60", "CET--1", "CET-1 ", "CET-1:", "CET-1CEST,", "CET-1CEST,M3.5.0",
    "CET-1CEST,M13.1.0,M1.1.0", "CET-1CEST,M0.1.0,M1.1.0", "CET-1CEST,M3.6.0,M1.1.0", "CET-1CEST,M3.5.7,M10.5.0",
    "CET-1CEST,M3.5,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0,M1.1.1", "CET-1CEST,M3.5.0/168,M10.5.0", "CET-1CEST,J0,J5",
    "CET-1CEST,M3.5.0/,M10.5.0", "CET-1CEST,J366,J5", "CET-1CEST,366,5", "CET-1CEST,M3.5.0x,M10.5.0", "<+03-3", "<+>-3",
    "<a_b>3", "Europe/Berlin", "\u00c4\u00d6\u00dc-1",
)  # fmt: skip


def test_gaps_and_what_is_no_zone(tmp_path: Path) -> None:
    with SimBoard(image(), tmp_path / "node") as node:
        node.put("main.py", GAPS.replace("{wrong!r}", repr(WRONG)))
        node.start()
        node.wait_for("DONE", 20)
        assert node.console.splitlines()[:5] == [
            "True",
            "True",
            "[True, True]",
            "2026-11-21T12:34:56+01:00 CET CEST",
            "True",
        ], node.console
        assert "TAKEN" not in node.console and "Error" not in node.console
