"""The guest's USB console: what it has printed, waiting for it, and running code over the REPL."""

from __future__ import annotations

import asyncio
import codecs
import re
import time
from collections.abc import Callable

KEPT = 4 << 20  # characters of console text that are kept
SHOWN = 1500  # characters of it in an error message

_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_PROMPT = b">>> "


class EmulatorError(Exception):
    """The emulated board did not do what was asked of it."""


class GuestError(EmulatorError):
    """Code run on the board ended in an exception; `traceback` is what the board printed."""

    def __init__(self, traceback: str, output: str) -> None:
        super().__init__(traceback.strip())
        self.traceback = traceback
        self.output = output


class Signal:
    """Wakes everybody who waits for something to have changed."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        """Wake all who wait now."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, timeout: float) -> None:
        """Return at the next `fire`, or after *timeout* seconds."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            # not wait_for(): Python 3.11's loses a cancellation that comes together with the result
            await asyncio.wait({waiter}, timeout=max(timeout, 0))
        finally:
            self._waiters.discard(waiter)


class Console:
    """Text from the guest, and keys to it.

    Args:
        send: puts bytes into the guest's console.
        guest_seconds: the guest's clock.
        check: raises when the machine can no longer run.
        changed: fired by everything that may make a wait come true.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        guest_seconds: Callable[[], float],
        check: Callable[[], None],
        changed: Signal,
    ) -> None:
        self.send = send
        self.on_text: Callable[[str], None] = lambda text: None
        self._guest_seconds = guest_seconds
        self._check = check
        self._changed = changed
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._text = ""
        self._dropped = 0  # characters no longer in _text
        self._cursor = 0  # absolute position up to which `expect` has looked
        self._raw: bytearray | None = None  # bytes of the raw REPL, while one is open

    @property
    def text(self) -> str:
        """Everything printed so far (the last few million characters of it)."""
        return self._text

    @property
    def position(self) -> int:
        """Characters printed so far."""
        return self._dropped + len(self._text)

    def received(self, data: bytes) -> None:
        """Bytes have come from the guest."""
        if self._raw is not None:
            self._raw += data
        else:
            self._show(bytes(data))
        self._changed.fire()

    def _show(self, data: bytes) -> None:
        text = self._decode(data).replace("\r\n", "\n")
        self._text += text
        if len(self._text) > KEPT:
            cut = len(self._text) - KEPT * 3 // 4
            self._text = self._text[cut:]
            self._dropped += cut
        if text:
            self.on_text(text)

    async def until(self, done: Callable[[], bool], deadline: float, what: str) -> None:
        """Wait until *done* is true; it is looked at whenever something changes.

        Args:
            done: the condition.
            deadline: seconds of real time.
            what: for the error: what was waited for.

        Raises:
            TimeoutError: it did not come true in time.
            EmulatorError: the machine has stopped.
        """
        end = time.monotonic() + deadline
        while not done():
            self._check()
            left = end - time.monotonic()
            if left <= 0:
                tail = self._text[-SHOWN:]
                raise TimeoutError(f"{what}: not within {deadline:g} s; the console's last text:\n{tail}")
            await self._changed.wait(min(left, 0.5))

    async def expect(self, text: str | re.Pattern[str], deadline: float, since: int | None = None) -> str:
        """Wait for *text* on the console, after what the last `expect` found.

        Args:
            text: the text, or a compiled regular expression.
            deadline: seconds of real time.
            since: look from this `position` on instead.

        Returns:
            The match.

        Raises:
            TimeoutError: with the console's last lines.
        """
        if isinstance(text, re.Pattern):
            pattern, name = text, text.pattern
        else:
            pattern, name = re.compile(re.escape(text)), text
        start = self._cursor if since is None else since
        found: list[re.Match[str]] = []
        looked = -1  # the condition is asked for more often than there is new text

        def look() -> bool:
            nonlocal looked
            if self.position == looked:
                return False
            looked = self.position
            match = pattern.search(self._text, max(0, start - self._dropped))
            if match:
                found.append(match)
            return bool(match)

        await self.until(look, deadline, f"{name!r} on the console")
        self._cursor = self._dropped + found[-1].end()
        return found[-1][0]

    # -- running code ----------------------------------------------------------------------------

    async def execute(self, code: str, deadline: float) -> tuple[str, str]:
        """Stop what runs, run *code* over the raw REPL and leave the board at the ordinary REPL.

        Args:
            code: MicroPython source.
            deadline: seconds of real time for all of it.

        Returns:
            What the code printed, and the traceback (empty when it ended well).
        """
        end = time.monotonic() + deadline
        self._raw = bytearray()
        try:
            await self._to_prompt(end)
            await self._ask(b"\x01", _RAW_BANNER, end, "the raw REPL")
            # the raw REPL takes an empty program for the order to restart
            self.send((code if code.strip() else "pass").encode() + b"\x04")
            await self._ask(b"", b"OK", end, "the code to be accepted")
            output = await self._ask(b"", b"\x04", end, "the code to end")
            error = await self._ask(b"", b"\x04", end, "the code to end")
            await self._ask(b"\x02", _PROMPT, end, "the REPL's prompt")
        finally:
            self._raw = None
        clean = [part.decode("utf-8", "replace").replace("\r\n", "\n") for part in (output, error)]
        return clean[0], clean[1]

    async def _to_prompt(self, end: float) -> None:
        """Interrupt the program, as often as it takes, until there is a prompt."""
        assert self._raw is not None
        tries = 0
        while _PROMPT not in self._raw:
            # the second try also leaves a raw REPL that an earlier run did not finish
            self.send(b"\x03" if tries == 0 else b"\x03\x02")
            tries += 1
            patience = self._guest_seconds() + 0.5 * tries
            await self.until(
                lambda until=patience: _PROMPT in (self._raw or b"") or self._guest_seconds() > until,
                end - time.monotonic(),
                "a REPL prompt after Ctrl-C",
            )
        # what the program printed while it ended belongs to the console
        shown, self._raw = bytes(self._raw), bytearray()
        self._show(shown)

    async def _ask(self, keys: bytes, answer: bytes, end: float, what: str) -> bytes:
        """Send *keys*; return what comes before *answer*."""
        if keys:
            self.send(keys)
        await self.until(lambda: answer in (self._raw or b""), end - time.monotonic(), what)
        assert self._raw is not None
        before, _, rest = bytes(self._raw).partition(answer)
        self._raw = bytearray(rest)
        return before
