"""What every command has at hand: the options that are global, the profile, the connection, the output."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import locate, profiles
from .errors import CliError
from .link import Link
from .output import Output
from .profiles import Profile
from .session import Session


class Context:
    """One run of the command `coldframe`. ``options``: what was given of options.OPTIONS."""

    def __init__(self) -> None:
        self.options: dict[str, object] = {}
        self._profile: Profile | None = None
        self._link: Link | None = None
        self._out: Output | None = None
        self._input: bytes | None = None
        self._input_lock = threading.Lock()

    @property
    def json(self) -> bool:
        """Whether results shall be JSON."""
        return bool(self.options.get("json"))

    @property
    def timeout(self) -> float:
        """s of silence after which a device counts as unreachable."""
        return float(self.options.get("timeout") or 10.0)

    def standard_input(self) -> bytes:
        """All of the standard input; the same at each call, and for each of many devices."""
        with self._input_lock:
            if self._input is None:
                self._input = sys.stdin.buffer.read()
            return self._input

    def own_place(self, local: str | None) -> str | None:
        """Where on this computer something of the device is to be written: for one of many, a folder in ``local``."""
        return local

    @property
    def out(self) -> Output:
        if self._out is None or self._out.json != self.json:
            self._out = Output(self.json)
        return self._out

    @property
    def profile(self) -> Profile:
        """The profile, with the environment and the options. Raises CliError if something is wrong with them."""
        if self._profile is None:
            names = ("broker", "user", "password", "ca", "cert", "cert_key", "base", "key")
            given = {name: self.options.get(name) for name in names}
            self._profile = profiles.load(self.options.get("profile"), **given)  # type: ignore[arg-type]
        return self._profile

    def link(self) -> Link:
        """The connection to the broker, made at the first call. Raises BrokerError."""
        if self._link is None:
            link = Link(self.profile)
            link.connect(max(10.0, self.timeout))
            self._link = link
        return self._link

    @contextmanager
    def session(self, device: str) -> Iterator[Session]:
        """An open session with a device, given by its name, its id or its base topic."""
        session = locate.open_session(self.link(), self.profile, device, self.timeout)
        try:
            yield session
        finally:
            session.close()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._link is not None:
            self._link.close()
            self._link = None


class One(Context):
    """The context of a command in one of the threads that run it for many devices. It shares the connection.

    Args: parent: that of the whole; base, name: of the device; out: takes what the command would show; folder: for what
    is fetched from it, a name that no other device has.
    """

    def __init__(self, parent: Context, base: str, name: str, out: Output, folder: str) -> None:
        super().__init__()
        self.options = {**parent.options, "json": True}
        self._profile = parent.profile
        self._link = parent.link()
        self._out = out
        self._parent = parent
        self._folder = folder
        self._base = base
        self._name = name
        self._open: Session | None = None

    @contextmanager
    def session(self, device: str) -> Iterator[Session]:
        session = Session(self.link(), self._base, self.profile.key_for(self._base, self._name))
        self._open = session
        try:
            session.open(self.timeout)
            yield session
        finally:
            self._open = None
            session.close()

    def standard_input(self) -> bytes:
        return self._parent.standard_input()

    def own_place(self, local: str | None) -> str | None:
        if local == "-":
            return local
        place = Path(local or ".") / self._folder
        place.mkdir(parents=True, exist_ok=True)
        return f"{place}/"

    def cancel(self) -> None:
        """End what runs on the device. From another thread."""
        if session := self._open:
            with suppress(CliError):  # it is not open yet: nothing runs
                session.cancel()

    def close(self) -> None:
        """Nothing: the connection is that of all."""


_now = Context()
_own = threading.local()  # .context: of the threads that have one


def current() -> Context:
    """The context of the command that runs, in this thread."""
    return getattr(_own, "context", None) or _now


@contextmanager
def one(context: One) -> Iterator[One]:
    """Make this the context of the calling thread."""
    _own.context = context
    try:
        yield context
    finally:
        del _own.context


def begin() -> Context:
    """A new context, for a new command."""
    global _now
    _now = Context()
    return _now


def elapsed(since: float) -> str:
    """Time since a time.monotonic(), for people."""
    seconds = time.monotonic() - since
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
