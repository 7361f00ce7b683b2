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
from .command import REPEAT, Command
from .errors import BrokerError, CliError, DeviceError, Incomplete, Refused, SessionLost, Timeout
from .link import Link

# These change nothing, or end the same when done again: they may be repeated in a new session.
REPEATABLE = frozenset({"ping", "info", "ls", "stat", "get", "log", "crash", "cancel", "close"})

_IDLE = 8.0  # s after which the device may have forgotten the session: asked before anything that counts
_REFUSED = 2.5  # s for an answer to the greeting, once it is said that the key is wrong
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
        refused = deadline  # anybody may say so: but a device that accepts the key answers soon as well
        for left in self._tries(deadline):
            self.link.publish(topic, message)
            until = time.monotonic() + left
            while (got := self._next(min(until, refused))) is not None:
                if isinstance(got, protocol.Welcome):
                    with self._lock:
                        self.welcome = got
                        self._keys = protocol.session_keys(
                            self._key, self.base, self.id, self._nonce, got.nonce
                        )
                    return
                if isinstance(got, str):
                    if got == "key" != hint:
                        refused = min(deadline, time.monotonic() + _REFUSED)
                    hint = got
            if time.monotonic() >= refused:
                break
        self._silent(hint)

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
        self._silent(hint)
        return None

    def _silent(self, hint: str) -> None:
        if hint == "key":
            raise Refused(f"{self.base}: the device does not accept this key; expected its remote.key")
        if hint == "busy":
            raise Refused(f"{self.base}: the device has no room for one more session; try again later")
        if not self.link.connected:
            raise BrokerError(f"{self.base}: the connection to the broker {self.link.broker} is lost")
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
            yield min(REPEAT[min(n, len(REPEAT) - 1)], max(0.05, deadline - time.monotonic()))

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
            on_lost: gets the number of data messages that never came, where some are missing. Without it that is
                the error Incomplete, once the command has ended.
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
            result = command.finish(on_data, on_lost)
        except KeyboardInterrupt:
            self.drain(command, on_data)
            raise
        if command.lost and on_data and not on_lost:
            raise Incomplete(f"{verb}: {command.lost} messages of the answer were lost on the way; try again")
        return result

    def drain(self, command: Command, on_data: Callable[[bytes], None] | None = None) -> None:
        """Cancel a command and take what still comes of it, until the device has confirmed (10 s at most)."""
        if command.ended:
            return
        command.timeout = 10.0
        with contextlib.suppress(CliError):
            command.cancel()
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
            self.send("close", 0, True, b"{}")
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
