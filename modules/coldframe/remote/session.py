"""The messages of one session: proved, in order, each taken once (docs/remote-protocol.md)."""

import gc
import json
from asyncio import core, create_task
from struct import pack_into

from micropython import const

from .. import clock
from .gate import mac, same

_MAC = const(16)  # bytes
_HEAD = const(6)  # of a message to the node: header, counter
_REPLY = const(10)  # of a message from it: header, counter, reference
_LAST = const(0x8000)
_SINGLE = const(0xFFFF)
_SLOW = const(2)  # as in mqtt/client.py: why nothing is read
_KEPT = const(256)  # bytes of the last answer that are kept, to be sent again


class Session:
    """One host that has proved to have a key.

    Attributes: sid (its name, 8 characters), key_name, role ("admin" or "read"), command (the Command at work, or
    None), used (clock.ms() of the last new message), out (most bytes of body that a message to the host has), window
    (how many of them may be under way).
    """

    def __init__(self, remote, sid, key_name, role, kc, kd):
        self.remote = remote
        self.node = remote.node
        self.sid = sid
        self.key_name = key_name
        self.role = role
        self._kc = kc
        self._kd = kd
        self.command = None
        self.used = clock.ms()
        self.out, self.window = remote.gate.sizes
        self._seen = 1  # the highest counter so far: that of open
        self._last = 1  # that of the first message of the last command
        self._answer = None  # to that: (kind, message), to be sent again
        self._sent = 0  # counter of the messages to the host
        self.say(_LAST, 1, {}, True)  # it is in

    # ---- coming in

    def message(self, topic, verb, m):
        """Take a message that bears this session's name. Called by the client's reader."""
        size = len(m) - _MAC
        if size < _HEAD:
            return
        counter = int.from_bytes(m[2:6], "big")
        if counter <= self._seen and counter != self._last:
            return
        m = memoryview(m)
        if not same(mac(self._kc, topic, b"\0", m[:size]), m[size:]):
            self.remote.gate.refuse(None, "a message in a session of key " + self.key_name)
            return
        if counter <= self._seen:  # the host has not heard the answer
            if self.command is None:
                self._again()
            return
        self._seen = counter
        self.used = clock.ms()  # not before: what was recorded keeps no session open
        seq = m[0] << 8 | m[1]
        last = seq >= _LAST
        seq &= _LAST - 1
        body = m[_HEAD:size]
        command = self.command
        if seq:
            if command and command.verb == verb:
                command.piece(seq, last, body)
        elif verb == "ack":
            if command:
                command.acknowledged(body)
        elif verb == "cancel":
            if command:
                command.end("cancelled")
            self.say(_LAST, counter, {"cancelled": command is not None})
        elif verb == "ping":
            self._ping(counter)
        elif verb == "close":
            self.say(_LAST, counter, {})
            self.close()
        elif command:
            text = "%s is at work in this session" % command.verb
            self.say(_SINGLE, counter, {"code": "busy", "text": text}, False, "err")
        else:
            from .command import Command

            self._last = counter
            self._answer = None
            try:
                self.command = Command(self, verb, counter, last, body)
            except MemoryError:
                gc.collect()
                said = {"code": "memory", "text": verb + ": the heap is full"}
                self.say(_SINGLE, counter, said, True, "err")
                return
            if not last:
                create_task(self._hold(self.command))  # first: without memory for it nobody would read on
                self.node.client._paused |= _SLOW

    def repeated(self, topic, m):
        """Whether an open message is the one that this session began with; it is answered once more then."""
        if not same(mac(self._kc, topic, b"\0", m[:-_MAC]), m[-_MAC:]):
            return False
        if self._last == 1:
            self._again()
        return True

    async def _hold(self, command):
        # Nothing more is read from the link before the command has had its first turn, so that it takes what follows
        # as it comes, and not all at once.
        from ..backpressure import read_on

        while not command.started:
            await core.sleep_ms(0)
        read_on(self.node.client)

    def close(self):
        """Forget the session, and end what runs in it."""
        if self.command:
            self.command.end("cancelled")
        self.remote.sessions.pop(self.sid, None)

    def _ping(self, counter):
        said = {"uptime": clock.seconds(), "last": self._last, "busy": self.command is not None}
        if hasattr(gc, "mem_free"):
            said["mem_free"] = gc.mem_free()
        self.say(_LAST, counter, said)

    def _again(self):
        # The answer once more, as a new message.
        if self._answer:
            kind, m = self._answer
            size = len(m) - _REPLY - _MAC
            self._send(bytearray(m), m[0] << 8 | m[1], self._last, size, False, kind)

    # ---- going out

    def say(self, head, ref, said, keep=False, kind="out"):
        """Send a short message, without waiting. said: bytes, or an object that goes out as JSON."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        m = self.buffer(len(body))
        m[_REPLY : _REPLY + len(body)] = body
        self._send(m, head, ref, len(body), keep, kind)

    def _send(self, m, *args):
        if self._full():
            create_task(self.publish(m, *args))
        else:
            self._now(m, *args)

    def buffer(self, size):
        """A message with room for a body of so many bytes, which begins at 10."""
        return bytearray(_REPLY + size + _MAC)

    def _full(self):
        # Whether what is to go out has to wait for a turn.
        client = self.node.client
        return client is None or client._space.peek() or len(client._window) >= client._size

    def _now(self, m, head, ref, size, keep=False, kind="out"):
        # Number, prove and publish a message, with nothing between: they go out in the order of their counters.
        topic = "%s/reply/%s/%s" % (self.node.base, kind, self.sid)
        self._sent += 1
        pack_into(">HII", m, 0, head, self._sent, ref)
        end = _REPLY + size
        m[end : end + _MAC] = mac(self._kd, topic, b"\0", memoryview(m)[:end])[:_MAC]
        end += _MAC
        if keep and ref == self._last:  # else it is that of a command before, which has waited for room
            self._answer = (kind, bytes(m)) if end <= _KEPT else None
        # Not with wait=False, which would store it on the flash where there is a spill file.
        client = self.node.client
        m = client.publish(topic, m if end == len(m) else memoryview(m)[:end], 1)
        if not m.state:
            client._accept(m)  # there is room, and others who wait for some have had to leave it to this one

    async def publish(self, m, head, ref, size, keep=False, kind="out"):
        """Send what buffer() gave, with the body that is in it, as soon as the client has room for it.

        head: its first two bytes as a number; ref: counter of the command; size: bytes of the body; keep: send it again
        when the host asks again; kind: "out" or "err".
        """
        client = self.node.client
        # Others were there before; but who has been woken need not ask for that again.
        waits = client and client._space.peek()
        try:
            while client and (waits or len(client._window) >= client._size):
                waits = False
                client._space.push(core.cur_task)
                core.cur_task.data = client._space  # where asyncio, to cancel the task, calls remove()
                yield
            if client and client is self.node.client:  # else the node has been stopped
                self._now(m, head, ref, size, keep, kind)
        finally:
            # Whoever was woken and has not taken the room must tell the next one: nobody else would.
            if client and client._space.peek() and len(client._window) < client._size:
                client._freed()
