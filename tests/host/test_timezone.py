"""Local time on the device image against CPython's zoneinfo: the rules of the world, and forms that nobody uses."""

from __future__ import annotations

import datetime
import io
import json
import random
import re
import struct
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
# Forms that no place uses now, and what zoneinfo is asked for instead where that is not the same: it wants the rules to
# be there, and counts the days of the form "n" from 1 (POSIX: from 0).
OTHERS = {
    "CET-1CEST,J60,J300": None,
    "CET-1CEST,59,299/3": "CET-1CEST,60,300/3",
    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0": None,
    "EET-2EEST,M3.4.4/50,M10.4.4/50": None,
    "AAA-1:02:03BBB-2:03:04,M4.1.0/1:02:03,J300/-1:00:01": None,
    "AAA5BBB,M1.1.0/-167,M12.5.6/167": None,
    "<-04>4<-03>,M9.1.6/24,M4.1.6/24": None,
    "EST5EDT": "EST5EDT,M3.2.0,M11.1.0",
}


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


def made(zone: str) -> bytes:
    """A file (RFC 8536) that holds nothing but a POSIX string."""
    head = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    body = struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return head + body + head + body + b"\n" + zone.encode() + b"\n"


def expected(zone: str, file: bytes) -> list[list[int]]:
    """[instant, year, month, day, hour, minute, second, weekday, day of the year, offset, is_dst] of many."""
    info = zoneinfo.ZoneInfo.from_file(io.BytesIO(file))

    def offset(when: int) -> object:
        return datetime.datetime.fromtimestamp(when, info).utcoffset()

    rows = []
    for when in instants(offset, zone):
        d = datetime.datetime.fromtimestamp(when, info)
        east, dst = d.utcoffset(), d.dst()
        assert east is not None and dst is not None
        rows.append([when, *d.timetuple()[:8], int(east.total_seconds()), int(bool(dst))])
    return rows


CHECK = """
import json
from coldframe import timezone
count = 0
with open("/rows.json") as f:
    for line in f:
        zone, rows = json.loads(line)
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
            files = {zone: file_of(place) for zone, place in rules.items()}
            files |= {zone: made(other or zone) for zone, other in OTHERS.items()}
            for zone, file in files.items():
                rows = expected(zone, file)
                count += len(rows)
                f.write(json.dumps([zone, rows]) + "\n")
        assert len(rules) > 35 and count > 6000
        node.put("main.py", CHECK)
        node.start()
        node.wait_for(re.compile(r"DONE \d+\s"), 60)
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
