"""What the time of day costs in RAM, and local time on every target."""

import asyncio
import gc

import minitest
from coldframe import Node, clock, timekeeper, timezone, wallclock


def test_local_time():
    timezone.use("CET-1CEST,M3.5.0,M10.5.0/3")
    minitest.equal(timezone.local(1795260896), (2026, 11, 21, 12, 34, 56, 5, 325, 3600, False))
    minitest.equal(timezone.text(1782900000), "2026-07-01T12:00:00+02:00")
    minitest.equal(timezone.to_unix(2026, 7, 1, 12), 1782900000)
    timezone.use("AEST-10AEDT,M10.1.0,M4.1.0/3")
    minitest.equal(timezone.text(1767225600), "2026-01-01T11:00:00+11:00")
    minitest.raises(ValueError, timezone.use, "Europe/Berlin")
    timezone.use(None)


def test_setting_the_clock():
    heard = []
    node = Node({"log": {"console": "OFF"}})
    node.on("clock", heard.append)
    minitest.raises(ValueError, wallclock.set, 1000, "user")
    before = clock.ms()
    wallclock.set(1795260896000, "user")
    assert clock.valid() and 0 <= timezone.unix() - 1795260896 <= 2
    assert clock.ms() - before < 2000  # the other clock has not jumped
    minitest.equal(len(heard), 1)
    wallclock.set(1795260896000 + 86400000, "user")
    assert 86390 < heard[1] < 86401, heard


async def test_what_it_keeps():
    node = Node({"log": {"console": "OFF"}, "time": {"ntp": []}})
    clock.valid()
    gc.collect()
    before = gc.mem_alloc()
    timekeeper.start(node)
    task = asyncio.create_task(timekeeper.state.run())
    for _ in range(5):
        await asyncio.sleep_ms(10)
    gc.collect()
    minitest.measure("time_kept", gc.mem_alloc() - before)
    task.cancel()


async def test_a_server_that_denies_is_not_asked_for_confirmation():
    from coldframe import timesync

    class Sntp:
        asked = []

        class Kiss(OSError):
            code = "DENY"

        async def query(self, host):
            self.asked.append(host)
            if len(self.asked) == 1:
                return clock._offset + 9000000, 5  # nobody believes that at once
            raise self.Kiss("no") if len(self.asked) == 2 else OSError("no answer")

    keeper = timekeeper.Keeper(Node({"log": {"console": "OFF"}}), ["a", "b"])
    before = clock._valid
    clock._valid = clock.unix_ms() > 0
    sntp = Sntp()
    await timesync._ask_all(keeper, sntp)
    clock._valid = before
    minitest.equal((sntp.asked, keeper.hosts), (["a", "b", "a"], ["a"]))


minitest.run(globals())
