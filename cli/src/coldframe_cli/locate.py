"""Which base topic a word means: the end of the topic, a device's name, or its id."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path

import platformdirs

from . import devices
from .devices import Device, Directory
from .errors import CliError, Timeout
from .link import Link
from .profiles import Profile
from .session import Session

_RETAINED = 0.4  # s in which the broker tells what it keeps under a topic
_LOOK = 3.0  # s until the search for a name is given up
_SECOND = 0.4  # s in which another device of the same name may turn up
_NAMES = 2000  # names that are remembered


def open_session(link: Link, profile: Profile, device: str, timeout: float) -> Session:
    """Open a session with a device.

    Args: device: its base topic, the end of it, its name or its id; timeout: s of silence.
    Raises CliError if several are called so, if there is no key, and what Session.open raises.
    """
    base = profile.base_of(device)
    if "/" in device:
        return _open(link, base, profile.key_for(base), timeout)
    known = remembered(profile, device)
    if known:
        with contextlib.suppress(Timeout):
            session = _open(link, known, profile.key_for(known, device), min(timeout, _LOOK))
            if session.welcome and session.welcome.name == device:
                return session
            session.close()  # the device has got another name
        remember(profile, device, None)
    state = None
    if not _there(link, base):
        found = _named(link, profile, device)
        if len(found) > 1:
            places = ", ".join(d.base for d in found)
            raise CliError(f"{device}: {len(found)} devices are called so: {places}; expected one base topic")
        if found:
            base, state = found[0].base, found[0].state
    try:
        session = _open(link, base, profile.key_for(base, device), timeout)
    except Timeout:
        if state == "offline":
            raise Timeout(f"{base}: no answer; the device is offline") from None
        raise
    if session.welcome and session.welcome.name == device and base != profile.base_of(device):
        remember(profile, device, base)
    return session


def _open(link: Link, base: str, key: str, timeout: float) -> Session:
    session = Session(link, base, key)
    try:
        session.open(timeout)
    except BaseException:
        session.close()
        raise
    return session


def _there(link: Link, base: str) -> bool:
    # Whether there is a device, online or not: it has left a retained message then.
    heard = threading.Event()
    stop = link.listen(f"{base}/available", lambda *_: heard.set())
    try:
        link.subscribed(_LOOK)
        return heard.wait(_RETAINED)
    finally:
        stop()


def _named(link: Link, profile: Profile, name: str) -> list[Device]:
    with devices.others(link, profile) as others, Directory(link, profile.places, others=others) as directory:

        def matching() -> list[Device]:
            return [d for d in directory.devices() if d.matches(name)]

        directory.start()
        begun = time.monotonic()
        if directory.wait(matching, _LOOK):
            # Whoever else is called so has been asked at the same time.
            directory.wait(lambda: len(matching()) > 1, max(_SECOND, time.monotonic() - begun))
        return matching()


def _file() -> Path:
    return Path(platformdirs.user_cache_dir("coldframe")) / "names.json"


def _all() -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        names = json.loads(_file().read_text(encoding="utf-8"))
        if isinstance(names, dict):
            return {k: v for k, v in names.items() if isinstance(v, str)}
    return {}


def _place(profile: Profile, name: str) -> str:
    return " ".join((*map(str, profile.brokers), profile.base, name))


def remembered(profile: Profile, name: str) -> str | None:
    """The base topic at which a device of that name was the last time."""
    return _all().get(_place(profile, name))


def remember(profile: Profile, name: str, base: str | None) -> None:
    """Remember where a device of that name is; None: forget it. What cannot be written is not remembered."""
    names = _all()
    names.pop(_place(profile, name), None)
    if base is not None:
        names[_place(profile, name)] = base
    with contextlib.suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        new = _file().with_suffix(".new")
        new.write_text(json.dumps(dict(list(names.items())[-_NAMES:])), encoding="utf-8")
        new.replace(_file())
