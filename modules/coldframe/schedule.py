"""When which topic is to be read."""

import asyncio

from . import clock


def read_due(node):
    # Start the readings that are due, if there is somebody to tell. Returns ms until the next look, 1 to 500.
    wait = 500
    if node.power and not node.power.open:
        return wait  # each wake has its readings
    if node.client and node.client.up.is_set():
        now = clock.ms()
        for topic in node.topics:
            if topic.every:
                if topic.due is None or now >= topic.due:
                    step = int(topic.every * 1000)
                    # Without drift, but what was missed is not made up for.
                    late = topic.due is None or now - topic.due > step
                    topic.due = now + step if late else topic.due + step
                    if not topic.busy:
                        asyncio.create_task(node.force(topic))
                wait = min(wait, topic.due - now)
    return max(1, wait)
