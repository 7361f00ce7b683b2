"""A host that speaks the remote protocol (docs/remote-protocol.md), written from that page alone.

It is no part of the command `coldframe`: tests use it to say things that an honest host never says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from host.brokers import Peer, until
from host.brokers.peer import Message

LAST = 0x8000
SINGLE = 0xFFFF


def mac(key: bytes, topic: str, message: bytes) -> bytes:
    """The proof at the end of a message."""
    return hmac.digest(key, topic.encode() + b"\0" + message, "sha256")[:16]


def key_id(key: bytes) -> bytes:
    return hmac.digest(key, b"coldframe key id", "sha256")[:4]


@dataclass(frozen=True)
class Reply:
    """One message from the node, proved."""

    kind: str  # "out" or "err"
    head: int
    counter: int
    ref: int
    body: bytes


@dataclass
class RemoteHost:
    """One session with one node.

    Args: peer: a Peer that hears BASE/reply/#; base: the node's base topic; key: the configured text.
    """

    peer: Peer
    base: str
    key: str
    sid: str = field(default_factory=lambda: base64.urlsafe_b64encode(os.urandom(6)).decode())
    nonce: bytes = field(default_factory=lambda: os.urandom(16))
    counter: int = 0
    welcome: dict[str, Any] = field(default_factory=dict)
    kc: bytes = b""
    kd: bytes = b""
    nonce_d: bytes = b""

    # ---- messages to the node

    def topic(self, verb: str) -> str:
        return f"{self.base}/cmd/{verb}/{self.sid}"

    def hello_bytes(self) -> bytes:
        key = self.key.encode()
        m = b"\x80\0CF1" + key_id(key) + self.nonce
        return m + mac(key, self.topic("hello"), m)

    def open_bytes(self) -> bytes:
        m = b"\x80\0" + struct.pack(">I", 1) + key_id(self.key.encode()) + self.nonce + self.nonce_d
        return m + mac(self.kc, self.topic("open"), m)

    def command_bytes(
        self, verb: str, body: bytes = b"", head: int = LAST, counter: int | None = None
    ) -> bytes:
        if counter is None:
            self.counter += 1
            counter = self.counter
        m = struct.pack(">HI", head, counter) + body
        return m + mac(self.kc, self.topic(verb), m)

    def send(self, verb: str, message: bytes) -> None:
        self.peer.publish(self.topic(verb), message)

    # ---- messages from the node

    def heard(self, kind: str) -> list[bytes]:
        return self.peer.payloads(f"{self.base}/reply/{kind}/{self.sid}")

    def replies(self) -> list[Reply]:
        """The messages of this session so far, in order, each with its proof checked."""
        found = []
        for message in list(self.peer.messages):
            found += self._reply(message)
        return found

    def _reply(self, message: Message) -> list[Reply]:
        for kind in ("out", "err"):
            if message.topic == f"{self.base}/reply/{kind}/{self.sid}":
                m = message.payload
                if m[2:5] == b"CF1" or len(m) < 26 or m[2:10] == bytes(8):
                    return []
                if not hmac.compare_digest(mac(self.kd, message.topic, m[:-16]), m[-16:]):
                    return []  # of an older session of the same name
                return [Reply(kind, *struct.unpack(">HII", m[:10]), m[10:-16])]
        return []

    def hints(self) -> list[str]:
        return [
            json.loads(m[10:])["code"] for m in self.heard("err") if m[:10] == b"\xff\xff\0\0\0\0\0\0\0\0"
        ]

    # ---- a conversation

    def greet(self) -> None:
        """Say hello, and take the welcome."""
        topic = f"{self.base}/reply/out/{self.sid}"

        def welcomes() -> list[bytes]:
            found = [m for m in self.heard("out") if m[:5] == b"\xff\xffCF1"]
            return [m for m in found if mac_welcome(self.key.encode(), topic, m[:-16], self.nonce) == m[-16:]]

        self.insist("hello", self.hello_bytes(), welcomes, "the welcome")
        m = welcomes()[-1]
        self.derive(m[5:21])
        self.welcome = json.loads(m[21:-16])

    def insist(self, verb: str, message: bytes, answered: Callable[[], object], what: str) -> None:
        """Send a message, and again every 2 s as the protocol has it, until there is an answer."""
        self.send(verb, message)
        due = time.monotonic() + 2

        def asked() -> object:
            nonlocal due
            found = answered()
            if not found and time.monotonic() >= due:
                self.send(verb, message)
                due = time.monotonic() + 2
            return found

        until(asked, f"{what}; got {self.peer.messages[-3:]}")

    def derive(self, nonce_d: bytes) -> None:
        """Make the keys of the session."""
        key = self.key.encode()
        self.nonce_d = nonce_d
        tail = b"\0" + self.base.encode() + b"\0" + self.sid.encode() + b"\0" + self.nonce + self.nonce_d
        self.kc = hmac.digest(key, b"c2d" + tail, "sha256")
        self.kd = hmac.digest(key, b"d2c" + tail, "sha256")

    def open(self) -> RemoteHost:
        """Open the session; returns itself."""
        self.greet()
        self.counter = 1
        self.insist(
            "open", self.open_bytes(), lambda: [r for r in self.replies() if r.ref == 1], "the session"
        )
        assert self.answer(1).head == LAST
        return self

    def answer(self, ref: int) -> Reply:
        """Wait for the last message of the answer to the command with that counter."""

        def last() -> list[Reply]:
            return [
                r for r in self.replies() if r.ref == ref and (r.kind == "err" or LAST <= r.head < SINGLE)
            ]

        until(last, f"the answer to {ref}; got {self.peer.messages[-3:]}")
        return last()[-1]

    def call(
        self, verb: str, args: dict[str, Any] | None = None, data: bytes | None = None
    ) -> dict[str, Any]:
        """Run a command of one message; returns its result, or {"code", "text"}."""
        body = json.dumps(args or {}, ensure_ascii=False).encode() + (b"" if data is None else b"\n" + data)
        self.send(verb, self.command_bytes(verb, body))
        return json.loads(self.answer(self.counter).body)


def mac_welcome(key: bytes, topic: str, message: bytes, nonce: bytes) -> bytes:
    """The proof of the welcome, which the host's nonce goes into."""
    return hmac.new(key, topic.encode() + b"\0" + message + nonce, hashlib.sha256).digest()[:16]
