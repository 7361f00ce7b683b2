"""Mosquitto, from the distribution."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from host.brokers.base import Broker
from kit import host


class Mosquitto(Broker):
    """With ``users``, it lets in only who has one of these names and passwords.

    ``queue``: how many messages it keeps for a session that is away, or slow.
    """

    name = "mosquitto"
    cannot = {
        "deliver QoS 2 once over its restart": "2.0.11 may publish a message again, under the same identifier, "
        "that it had released before the restart, and that its receiver had confirmed",
        "survive a crash": "it writes its state at an orderly end and each half hour only",
    }

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None, queue: int = 1000) -> None:
        super().__init__(folder)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {folder}/",
            f"max_queued_messages {queue}",
            "log_type all",
            "log_dest file " + str(folder / "mosquitto.log"),
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it gives up its rights, and with them this folder
        if users is None:
            lines.append("allow_anonymous true")
        else:
            passwords = folder / "passwords"
            passwords.write_text("".join(f"{name}:{word}\n" for name, word in users.items()))
            passwords.chmod(0o600)
            subprocess.run([_program("mosquitto_passwd"), "-U", passwords], check=True, capture_output=True)
            lines += ["allow_anonymous false", f"password_file {passwords}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def log(self) -> str:
        path = self.folder / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else super().log

    def _command(self) -> list[str]:
        return [_program("mosquitto"), "-c", str(self._config)]

    def _state(self) -> list[Path]:
        return [self.folder / "mosquitto.db"]


def _program(name: str) -> str:
    path = host.find(name)
    assert path, f"{name} is not installed: sudo apt-get install mosquitto"
    return path
