"""When which topic is to be read and published."""

import asyncio

from micropython import const

from . import clock

_LONGEST = const(5000)  # ms between two looks at all topics, for programs that change Topic.every
_PULSE = 500  # ms between two calls


def read_due(node):
    """Start what is due. Called at least twice a second; looks at the topics only when one of them is due.

    Topics wait for a connection, except those that are marked offline. Returns ms until the next call, 1 to 500.
    """
    if node.power and not node.power.open:
        return _PULSE  # each wake has its readings
    now = clock.ms()
    if now >= node.due:
        node.due = now + _LONGEST
        up = node.client is not None and node.client.up.is_set()
        for topic in node.topics:
            timing = topic.timing
            if (topic.every or timing) and (up or topic.offline or timing and timing.read_every):
                try:
                    if topic.due is None or now >= topic.due:
                        _start(node, topic, now, up or topic.offline)
                    if topic.due < node.due:
                        node.due = topic.due
                except Exception as e:
                    topic.due = now + 60000
                    node.report(topic.topic, e)
    return max(1, min(_PULSE, node.due - now))


def _start(node, topic, now, publish):
    # Set the next time, and do what is to be done now.
    what = 3
    if topic.timing:
        if topic.due is None:
            topic.timing.begin(topic, now)
            if now < topic.due:
                return
        what = topic.timing.fire(topic, now)
        if not publish:
            what &= 1
    else:
        step = int(topic.every * 1000)
        # Without drift, but what was missed is not made up for.
        topic.due = now + step if topic.due is None or now - topic.due > step else topic.due + step
    if what & 1:
        if not topic.busy:
            asyncio.create_task(node.force(topic, None, what == 3, True))
        elif topic.busy is True:
            topic.busy = 2
            node.log.warning("%s: the reading before is still under way", topic.topic)
    elif what:
        asyncio.create_task(node.send(topic, topic.value))


def renew(node):
    """The connection has come up: schedules begin anew, and topics are told."""
    for topic in node.topics:
        if not topic.offline:
            topic.due = None
        if topic.up:
            try:
                topic.up(node)
            except Exception as e:
                node.report(topic.topic, e)
    node.due = 0
    read_due(node)
