"""Devices in the local network, by multicast DNS: those with wifi.mdns announce a service _coldframe._tcp.

With zeroconf, the Python package, which comes with our extra "mdns"; everything else works without.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from . import tools

SERVICE = "_coldframe._tcp.local."
_INFO_TIMEOUT = 2000  # ms for the details of one device


@dataclass(frozen=True)
class Neighbour:
    """A device in the local network, as it tells of itself."""

    name: str
    address: str
    id: str
    board: str
    version: str

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "base": None,
            "name": self.name,
            "id": self.id,
            "board": self.board,
            "version": self.version,
            "lan": self.address,
        }


def why_not() -> str:
    """Why there can be no search, in a sentence; "" if there can."""
    try:
        tools.need("zeroconf")
    except tools.ToolError as error:
        return f"no look into the local network: {error}"
    return ""


class Search:
    """A search that runs from its beginning on; close() ends it.

    interfaces: addresses of this computer on whose networks is searched; None: all.
    """

    def __init__(self, interfaces: list[str] | None = None) -> None:
        from zeroconf import InterfaceChoice, ServiceBrowser, Zeroconf

        self._begin = time.monotonic()
        self._names: set[str] = set()
        self._news = threading.Condition()
        self._found: list[Neighbour] = []
        self._zeroconf: Any = None
        try:
            self._zeroconf = Zeroconf(interfaces=interfaces or InterfaceChoice.All)
            ServiceBrowser(self._zeroconf, SERVICE, handlers=[self._changed])
        except OSError:
            self._zeroconf = None  # no network, or none that knows multicast

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begin

    def wait(self, seconds: float) -> None:
        """Let it go on for so long."""
        time.sleep(seconds if self._zeroconf else 0)

    def wait_for(self, name: str, timeout: float) -> bool:
        """Wait until a device of that host name has been heard."""
        with self._news:
            return self._news.wait_for(lambda: any(n.startswith(f"{name}.") for n in self._names), timeout)

    def close(self) -> list[Neighbour]:
        """End it. Returns what it has found, sorted by name."""
        if not self._zeroconf:
            return []
        try:
            with self._news:
                names = sorted(self._names)
            found = [neighbour for name in names if (neighbour := self._look(name))]
        finally:
            self._zeroconf.close()
        return found

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        with self._news:
            if state_change.name == "Removed":
                self._names.discard(name)
            else:
                self._names.add(name)
            self._news.notify_all()

    def _look(self, name: str) -> Neighbour | None:
        info = self._zeroconf.get_service_info(SERVICE, name, _INFO_TIMEOUT)
        if info is None:
            return None
        facts = {
            key.decode("utf-8", "replace"): (value or b"").decode("utf-8", "replace")
            for key, value in info.properties.items()
        }
        addresses = info.parsed_addresses()
        return Neighbour(
            name=name.removesuffix(f".{SERVICE}"),
            address=addresses[0] if addresses else "",
            id=facts.get("id", ""),
            board=facts.get("board", ""),
            version=facts.get("version", ""),
        )
