"""Aedes, a broker for Node.js, from npm."""

from __future__ import annotations

from pathlib import Path

from host.brokers import packages
from host.brokers.base import Broker
from kit import host


class Aedes(Broker):
    name = "aedes"
    cannot = {
        "MQTT 5": "it speaks MQTT 3.1 and 3.1.1 only",
        # Its LevelDB store would keep them, but stores and forwards several messages at once, and what comes
        # second then is taken for a duplicate of what has overtaken it and dropped (0.51.3).
        "keep sessions over a restart": "all of its state is in its memory",
        "finish QoS 2 after a reconnect": "it closes the connection when a PUBREL comes again as its PUBCOMP was lost",
        "lose nothing": "it acknowledges QoS 1 first and looks whom to send the message then",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._script = packages.node("aedes") / "broker.js"

    def _command(self) -> list[str]:
        node = host.find("node")
        assert node, "node is not installed: sudo apt-get install nodejs npm"
        return [node, str(self._script), str(self.port)]

    def _state(self) -> list[Path]:
        return []
