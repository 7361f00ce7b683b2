"""asyncio's poller, with links: streams that stay registered, and whose owner is called when they are ready.

A task that waits for a stream costs asyncio about 240 bytes and two trips through the scheduler each time.
A link costs neither: its ready() is called straight from the event loop. A link has

    poll         what to poll for the stream
    again        set True, with the poller's again, when there is more to do whatever poll says: a stream may
                 hold data in memory
    ready(ev)    called with the poll events; must be quick. No task is running then: what waits for something
                 belongs into asyncio.create_task().
    failed(er)   called with the exception, if ready() raises one

For everything else the loop behaves as it always does (asyncio.core of MicroPython 1.26).
"""

import select
from asyncio import core


class Poller(core.IOQueue):
    """Takes over what an IOQueue waits for, and its place in the event loop."""

    def __init__(self, queue):
        self.poller = queue.poller
        self.map = queue.map
        self.links = []
        self.first = None  # of these; nearly always the only one
        self.again = False

    def wait_io_event(self, dt):
        again = self.again
        if again:
            self.again = False
            dt = 0
        for s, ev in self.poller.ipoll(dt):
            link = self.first
            if link is None or link.poll is not s:
                link = self._link(s)
            if link is None:
                self._wake(s, ev)
            else:
                try:
                    link.ready(ev)
                except Exception as er:
                    link.failed(er)
        if again:
            for link in self.links:
                if link.again:
                    link.again = False
                    try:
                        link.ready(select.POLLIN)
                    except Exception as er:
                        link.failed(er)

    def _link(self, s):
        for link in self.links:
            if link.poll is s:
                return link

    def _wake(self, s, ev):
        # As upstream's.
        sm = self.map[id(s)]
        if ev & ~select.POLLOUT and sm[0] is not None:
            core._task_queue.push(sm[0])
            sm[0] = None
        if ev & ~select.POLLIN and sm[1] is not None:
            core._task_queue.push(sm[1])
            sm[1] = None
        if sm[0] is None and sm[1] is None:
            self._dequeue(s)
        elif sm[0] is None:
            self.poller.modify(s, select.POLLOUT)
        else:
            self.poller.modify(s, select.POLLIN)

    def watch(self, link, events):
        """Poll a link for these events from now on; 0 for none of them."""
        s = link.poll
        if link not in self.links:
            self.links.append(link)
            self.first = self.links[0]
            self.map[id(s)] = (
                None,
                None,
                s,
            )  # no task waits here, but the loop must know that something may come
        if events:
            self.poller.register(s, events)
        else:
            self.poller.unregister(s)  # with no events it would still tell of errors, again and again

    def forget(self, link):
        """The opposite of watch(); safe at any time."""
        if link in self.links:
            s = link.poll
            # In this order it can be done again where the heap was too full for it: id() may need some bytes.
            self.poller.unregister(s)
            self.map.pop(id(s), None)
            self.links.remove(link)
            self.first = self.links[0] if self.links else None
            link.again = False


def poller():
    """The poller of the event loop, put there first if need be."""
    if not isinstance(core._io_queue, Poller):
        core._io_queue = Poller(core._io_queue)
    return core._io_queue
