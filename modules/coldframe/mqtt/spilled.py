"""A Client with a spill file: which messages go there, and how they come back. Loaded only where there is one.

With a connection, room in the window and nothing waiting in the file, a message goes out from RAM; its publisher waits
for the acknowledgement. Else, and always with wait=False, it is stored, and publish() is done. What is stored goes into
the window in order, as there is room. When the connection is lost, what is in the window in RAM only is stored too. Of
QoS 2, the file has each step before the packet that depends on it leaves.

A client without a file pays nothing for this: Spilled puts its own methods in the place of some of one client's.
"""

import asyncio
from asyncio import core

from coldframe.log import getLogger
from coldframe.mqtt.client import Client
from coldframe.mqtt.connection import Connection
from coldframe.mqtt.more import drain
from coldframe.mqtt.subs import wait
from micropython import const

_CONNACK = const(2)  # packet types
_PUBREC = const(5)
_PUBREL = const(6)
_ACCEPTED = const(1)  # states and flags of a Message, as in client.py
_RELEASED = const(2)
_DONE = const(3)
_DUP = const(8)
_NOWAIT = const(16)

log = getLogger("mqtt")


class Spilled:
    """Puts a spill file behind a client, and itself between the two."""

    def __init__(self, client, spill):
        self._client = client
        self._spill = spill
        self._fresh = False  # identifiers in the file mean nothing to the broker
        self._room = 0  # messages done since waiting publishers were told
        self._filling = False  # _refill() is at work
        for name in (
            "admit",
            "await",
            "settle",
            "freed",
            "new_id",
            "packet",
            "acknowledged",
            "confirm",
        ):
            setattr(client, "_" + name, getattr(self, "_" + name))
        client.drain = self.drain
        spill.load()
        if spill.incoming_ids():
            client._held = list(spill.incoming_ids())

    def attach(self, connection):
        """The client has a Connection now."""
        self._connection = connection
        connection._begin = self._begin
        connection._over = self._over

    # ---- going out

    def _take(self, m):
        # A new message. True: it is stored; False: it goes into the window; None: there is no room for it now.
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
        m.state = _DONE  # as far as its publisher is concerned
        self._refill()
        return True

    def _admit(self, m):
        if not self._client._space.peek() and self._take(m) is False:
            self._client._accept(m)

    def _await(self, m):
        client = self._client
        if m.state and m.flags & _NOWAIT:
            return  # accepted or stored, and more is not waited for
        if not m.state and not client._closing:
            took = self._take(m)
            if took:
                return
            if took is None:
                client._space.push(core.cur_task)
                core.cur_task.data = client._space  # where asyncio, to cancel the task, calls remove()
                return
        Client._await(client, m)

    def _refill(self):
        # Move messages from the file into the window, as there is room, and send them.
        client = self._client
        spill = self._spill
        if self._filling or not client._live or not spill.pending:
            return
        # Sending may settle some at once, those that this broker does not take: then there is room again.
        self._filling = True
        try:
            while client._live and self._fill():
                client._pump()
        finally:
            self._filling = False

    def _fill(self):
        # Returns False when nothing was moved.
        client = self._client
        spill = self._spill
        window = client._window
        moved = False
        while len(window) < client._size:
            entry = spill.next()
            if entry is None:
                break
            moved = True
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
                client._unused = 0  # it may lie ahead of the identifiers that were looked up
            else:
                m.id = self._new_id()
                if qos == 2:
                    self._safely(spill.assign, key, m.id)
            window.append(m)
        self._sync()
        return moved

    def _acknowledged(self, kind, packet):
        client = self._client
        if kind == _PUBREC and packet.code < 0x80:
            m = client._find(packet.id)
            if m is not None and m.flags & 4 and m.key is not None and m.key is not False:
                self._safely(self._spill.released, m.key)
                self._sync()  # before PUBREL goes out
        Client._acknowledged(client, kind, packet)

    def _settle(self, m, error):
        key = m.key
        Client._settle(self._client, m, error)
        self._room += 1
        if key is not None and key is not False:
            self._spill.done(key)
        self._refill()

    def _freed(self):
        client = self._client
        Client._freed(client)
        # What is done has made room in the file, if not in the window.
        while self._room and client._space.peek():
            self._room -= 1
            core._task_queue.push(client._space.pop())
        self._room = 0

    def _new_id(self):
        while True:
            id = Client._new_id(self._client)
            if not self._spill.uses(id):
                return id

    def _begin(self):
        Connection._begin(self._connection)
        self._refill()
        self._freed()

    def _over(self):
        client = self._client
        Connection._over(self._connection)
        # What is in the window in RAM only is stored, if its place is behind all others.
        spill = self._spill
        window = client._window
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
        self._sync()

    async def drain(self, timeout=None):
        """See Client.drain()."""
        if timeout is not None:
            try:
                return await asyncio.wait_for(self.drain(), timeout)
            except asyncio.TimeoutError:
                return False
        client = self._client
        while True:
            done = await drain(client, None)
            if not self._spill.pending:
                return done
            if client._closing:
                return False
            yield wait(client)

    # ---- coming in

    def _packet(self, kind, packet):
        client = self._client
        if kind == _PUBREL and packet.id in client._held:
            self._note(self._spill.forget, packet.id)  # before PUBCOMP goes out
        Client._packet(client, kind, packet)
        if kind == _CONNACK and client._code == 0 and not client._connection.session:
            self._fresh = True
            self._note(self._spill.forget, None)

    def _confirm(self, qos, id):
        client = self._client
        if qos == 2 and id not in client._held:
            self._note(self._spill.incoming, id)  # before PUBREC goes out
        Client._confirm(client, qos, id)

    # ----

    def _note(self, function, id):
        self._safely(function, id)
        self._sync()

    def _sync(self):
        if self._spill.dirty:
            self._safely(self._spill.sync)

    def _safely(self, function, *args):
        # A flash that is broken or full must not cost the connection as well.
        try:
            function(*args)
        except OSError as er:
            log.error("%s: %s", self._spill.path, er)
