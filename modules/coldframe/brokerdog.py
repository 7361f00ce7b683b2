"""A watchdog for the whole way to the broker and back: a node that does not hear its own messages restarts.

Only where watchdog.broker is set. It publishes "FEED" to ./WATCHDOG and listens to that topic; both are QoS 0. A
restart by it is one on purpose: it is told in the log and by coldframe.reset_reason(), and never counts as a
failed boot.
"""

import asyncio

from . import clock, forget, hal


def start(node):
    """The part: see PARTS in core.py."""
    limit = node.config["watchdog.broker"]
    fed = clock.ms()

    def feed(payload):
        nonlocal fed
        fed = clock.ms()

    async def run():
        nonlocal fed
        fed = clock.ms()
        while True:
            if node.client and node.client.up.is_set():
                try:
                    await asyncio.wait_for(node.publish("./WATCHDOG", "FEED"), limit / 5)
                except Exception:  # no heap, for one: this service must not begin anew, and its time with it
                    pass
            await asyncio.sleep(limit / 5)
            if clock.ms() - fed > limit * 1000:
                hal.reset("watchdog.broker: no message of its own came back from the broker for %d s" % limit)

    node.subscribe("./WATCHDOG", feed)
    node.service("watchdog.broker", run)
    forget("brokerdog")
