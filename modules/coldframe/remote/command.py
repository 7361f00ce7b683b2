"""A command at work: its data in both directions, its result, its errors (docs/remote-protocol.md)."""

import asyncio
import gc
import json
import sys
from asyncio import core

from micropython import const

from .. import clock, log, small

_REPLY = const(10)  # bytes before the body of a message to the host
_LAST = const(0x8000)
_SINGLE = const(0xFFFF)
_EARLY = const(8)  # pieces that are kept for a command which has not yet said what to do with them

# (verb, module, the least role that may use it). The function is called as the verb is, with "_" behind it where that
# is a word of Python's. Tuples lie in flash.
VERBS = (
    ("ls", "files", "read"),
    ("stat", "files", "read"),
    ("get", "get", "read"),
    ("put", "put", "admin"),
    ("mkdir", "files", "admin"),
    ("rm", "files", "admin"),
    ("mv", "files", "admin"),
    ("eval", "run", "admin"),
    ("exec", "run", "admin"),
    ("config", "configverb", "read"),
    ("params", "admin", "read"),
    ("log", "logverb", "read"),
    ("crash", "admin", "read"),
    ("info", "admin", "read"),
    ("reset", "admin", "admin"),
    ("update", "admin", "admin"),
)
# What an OSError means, by its number.
CODES = (
    (1, "denied"),
    (2, "missing"),
    (5, "io"),
    (12, "memory"),
    (13, "denied"),
    (17, "exists"),
    (20, "notdir"),
    (21, "isdir"),
    (22, "name"),
    (28, "space"),
    (30, "denied"),
    (39, "notempty"),
    (90, "notempty"),
)

logger = log.getLogger("remote")


class RemoteError(Exception):
    """A command failed, for a reason that the host is told: RemoteError(code, text)."""


class Command:
    """A command of a host's, which runs as a task.

    Attributes: node; session; verb; args (dict); data (bytes behind the arguments in the first message); last (whether
    no piece follows that message); chunk (most bytes for send()); on_data: set it to a function (seq, last, memoryview)
    that is called for each further message of this command, from the client's reader; those that came before are given
    to it at once.
    """

    waiting = None  # clock.ms() since when no acknowledgement has come that is waited for
    _begun = False
    started = False  # whether it has had its first turn, or needs none
    _on_data = None
    _early = None  # pieces that came before on_data was set
    _ended = None  # code, when it is being ended from outside
    _out = None  # what write() has gathered
    _at = 0

    def __init__(self, session, verb, ref, last, body):
        self.session = session
        self.node = session.node
        self.verb = verb
        self.ref = ref
        self.last = last
        self.chunk = session.out
        self.data = body
        self.args = {}
        self._seq = 0  # of the next message
        self._acked = 0  # of the first one that is not acknowledged
        self._space = core.TaskQueue()
        self.task = asyncio.create_task(self._run())

    # ---- for the verb

    async def send(self, data):
        """Send data, chunk bytes at most, as soon as the host has acknowledged enough of what was sent before."""
        m = self.session.buffer(len(data))
        m[_REPLY : _REPLY + len(data)] = data
        await self._send(m, len(data))

    async def write(self, data):
        """Send text or bytes of any length. What is less than a chunk waits for more, or flush()."""
        if isinstance(data, str):
            data = data.encode()
        data = memoryview(data)
        at = 0
        while at < len(data):
            if self._out is None:
                self._out = self.session.buffer(self.chunk)
            n = min(self.chunk - self._at, len(data) - at)
            start = _REPLY + self._at
            self._out[start : start + n] = data[at : at + n]
            self._at += n
            at += n
            if self._at == self.chunk:
                await self.flush()

    async def flush(self):
        """Send what write() has gathered."""
        if self._at:
            m = self._out
            n = self._at
            self._out = None
            self._at = 0
            await self._send(m, n)

    async def notify(self, data):
        """Send a single message beside the data, such as b"SEQ 7"."""
        m = self.session.buffer(len(data))
        m[_REPLY : _REPLY + len(data)] = data
        await self.session.publish(m, _SINGLE, self.ref, len(data))

    def need_admin(self, what):
        """Raise the error for a host that may only read. what: what it may not, such as "config set"."""
        if self.session.role != "admin":
            raise RemoteError("denied", "%s: expected a key with the role admin" % what)

    @property
    def on_data(self):
        return self._on_data

    @on_data.setter
    def on_data(self, function):
        self._on_data = function
        early = self._early or ()
        self._early = None
        for seq, last, body in early:
            function(seq, last, body)

    # ---- for the session

    def piece(self, seq, last, body):
        """A further message of this command has come."""
        if self._on_data:
            self._on_data(seq, last, body)
        else:
            self._early = self._early or []
            if len(self._early) < _EARLY:
                self._early.append((seq, last, body))

    def acknowledged(self, body):
        """The host has said "SEQ n": it has all up to number n."""
        try:
            n = int(bytes(body[4:]))
        except ValueError:
            return
        if (n - self._acked) & (_LAST - 1) < (self._seq - self._acked) & (_LAST - 1):
            self._acked = (n + 1) & (_LAST - 1)
            self.waiting = None
            while self._space.peek():
                core._task_queue.push(self._space.pop())

    def end(self, code):
        """End it from outside. code: what the host is told: "cancelled", "gone"."""
        if self._ended is None:
            self._ended = code
            self.waiting = None
            if self._begun:  # else nothing of it would run, not even its end
                # Called by the client's reader, where the task that ran last still counts as the one that runs, and
                # asyncio would not cancel that.
                mine = core.cur_task
                core.cur_task = None
                try:
                    self.task.cancel()
                finally:
                    core.cur_task = mine

    # ---- inside

    async def _send(self, m, n):
        while (self._seq - self._acked) & (_LAST - 1) >= self.session.window:
            if self.waiting is None:
                self.waiting = clock.ms()
            self._space.push(core.cur_task)
            core.cur_task.data = self._space  # where asyncio, to cancel the task, calls remove()
            yield
        seq = self._seq
        self._seq = (seq + 1) & (_LAST - 1)
        await self.session.publish(m, seq, self.ref, n)

    async def _run(self):
        session = self.session
        self._begun = True
        try:
            if self._ended:
                raise asyncio.CancelledError
            code, text = await self._work()
        except asyncio.CancelledError:
            code = self._ended or "cancelled"
            text = (
                "%s: the host has been silent" % self.verb if code == "gone" else "%s was ended" % self.verb
            )
        self.started = True
        kind = "out"
        if code:
            logger.warning("%s %s failed: %s %s", session.key_name, self.verb, code, text)
            kind = "err"
            text = json.dumps({"code": code, "text": text[:200]})
        session.command = None
        self._out = self._on_data = self._early = self.data = None
        if small and not any(s.command for s in session.remote.sessions.values()):
            session.remote.tidy()
            gc.collect()  # the answer must have room, whatever the command has taken
        body = text.encode()
        m = session.buffer(len(body))
        m[_REPLY : _REPLY + len(body)] = body
        head = _SINGLE
        if (
            not code
        ):  # its seq tells the host whether it has all that was before; FF FF would be a single message
            head = _LAST | min(self._seq, _LAST - 2)
        await session.publish(m, head, self.ref, len(body), True, kind)

    async def _work(self):
        # Returns (None, JSON of the result) or (code, text).
        verb = self.verb
        try:
            name = role = None
            for row in VERBS:
                if row[0] == verb:
                    name, role = row[1:]
            if name is None:
                return "unknown", "%s: expected one of %s" % (verb[:20], " ".join(row[0] for row in VERBS))
            self._read_args()
            logger.info("%s %s %s", self.session.key_name, verb, self._what())
            if role == "admin":
                self.need_admin(verb)
            full = "coldframe.remote." + name
            try:
                __import__(full)
            except ImportError as e:
                if full in str(e):
                    return "unknown", "%s: left out of this image" % verb
                raise
            module = sys.modules[full]
            function = getattr(module, verb + "_", None) or getattr(module, verb)
            self.started = True  # seen by nobody before it waits for something
            result = await function(self)
            await self.flush()
            text = json.dumps({} if result is None else result)
            if len(text.encode()) > max(self.chunk, 512):
                return "size", "%s: the result has %d characters" % (verb, len(text))
            return None, text
        except RemoteError as e:
            code = e.args[0]
            text = str(e.args[1]) if len(e.args) > 1 else ""
        except OSError as e:
            code = "io"
            for number, word in CODES:
                if number == e.errno:
                    code = word
            text = "%s: %s" % (verb, e)
        except MemoryError as e:
            gc.collect()
            code = "memory"
            text = "%s: %s" % (verb, e)
        except Exception as e:
            code = "error"
            text = "%s: %s: %s" % (verb, type(e).__name__, e)
            logger.exception("%s failed", verb, exc_info=e)
        try:
            await self.flush()
        except Exception:
            pass
        return code, text

    def _read_args(self):
        # The first message: a JSON object, and behind a line feed, data.
        body = bytes(self.data)
        end = body.find(b"\n")
        head = body if end < 0 else body[:end]
        self.data = b"" if end < 0 else body[end + 1 :]
        if head:
            try:
                self.args = json.loads(head)
            except ValueError:
                self.args = None
            if not isinstance(self.args, dict):
                raise RemoteError("args", "%s: expected a JSON object" % self.verb)

    def _what(self):
        # For the log: what the command is about, and nothing that could be a secret.
        args = self.args
        what = args.get("path") or args.get("op") or args.get("mode")
        if what is None and self.verb in ("eval", "exec"):
            what = "".join(chr(c) if c < 127 else "?" for c in self.data[:40])
        return "".join(c if c >= " " else " " for c in str(what or "")[:60])
