"""The messages of one session: proved, in order, each taken once (docs/remote-protocol.md)."""

import json
from asyncio import core
from struct import pack_into

from micropython import const

from .. import clock
from .gate import mac, same

_MAC = const(16)  # bytes
_HEAD = const(6)  # of a message to the node: header, counter
_REPLY = const(10)  # of a message from it: header, counter, reference
_LAST = const(0x8000)
_SINGLE = const(0xFFFF)
_KEPT = const(256)  # bytes of the last answer that are kept, to be sent again
_SIZE = const(8)  # pieces that a command may have to be given before it has asked for them


class Session:
    """One host that has proved to have a key.

    Attributes: sid (its name, 8 characters), key_name, role ("admin" or "read"), command (the Command at work, or
    None), used (clock.ms() of the last message), out (most bytes of body that a message to the host has), window (how
    many of them may be under way).
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
        self.out, self.window = remote.gate._out()
        self._seen = 1  # the highest counter so far: that of open
        self._last = 1  # that of the first message of the last command
        self._answer = None  # to that: (topic, message), to be sent again
        self._sent = 0  # counter of the messages to the host

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
            self.remote.gate.refuse(self.sid, "a message in a session of key " + self.key_name)
            return
        self.used = clock.ms()
        if counter <= self._seen:  # the host has not heard the answer
            if self.command is None and self._answer:
                self._again()
            return
        self._seen = counter
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
        elif verb == "ping":
            self._ping(counter)
        elif verb == "close":
            self.say(_LAST, counter, b"{}")
            self.close()
        elif command:
            self.fail(counter, "busy", "%s is at work in this session" % command.verb)
        else:
            from .command import Command

            self._last = counter
            self._answer = None
            self.command = Command(self, verb, counter, last, body)

    def opened(self):
        """Tell the host that it is in."""
        self.say(_LAST, 1, b"{}", True)

    def close(self):
        """Forget the session, and end what runs in it."""
        if self.command:
            self.command.end("cancelled")
        self.remote.sessions.pop(self.sid, None)

    def _ping(self, counter):
        import gc

        said = {"uptime": clock.seconds()}
        if hasattr(gc, "mem_free"):
            said["mem_free"] = gc.mem_free()
        self.say(_LAST, counter, json.dumps(said).encode())

    def _again(self):
        # The answer once more, as a new message.
        topic, m = self._answer
        m = bytearray(m)
        self._seal(topic, m, m[0] << 8 | m[1], self._last, len(m) - _REPLY - _MAC)
        self._publish(topic, m)

    # ---- going out

    def fail(self, ref, code, text):
        """Tell the host of an error, at once or not at all."""
        self.say(_SINGLE, ref, json.dumps({"code": code, "text": text}).encode(), False, "err")

    def say(self, head, ref, body, keep=False, kind="out"):
        """Send a short message at once, if the client has room for it; else not at all. Returns whether it had."""
        m = self.buffer(len(body))
        m[_REPLY : _REPLY + len(body)] = body
        topic = self.seal(m, head, ref, len(body), keep, kind)
        return self._publish(topic, m)

    def buffer(self, size):
        """A message with room for a body of so many bytes, which begins at 10."""
        return bytearray(_REPLY + size + _MAC)

    def seal(self, m, head, ref, size, keep=False, kind="out"):
        """Make a message of what buffer() gave and the body that is in it.

        head: its first two bytes as a number; ref: counter of the command; size: bytes of the body; keep: send it again
        when the host asks again. Returns its topic.
        """
        topic = "%s/reply/%s/%s" % (self.node.base, kind, self.sid)
        self._seal(topic, m, head, ref, size)
        if keep:
            self._answer = (topic, bytes(m)) if len(m) <= _KEPT else None
        return topic

    def _seal(self, topic, m, head, ref, size):
        self._sent += 1
        pack_into(">HII", m, 0, head, self._sent, ref)
        end = _REPLY + size
        m[end : end + _MAC] = mac(self._kd, topic, b"\0", memoryview(m)[:end])[:_MAC]

    def _publish(self, topic, m):
        client = self.node.client
        if client is None or client._space.peek() or len(client._window) >= client._size:
            return False
        client.publish(topic, m, 1, False, False)
        return True

    async def publish(self, m, head, ref, size, keep=False, kind="out"):
        """As seal(), and send it, as soon as the client has room for it: all go out in the order of their counters."""
        client = self.node.client
        while client._space.peek() or len(client._window) >= client._size:
            client._space.push(core.cur_task)
            core.cur_task.data = client._space  # where asyncio, to cancel the task, calls remove()
            yield
        topic = self.seal(m, head, ref, size, keep, kind)
        end = _REPLY + size + _MAC
        client.publish(topic, m if end == len(m) else memoryview(m)[:end], 1, False, False)
