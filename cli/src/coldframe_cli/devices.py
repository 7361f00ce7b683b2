"""Which devices are there: by what they keep at the broker (``available``, ``crash``) and their SYSINFO.

    for device in find(link, profile):
        print(device.name, device.state)

Nothing here needs a key: these topics are open to whoever may read the broker (docs/topics.md).
"""

from __future__ import annotations

import fnmatch
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from . import completion
from .errors import BrokerError
from .profiles import Profile

if TYPE_CHECKING:
    from .link import Link

QUIET = 0.4  # s without another device that end the search: what the broker keeps comes at once, in one go
LEVELS = 5  # of topics, that discover() looks through
_MOST = 16384  # bytes of a SYSINFO or crash report that are read


class Broker(Protocol):
    """What is used of a Link."""

    def publish(self, topic: str, payload: bytes) -> Any:
        """Send a message."""

    def listen(self, topic_filter: str, callback: Callable[[str, bytes, bool], None]) -> Callable[[], None]:
        """Have messages handed to a callback (topic, payload, retained), from another thread; returns what ends it."""

    def subscribed(self, timeout: float) -> bool:
        """Wait until the broker has confirmed all subscriptions, at most ``timeout`` s; returns whether it has."""


@dataclass
class Device:
    """One device. base: its base topic; online: None where it has never said so; info: its SYSINFO, {} if none came.

    crash: the report of its last bad end, as it stands at the broker (docs/recovery.md), None if there is none.
    heard: time.monotonic() of the last SYSINFO, 0 if none came.
    """

    base: str
    online: bool | None = None
    info: dict[str, Any] = field(default_factory=dict)
    crash: dict[str, Any] | None = None
    heard: float = 0.0

    @property
    def name(self) -> str:
        """What people call it; the end of its base topic as long as it has not told."""
        return str(self.info.get("name") or self.base.rpartition("/")[2])

    @property
    def id(self) -> str:
        """The chip's number in hex as far as it is known, else the end of the base topic."""
        return str(self.info.get("id") or self.base.rpartition("/")[2])

    @property
    def state(self) -> str:
        """One word: "online", "safe" (online in safe mode), "silent" (online but no SYSINFO), "offline"."""
        if not self.online:
            return "offline"
        if not self.info:
            return "silent"
        return "safe" if self.info.get("safe") else "online"

    @property
    def board(self) -> str:
        """The board that its firmware is for, "" if it has not told."""
        return str(self.info.get("board") or "")

    @property
    def trouble(self) -> str:
        """What is wrong with it: the cause of its last crash, or the newest of its errors; "" if all is well."""
        cause = (self.crash or {}).get("cause")
        if cause:
            return str(cause)
        errors = self.info.get("errors")
        return str(errors[-1]) if isinstance(errors, list) and errors else ""

    def matches(self, text: str) -> bool:
        """Whether ``text`` means it: its name, id or base topic, or a pattern with * ? [ ] of one of these."""
        return any(fnmatch.fnmatchcase(own, text) for own in (self.name, self.id, self.base))

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "base": self.base,
            "name": self.name,
            "id": self.id,
            "online": bool(self.online),
            "state": self.state,
            "info": self.info,
            "crash": self.crash,
        }


class Directory:
    """What is known of the devices whose base topics match ``patterns`` (MQTT filters, such as "coldframe/+").

    others: further links on which is listened, to other brokers of the same cluster.
    changed: called, from another thread, with each Device of which something new was heard.
    announced: also take devices from what they have told Home Assistant, whatever their base topic is.
    """

    def __init__(
        self,
        link: Broker,
        patterns: Sequence[str],
        *,
        others: Sequence[Broker] = (),
        changed: Callable[[Device], None] | None = None,
        announced: bool = False,
    ) -> None:
        self._link = link
        self._links = [link, *others]
        self._patterns = [pattern.rstrip("/") for pattern in patterns]
        self._announced = announced
        self._changed = changed
        self._devices: dict[str, Device] = {}
        self._asked: set[str] = set()
        self._unheard: list[str] = []  # base topics that were announced, and are not listened to yet
        self._ask = False
        self._last = 0.0  # time.monotonic() when a device was first heard of
        self._news = threading.Condition()
        self._stops: list[Callable[[], None]] = []
        self._listening = False

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no longer."""
        for stop in self._stops:
            stop()
        self._stops.clear()

    def start(self, *, ask: bool = True) -> None:
        """Begin to listen. ask: request SYSINFO of every device that is online, when it is heard of."""
        self._ask = ask
        self._last = time.monotonic()
        if self._listening:
            return
        self._listening = True
        for pattern in self._patterns:
            self._listen(pattern)
        if self._announced:
            for link in self._links:
                self._stops.append(link.listen("homeassistant/device/+/config", self._on_announced))

    def look(self, *, ask: bool = True, timeout: float = 3.0) -> list[Device]:
        """Find the devices that are there now.

        ask: request the SYSINFO of those that are online. timeout: seconds to wait for the slowest of them.

        Returns:
            The devices, sorted by name.
        """
        self.start(ask=ask)
        end = time.monotonic() + timeout
        for link in self._links:
            link.subscribed(end - time.monotonic())
        self._last = max(
            self._last, time.monotonic()
        )  # the quiet begins when all that the broker keeps may come
        while (now := time.monotonic()) < end:
            self._follow()
            with self._news:
                quiet = self._last + QUIET - now
                if quiet <= 0 and not (ask and self._missing()):
                    break
                self._news.wait_for(lambda: self._unheard, min(max(quiet, 0.05), end - now))
        return self.devices()

    def devices(self) -> list[Device]:
        """All that have been heard of, sorted by name."""
        with self._news:
            found = list(self._devices.values())
        return sorted(found, key=lambda device: (device.name.casefold(), device.base))

    def ask(self, devices: Iterable[Device] | None = None) -> None:
        """Request a new SYSINFO; of those that are online unless devices are named."""
        for device in self.devices() if devices is None else devices:
            if devices is not None or device.online:
                self._link.publish(f"{device.base}/SYSINFO_", b"short")

    def wait(self, condition: Callable[[], Any], timeout: float) -> bool:
        """Wait until ``condition()`` is true, looking whenever something is heard. Returns whether it became so."""
        with self._news:
            return bool(self._news.wait_for(condition, timeout))

    def _missing(self) -> bool:
        return any(device.online and not device.heard for device in self._devices.values())

    def _of(self, base: str) -> Device:
        device = self._devices.get(base)
        if device is None:
            device = self._devices[base] = Device(base)
            self._last = time.monotonic()
        return device

    def _told(self, device: Device, ask: bool = False) -> None:
        # With the lock not held: a callback may take its time, and publish() may wait for the network's thread.
        if ask:
            self._link.publish(f"{device.base}/SYSINFO_", b"short")
        if self._changed:
            self._changed(device)

    def _on_available(self, topic: str, payload: bytes, retained: bool) -> None:
        if payload not in (b"online", b"offline", b""):
            return  # somebody else's topic of that name
        base = topic.removesuffix("/available")
        with self._news:
            device = self._of(base)
            came = payload == b"online" and not device.online
            device.online = payload == b"online"
            if not device.online:
                self._asked.discard(base)
            ask = self._ask and came and base not in self._asked
            if ask:
                self._asked.add(base)
            if not payload:
                del self._devices[base]  # what the broker kept was cleared: it is no more
            self._news.notify_all()
        self._told(device, ask)

    def _on_info(self, topic: str, payload: bytes, retained: bool) -> None:
        info = _object(payload)
        if info is None:
            return
        with self._news:
            device = self._of(topic.removesuffix("/SYSINFO"))
            device.info = info
            device.heard = time.monotonic()
            self._news.notify_all()
        self._told(device)

    def _on_crash(self, topic: str, payload: bytes, retained: bool) -> None:
        base = topic.removesuffix("/crash")
        report = _object(payload) if payload else None
        with self._news:
            if report is None and base not in self._devices:
                return
            device = self._of(base)
            device.crash = report
            self._news.notify_all()
        self._told(device)

    def _on_announced(self, topic: str, payload: bytes, retained: bool) -> None:
        document = _object(payload, most=1 << 20)
        base = base_of_document(document) if document else None
        if base is not None:
            with self._news:
                if base not in self._devices:
                    self._of(base)
                    self._unheard.append(base)
                self._news.notify_all()

    def _follow(self) -> None:
        # Listen to what was announced. Not from the callback: that runs in the thread that has to take the answer.
        with self._news:
            bases, self._unheard = self._unheard, []
        for base in bases:
            self._listen(base)

    def _listen(self, base: str) -> None:
        self._stops.append(self._link.listen(f"{base}/SYSINFO", self._on_info))
        for link in self._links:
            self._stops.append(link.listen(f"{base}/crash", self._on_crash))
            self._stops.append(link.listen(f"{base}/available", self._on_available))


def find(link: Link, profile: Profile, *, ask: bool = True, wait: float = 3.0) -> list[Device]:
    """Find the devices of a profile: those below its ``base``.

    Every broker of the profile's list is asked what it keeps: in a RabbitMQ cluster, a retained message is on the one
    node that it was sent to.

    Args:
        link: the connection that is used for all else.
        ask: request the SYSINFO of those that are online.
        wait: seconds to wait for the slowest of them.

    Returns:
        The devices, sorted by name.
    """
    with others(link, profile) as further, Directory(link, profile.places, others=further) as directory:
        found = directory.look(ask=ask, timeout=wait)
    completion.remember(device.name for device in found if device.info)
    return found


@contextmanager
def others(link: Link, profile: Profile) -> Iterator[list[Link]]:
    """Connections to those brokers of the profile's list that ``link`` is not connected to, as far as they answer."""
    from .link import Link

    with ExitStack() as stack:
        found = []
        for broker in profile.brokers:
            if len(profile.brokers) > 1 and str(broker) != link.broker:
                with suppress(BrokerError):
                    found.append(
                        stack.enter_context(Link(replace(profile, brokers=(broker,)), lasting=False))
                    )
        yield found


def discovery_patterns(levels: int = LEVELS) -> list[str]:
    """Base topics of any name, up to so many levels."""
    return ["/".join("+" * n) for n in range(1, levels + 1)]


def base_of_document(document: dict[str, Any]) -> str | None:
    """The base topic of a Coldframe device from what it told Home Assistant; None if it is no such document.

    The document is that of docs/discovery.md, with the long or the short names of its keys.
    """
    origin = document.get("o") or document.get("origin") or {}
    if not isinstance(origin, dict) or str(origin.get("name", "")).lower() != "coldframe":
        return None
    rows = document.get("avty") or document.get("availability") or []
    topics = [document.get("avty_t"), document.get("availability_topic")]
    topics += [row.get("t") or row.get("topic") for row in rows if isinstance(row, dict)]
    stem = document.get("~")
    for topic in topics:
        if isinstance(topic, str) and topic.endswith("/available"):
            if topic.startswith("~") and isinstance(stem, str):
                topic = stem + topic[1:]
            return topic.removesuffix("/available")
    return None


def _object(payload: bytes, most: int = _MOST) -> dict[str, Any] | None:
    # The JSON object of a message, None if it is none.
    if len(payload) > most:
        return None
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
