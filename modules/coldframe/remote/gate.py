"""Who may come in: the greeting of a session, and the answer to whoever has none (docs/remote-protocol.md).

Nothing here keeps anything for a stranger: a flood of greetings fills no table.
"""

import asyncio
import gc
import hashlib
import json
import os
from time import ticks_cpu, ticks_us

from micropython import const

from .. import bootrecord, clock, hal, log, small
from ..version import __version__

_MAC = const(16)  # bytes
_HELLO = const(41)  # header, "CF1", key id, nonce, MAC
_OPEN = const(58)  # header, counter, key id, two nonces, MAC
_AHEAD = const(32)  # pieces that a host may send ahead of the acknowledgement
_SLOT = const(16)  # bits: the node's half of a challenge is good for one to two times 65 s
_LONGEST = const(30000)  # ms of the delay after a wrong key, at most
_HINT = const(250)  # ms between two hints, at least
_GREETED = const(3000)  # ms that a node in battery mode waits for the host whose hello it has answered
_LOOK = const(2000)  # ms between two looks at the sessions
_IDLE = const(10000)  # ms after which a session makes room for a new one
_ACK = const(30000)  # ms that a command waits for an acknowledgement
_INNER = const(0x36)
_OUTER = const(0x5C)

logger = log.getLogger("remote")


def pads(key):
    """What mac() takes for a key, bytes or text: the two blocks that HMAC (RFC 2104) begins with."""
    if isinstance(key, str):
        key = key.encode()
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key = bytearray(key) + bytes(64 - len(key))
    for i in range(64):
        key[i] ^= _INNER
    inner = bytes(key)
    for i in range(64):
        key[i] ^= _INNER ^ _OUTER
    return inner, bytes(key)


def mac(key, *parts):
    """HMAC-SHA256 (RFC 2104). key: what pads() gave; parts: bytes-like or str, one behind another. Returns 32 bytes."""
    h = hashlib.sha256(key[0])
    for part in parts:
        h.update(part)
    outer = hashlib.sha256(key[1])
    outer.update(h.digest())
    return outer.digest()


def same(a, b):
    """Whether two MACs are the same; takes as long for any two. b may be longer than the 16 bytes that count."""
    wrong = 0
    for i in range(_MAC):
        wrong |= a[i] ^ b[i]
    return not wrong


class Gate:
    """Greets, and opens sessions. There while somebody is about."""

    def __init__(self, remote):
        self.remote = remote
        self.node = remote.node
        c = self.node.config
        # (key id, name, role, key) of each key; the last three are the configuration's.
        self.keys = []
        if c["remote.key"]:
            self._add("admin", c["remote.key"], "admin")
        for item in c["remote.keys"]:
            self._add(item["name"], item["key"], item.get("role") or "admin")
        # A secret of this boot, also where the chip's random numbers are poor.
        self.secret = mac(
            pads(os.urandom(32)),
            hal.unique_id(),
            "%d %d %d %d" % (bootrecord.boots(), clock.unix_ms(), ticks_us(), ticks_cpu()),
        )
        self.epoch = 0  # how many sessions were opened
        self.sizes = self._sizes()
        self.delay = 0  # ms, after the last wrong key
        self.until = self.used = clock.ms()
        self.hinted = self.used - _HINT
        self.greeted = self.used - _GREETED
        self.task = asyncio.create_task(self._watch())

    def busy(self):
        """Whether somebody has a session, or has just said hello with a right key."""
        return bool(self.remote.sessions) or clock.ms() - self.greeted < _GREETED

    def _add(self, name, key, role):
        self.keys.append((mac(pads(key), "coldframe key id")[:4], name, role, key))

    def _find(self, id):
        for row in self.keys:
            if row[0] == id:
                return row

    # Messages that belong to no session.

    def message(self, topic, verb, sid, m):
        """A message of a session that is not there: hello, open, or one of a session that is over."""
        self.used = clock.ms()
        size = len(m)
        if verb == "hello":
            if size == _HELLO and m[:5] == b"\x80\0CF1":
                self._hello(topic, sid, m)
        elif verb == "open":
            if size == _OPEN and m[:6] == b"\x80\0\0\0\0\1":
                self._open(topic, sid, m)
        else:
            self.hint(sid, "session")

    def _hello(self, topic, sid, m):
        now = clock.ms()
        row = self._find(m[5:9])
        if row is None and now < self.until:
            return
        key = row and pads(row[3])
        if row is None or not same(mac(key, topic, b"\0", m[:25]), m[25:]):
            self.refuse(sid, "a greeting with %s key" % ("an unknown" if row is None else "a wrong"))
            return
        self.greeted = now
        nonce_c = m[9:25]
        node = self.node
        nonce_d = self._nonce(sid, nonce_c, m[5:9], now >> _SLOT)
        most = self._in()
        out, window = self.sizes
        said = json.dumps(
            {
                "role": row[2],
                "in": most,
                "out": out,
                "window": window,
                "ahead": _AHEAD,
                "name": node.name,
                "version": __version__,
                "board": hal.board(),
            }
        )
        answer = b"\xff\xffCF1" + nonce_d + said.encode()
        to = "%s/reply/out/%s" % (node.base, sid)
        self.say(to, answer + mac(key, to, b"\0", answer, nonce_c)[:_MAC])

    def _nonce(self, sid, nonce_c, id, slot):
        # The node's half of the challenge: made again when it comes back, so that nothing is kept meanwhile.
        return mac(pads(self.secret), "%d %d " % (self.epoch, slot), sid, nonce_c, id)[:16]

    def _in(self):
        # The largest body that fits the client's buffer, behind the header and the longest topic of a command.
        node = self.node
        topic = len(node.base.encode()) + (84 if node.config["mqtt.version"] == 5 else 56)
        return self.remote.buffer - topic

    def _sizes(self):
        # Of what goes out: (bytes of body, messages ahead of the acknowledgement) that the heap has room for.
        gc.collect()
        free = gc.mem_free() if hasattr(gc, "mem_free") else 1 << 20
        if small or free < 24000:
            return 512, 4
        return (1024, 8) if free < 65536 else (2048, 16)

    def _open(self, topic, sid, m):
        row = self._find(m[6:10])
        if row is None:
            if clock.ms() >= self.until:
                self.refuse(sid, "a session with an unknown key")
            return
        nonces = m[10:42]
        sessions = self.remote.sessions
        old = sessions.get(sid)
        slot = clock.ms() >> _SLOT
        for slot in (slot, slot - 1):
            if same(m[26:42], self._nonce(sid, m[10:26], m[6:10], slot)):
                break
        else:
            # The host may not have heard that it is in; else it is one that was recorded, or too slow.
            if not (old and old.repeated(topic, m)):
                self.hint(sid, "stale")
            return
        base = self.node.base
        key = pads(row[3])
        kc = pads(mac(key, "c2d\0", base, b"\0", sid, b"\0", nonces))
        if not same(mac(kc, topic, b"\0", m[:42]), m[42:]):
            self.refuse(sid, "a session with a wrong key")
            return
        if old and (old.key_name, old.role) == (row[1], row[2]):  # its host begins anew
            old.close()
        elif old or not self._room(row[2]):
            self.hint(sid, "busy")
            return
        from .session import Session

        kd = pads(mac(key, "d2c\0", base, b"\0", sid, b"\0", nonces))
        self.epoch += 1
        self.delay = 0
        self.until = clock.ms()
        sessions[sid] = Session(self.remote, sid, row[1], row[2], kc, kd)

    def _room(self, role):
        # Whether there is room for another session. Else one makes it: that which has been idle for longest; or one
        # that has said nothing for remote.idle seconds, whatever runs in it, for a host that is there asks now and then
        # (the log of a quiet node needs no acknowledgement); or, for an admin, any that may only read.
        sessions = self.remote.sessions
        c = self.node.config
        if len(sessions) < (c["remote.sessions"] or (2 if small else 4)):
            return True
        for likes in range(3):
            oldest = None
            for session in sessions.values():
                silent = clock.ms() - session.used
                if likes == 0:
                    good = session.command is None and silent >= _IDLE
                elif likes == 1:
                    good = silent > c["remote.idle"] * 1000
                else:
                    good = role == "admin" and session.role != "admin"
                if good and (oldest is None or session.used < oldest.used):
                    oldest = session
            if oldest:
                oldest.close()
                return True
        return False

    # Answers without a session.

    def refuse(self, sid, what):
        """A message bore a wrong key: counted, and told of once in a while. Each time that lasts twice as long.

        sid: of the session that is to be told; None where there is one already: its host has not asked.
        """
        self.remote.refused += 1
        now = clock.ms()
        if now < self.until:
            return
        self.delay = min(self.delay * 2 or 1000, _LONGEST)
        self.until = now + self.delay
        logger.warning("refused: %s (%d so far)", what, self.remote.refused)
        if sid:
            self.hint(sid, "key")

    def hint(self, sid, code):
        """Tell a host why its message was of no use. Not more often than now and then: nobody has proved anything."""
        now = clock.ms()
        if now - self.hinted < _HINT:
            return
        self.hinted = now
        self.say(
            "%s/reply/err/%s" % (self.node.base, sid),
            b'\xff\xff\0\0\0\0\0\0\0\0{"code": "%s"}' % code.encode(),
        )

    def say(self, topic, data):
        """Publish at once, if the client has room for it; else not at all."""
        client = self.node.client
        if client:
            client.publish(topic, data, 1)

    async def _watch(self):
        # Ends sessions that nobody uses, and commands whose host is gone; lets go of the code when all are over.
        remote = self.remote
        sessions = remote.sessions
        while True:
            await asyncio.sleep_ms(_LOOK)
            now = clock.ms()
            for session in list(sessions.values()):
                command = session.command
                if command is None:
                    if now - session.used > self.node.config["remote.idle"] * 1000:
                        session.close()
                elif command.waiting is not None and now - command.waiting > _ACK:
                    command.end("gone")
            if not sessions and now > self.until and now - self.used > _IDLE:
                remote.gate = None
                remote.tidy()
                return
