"""A DNS server for tests that can be slow, silent, lying or broken. It answers on UDP, in a thread."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable

Answer = Callable[["Query"], "bytes | list[bytes] | None"]


class Query:
    """One question as it came."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.id = packet[:2]
        labels = []
        i = 12
        while packet[i]:
            labels.append(packet[i + 1 : i + 1 + packet[i]])
            i += 1 + packet[i]
        self.name = b".".join(labels).decode("latin-1")
        self.question = packet[12 : i + 5]
        self.recursion = bool(packet[2] & 1)


def wire(name: str) -> bytes:
    """A name as it stands in packets."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(owner: bytes, kind: int, data: bytes, klass: int = 1) -> bytes:
    """A resource record; kind 1 = A, 5 = CNAME."""
    return owner + struct.pack(">HHIH", kind, klass, 60, len(data)) + data


def a(address: str, owner: bytes = b"\xc0\x0c") -> bytes:
    """An A record, by default for the name that was asked for."""
    return record(owner, 1, socket.inet_aton(address))


def cname(target: str, owner: bytes = b"\xc0\x0c") -> bytes:
    return record(owner, 5, wire(target))


def reply(query: Query, *records: bytes, code: int = 0, cut: bool = False, **other: bytes) -> bytes:
    """An answer with records; other: ``id`` and ``question`` instead of those that were asked."""
    flags = 0x8180 | code | (0x200 if cut else 0)
    head = other.get("id", query.id) + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    return head + other.get("question", query.question) + b"".join(records)


class NameServer:
    """Answers each question with what ``answer(query)`` returns: packets, or None for silence."""

    def __init__(self, answer: Answer, address: str = "127.0.0.1") -> None:
        self.answer = answer
        self.delay = 0.0  # s
        self.asked: list[Query] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self.place = list(self._socket.getsockname())
        self._other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._other.bind((address, 0))
        self.from_elsewhere: Answer | None = None  # sent first, and not from the port that was asked
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.close()
        self._other.close()

    def _serve(self) -> None:
        while True:
            try:
                packet, sender = self._socket.recvfrom(2048)
            except OSError:
                return
            query = Query(packet)
            self.asked.append(query)
            threading.Thread(target=self._respond, args=(query, sender), daemon=True).start()

    def _respond(self, query: Query, sender) -> None:
        if self.delay:
            time.sleep(self.delay)
        for answer, out in ((self.from_elsewhere, self._other), (self.answer, self._socket)):
            given = answer(query) if answer else None
            for packet in [given] if isinstance(given, bytes) else given or []:
                try:
                    out.sendto(packet, sender)
                except OSError:
                    return
