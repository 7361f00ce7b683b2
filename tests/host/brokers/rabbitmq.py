"""RabbitMQ with its MQTT plugin, from the distribution; a node of its own, apart from any service."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Self

from host.brokers.base import Broker, free_port, until
from kit import host

# The scripts in PATH insist on a user named rabbitmq; the one that they call does not.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitMQ(Broker):
    name = "rabbitmq"
    cannot = {
        "qos 2": "it grants QoS 1 where 2 is asked for, and delivers no message with more",
        "MQTT 5": "the plugin speaks MQTT 3.1.1 until RabbitMQ 3.13; Debian 12 has 3.10",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._epmd_port = free_port()
        self._dist_port = free_port()
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "log.file.level = warning\nloopback_users = none\n"
        )
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")

    def start(self) -> Self:
        """Start it with a port mapper of its own, and return once it takes connections."""
        if self._epmd is None:
            epmd = host.find("epmd")
            assert epmd and _SERVER.exists(), "not installed: sudo apt-get install rabbitmq-server"
            command = [epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            until(self._mapper_listens, "epmd to listen")
        return super().start()

    def close(self) -> None:
        """End it and its port mapper."""
        self.crash()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def _command(self) -> list[str]:
        return [str(_SERVER)]

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # for the cookie of its own
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_ALLOW_INPUT": "1",  # makes the script become the server, instead of watching over it
            # One core is enough, without busy waiting.
            "RABBITMQ_SERVER_START_ARGS": "-noinput +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
            # An address, as a bare machine may not even know the name localhost.
            "RABBITMQ_NODENAME": f"coldframe{self.port}@127.0.0.1",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "state"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
        }

    def _state(self) -> list[Path]:
        return [self.folder / "state"]

    def _mapper_listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._epmd_port), 1).close()
        except OSError:
            return False
        return True
