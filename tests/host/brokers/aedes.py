"""Aedes, a broker for Node.js, from npm, with its state in a LevelDB."""

from __future__ import annotations

from pathlib import Path

from host.brokers import packages
from host.brokers.base import Broker
from kit import host


class Aedes(Broker):
    name = "aedes"
    cannot = {
        "MQTT 5": "it speaks MQTT 3.1 and 3.1.1 only",
        "keep the order": "it stores and forwards several messages at once, and whichever is ready goes first",
        "survive a crash": "it acknowledges QoS 1 first and stores the message then",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._script = packages.node("aedes") / "broker.js"

    def _command(self) -> list[str]:
        node = host.find("node")
        assert node, "node is not installed: sudo apt-get install nodejs npm"
        return [node, str(self._script), str(self.port), str(self.folder / "state")]

    def _state(self) -> list[Path]:
        return [self.folder / "state"]
