"""What every command has at hand: the options that are global, the profile, the connection, the output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import profiles
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

    @property
    def json(self) -> bool:
        """Whether results shall be JSON."""
        return bool(self.options.get("json"))

    @property
    def timeout(self) -> float:
        """s of silence after which a device counts as unreachable."""
        return float(self.options.get("timeout") or 10.0)

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
        """An open session with a device, given by its name or base topic."""
        base = self.profile.base_of(device)
        key = self.profile.key_for(base, device)
        session = Session(self.link(), base, key)
        try:
            session.open(self.timeout)
            yield session
        finally:
            session.close()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._link is not None:
            self._link.close()
            self._link = None


_now = Context()


def current() -> Context:
    """The context of the command that runs."""
    return _now


def begin() -> Context:
    """A new context, for a new command."""
    global _now
    _now = Context()
    return _now


def elapsed(since: float) -> str:
    """Time since a time.monotonic(), for people."""
    seconds = time.monotonic() - since
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
