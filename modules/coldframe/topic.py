"""What a node publishes and what it listens to."""

from .callback import arity


class Topic:
    """One topic of a node.

    topic    "./x" is below the node's base topic, anything else is absolute.
    read     function that gives the value to publish; sync or async. str and bytes go out as they are, anything
             else as JSON, None not at all.
    action   function for incoming messages; sync or async. Takes (topic, payload), (payload) or nothing. payload is
             a str, or bytes if it is not UTF-8 text.
    every    seconds between two readings, None = only on demand.
    reverse  True: the reverse topic is the topic with "_" at its end. A message there forces a reading; an action's
             return value is published there. A str: another name for it. False: none.
    qos      0 or 1, for publishing and subscribing.
    retain   whether the broker keeps the last value.

    With both read and action, commands come in on "X/set" and the value goes out on "X", after each command too.
    """

    # Defaults live in the class: what an instance does not need costs it no RAM.
    read = action = every = reverse = None
    read_args = action_args = qos = 0
    retain = False
    value = None  # what was last published
    due = None  # clock.ms() of the next reading
    busy = False  # a reading is under way
    wake = None  # battery mode: read on each such wake, False = on none, None = as every= says

    def __init__(self, topic, read=None, action=None, every=None, reverse=True, qos=0, retain=False):
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
        if qos not in (0, 1):
            raise ValueError("topic %s: expected qos 0 or 1, got %r" % (name, qos))
        self.topic = topic
        if read is not None:
            self.read = read
            self.read_args = arity(read)
        if action is not None:
            self.action = action
            self.action_args = arity(action)
        if every is not None:
            self.every = every
        if qos:
            self.qos = qos
        if retain:
            self.retain = True
        if reverse is True:
            reverse = topic + "_"
        if reverse and "+" not in reverse and "#" not in reverse:
            self.reverse = reverse

    @property
    def command(self):
        """The topic that the action listens to, None without an action."""
        if self.action:
            return self.topic + "/set" if self.read else self.topic

    def __repr__(self):
        return "Topic(%r)" % self.topic
