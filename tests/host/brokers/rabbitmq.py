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


class PortMapper:
    """Erlang's epmd on a port of its own: it tells the nodes of a cluster where the others listen."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is not None:
            return
        epmd = host.find("epmd")
        assert epmd and _SERVER.exists(), "not installed: sudo apt-get install rabbitmq-server"
        command = [epmd, "-port", str(self.port), "-address", "127.0.0.1"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        until(self._listens, "epmd to listen")

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class RabbitMQ(Broker):
    """One node of RabbitMQ.

    Args:
        folder: all that is its own.
        mapper: the port mapper that it shares with others, which then is not ended by close().
        settings: lines for its rabbitmq.conf.
    """

    name = "rabbitmq"
    cannot = {
        "qos 2": "it grants QoS 1 where 2 is asked for, and delivers no message with more",
        "MQTT 5": "the plugin speaks MQTT 3.1.1 until RabbitMQ 3.13; Debian 12 has 3.10",
    }

    def __init__(self, folder: Path, mapper: PortMapper | None = None, settings: str = "") -> None:
        super().__init__(folder)
        self._own_mapper = mapper is None
        self._mapper = mapper or PortMapper()
        self._dist_port = free_port()
        #: What other nodes of its cluster call it. An address, as a bare machine may not even know the name localhost.
        self.node = f"coldframe{self.port}@127.0.0.1"
        self.configure(settings)
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")

    def configure(self, settings: str) -> None:
        """Write its rabbitmq.conf, with these lines in it; read when it starts."""
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "log.file.level = warning\nloopback_users = none\n" + settings
        )

    def start(self, wait: bool = True) -> Self:
        """Start it, if need be with a port mapper of its own; with ``wait``, return once it takes connections."""
        self._mapper.start()
        return super().start(wait)

    def close(self) -> None:
        """End it and its port mapper."""
        self.crash()
        if self._own_mapper:
            self._mapper.close()

    def _command(self) -> list[str]:
        return [str(_SERVER)]

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # for the cookie of its own
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._mapper.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_ALLOW_INPUT": "1",  # makes the script become the server, instead of watching over it
            # One core is enough, without busy waiting.
            "RABBITMQ_SERVER_START_ARGS": "-noinput +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_NODENAME": self.node,
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
