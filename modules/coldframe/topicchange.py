"""Topics that are published when their value has changed enough."""

from . import clock
from .topic import Topic


class TopicOnChange(Topic):
    """A Topic whose value is read often, and published when it has changed enough.

    every    seconds between two readings.
    change   how much a number must differ from the last one that was published; 0 = any difference.
    percent  the same in percent of the last one that was published. Not both.
    at_least seconds after which it is published even if it has not changed; None = never.
    Other options as for Topic. What is not a number is published when it is not equal. The first value, the first one
    after the connection has come up, and what the reverse topic asks for are always published.
    """

    percent = at_least = None
    change = 0
    _last = None  # what was published last
    _told = None  # clock.seconds() of that

    def __init__(self, topic, read, every=None, change=0, percent=None, at_least=None, **options):
        super().__init__(topic, read, None, every, **options)
        for name, value in (("change", change), ("percent", percent), ("at_least", at_least)):
            if value is not None and (not isinstance(value, (int, float)) or value < 0):
                raise ValueError("topic %r: expected a number for %s, got %r" % (topic, name, value))
        if change and percent is not None:
            raise ValueError("topic %r: expected change= or percent=, not both" % topic)
        if change:
            self.change = change
        if percent is not None:
            self.percent = percent
        if at_least is not None:
            self.at_least = at_least

    def up(self, node):
        """The connection has come up: whatever the value is, it is news."""
        self._last = None

    def wants(self, node, value):
        """Whether a value is to be published."""
        now = clock.seconds()
        if self._same(value) and (self.at_least is None or now - self._told < self.at_least):
            return False
        # A function may give the same list each time, with another content.
        copy = getattr(value, "copy", None)
        self._last = copy() if copy else bytes(value) if isinstance(value, bytearray) else value
        self._told = now
        return True

    def _same(self, value):
        last = self._last
        if last is None:
            return False
        if not _number(value) or not _number(last):
            return value == last
        if value != value or last != last:  # "not a number" differs from itself
            return value != value and last != last
        if value == last:
            return True
        if self.percent is not None:
            return abs(value - last) * 100 < self.percent * abs(last)
        return abs(value - last) < self.change


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
