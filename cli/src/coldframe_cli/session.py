"""A session with a device: opened with the key, then one command after the other.

    with Session(link, "coldframe/a1b2", key) as session:
        print(session.call("ping"))

What is lost on the way is repeated, a device that has restarted is greeted anew, and nothing that changes
something is ever run twice because of it. The calls block; use a thread for each device.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

from . import protocol
from .errors import CliError, DeviceError, Refused, SessionLost, Timeout
from .link import Link

# These change nothing, or end the same when done again: they may be repeated in a new session.
REPEATABLE = frozenset({"ping", "info", "ls", "stat", "get", "log", "crash", "cancel", "close"})

_REPEAT = (1.5, 3.0, 6.0)  # s until the same bytes are sent again; the last one from then on
_PING_EVERY = 5.0  # s of silence while a command runs
_IDLE = 60.0  # s after which the device may have forgotten the session: asked before anything that counts
_PROOF = 4.0  # s that an answer to a ping may take before a session counts as forgotten
_BUSY_WAIT = 2.0  # s between attempts while the device has no room for a session
_SEEN = 1000  # how far a message may come after a later one
_QUEUE = 5000  # messages that may wait for a caller that reads slowly


class Session:
    """One session with the device at ``base``.

    Args: key: the device's remote.key, or one of remote.keys.

    After ``open``: ``welcome`` says what the device has told of itself. One thread at a time calls;
    ``cancel`` may come from another.
    """

    def __init__(self, link: Link, base: str, key: str) -> None:
        self.link = link
        self.base = base
        self.id = protocol.new_session_id()
        self.welcome: protocol.Welcome | None = None
        self.reopened = 0  # how often the device had to be greeted anew
        self.heard = 0.0  # time.monotonic() of the last authentic message
        self._key = protocol.key_bytes(key)
        self._lock = threading.Lock()
        self._counter = 0
        self._seen: set[int] = set()  # counters; not just the highest: a last reply may be repeated later
        self._highest = 0
        self._nonce = b""
        self._keys: tuple[bytes, bytes] | None = None
        self._inbox: queue.Queue[protocol.Reply | protocol.Welcome | str] = queue.Queue(_QUEUE)
        self._command: Command | None = None
        self._out = f"{base}/reply/out/{self.id}"
        self._stop = link.listen(f"{base}/reply/+/{self.id}", self._on_message)

    def __enter__(self) -> Session:
        if self.welcome is None:
            self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Opening

    def open(self, timeout: float = 10.0) -> protocol.Welcome:
        """Say hello and open the session. Also to begin anew.

        Args: timeout: s until a device that says nothing counts as unreachable.
        Raises Timeout, Refused, BrokerError.
        """
        deadline = time.monotonic() + timeout
        self._command = None
        while True:
            self._hello(deadline)
            hint = self._open(deadline)
            if hint is None:
                assert self.welcome
                return self.welcome
            if hint == "busy":
                time.sleep(min(_BUSY_WAIT, max(0.0, deadline - time.monotonic())))

    def _hello(self, deadline: float) -> None:
        topic = self._topic("hello")
        with self._lock:
            self._keys = None
            self._nonce = protocol.new_nonce()
            self._counter = 1  # of the message that opens
            self._seen = set()
            self._highest = 0
        self._empty()
        message = protocol.hello(self._key, topic, self._nonce)
        hint = ""
        for left in self._tries(deadline):
            self.link.publish(topic, message)
            until = time.monotonic() + left
            while (got := self._next(until)) is not None:
                if isinstance(got, protocol.Welcome):
                    with self._lock:
                        self.welcome = got
                        self._keys = protocol.session_keys(
                            self._key, self.base, self.id, self._nonce, got.nonce
                        )
                    return
                hint = got if isinstance(got, str) else hint
        self._silent(hint, deadline)

    def _open(self, deadline: float) -> str | None:
        assert self.welcome and self._keys
        topic = self._topic("open")
        message = protocol.opening(self._key, self._keys[0], topic, self._nonce, self.welcome.nonce)
        hint = ""
        for left in self._tries(deadline):
            self.link.publish(topic, message)
            until = time.monotonic() + left
            while (got := self._next(until)) is not None:
                if isinstance(got, protocol.Reply) and got.ref == 1:
                    if got.error:
                        told = got.json()
                        raise DeviceError(str(told.get("code", "error")), str(told.get("text", "")))
                    return None
                if isinstance(got, str):
                    hint = got
                    if got in ("stale", "busy", "session") and time.monotonic() < deadline:
                        return got
        self._silent(hint, deadline)
        return None

    def _silent(self, hint: str, deadline: float) -> None:
        if hint == "key":
            raise Refused(f"{self.base}: the device does not accept this key; expected its remote.key")
        if hint == "busy":
            raise Refused(f"{self.base}: the device has no room for one more session; try again later")
        if not self.link.connected:
            raise Timeout(f"{self.base}: the connection to the broker is lost: {self.link.broker}")
        raise Timeout(
            f"{self.base}: no answer; expected a device that is online there, with remote.key in its "
            "configuration"
        )

    def _tries(self, deadline: float) -> Iterator[float]:
        """The waits between repetitions, until ``deadline``; none is spent while the broker is away."""
        for n in range(1000):
            left = deadline - time.monotonic()
            if left <= 0 or not self.link.wait(left):
                return
            yield min(_REPEAT[min(n, len(_REPEAT) - 1)], max(0.05, deadline - time.monotonic()))

    # Commands

    def call(
        self,
        verb: str,
        args: dict | None = None,
        data: bytes = b"",
        *,
        timeout: float = 20.0,
        on_data: Callable[[bytes], None] | None = None,
        on_lost: Callable[[int], None] | None = None,
        repeat: bool | None = None,
    ) -> dict:
        """Run a command and return its result.

        Args:
            data: what goes behind the JSON line: code, a configuration. Any size.
            timeout: s of complete silence (the device answers pings while a command runs) until Timeout.
            on_data: gets the data of the answer as it comes; else it is thrown away.
            on_lost: gets the number of data messages that never came, where some are missing.
            repeat: run it again if the device has restarted meanwhile. Default: only what changes nothing.
        Raises DeviceError, Timeout, SessionLost, Refused. Ctrl-C cancels the command on the device, and is
        raised again once the device has confirmed; a second one does not wait for that.
        """
        again = verb in REPEATABLE if repeat is None else repeat
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._call(verb, args or {}, data, timeout, on_data, on_lost, sure=again)
            except SessionLost:
                if not again or time.monotonic() > deadline:
                    raise
                self.reopened += 1
                self.open(timeout)

    def _call(self, verb, args, data, timeout, on_data, on_lost, *, sure) -> dict:
        if not sure and self._keys is not None and time.monotonic() - self.heard > _IDLE:
            self.call("ping", timeout=timeout)  # whether it still knows us; then nothing can run twice
        command = self.start(verb, args, data, timeout=timeout)
        try:
            return command.finish(on_data, on_lost)
        except KeyboardInterrupt:
            command.cancel()
            self._until_cancelled(command, on_data)
            raise

    def _until_cancelled(self, command: Command, on_data: Callable[[bytes], None] | None) -> None:
        command.timeout = 10.0
        with contextlib.suppress(CliError):
            command.finish(on_data)

    def start(
        self,
        verb: str,
        args: dict | None = None,
        data: bytes = b"",
        *,
        more: bool = False,
        timeout: float = 20.0,
    ) -> Command:
        """Begin a command; see Command. ``more``: further messages follow, even though ``data`` fits."""
        if self._keys is None or self.welcome is None:
            self.open(timeout)
        self._empty()
        self._command = Command(self, verb, args or {}, data, more, timeout)
        return self._command

    def cancel(self) -> None:
        """Have the device end the command that runs; its caller gets DeviceError "cancelled"."""
        self.send("cancel", 0, True, b"{}")

    def close(self) -> None:
        """Say good-bye; nothing is waited for."""
        if self._keys is not None and self.link.connected:
            self.send("close", 0, True, b"{}").wait_for_publish(1.0)
        self._keys = None
        self._stop()

    # Messages

    def send(self, verb: str, sequence: int, last: bool, body: bytes):
        """Send a message with the next counter; returns what Link.publish returns."""
        return self.link.publish(*self.seal(verb, sequence, last, body)[1:])

    def seal(self, verb: str, sequence: int, last: bool, body: bytes) -> tuple[int, str, bytes]:
        """Make a message: (its counter, topic, bytes)."""
        topic = self._topic(verb)
        with self._lock:
            if self._keys is None:
                raise SessionLost(f"{self.base}: the session is closed")
            self._counter += 1
            counter = self._counter
            return counter, topic, protocol.command(self._keys[0], topic, counter, sequence, last, body)

    def forget(self) -> None:
        """Begin anew with the next command: the device does not know the session any more."""
        with self._lock:
            self._keys = None
            self._nonce = b""

    def _new(self, counter: int) -> bool:
        if counter in self._seen or counter < self._highest - _SEEN:
            return False
        if len(self._seen) >= 2 * _SEEN:
            self._seen = {c for c in self._seen if c >= counter - _SEEN}
        self._seen.add(counter)
        self._highest = max(self._highest, counter)
        return True

    def _next(self, until: float) -> protocol.Reply | protocol.Welcome | str | None:
        try:
            return self._inbox.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return None

    def _empty(self) -> None:
        while not self._inbox.empty():
            self._inbox.get_nowait()

    def _topic(self, verb: str) -> str:
        return f"{self.base}/cmd/{verb}/{self.id}"

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        # In the link's thread. Only what is authentic, new and awaited takes room in the queue.
        if retained:
            return
        got: protocol.Reply | protocol.Welcome | str | None
        with self._lock:
            try:
                if self._keys is None:
                    if not self._nonce:
                        return
                    got = protocol.hint(topic, payload)
                    if got is None:
                        if topic != self._out:
                            return
                        got = protocol.welcome(self._key, topic, payload, self._nonce)
                else:
                    got = protocol.hint(topic, payload)
                    if got is None:
                        got = protocol.reply(self._keys[1], topic, payload)
                        if not self._new(got.counter):
                            return
            except protocol.BadMessage:
                return
        if not isinstance(got, str):
            self.heard = time.monotonic()
        elif self._inbox.qsize() > 100:
            return  # hints can be forged: they do not take the room of what is authentic
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(got)


class Command:
    """A command under way. ``ref`` is its number.

    ``next`` gives the device's messages in order; ``finish`` takes all that are left.
    """

    def __init__(
        self, session: Session, verb: str, args: dict, data: bytes, more: bool, timeout: float
    ) -> None:
        assert session.welcome
        self.session = session
        self.verb = verb
        self.timeout = timeout
        self.window = session.welcome.window
        self.piece = session.welcome.to_device
        self.acknowledged = 0  # the device has our messages up to this sequence number
        self.lost = 0  # data messages that never came
        self._expected = 0  # sequence number of the next data message
        self._unacknowledged = 0
        self._rest = b""
        self._sent = 0
        self._cancelled = False
        body = protocol.arguments(args)
        if data:
            room = max(0, self.piece - len(body) - 1)
            body, self._rest = body + b"\n" + data[:room], data[room:]
        if len(body) > self.piece:
            raise CliError(
                f"{session.base}: {verb}: the arguments have {len(body)} bytes; the device takes {self.piece}"
            )
        self.ref, topic, message = session.seal(verb, 0, not (self._rest or more), body)
        self._first = (topic, message)
        self._begun = time.monotonic()
        self._spoke = self._begun  # when we sent the first message, a ping or an acknowledgement last
        self._repeats = 0
        self._pinged: int | None = None
        self._suspect: float | None = None
        session.link.publish(topic, message)

    def post(self, sequence: int, last: bool, data: bytes) -> None:
        """Send a further message of this command; it is not repeated by itself."""
        self.session.send(self.verb, sequence, last, data)

    def cancel(self) -> None:
        self._cancelled = True
        self.session.cancel()

    def next(self, wait: float) -> protocol.Reply | None:
        """The device's next message of this command, or None if none came within ``wait`` s.

        Raises DeviceError for its error, Timeout if it has been silent for too long, SessionLost if it does not
        know the session any more.
        """
        until = time.monotonic() + wait
        while True:
            got = self.session._next(min(until, time.monotonic() + 0.5))
            if isinstance(got, protocol.Reply) and (reply := self._mine(got)):
                return reply
            if isinstance(got, str) and got == "session" and self._suspect is None:
                self._suspect = time.monotonic()
                self._ping()
            self._watch()
            if time.monotonic() >= until:
                return None

    def finish(
        self, on_data: Callable[[bytes], None] | None = None, on_lost: Callable[[int], None] | None = None
    ) -> dict:
        """Take the data, acknowledge it, and return the result. Raises as ``next``."""
        if self._rest:
            self._push(on_data)
        while True:
            reply = self.next(1.0)
            if reply is None:
                if self._unacknowledged:
                    self.acknowledge()  # an earlier one may have been lost
            elif reply.last:
                return reply.json()
            elif reply.sequence is not None:
                self.take(reply, on_data, on_lost)

    def take(
        self,
        reply: protocol.Reply,
        on_data: Callable[[bytes], None] | None,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        """Take a data message: hand its data on, and acknowledge where it is due."""
        assert reply.sequence is not None
        ahead = protocol.ahead(reply.sequence, self._expected)
        if ahead < 0:
            self.acknowledge()
            return
        if ahead:
            self.lost += ahead
            if on_lost:
                on_lost(ahead)
        self._expected = (reply.sequence + 1) % protocol.SEQUENCES
        if on_data:
            on_data(reply.body)
        self._unacknowledged += 1
        if self._unacknowledged >= max(1, self.window // 2):
            self.acknowledge()

    def acknowledge(self) -> None:
        """Tell the device how far its data has come."""
        self._unacknowledged = 0
        last = (self._expected - 1) % protocol.SEQUENCES
        self.session.send("ack", 0, True, b"SEQ %d" % last)

    def _push(self, on_data: Callable[[bytes], None] | None) -> None:
        pieces = [self._rest[i : i + self.piece] for i in range(0, len(self._rest), self.piece)]
        self._rest = b""
        for reply in self.push(lambda n: pieces[n - 1], len(pieces)):
            if reply.sequence is not None:
                self.take(reply, on_data)

    def push(self, piece: Callable[[int], bytes], count: int) -> Iterator[protocol.Reply]:
        """Send the pieces 1..``count`` of this command within the window, going back where one was lost.

        Args: piece: gives the bytes of number n; may be asked again for those not acknowledged.
        Yields the messages that are no acknowledgements. Ends when all are acknowledged, or a last reply came
        (which is yielded).
        """
        upto = 0  # the highest that was sent since we last went back
        progress = time.monotonic()
        went_back = -1
        while self.acknowledged < count:
            while upto < min(count, self.acknowledged + self.window):
                upto += 1
                self.post(upto, upto == count, piece(upto))
            reply = self.next(1.0)
            now = time.monotonic()
            if reply is not None and reply.sequence is not None:
                yield reply
                if reply.last:
                    return
                continue
            told = protocol.acknowledged(reply.body) if reply else None
            if told is not None:
                n = self.acknowledged + protocol.ahead(
                    told % protocol.SEQUENCES, self.acknowledged % protocol.SEQUENCES
                )
                if self.acknowledged < n <= count:
                    self.acknowledged = n
                    progress = now
                    upto = max(upto, n)
                elif n == self.acknowledged and n < upto and went_back != n:
                    went_back, upto, progress = n, n, now
            elif now - progress > 3.0 and self.session.link.connected:
                upto, progress = self.acknowledged, now

    # Watching

    def _mine(self, reply: protocol.Reply) -> protocol.Reply | None:
        if reply.ref == self._pinged:
            self._pinged = None
            self._suspect = None  # it knows us: the hint was forged, or late
            return None
        if reply.ref != self.ref:
            return None
        self._suspect = None
        if reply.error:
            told = reply.json()
            raise DeviceError(str(told.get("code", "error")), str(told.get("text", "")))
        return reply

    def _watch(self) -> None:
        now = time.monotonic()
        session = self.session
        heard = max(session.heard, self._begun)
        if self._suspect is not None and now - self._suspect > _PROOF:
            session.forget()
            raise SessionLost(
                f"{session.base}: the device does not know the session any more (a restart?); whether `{self.verb}` "
                "was run is not known"
            )
        if now - heard > self.timeout:
            if not session.link.connected:
                raise Timeout(f"{session.base}: the connection to the broker is lost: {session.link.broker}")
            raise Timeout(f"{session.base}: no answer to `{self.verb}` for {self.timeout:g} s")
        if not session.link.connected:
            self._spoke = now
            return
        if session.heard <= self._begun:  # nothing yet: the first message may have been lost
            if now - self._spoke > _REPEAT[min(self._repeats, len(_REPEAT) - 1)]:
                self._repeats += 1
                self._spoke = now
                session.link.publish(*self._first)
        elif now - max(heard, self._spoke) > _PING_EVERY:
            # Either our first message and its answer, or its last reply, was lost; or it works in silence.
            self._spoke = now
            session.link.publish(*self._first)
            self._ping()
        if self._cancelled and now - self._spoke > 1.0:
            self._spoke = now
            session.cancel()

    def _ping(self) -> None:
        self._pinged, topic, message = self.session.seal("ping", 0, True, b"{}")
        self.session.link.publish(topic, message)
