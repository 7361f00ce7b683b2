"""Home Assistant: the device and all that it has appear there by themselves (docs/discovery.md).

This is the part that stays in RAM: when to tell. What is told is in discoverydoc.py, which is imported for that moment.
"""

import asyncio
import os

import coldframe

from . import clock, store

MARK = "/discovery.rec"  # what Home Assistant has been told: discoverydoc.py
_SETTLE = 2000  # ms without a change before it is told: an app adds one topic after the other
_AGAIN = 60000  # ms between two announcements on account of reconnects
_JITTER = 40  # ms times a random byte: not all devices at once when Home Assistant has started


def start(node):
    """Announce the node from now on; or, if discovery was switched off after it had been on, take it back once."""
    c = node.config
    if c["discovery.enabled"]:
        Discovery(node)
    elif store.exists(MARK):

        async def take_back():
            from .discoverydoc import take_back

            await take_back(node)
            coldframe.forget("discoverydoc")

        node.on("up", take_back)
    else:
        coldframe.forget("discovery")


class Discovery:
    """Tells Home Assistant when something has changed, when the connection has come up and when it has started."""

    due = None  # clock.ms() of the next announcement
    last = None  # that of the last one
    states = False  # whether the values are to be published after it
    task = None

    def __init__(self, node):
        self.node = node
        node.on("up", self.up)
        node.on("topic", self.changed)
        node.on("untopic", self.changed)
        node.on("newparam", self.changed)
        node.subscribe(node.config["discovery.prefix"] + "/status", self.status)

    def up(self):
        """The connection has come up: the broker may have forgotten what it kept."""
        self.soon(_SETTLE if self.last is None else max(_SETTLE, self.last + _AGAIN - clock.ms()))

    def changed(self, _=None):
        """A topic or parameter was added or removed."""
        if self.last is not None or self.task:  # else up() comes anyway
            self.soon(_SETTLE)

    def status(self, payload):
        """Home Assistant has started or ended."""
        if payload == "online":
            self.states = True
            self.soon(500 + os.urandom(1)[0] * _JITTER)

    def soon(self, ms):
        """Announce in so many milliseconds."""
        due = clock.ms() + ms
        if self.due is None or due > self.due:
            self.due = due
        if self.task is None:
            self.task = asyncio.create_task(self._run())

    async def _run(self):
        node = self.node
        try:
            while self.due is not None:
                wait = self.due - clock.ms()
                if wait > 0:
                    await asyncio.sleep_ms(wait)
                    continue
                self.due = None
                if not node.client or not node.client.up.is_set():
                    return  # up() comes
                from .discoverydoc import announce

                # The values of new entities have gone out before Home Assistant knew of them.
                if await announce(node):
                    self.states = True
                self.last = clock.ms()
                if self.states:
                    self.states = False
                    await self._values()
        except OSError:
            pass  # the connection was lost on the way: up() comes
        except Exception as e:
            node.report("discovery", e)
            self.last = clock.ms()  # what has failed now is not tried again with each reconnect
            self.due = self.last + _AGAIN
        finally:
            coldframe.forget("discoverydoc")
            # What has failed is tried again later.
            self.task = asyncio.create_task(self._run()) if self.due is not None else None

    async def _values(self):
        # Home Assistant does not know the values that the broker does not keep.
        node = self.node
        for topic in tuple(node.topics):
            if topic.read and not topic.retain and (topic.meta is not None or topic.topic == "./SYSINFO"):
                await node.force(topic)
                await asyncio.sleep_ms(50)
        if node._params:
            await node.params.publish()
