"""Files by the remote protocol, from the side of a host (docs/remote-protocol.md): put and get as tests need them."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from host.brokers import DEADLINE
from host.remotehost import LAST, SINGLE, RemoteHost, Reply

AHEAD = 32  # pieces that are sent before one of them is acknowledged


@dataclass
class Files:
    """Transfers in a session. A result with "code" is an error."""

    host: RemoteHost
    seen: int = 0  # of the peer's messages

    def __post_init__(self) -> None:
        # Or an acknowledgement waits for 40 ms for company.
        self.host.peer.client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reply(self, ref: int, deadline: float) -> Reply | None:
        """The next message that belongs to the command with that counter; None if there is none in so many seconds."""
        end = time.monotonic() + deadline
        while True:
            messages = self.host.peer.messages
            while self.seen < len(messages):
                self.seen += 1
                for reply in self.host._reply(messages[self.seen - 1]):
                    if reply.ref == ref:
                        return reply
            if time.monotonic() >= end:
                return None
            time.sleep(0.001)

    def begin(self, verb: str, args: dict[str, Any], head: int = LAST) -> int:
        """Send the first message of a command; returns its counter."""
        body = json.dumps(args, ensure_ascii=False).encode()
        self.seen = len(self.host.peer.messages)
        self.host.send(verb, self.host.command_bytes(verb, body, head))
        return self.host.counter

    def put(
        self,
        path: str,
        data: bytes,
        *,
        resume: bool = False,
        lose: Callable[[int], bool] = lambda n: False,
        each: Callable[[int], None] = lambda n: None,
        patience: float = DEADLINE,
        **more: Any,
    ) -> dict[str, Any]:
        """Put a file; the result has "at", where it was begun, and "back", how often the host went back.

        lose: whether piece n, as it is sent for the first time, is lost; each: called before piece n is sent.
        """
        host = self.host
        sha = hashlib.sha256(data).hexdigest()
        ref = self.begin(
            "put", {"path": path, "size": len(data), "sha256": sha, "resume": resume} | more, head=0
        )
        size = host.welcome["in"]
        at = None if resume else 0
        done = back = 0  # pieces that are acknowledged; times that it went back
        next_ = 1
        known: set[int] = set()
        while True:
            pieces = 0 if at is None else max(1, -(-(len(data) - at) // size))
            while at is not None and next_ <= pieces and next_ <= done + AHEAD:
                start = at + (next_ - 1) * size
                each(next_)
                message = host.command_bytes(
                    "put", data[start : start + size], next_ | (LAST if next_ == pieces else 0)
                )
                if next_ in known or not lose(next_):
                    host.peer.client.publish(host.topic("put"), message, 1)
                known.add(next_)
                next_ += 1
            reply = self.reply(ref, patience)
            if reply is None:
                return {"code": "silence", "at": at, "back": back}
            if reply.kind == "err" or LAST <= reply.head < SINGLE:
                return json.loads(reply.body) | {"at": at, "back": back}
            if reply.head == SINGLE:
                n = int(reply.body[4:])
                if n == done and next_ > n + 1:
                    next_ = n + 1
                    back += 1
                done = max(done, n)
            elif at is None:
                at = json.loads(reply.body)["at"]

    def data(
        self, verb: str, args: dict[str, Any], patience: float = DEADLINE
    ) -> tuple[bytes, dict[str, Any]]:
        """Run a command that answers with data; returns the data and the result."""
        host = self.host
        ref = self.begin(verb, args)
        got = bytearray()
        expected = 0
        every = max(1, host.welcome["window"] // 2)
        while True:
            reply = self.reply(ref, patience)
            assert reply, f"{verb}: no answer after {len(got)} bytes"
            if reply.kind == "err" or LAST <= reply.head < SINGLE:
                return bytes(got), json.loads(reply.body)
            assert reply.head == expected, f"{verb}: message {reply.head}, expected {expected}"
            got += reply.body
            if expected % every == every - 1:
                host.peer.client.publish(
                    host.topic("ack"), host.command_bytes("ack", b"SEQ %d" % expected), 1
                )
            expected = (expected + 1) % LAST

    def get(self, path: str, offset: int = 0) -> tuple[bytes, dict[str, Any]]:
        """Get a file from offset on; the result must fit what came if that is 0."""
        data, result = self.data("get", {"path": path, "offset": offset})
        if "code" not in result and not offset:
            assert result == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return data, result

    def ls(self, path: str = "/", **args: Any) -> dict[str, Any]:
        """Names and what is said of them; or {"code", "text"}."""
        data, result = self.data("ls", {"path": path, **args})
        if "code" in result:
            return result
        rows = [json.loads(line) for line in data.decode().splitlines()]
        assert result["count"] == len(rows)
        return {row[0]: row[1] if len(row) == 2 else row[1:] for row in rows}
