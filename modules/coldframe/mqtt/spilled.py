"""A Client that has a spill file: which messages go there, and how they come back. Loaded only where there is one.

With a connection, room in the window and nothing waiting in the file, a message goes out from RAM; its publisher waits
for the acknowledgement. Else, and always with wait=False, it is stored, and publish() is done. What is stored goes into
the window in order, as there is room. When the connection is lost, what is in the window in RAM only is stored too. Of
QoS 2, the file has each step before the packet that depends on it leaves.
"""

from asyncio import core
from time import ticks_ms

from coldframe.log import getLogger
from micropython import const

_ACCEPTED = const(1)  # states and flags of a Message, as in client.py
_RELEASED = const(2)
_DUP = const(8)
_NOWAIT = const(16)

log = getLogger("mqtt")


class Spilled:
    """The spill file of a client, and the client's side of it."""

    def __init__(self, client, spill):
        self._client = client
        self._spill = spill
        self._fresh = False  # identifiers in the file mean nothing to the broker
        self._room = 0  # messages done since waiting publishers were told
        spill.load()
        if spill.incoming_ids():
            client._held = list(spill.incoming_ids())

    @property
    def pending(self):
        """How many messages are in the file only."""
        return self._spill.pending

    def uses(self, id):
        """Whether a message that is not yet in the window has this packet identifier."""
        return self._spill.uses(id)

    # ---- going out

    def take(self, m):
        """A new message. True: it is stored; False: it goes into the window; None: there is no room for it now."""
        client = self._client
        spill = self._spill
        direct = len(client._window) < client._size and not spill.pending
        if direct and client._live and not m.flags & _NOWAIT:
            return False
        try:
            key = spill.add(m.topic, m.payload, m.flags >> 1 & 3, m.flags & 1, m.props)
        except ValueError:  # larger than the file: in RAM, in its turn
            return False if direct else None
        if key is None:
            # Full, or the flash is broken.
            return False if direct and client._live else None
        self.refill()
        return True

    def refill(self):
        """Move messages from the file into the window, as there is room, and send them."""
        client = self._client
        spill = self._spill
        if not client._live or not spill.pending:
            return
        window = client._window
        while len(window) < client._size:
            entry = spill.next()
            if entry is None:
                break
            key, topic, payload, qos, retain, props, id, released = entry
            if self._fresh:
                id = 0
                if released:  # the broker had it, and has forgotten only that
                    spill.done(key)
                    continue
            try:
                m = client._writer.message(client, topic, payload, qos << 1 | retain | _NOWAIT, props)
            except ValueError as er:
                log.error("%s: a message for %s cannot be sent: %s", spill.path, topic, er)
                spill.done(key)
                continue
            m.key = key
            m.state = _RELEASED if released else _ACCEPTED
            if id:
                m.flags |= _DUP
                m.id = id
            else:
                m.id = client._new_id()
                if qos == 2:
                    self._safely(spill.assign, key, m.id)
            if not window:
                client._progress = ticks_ms()
            window.append(m)
        self.sync()
        client._pump()

    def freed(self):
        """How many publishers that wait for room may look again."""
        n = self._room
        self._room = 0
        return n

    def released(self, m):
        """PUBREC has come; PUBREL is about to go out."""
        if m.key is not None:
            self._safely(self._spill.released, m.key)
            self.sync()

    def settled(self, key):
        """A message is acknowledged, or refused, or void."""
        self._room += 1
        if key is not None and key is not False:
            self._spill.done(key)

    def over(self):
        """The connection is over: what is in the window in RAM only is stored, if its place is behind all others."""
        spill = self._spill
        window = self._client._window
        if not spill.pending:
            i = len(window)
            while i and window[i - 1].key is None:
                i -= 1
            for m in window[i:]:
                if m.state == _RELEASED:
                    continue  # the broker has it; all that is left is PUBREL
                qos = m.flags >> 1 & 3
                try:
                    key = spill.add(m.topic, m.payload, qos, m.flags & 1, m.props, m.id if qos == 2 else 0)
                except ValueError:
                    key = None
                if key is None:
                    break
                spill.skip()
                m.key = key
                m.flags |= _NOWAIT
                if m.task is not None:
                    core._task_queue.push(m.task)
                    m.task = None
        self.sync()

    # ---- coming in

    def incoming(self, id):
        """A QoS 2 message was delivered; PUBREC is about to go out."""
        self._safely(self._spill.incoming, id)
        self.sync()

    def forget(self, id):
        """PUBREL has come; PUBCOMP is about to go out. None: the broker has no session."""
        if id is None:
            self._fresh = True
        self._safely(self._spill.forget, id)
        self.sync()

    # ----

    def sync(self):
        """Make what was noted safe from a power cut."""
        if self._spill.dirty:
            self._safely(self._spill.sync)

    def _safely(self, function, *args):
        # A flash that is broken or full must not cost the connection as well.
        try:
            function(*args)
        except OSError as er:
            log.error("%s: %s", self._spill.path, er)
