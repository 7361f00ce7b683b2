"""What stands at the other end: mosquitto, and plain MQTT connections of the bench's own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from kit import host
from kit.ui import UserError

from mqtt import flood


class Mosquitto:
    """A mosquitto with the defaults that users have, but for its queue, which may be as long as needed, and for
    TCP_NODELAY: else its own 40 ms waits (Nagle's algorithm) hide what the clients do.

    Sessions are kept over stop() and start(), which use the same port. Use as a context manager.
    """

    def __init__(self) -> None:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port: int = s.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory(prefix="coldframe-bench-")
        folder = Path(self._folder.name)
        self._config = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            "set_tcp_nodelay true",
        ]
        if os.geteuid() == 0:
            lines.append("user root")
        self._config.write_text("\n".join(lines) + "\n")
        self._log = folder / "log"
        self._program = host.ensure({"mosquitto": "mosquitto"}, "the MQTT broker")["mosquitto"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> float:
        """Start it; returns the time (time.time()) at which it accepted connections."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdout=output, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return time.time()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    said = self._log.read_text(errors="replace").strip()
                    raise UserError("mosquitto did not start", where=f"port {self.port}", hint=said) from None
                time.sleep(0.002)

    def stop(self) -> None:
        """Stop it, in order; its sessions are on disk then. Safe to call twice."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
            self._process = None


class Connection:
    """A plain connection to a broker, that publishes in bulk or listens."""

    def __init__(self, port: int, name: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b"\0\x04MQTT\x04\x02\0\0" + len(name).to_bytes(2, "big") + name.encode()
        self.socket.sendall(bytes([0x10, len(body)]) + body)
        if self._exactly(4)[3] != 0:
            raise OSError("the broker refused the bench's own connection")

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise OSError("the broker closed the bench's own connection")
            data += more
        return data

    def close(self) -> None:
        """Close it."""
        self.socket.close()

    def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 0, and wait for the answer."""
        body = b"\0\1" + len(topic).to_bytes(2, "big") + topic.encode() + b"\0"
        self.socket.sendall(bytes([0x82, len(body)]) + body)
        self._exactly(5)

    def wait(self) -> int:
        """Wait for a message; returns the time in ns (time.time_ns()) at which it came."""
        self.socket.recv(4096)
        return time.time_ns()

    def next_topic(self) -> str:
        """Wait for a message (of less than 128 bytes) and return its topic."""
        head = self._exactly(2)
        body = self._exactly(head[1])
        n = int.from_bytes(body[:2], "big")
        return body[2 : 2 + n].decode() if head[0] >> 4 == 3 else ""

    def send(self, topic: str, payload: bytes) -> None:
        """Publish one message with QoS 0."""
        self.socket.sendall(flood.publish(topic.encode(), payload))

    def flood(self, topic: str, payload: bytes, qos: int, n: int) -> None:
        """Publish n messages as fast as the broker takes them; returns when all are acknowledged."""
        name = topic.encode()
        if qos == 0:
            self.socket.sendall(flood.publish(name, payload) * n)
            return
        acks = threading.Thread(target=self._exactly_quietly, args=(4 * n,), daemon=True)
        acks.start()
        data = b"".join(flood.publish(name, payload, 1, i % 65535 + 1) for i in range(n))
        self.socket.sendall(data)
        acks.join()

    def _exactly_quietly(self, n: int) -> None:
        try:
            while n > 0:
                got = len(self.socket.recv(min(n, 65536)))
                if not got:
                    return
                n -= got
        except OSError:
            return
