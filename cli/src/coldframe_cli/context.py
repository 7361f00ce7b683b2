"""What every command has at hand: the options that are global, the profile, the connection, the output."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import devices, profiles
from .errors import CliError, Timeout
from .link import Link
from .output import Output
from .profiles import Profile
from .session import Session

_AT_ONCE = 1.6  # s after which a device is looked for by another name


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
        """An open session with a device, given by its name, its id or its base topic.

        A word without slashes is taken for the end of the base topic; who does not answer there at once is looked for
        by the name that the devices tell in their SYSINFO.
        """
        session = self._opened(device)
        try:
            yield session
        finally:
            session.close()

    def _opened(self, device: str) -> Session:
        base = self.profile.base_of(device)
        begun = time.monotonic()
        state = None
        try:
            key = self.profile.key_for(base, device)
        except CliError:
            if "/" in device:
                raise
        else:
            session = Session(self.link(), base, key)
            try:
                session.open(self.timeout if "/" in device else min(self.timeout, _AT_ONCE))
                return session
            except Timeout:
                session.close()
                if "/" in device:
                    raise
            except CliError:
                session.close()
                raise
        if "/" not in device and self.link().connected:
            found = [d for d in devices.find(self.link(), self.profile) if d.matches(device)]
            if len(found) > 1:
                places = ", ".join(d.base for d in found)
                raise CliError(
                    f"{device}: {len(found)} devices are called so: {places}; expected one base topic"
                )
            if found:
                base, state = found[0].base, found[0].state
        key = self.profile.key_for(base, device)
        session = Session(self.link(), base, key)
        try:
            session.open(max(1.0, self.timeout - (time.monotonic() - begun)))
        except Timeout:
            session.close()
            if state == "offline":
                raise Timeout(f"{base}: no answer; the device is offline") from None
            raise
        except CliError:
            session.close()
            raise
        return session

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
