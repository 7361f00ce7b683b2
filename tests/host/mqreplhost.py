"""A host that speaks mqrepl's form as the public mqboard does: its topics, its headers, its window, its checks.

What it insists on is what mqboard insists on, and what it does not look at mqboard does not look at either: a repeated
"SEQ n" ends its command, and a message on reply/err is shown as it is.
"""

from __future__ import annotations

import base64
import os
import struct
import threading

from host.brokers import DEADLINE, Peer
from host.brokers.peer import Message

PIECE = 1400  # bytes
AHEAD = 16  # pieces
LARGE = 100 * 1024  # bytes; what is larger waits for acknowledgements


class Failed(Exception):
    """The board's error, as it came on reply/err."""


class MqreplHost:
    """Args: port: of the broker; topic: what comes before /cmd/, mqboard's --topic or its --prefix and /mqb."""

    def __init__(self, port: int, topic: str) -> None:
        self.topic = topic
        self._id = ""
        self._end: bool | str | None = None
        self._output, self._next, self._ack = b"", 0, -1
        self._news = threading.Condition()
        self._peer = Peer(port, [f"{topic}/reply/out/#", f"{topic}/reply/err/#"], sink=self._heard)

    def close(self) -> None:
        self._peer.close()

    def perform(self, command: str, data: bytes = b"", name: str = "", ident: str = "") -> bytes:
        """Run a command; returns its output. Raises Failed, or TimeoutError when nothing comes for long."""
        self._id = ident or base64.urlsafe_b64encode(os.urandom(6)).decode()
        self._output, self._next, self._ack = b"", 0, -1
        self._end = None
        topic = f"{self.topic}/cmd/{command}/{self._id}" + (f"/{name}" if name else "")
        pieces = [data[i : i + PIECE] for i in range(0, len(data), PIECE)] or [b""]
        for seq, piece in enumerate(pieces):
            if len(data) > LARGE:
                self._wait(lambda seq=seq: seq - self._ack <= AHEAD or self._end is not None)
            last = seq == len(pieces) - 1
            self._peer.publish(topic, struct.pack(">H", last << 15 | seq) + piece)
            if self._end is not None:
                break
        self._wait(lambda: self._end is not None)
        if isinstance(self._end, str):
            raise Failed(self._end)
        return self._output

    def send(self, command: str, ident: str, payload: bytes, name: str = "") -> None:
        """Publish one message as it is given."""
        self._peer.publish(f"{self.topic}/cmd/{command}/{ident}" + (f"/{name}" if name else ""), payload)

    def _wait(self, condition) -> None:
        with self._news:
            if not self._news.wait_for(condition, DEADLINE):
                raise TimeoutError(
                    f"mqboard's time-out: output {self._output[:80]!r}, acknowledged {self._ack}"
                )

    def _heard(self, message: Message) -> None:
        with self._news:
            kind, _, ident = message.topic[len(self.topic) + len("/reply/") :].partition("/")
            if ident == self._id and self._end is None:
                if kind == "err":
                    self._end = message.payload.decode()
                else:
                    self._take(message.payload)
            self._news.notify_all()

    def _take(self, m: bytes) -> None:
        if len(m) < 2:
            return
        head = m[0] << 8 | m[1]
        seq = head & 0x7FFF
        if seq != 0x7FFF:
            if seq < self._next:
                return
            assert seq == self._next, f"mqboard gives up: expected {self._next}, got {seq}"
            self._next = seq + 1
        if len(m) - 2 < 10 and m[2:].startswith(b"SEQ ") and int(m[6:]) > self._ack:
            self._ack = int(m[6:])
            return
        self._output += m[2:]
        if head & 0x8000:
            self._end = True
