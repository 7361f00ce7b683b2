"""A real mosquitto for the tests, and a paho-mqtt client as the other side of a conversation."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
from kit import host
from paho.mqtt.enums import CallbackAPIVersion

DEADLINE = 20.0  # s, for anything that happens at once on a machine that is not overloaded


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Wait until ``condition()`` is true; AssertionError naming ``what`` after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"waited {deadline} s in vain for {what}"
        time.sleep(0.01)


class Mosquitto:
    """A mosquitto of its own in a folder; the port stays the same when it is started again.

    Sessions and retained messages survive stop() and start(), as the folder keeps them; kill() forgets them.
    """

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {folder}/",
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

    def start(self) -> Mosquitto:
        """Start it, and return once it takes connections."""
        self._process = subprocess.Popen([_program("mosquitto"), "-c", self._config])
        until(self._listening, "mosquitto to listen")
        return self

    def stop(self) -> None:
        """End it in an orderly way: it saves its sessions."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does, all of its state lost."""
        self._end(signal.SIGKILL)
        (self.folder / "mosquitto.db").unlink(missing_ok=True)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "mosquitto.log").read_text()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(DEADLINE)
            self._process = None

    def _listening(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "mosquitto has ended; see its log"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Message:
    """What a Peer has received."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Peer:
    """A paho client that connects again by itself and remembers what it has received."""

    def __init__(
        self,
        port: int,
        filters: Iterable[str] = (),
        *,
        client_id: str = "",
        user: tuple[str, str] | None = None,
    ) -> None:
        self.messages: list[Message] = []
        self._filters = list(filters)
        self._ready = threading.Event()
        self._granted = 0
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=not client_id
        )
        self.client.reconnect_delay_set(1, 1)
        if user:
            self.client.username_pw_set(*user)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_disconnect = lambda *_: self._ready.clear()
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it is connected and has its subscriptions."""
        assert self._ready.wait(DEADLINE), "the peer could not connect and subscribe"

    def publish(self, topic: str, payload: bytes | str, qos: int = 1, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        self.client.publish(topic, payload, qos, retain).wait_for_publish(DEADLINE)

    def payloads(self, topic: str) -> list[bytes]:
        """The payloads received under ``topic``, in order."""
        return [m.payload for m in self.messages if m.topic == topic]

    def wait_for(self, topic: str, payload: bytes | str, deadline: float = DEADLINE) -> Message:
        """Wait for a message; those that came before count, too."""
        wanted = payload.encode() if isinstance(payload, str) else payload

        def found() -> list[Message]:
            return [m for m in self.messages if m.topic == topic and m.payload == wanted]

        until(found, f"{payload!r} under {topic}; got {self.messages[-5:]}", deadline)
        return found()[0]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, client, _userdata, _flags, _code, _properties) -> None:
        self._granted = 0
        for f in self._filters:
            client.subscribe(f, 1)
        if not self._filters:
            self._ready.set()

    def _on_subscribe(self, *_args) -> None:
        self._granted += 1
        if self._granted == len(self._filters):
            self._ready.set()

    def _on_message(self, _client, _userdata, message) -> None:
        self.messages.append(Message(message.topic, message.payload, message.qos, message.retain))


def _program(name: str) -> str:
    path = host.find(name)
    assert path, f"{name} is not installed: sudo apt-get install mosquitto"
    return path
