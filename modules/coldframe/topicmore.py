"""What few topics need: further options, readings with a limit of age, waiting for a reading."""

from . import clock
from .callback import call

OPTIONS = ("read_every", "jitter", "align", "at", "offline", "meta", "wake")


def configure(topic, options):
    """Take the options of a Topic beyond the common ones.

    read_every  seconds between two readings; every= is then only how often the last value is published.
    jitter      seconds; each value comes up to so much later, by chance, so that many devices do not speak at once.
    align       True: the values come at multiples of every= since midnight, local time (every=900: at :00, :15 ...).
    at          times of day, local time, "06:30" or "06:30:15", or a tuple of them.
    offline     True: read on schedule also while there is no connection.
    meta        dict: what Home Assistant is told about it, see docs/discovery.md.
    wake        with power.mode "battery": False = never read, a number = each so many wakes.
    Raises TypeError for an unknown option, ValueError for a wrong one.
    """
    for name in options:
        if name not in OPTIONS:
            raise TypeError(
                "topic %r: unknown option %s; expected one of read, action, every, reverse, qos, retain, %s"
                % (topic.topic, name, ", ".join(OPTIONS))
            )
    if options.get("offline"):
        topic.offline = True
        topic.waits = False
    if options.get("wake") is not None:
        topic.wake = options["wake"]
    meta = options.get("meta")
    if meta is not None:
        if not isinstance(meta, dict):
            raise ValueError("topic %r: expected a dict for meta, got %r" % (topic.topic, meta))
        topic.meta = meta
    timing = [options.get(name) for name in ("read_every", "jitter", "align", "at")]
    if any(timing):
        from .timing import Timing

        if topic.read is None and not topic.offline:
            raise ValueError("topic %r: a schedule wants a function to read" % topic.topic)
        topic.timing = Timing(topic, *timing)


async def get(topic, max_age):
    """See Topic.get()."""
    if topic.read is None:
        raise ValueError("topic %r: has nothing to read" % topic.topic)
    while True:
        if topic.time is not None and max_age and clock.seconds() - topic.time <= max_age:
            return topic.value
        if not topic.busy:
            break
        before = topic.time
        await next_value(topic)  # somebody else is reading
        if topic.time != before:
            return topic.value
    topic.busy = True
    try:
        value = await call(topic.read, topic.read_args, topic.topic, None)
        if value is not None:
            topic.value = value
            topic.time = clock.seconds()
        return value
    finally:
        topic.busy = False
        done(topic)


def done(topic):
    """A reading is over: wake who waits for it."""
    event = topic.event
    if event:
        event.set()
        event.clear()


async def next_value(topic):
    """See Topic.next()."""
    if topic.event is None:
        from asyncio import Event

        topic.event = Event()
    await topic.event.wait()
    return topic.value
