"""amqtt, a broker in Python, from PyPI; in an environment of its own, as it wants a good many packages."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Self

from host.brokers import packages
from host.brokers.base import Broker


class Amqtt(Broker):
    name = "amqtt"
    end_signal = signal.SIGINT
    # It remembers nothing for anonymous clients, and with ``allow_anonymous`` all are.
    login = ("anybody", "any")
    cannot = {
        "MQTT 5": "it speaks MQTT 3.1.1 only",
        "keep messages over a restart": "what is stored of a session is its subscriptions, and messages that came "
        "while it was away, which it never forgets again: each start brings them anew",
        "lose nothing": "a message that was under way to a client when the connection ended is not sent again",
        "finish QoS 2 after a reconnect": "it does not answer a PUBREL that comes again as its PUBCOMP was lost",
        "send retained messages to those who asked only": "a client that connects gets the retained messages of "
        "all filters that any client has subscribed to",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mark = 0  # where in the log the present start begins
        self._python = packages.python("amqtt")
        # JSON is YAML, too.
        (folder / "broker.yaml").write_text(
            json.dumps(
                {
                    "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                    "plugins": {
                        "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False},
                        "amqtt.contrib.persistence.SessionDBPlugin": {
                            "connection": f"sqlite+aiosqlite:///{folder}/state.db",
                            "clear_on_shutdown": False,
                        },
                    },
                }
            )
        )

    def _command(self) -> list[str]:
        return [
            str(self._python),
            "-m",
            "amqtt.scripts.broker_script",
            "-c",
            str(self.folder / "broker.yaml"),
        ]

    def start(self, wait: bool = True) -> Self:
        """Start it, and return once it takes connections and knows its sessions again."""
        self._mark = len(self.log) if (self.folder / "output.log").exists() else 0
        return super().start(wait)

    def _listening(self) -> bool:
        # It listens some milliseconds before it has its sessions; who connects then is a stranger to it.
        return "Starting session expiration monitor" in self.log[self._mark :] and super()._listening()

    def _state(self) -> list[Path]:
        return [self.folder / "state.db"]
