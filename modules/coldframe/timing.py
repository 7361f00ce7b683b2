"""Schedules beyond "every so many seconds": two intervals, jitter, multiples on the clock, times of day.

Intervals go by the monotonic clock. What goes by the time of day is reckoned anew whenever that is set ("clock").
"""

from random import getrandbits

from micropython import const

from . import clock

READ = const(1)
PUBLISH = const(2)

_DAY = const(86400)
_FAR = const(3600)  # s; when the clock is set by more, what lies between is not made up for
_LATER = const(3600000)  # ms until the next look while the time of day is not known


class Timing:
    """When a Topic is read and published.

    Args: topic: the Topic; read_every, jitter, align, at: see topicmore.configure(). Raises ValueError.
    """

    read_at = None  # clock.ms() of the next reading, with read_every
    publish_at = None  # clock.ms() of the next publishing
    base = 0  # the same without jitter
    done = None  # unix seconds up to which the times of day are done
    mark = 0  # unix seconds of the next time of day

    def __init__(self, topic, read_every, jitter, align, at):
        for name, value in (("read_every", read_every), ("jitter", jitter)):
            if value is not None and (not isinstance(value, (int, float)) or value < 0):
                raise ValueError("topic %r: %s= is a number of seconds, got %r" % (topic.topic, name, value))
        self.read_every = read_every
        self.jitter = int((jitter or 0) * 1000)
        self.align = bool(align)
        if at is not None:
            if topic.every:
                raise ValueError("topic %r: expected every= or at=, not both" % topic.topic)
            at = sorted(_seconds(topic, text) for text in ((at,) if isinstance(at, str) else at))
        self.at = at
        if align and (not topic.every or topic.every != int(topic.every) or topic.every > _DAY):
            raise ValueError(
                "topic %r: align= goes with every= of whole seconds, a day at most, got %r"
                % (topic.topic, topic.every)
            )

    def begin(self, topic, now):
        """Start anew at clock.ms() now: the connection has come up, or the topic is new. Sets topic.due."""
        self.read_at = now if self.read_every else None
        self.done = None
        self._reckon(topic, now)

    def fire(self, topic, now):
        """It is time. Sets topic.due and returns what is to be done: READ, PUBLISH, both or 0."""
        what = 0
        if self.read_at is not None and now >= self.read_at:
            what = READ
            self.read_at = step(self.read_at, now, self.read_every)
        if self.publish_at is not None and now >= self.publish_at:
            if self.mark:
                self.done = max(self.mark, clock.unix_ms() // 1000)
                what |= PUBLISH
                self._reckon(topic, now)
            elif topic.every:
                what |= PUBLISH
                self.base = step(self.base, now, topic.every)
                self.publish_at = self.base + self._chance()
            else:  # times of day that are not known yet
                self._reckon(topic, now)
        if what == PUBLISH and (not self.read_every or topic.value is None):
            what |= READ
        self._due(topic, now)
        return what

    def moved(self, topic, seconds):
        """The time of day was set, by so many seconds."""
        if self.at or self.align:
            if abs(seconds) > _FAR:
                self.done = None
            self._reckon(topic, clock.ms())

    def _reckon(self, topic, now):
        self.mark = 0
        self.publish_at = None
        if (self.at or self.align and topic.every) and clock.valid():
            ms = clock.unix_ms()
            if self.done is None:
                self.done = ms // 1000
            self.mark = self._after(topic.every, self.done)
            self.publish_at = now + max(0, self.mark * 1000 - ms) + self._chance()
        elif self.at:
            self.publish_at = now + _LATER
        elif topic.every:
            self.base = now
            self.publish_at = now + self._chance()
        self._due(topic, now)

    def _due(self, topic, now):
        due = self.publish_at
        if due is None or self.read_at is not None and self.read_at < due:
            due = self.read_at
        topic.due = now + _LATER if due is None else due

    def _chance(self):
        return getrandbits(30) % (self.jitter + 1) if self.jitter else 0

    def _after(self, every, done):
        # The first time of day behind a moment, both in unix seconds.
        from . import timezone

        t = timezone.local(done)
        if self.at:
            # An hour that does not exist on that day, or comes twice, is to_unix()'s matter.
            for day in (0, 1, 2):
                # Where an hour is left out, the times in it come after some that are later on the clock.
                days = [timezone.to_unix(t[0], t[1], t[2] + day, 0, 0, second) for second in self.at]
                days = [when for when in days if when > done]
                if days:
                    return min(days)
        every = max(1, int(every))
        second = t[3] * 3600 + t[4] * 60 + t[5]
        mark = min(second - second % every + every, _DAY)
        when = done + mark - second
        if (t[8] - timezone.local(when)[8]) % every:  # the clocks are changed meanwhile
            return max(timezone.to_unix(t[0], t[1], t[2], 0, 0, mark), done + 1)
        return when


def watch(node):
    """Reckon the times of day of all its topics anew whenever the time of day is set."""
    if "timed" in node._hooks:
        return
    node._hooks["timed"] = ()  # no event, only a mark that it has been done

    def moved(seconds):
        for topic in node.topics:
            if topic.timing and topic.due is not None:
                topic.timing.moved(topic, seconds)
        node.due = 0

    node.on("clock", moved)


def step(last, now, seconds):
    """The next time of an interval, without drift; what was missed is not made up for."""
    ms = int(seconds * 1000)
    return now + ms if now - last > ms else last + ms


def _seconds(topic, text):
    try:
        parts = [int(part) for part in text.split(":")]
        h, m, s = parts if len(parts) == 3 else parts + [0]
        if 0 <= h < 24 and 0 <= m < 60 and 0 <= s < 60:
            return h * 3600 + m * 60 + s
    except (AttributeError, TypeError, ValueError):
        pass
    raise ValueError('topic %r: expected times such as "06:30" for at, got %r' % (topic.topic, text))
