"""coldframe.timing: when topics are due, with a clock that the test moves."""

import minitest
from coldframe import Topic, TopicRoutine, clock, timezone

ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"  # 2027: forward on March 28 at 02:00, back on October 31 at 03:00
READ = 1
PUBLISH = 2
ALL = 3


class World:
    """Stands for clock: a monotonic clock, and a time of day that can be set."""

    def __init__(self, *local, **options):
        timezone.use(options.get("zone", ZONE))
        self.ms = 5000000
        self.unix = timezone.to_unix(*local) * 1000
        self.known = options.get("known", True)
        self.before = (clock.ms, clock.unix_ms, clock.valid)
        clock.ms = lambda: self.ms
        clock.unix_ms = lambda: self.unix
        clock.valid = lambda: self.known

    def __enter__(self):
        return self

    def __exit__(self, *args):
        clock.ms, clock.unix_ms, clock.valid = self.before
        timezone.use(None)

    def next(self, topic, drift=0):
        """Let time pass until the topic is due; returns the local time, and what is to be done."""
        if topic.due is None:
            topic.timing.begin(topic, self.ms)
        step = max(0, topic.due - self.ms)
        self.ms += step
        self.unix += step - drift
        return self.now(), topic.timing.fire(topic, self.ms)

    def times(self, topic, count):
        return [self.next(topic)[0][:16] for _ in range(count)]

    def now(self):
        t = timezone.local(self.unix // 1000)
        return "%04d-%02d-%02d %02d:%02d:%02d" % t[:6]

    def set(self, topic, seconds):
        """Somebody sets the clock."""
        self.unix += seconds * 1000
        self.known = True
        topic.timing.moved(topic, seconds)


def _topic(**options):
    return Topic("./t", read=lambda: 1, **options)


def test_multiples_of_the_clock():
    with World(2026, 11, 21, 11, 52, 7) as world:
        t = _topic(every=900, align=True)
        minitest.equal(world.next(t), ("2026-11-21 12:00:00", ALL))
        minitest.equal(world.next(t), ("2026-11-21 12:15:00", ALL))
        world.unix = timezone.to_unix(2026, 11, 21, 23, 50) * 1000
        minitest.equal(world.next(_topic(every=7 * 3600, align=True)), ("2026-11-22 00:00:00", ALL))
    # India is half an hour off: multiples are those of the local day.
    with World(2026, 11, 21, 11, 52, 7, zone="IST-5:30") as world:
        minitest.equal(
            world.times(_topic(every=3600, align=True), 2), ["2026-11-21 12:00", "2026-11-21 13:00"]
        )


def test_multiples_over_daylight_saving():
    with World(2027, 3, 28, 1, 20) as world:
        t = _topic(every=1800, align=True)
        minitest.equal([s[11:] for s in world.times(t, 4)], ["01:30", "03:00", "03:30", "04:00"])
    with World(2027, 10, 31, 1, 50) as world:
        t = _topic(every=1800, align=True)
        minitest.equal(
            [s[11:] for s in world.times(t, 6)], ["02:00", "02:30", "02:00", "02:30", "03:00", "03:30"]
        )
    for day, month in ((28, 3), (31, 10)):
        with World(2027, month, day, 0, 10) as world:
            t = _topic(every=6 * 3600, align=True)
            minitest.equal([s[11:] for s in world.times(t, 3)], ["06:00", "12:00", "18:00"])
    # A multiple in the hour that is left out is as much later as the clocks are put forward, and comes once.
    for every, expected in ((7200, ["03:00", "04:00", "06:00"]), (9000, ["03:30", "05:00", "07:30"])):
        with World(2027, 3, 28, 0, 10) as world:
            minitest.equal([s[11:] for s in world.times(_topic(every=every, align=True), 3)], expected)
    # Cuba puts its clocks forward at midnight.
    with World(2027, 3, 13, 12, 0, zone="CST5CDT,M3.2.0/0,M11.1.0/1") as world:
        t = _topic(every=86400, align=True)
        minitest.equal(world.times(t, 2), ["2027-03-14 01:00", "2027-03-15 00:00"])


def test_times_of_day():
    with World(2026, 11, 21, 11, 52) as world:
        t = _topic(at=("18:00", "06:30"))
        minitest.equal(world.times(t, 3), ["2026-11-21 18:00", "2026-11-22 06:30", "2026-11-22 18:00"])
        minitest.equal(world.next(_topic(at="18:00:05"))[0], "2026-11-22 18:00:05")


def test_an_hour_that_is_skipped_and_one_that_is_doubled():
    with World(2027, 3, 27, 12, 0) as world:
        # 02:30 does not exist on the 28th: it is as much later as the clocks are put forward.
        minitest.equal(world.times(_topic(at="02:30"), 2), ["2027-03-28 03:30", "2027-03-29 02:30"])
    with World(2027, 3, 28, 1, 0) as world:
        # Which puts it behind another one, and that must not be left out.
        minitest.equal(
            world.times(_topic(at=("02:30", "03:00")), 3),
            ["2027-03-28 03:00", "2027-03-28 03:30", "2027-03-29 02:30"],
        )
    with World(2027, 10, 30, 12, 0) as world:
        t = _topic(at="02:30")
        minitest.equal(world.next(t)[0], "2027-10-31 02:30:00")
        minitest.equal(timezone.local(world.unix // 1000)[9], True)  # the first of the two
        minitest.equal(world.next(t)[0], "2027-11-01 02:30:00")


def test_a_clock_that_is_not_set_yet():
    with World(2021, 1, 1, 0, 0, known=False) as world:
        t = _topic(at="06:30")
        aligned = _topic(every=900, align=True)
        for _ in range(3):
            minitest.equal(world.next(t)[1], 0)  # looks again every hour
        minitest.equal([world.next(aligned)[1] for _ in range(2)], [ALL, ALL])  # by the plain interval
        for topic in (t, aligned):
            topic.timing.begin(topic, world.ms)
        jump = timezone.to_unix(2026, 11, 21, 6, 20) - world.unix // 1000
        world.set(t, jump)
        minitest.equal(world.next(t), ("2026-11-21 06:30:00", ALL))
        aligned.timing.moved(aligned, jump)
        minitest.equal(world.next(aligned), ("2026-11-21 06:45:00", ALL))


def test_a_clock_that_jumps():
    with World(2026, 11, 21, 6, 29, 50) as world:
        t = _topic(at=("06:30", "18:00"))
        t.timing.begin(t, world.ms)
        world.set(t, 30)  # over the time: it is made up for
        minitest.equal(world.next(t), ("2026-11-21 06:30:20", ALL))
        world.set(t, -40)  # back over it: it is not done twice
        minitest.equal(world.next(t), ("2026-11-21 18:00:00", ALL))
        world.set(t, 3 * 86400)  # far: what lies between is over
        minitest.equal(world.next(t), ("2026-11-25 06:30:00", ALL))
        world.set(t, -30 * 86400)  # it was wrong before
        minitest.equal(world.next(t), ("2026-10-26 18:00:00", ALL))


def test_clocks_that_run_apart():
    # The crystal of the time of day is slower than the other one: it is a second early, and does not fire twice.
    with World(2026, 11, 21, 6, 0) as world:
        t = _topic(every=600, align=True)
        minitest.equal([world.next(t, 1000)[0][11:] for _ in range(3)], ["06:09:59", "06:19:59", "06:29:59"])


def test_jitter():
    with World(2026, 11, 21, 6, 0) as world:
        t = _topic(every=60, jitter=10)
        begin = world.ms
        at = []
        for _ in range(40):
            world.next(t)
            at.append(world.ms - begin)
        late = [ms - 60000 * i for i, ms in enumerate(at)]
        assert all(0 <= ms <= 10000 for ms in late), late  # and no drift
        assert max(late) - min(late) > 2000, late
        t = _topic(at="12:00", jitter=10)
        now, what = world.next(t)
        assert "2026-11-21 12:00:00" <= now <= "2026-11-21 12:00:10", now


def test_two_intervals():
    with World(2026, 11, 21, 6, 0) as world:
        t = _topic(read_every=10, every=30)
        minitest.equal([world.next(t)[1] for _ in range(2)], [ALL, READ])
        t.value = 5
        minitest.equal([world.next(t)[1] for _ in range(5)], [READ, ALL, READ, READ, ALL])
        t = _topic(read_every=30, every=10)
        minitest.equal(world.next(t)[1], ALL)
        t.value = 5
        minitest.equal([world.next(t)[1] for _ in range(3)], [PUBLISH, PUBLISH, ALL])
        t = _topic(read_every=10)
        minitest.equal([world.next(t)[1] for _ in range(3)], [READ, READ, READ])


def test_a_routine_by_the_clock():
    with World(2026, 11, 21, 6, 0) as world:
        minitest.equal(world.next(TopicRoutine(_topic, at="07:00")), ("2026-11-21 07:00:00", ALL))


def test_wrong_schedules():
    for expected, options in (
        ('such as "06:30"', {"at": "6"}),
        ('such as "06:30"', {"at": ("24:00",)}),
        ('such as "06:30"', {"at": (630,)}),
        ("not both", {"at": "06:30", "every": 5}),
        ("align= goes with every=", {"align": True}),
        ("align= goes with every=", {"align": True, "every": 0.5}),
        ("read_every= is a number", {"read_every": "5"}),
        ("jitter= is a number", {"every": 5, "jitter": -1}),
    ):
        error = minitest.raises(ValueError, lambda: _topic(**options))
        assert expected in str(error), error
    error = minitest.raises(ValueError, lambda: Topic("./t", action=print, at="06:30"))
    assert "wants a function to read" in str(error), error


def test_time_over_mqtt_is_whole():
    # Else the clock would be a float from then on, which on small chips is right to two minutes.
    from coldframe import timemqtt

    timezone.use("UTC0")
    for payload in ("[2026, 11, 21, 5, 12, 34, 56.5, 0]", "[2026.0, 11, 21, 5, 12, 34, 56]", "1795264496.5"):
        ms = timemqtt.parse(payload)
        assert isinstance(ms, int) and ms // 1000 == 1795264496, (payload, ms)
    for payload in ("[2026, 1e999, 1, 1, 1, 1, 1]", "[2026, 1, 1, 1, 1, 1, [1]]"):
        minitest.raises(ValueError, timemqtt.parse, payload)
    timezone.use(None)


minitest.run(globals())
