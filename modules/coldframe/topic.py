"""What a node publishes and what it listens to."""

from .callback import arity


class Topic:
    """One topic of a node.

    topic    "./x" is below the node's base topic, anything else is absolute.
    read     function that gives the value to publish; sync or async. str and bytes go out as they are, anything
             else as JSON, None not at all.
    action   function for incoming messages; sync or async. Takes (topic, payload), (payload) or nothing. payload is
             a str, or bytes if it is not UTF-8 text.
    every    seconds between two values that are published, None = only on demand.
    reverse  True: the reverse topic is the topic with "_" at its end. A message there forces a reading; an action's
             return value is published there. A str: another name for it. False: none.
    qos      0, 1 or 2, for publishing and subscribing.
    retain   whether the broker keeps the last value.
    more     what few topics have, see topicmore.configure(): read_every, jitter, align, at, offline, meta.

    With both read and action, commands come in on "X/set" and the value goes out on "X", after each command too.
    Attributes: the above; value (what was last read or published), time (clock.seconds() of that), errors (how
    often one of its functions has failed).
    """

    # Defaults live in the class: what an instance does not need costs it no RAM.
    read = action = every = meta = None
    wake = None  # battery mode: read on each such wake, False = on none, None = as every= says
    _reverse = True
    read_args = action_args = qos = errors = 0
    retain = False
    value = time = None
    due = None  # clock.ms() of what the schedule does next with it; None: it has not looked yet
    busy = False  # a reading is under way; 2: and it has been told that it takes too long
    offline = False  # whether the schedule goes on without a connection
    waits = True  # whether publishing with QoS 1 or 2 waits for the acknowledgement
    timing = None  # more about the schedule, see timing.py
    event = None  # asyncio.Event, set for a moment after each reading; see next()

    # What kinds of topics may have: called with the node when the topic was added, after it was removed, when the
    # connection has come up; and, with the node and a value that the schedule has read, whether to publish it.
    added = removed = up = wants = None

    def __init__(self, topic, read=None, action=None, every=None, reverse=True, qos=0, retain=False, **more):
        name = repr(topic)
        if not isinstance(topic, str) or not topic or topic == "./":
            raise ValueError("topic %s: expected a name such as './temperature'" % name)
        if read is None and action is None:
            raise ValueError("topic %s: expected read=, action= or both" % name)
        for what, function in (("read", read), ("action", action)):
            if function is not None and not callable(function):
                raise ValueError("topic %s: expected a function for %s, got %r" % (name, what, function))
        if read is not None and ("+" in topic or "#" in topic):
            raise ValueError("topic %s: wildcards can be listened to, not published" % name)
        if every is not None and (read is None or not isinstance(every, (int, float)) or every <= 0):
            raise ValueError(
                "topic %s: every= is the seconds between readings, above 0, got %r" % (name, every)
            )
        if qos not in (0, 1, 2):
            raise ValueError("topic %s: expected qos 0, 1 or 2, got %r" % (name, qos))
        self.topic = topic
        if read is not None:
            self.read = read
            count = arity(read)
            if count:
                self.read_args = count
        if action is not None:
            self.action = action
            count = arity(action)
            if count:
                self.action_args = count
        if every is not None:
            self.every = every
        if qos:
            self.qos = qos
        if retain:
            self.retain = True
        if reverse is not True:
            self._reverse = reverse or None
        if more:
            from .topicmore import configure

            configure(self, more)

    @property
    def reverse(self):
        """The name of the reverse topic, None if there is none."""
        name = self._reverse
        if name is True:
            name = self.topic + "_"
        if name and "+" not in name and "#" not in name:
            return name

    @property
    def command(self):
        """The topic that the action listens to, None without an action."""
        if self.action:
            return self.topic + "/set" if self.read else self.topic

    async def get(self, max_age=0):
        """The value, read now unless the last one is at most max_age seconds old. Publishes nothing.

        What the reading raises passes through. None if it has given nothing.
        """
        from .topicmore import get

        return await get(self, max_age)

    async def next(self):
        """Wait for the next reading, whoever makes it, and return its value."""
        from .topicmore import next_value

        return await next_value(self)

    def __repr__(self):
        return "Topic(%r)" % self.topic
