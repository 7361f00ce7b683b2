"""Commands in mqrepl's form, without any proof of who sends them: for `remote.insecure` only (docs/remote.md).

mqrepl and its command mqboard are part of github.com/tve/mqboard. A command comes on BASE/cmd/VERB/ID[/NAME], or on
BASE/mqb/cmd/VERB/ID[/NAME] (what `mqboard --prefix BASE` uses); answers go to reply/out/ID and reply/err/ID beside cmd.
Each message but those on err begins with two bytes, big-endian: bit 15 = last, bits 14 to 0 = sequence number from 0;
FF FF = a single message. The verbs are eval, put and get; everything else mqboard makes of eval.

Beyond mqrepl: a put is written to NAME.ID.part, which takes the place of NAME when it is complete; it acknowledges
every few pieces, without which mqboard cannot put more than 100 KB; output may be of any length.
"""

import asyncio
import gc
import os
from struct import pack_into

from micropython import const

from .. import clock, log, small, store
from ..logmqtt import LogMqtt

_LAST = const(0x8000)
_SINGLE = const(0xFFFF)
_ACK = const(4)  # pieces of a put to an acknowledgement; mqboard is never more than 16 ahead
_PUTS = const(2)  # at once
_TASKS = const(4)  # evals and gets at once
_IDLE = const(60000)  # ms; a put that has had no piece for so long is given up
_ERROR = const(1400)  # bytes of an error, at most; mqrepl's limit
_RECENT = const(4)  # commands that are remembered, so that one which comes twice is run once

logger = log.getLogger("remote")


class Plain:
    """Who obeys. Attribute: prefix (of the topics that are only his)."""

    def __init__(self, remote):
        self.node = node = remote.node
        self.prefix = node.base + "/mqb/cmd/"
        self._main = node.base + "/cmd/"
        self._puts = {}  # ID -> _Put
        self._recent = []  # IDs of commands that were begun, the latest first
        self._fresh = False  # whether a message has come that is no repetition
        self._tasks = 0
        node.subscribe("./mqb/cmd/#", remote.message, 1)
        node.service("log.plain", LogPlain(node, node.config["log.mqtt"] or "INFO").run)
        logger.warning("remote.insecure: whoever can publish on the broker can run anything here")

    def message(self, topic, m):
        """Take a message, if it is a plain command. Called by the client's reader. Returns whether it was one."""
        main = topic.startswith(self._main)
        parts = topic[len(self._main if main else self.prefix) :].split("/", 2)
        if len(parts) < 2 or len(m) < 2:
            return False
        verb, ident = parts[:2]
        name = parts[2] if len(parts) > 2 else ""
        if main and not name and (verb == "hello" or verb == "open" or len(m) > 2 and not m[2]):
            return False  # the counter of a session's message is no text
        if self.node.client.packet.dup:
            # A command that has restarted the board would come again and again; another would be run twice.
            if not self._fresh or ident in self._recent:
                return True
        self._fresh = True
        to = self.node.base + ("" if main else "/mqb") + "/reply/"
        head = m[0] << 8 | m[1]
        seq = head & (_LAST - 1)
        last = head >= _LAST
        m = memoryview(m)[2:]
        try:
            if verb == "put":
                self._put(to, ident, name, seq, last, m)
            elif verb == "get" or verb == "eval" or verb == "exec":
                if seq or not last:
                    raise ValueError("only a single message is supported")
                if self._tasks >= _TASKS:
                    raise ValueError("busy, %d commands are at work" % _TASKS)
                self._begin(verb, ident, name or str(m[:40], "utf-8"))
                command = _Command(self, to, ident, verb, name, bytes(m))
                self._tasks += 1
                asyncio.create_task(command.run())
            else:
                raise ValueError("not supported; expected eval, put or get")
        except Exception as e:
            text = e.args[0] if isinstance(e, ValueError) and e.args else "%s: %s" % (type(e).__name__, e)
            self._fail(to, ident, verb, text)
        return True

    def _begin(self, verb, ident, what):
        self._recent.insert(0, ident)
        del self._recent[_RECENT:]
        logger.info("plain %s %s", verb, what)

    def _fail(self, to, ident, verb, text):
        logger.warning("plain %s failed: %s", verb, text)
        self._say(to + "err/" + ident, "%s: %s" % (verb, text))

    def _say(self, topic, data):
        # From the reader, which cannot wait.
        asyncio.create_task(self.publish(topic, data))

    async def publish(self, topic, data):
        """Send a message as soon as the client has room for it."""
        try:
            # Not with wait=False, which would store it on the flash where there is a spill file.
            m = self.node.client.publish(topic, data, 1)
            if not m.state:
                await m
        except Exception as e:
            # The client has been stopped, or the topic is too long for it.
            logger.warning("plain: no answer on %s: %s", topic, e)

    def _put(self, to, ident, name, seq, last, body):
        put = self._puts.get(ident)
        if put is None:
            if ident in self._recent:
                return  # it is complete, or has failed; its messages come once more, or are still under way
            self._begin("put", ident, name)
            if seq:
                raise ValueError("the first message is missing")
            self._tidy()
            put = self._puts[ident] = _Put(name, ident)
        try:
            if not put.take(seq, last, body):
                return
        except Exception:
            self._puts.pop(ident).abort()
            raise
        if last:
            del self._puts[ident]
            self._say(to + "out/" + ident, b"\xff\xffOK")
        elif seq and not seq % _ACK:
            self._say(to + "out/" + ident, b"\xff\xffSEQ %d" % seq)

    def _tidy(self):
        # Give up puts whose host has gone away.
        for ident, put in list(self._puts.items()):
            if clock.ms() - put.used > _IDLE:
                self._puts.pop(ident).abort()
        if len(self._puts) >= _PUTS:
            raise ValueError("busy, %d files are being put" % _PUTS)

    def chunk(self):
        """Bytes of a piece to the host; the client may keep as many of them as mqtt.window says."""
        gc.collect()
        free = gc.mem_free() if hasattr(gc, "mem_free") else 1 << 20
        return 512 if small or free < 24000 else 1400 if free < 65536 else 2800


class _Put:
    def __init__(self, name, ident):
        if not name or "\0" in name:
            raise ValueError("expected the name of a file behind the ID, got %r" % name)
        self.name = name
        self.part = "%s.%s.part" % (name, ident[:8])
        self.seq = 0
        self.file = open(self.part, "wb")

    def take(self, seq, last, body):
        # Returns False for a piece that has come before.
        self.used = clock.ms()
        if seq < self.seq:
            return False
        if seq > self.seq:
            raise ValueError("message missing: %d vs. %d" % (seq, self.seq))
        self.seq += 1
        self.file.write(body)
        if last:
            self.file.close()
            self.file = None
            sync = getattr(os, "sync", None)
            if sync:
                sync()
            os.rename(self.part, self.name)
        return True

    def abort(self):
        if self.file:
            self.file.close()
        store.remove(self.part)


class _Command:
    # An eval or a get at work. For the code that runs programs it is what a Command of a session is.
    role = "admin"
    key_name = "plain"
    on_data = None
    last = True

    def __init__(self, plain, to, ident, verb, name, data):
        self.plain = plain
        self.node = plain.node
        self.session = self
        self.verb = verb
        self.args = {}
        self.data = data
        self.chunk = plain.chunk()
        self._to = to
        self._ident = ident
        self._name = name
        self._seq = 0
        self._out = None
        self._at = 0

    async def run(self):
        plain = self.plain
        try:
            if self.verb == "get":
                await self._get()
            else:
                await self._eval()
        except Exception as e:
            plain._fail(self._to, self._ident, self.verb, "%s: %s" % (type(e).__name__, e))
        finally:
            plain._tasks -= 1
            if small:
                remote = self.node.remote
                if not plain._tasks and not any(s.command for s in remote.sessions.values()):
                    remote.tidy()

    # Output.

    async def write(self, data):
        # All but the last piece goes out at once: it is the end of an answer, or an error.
        if isinstance(data, str):
            data = data.encode()
        data = memoryview(data)
        at = 0
        while at < len(data):
            if self._at == self.chunk:
                await self._send(False)
            if self._out is None:
                self._out = bytearray(2 + self.chunk)
            n = min(self.chunk - self._at, len(data) - at)
            self._out[2 + self._at : 2 + self._at + n] = data[at : at + n]
            self._at += n
            at += n

    send = write

    async def flush(self):
        pass  # mqboard shows all of it at the end

    async def notify(self, data):
        pass  # mqboard takes "SEQ n" for the end of a command that it does not expect it from

    async def _send(self, last):
        # What write() has gathered.
        out = self._out or bytearray(2)
        n = 2 + self._at
        self._out = None
        self._at = 0
        pack_into(">H", out, 0, _SINGLE if last and not self._seq else self._seq | (_LAST if last else 0))
        self._seq = (self._seq + 1) & (_LAST - 1)
        await self.plain.publish(
            self._to + "out/" + self._ident, out if len(out) == n else memoryview(out)[:n]
        )

    # The verbs.

    async def _get(self):
        if not self._name:
            raise ValueError("expected the name of a file behind the ID")
        with open(self._name, "rb") as f:
            n = self.chunk
            while n:
                self._out = bytearray(2 + self.chunk)
                n = self._at = f.readinto(memoryview(self._out)[2:])
                await self._send(not n)

    async def _eval(self):
        from runcode import compile  # the ESP8266 has no compile() of its own

        from .run import eval_

        code = self.data.decode()
        try:
            compile(code, "<eval>", True, {})
            expression = True
        except SyntaxError:
            expression = False
        result = await eval_(self)
        if result["ok"]:
            if expression and not result.get("value"):
                await self.write("None")
            await self._send(True)
            return
        # mqrepl's errors have no header, and are one message.
        text = result["error"]
        if self._at:
            text = bytes(memoryview(self._out)[2 : 2 + self._at][-_ERROR:])
        await self.plain.publish(self._to + "err/" + self._ident, text)


class LogPlain(LogMqtt):
    """The log on ./log, as mqrepl's board has it and mqboard shows it: I 12.345 name: text."""

    def where(self, level):
        return "./log"

    def line(self, level, text):
        return level[0] + " " + text
