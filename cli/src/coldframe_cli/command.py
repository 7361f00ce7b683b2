"""One command under way in a session: its data in both directions, repetition, acknowledgements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from . import protocol
from .errors import BrokerError, CliError, DeviceError, SessionLost, Timeout

if TYPE_CHECKING:
    from .session import Session

REPEAT = (1.5, 3.0, 6.0)  # s until the same bytes are sent again; the last one from then on
_PING_EVERY = 5.0  # s of silence while a command runs
_PROOF = 4.0  # s that an answer to a ping may take before a session counts as forgotten;
_PROOF_TOLD = 1.5  # if the ping itself was answered by the hint that there is no session
_AGAIN = (
    0.8  # s in which further complaints about the same missing piece are about what was on its way already
)
_QUIET = (
    0.9  # s without an acknowledgement after which the device is asked whether it still knows the session
)
_GIVE_UP = 30.0  # s without an acknowledgement, though the device answers
_STALLED = 3.0  # s without an acknowledgement after which pieces are sent again


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
        self.ahead = session.welcome.ahead
        self.piece = session.welcome.to_device
        self.lost = 0  # data messages that never came
        self.ended = False  # its last reply has come: there is nothing to cancel
        self._expected = 0  # sequence number of the next data message
        self._unacknowledged = 0
        self._rest = b""
        self._early: protocol.Reply | None = None
        self._cancelled = False
        body = protocol.arguments(args)
        if data:
            room = max(0, self.piece - len(body) - 1)
            body, self._rest = body + b"\n" + data[:room], data[room:]
        if len(body) > self.piece:
            raise CliError(
                f"{session.base}: {verb}: the arguments have {len(body)} bytes; the device takes {self.piece}"
            )
        self._body, self._last = body, not (self._rest or more)
        self.ref, *self._first = session.seal(verb, 0, self._last, body)
        self._begun = time.monotonic()
        self._spoke = self._begun  # when we sent the first message, a ping or an acknowledgement last
        self._repeats = 0
        self._pinged: int | None = None
        self._suspect: float | None = None  # since when the device may have forgotten the session
        self._told = False
        session.link.publish(*self._first)

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
            if got == "session":
                # Anybody could have said so: only a ping that stays without an answer proves it.
                if self._suspect is None:
                    self._suspect, self._told = time.monotonic(), False
                    self._ping()
                else:
                    self._told = True
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
            reply, self._early = self._early or self.next(1.0), None
            if reply is None:
                if self._unacknowledged:
                    self.acknowledge()  # an earlier one may have been lost
            elif reply.last:
                self._ended(reply, on_lost)
                return self.json(reply)
            elif reply.sequence is not None:
                self.take(reply, on_data, on_lost)

    def json(self, reply: protocol.Reply) -> dict:
        """The JSON object in a message. Raises DeviceError if it is none."""
        try:
            return reply.json()
        except protocol.BadMessage:
            text = f"{self.verb}: expected a JSON object from the device, got {reply.body[:60]!r}"
            raise DeviceError("error", text) from None

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

    def _ended(self, reply: protocol.Reply, on_lost: Callable[[int], None] | None) -> None:
        # Data at the very end may be lost as well: the last message has the number behind that.
        self.ended = True
        missing = protocol.ahead(reply.sequence or 0, self._expected)
        if missing > 0:
            self.lost += missing
            if on_lost:
                on_lost(missing)

    def acknowledge(self) -> None:
        """Tell the device how far its data has come."""
        self._unacknowledged = 0
        last = (self._expected - 1) % protocol.SEQUENCES
        self.session.send("ack", 0, True, b"SEQ %d" % last)

    def _push(self, on_data: Callable[[bytes], None] | None) -> None:
        pieces = [self._rest[i : i + self.piece] for i in range(0, len(self._rest), self.piece)]
        self._rest = b""
        for reply in self.push(lambda n: pieces[n - 1], len(pieces)):
            if reply.last:
                self._early = reply
            else:
                self.take(reply, on_data)

    def push(
        self,
        piece: Callable[[int], bytes],
        count: int,
        on_progress: Callable[[int], None] | None = None,
    ) -> Iterator[protocol.Reply]:
        """Send the pieces 1..``count`` of this command within the window, going back where one was lost.

        Args:
            piece: gives the bytes of number n; may be asked again for those not acknowledged.
            on_progress: gets the number of pieces that the device has.
        Yields the messages that are no acknowledgements. Ends when all are acknowledged, or a last reply came
        (which is yielded).
        """
        acknowledged = sent = 0
        moved = progress = time.monotonic()
        returned = 0.0  # when we went back last
        while acknowledged < count:
            while sent < min(count, acknowledged + self.ahead):
                sent += 1
                self.session.send(self.verb, _piece_number(sent), sent == count, piece(sent))
            reply = self.next(1.0)
            now = time.monotonic()
            if reply is not None and reply.sequence is not None:
                yield reply
                if reply.last:
                    return
                continue
            told = protocol.acknowledged(reply.body) if reply else None
            if told is not None:
                n = acknowledged + _pieces_ahead(told, acknowledged)
                if acknowledged < n <= count:
                    acknowledged, moved, progress, returned = n, now, now, 0.0
                    sent = max(sent, n)
                    if on_progress:
                        on_progress(n)
                elif n == acknowledged and sent > n and now - returned > _AGAIN:
                    returned, sent, moved = now, n, now
            elif not self.session.link.connected:
                continue
            elif now - progress > max(self.timeout, _GIVE_UP):
                raise Timeout(f"{self.session.base}: the device has taken no data for {now - progress:.0f} s")
            elif now - moved > _STALLED:
                sent, moved = acknowledged, now
            elif now - max(moved, self._spoke) > _QUIET:
                self._spoke = now
                self._ping()  # whether it still knows us

    # Watching

    def _mine(self, reply: protocol.Reply) -> protocol.Reply | None:
        if reply.ref == self._pinged:
            self._pinged = None
            self._suspect = None  # it knows us: the hint was forged, or late
            last = self.json(reply).get("last")
            if isinstance(last, int) and last < self.ref:
                # Our first message is lost, and the device takes no lower counter any more: it never will be run.
                self.ref, *self._first = self.session.seal(self.verb, 0, self._last, self._body)
                self.session.link.publish(*self._first)
            return None
        if reply.ref != self.ref:
            return None
        self._suspect = None
        if reply.error:
            told = self.json(reply)
            raise DeviceError(str(told.get("code", "error")), str(told.get("text", "")))
        return reply

    def _watch(self) -> None:
        now = time.monotonic()
        session = self.session
        heard = max(session.heard, self._begun)
        if self._suspect is not None and now - self._suspect > (_PROOF_TOLD if self._told else _PROOF):
            session.forget()
            raise SessionLost(
                f"{session.base}: the device does not know the session any more (a restart?); whether `{self.verb}` "
                "was run is not known"
            )
        if now - heard > self.timeout:
            if not session.link.connected:
                raise BrokerError(
                    f"{session.base}: the connection to the broker {session.link.broker} is lost"
                )
            raise Timeout(f"{session.base}: no answer to `{self.verb}` for {self.timeout:g} s")
        if not session.link.connected:
            self._spoke = now
            return
        if session.heard <= self._begun:  # nothing yet: the first message may have been lost
            if now - self._spoke > REPEAT[min(self._repeats, len(REPEAT) - 1)]:
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


def _piece_number(n: int) -> int:
    # Number 0 is always the first message of the command: behind 32767 comes 1.
    return (n - 1) % (protocol.SEQUENCES - 1) + 1


def _pieces_ahead(told: int, acknowledged: int) -> int:
    # How many pieces more than before the device has, by the number that it tells.
    if not told:
        return -acknowledged
    span = protocol.SEQUENCES - 1
    return (told - _piece_number(acknowledged) + span // 2) % span - span // 2
