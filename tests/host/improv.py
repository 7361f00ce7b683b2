"""A client for Improv over serial, written from the protocol's own description and sharing no code with the device.

Packet: "IMPROV", version 1, type, length, data, sum of all bytes before modulo 256.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

STATE, ERROR, COMMAND, RESULT = 1, 2, 3, 4
READY, PROVISIONING, PROVISIONED = 2, 3, 4


def packet(kind: int, data: bytes, *, version: int = 1) -> bytes:
    """The bytes of a packet."""
    body = b"IMPROV" + bytes([version, kind, len(data)]) + data
    return body + bytes([sum(body) % 256])


def command(number: int, data: bytes = b"") -> bytes:
    """The packet of a command."""
    return packet(COMMAND, bytes([number, len(data)]) + data)


def wifi(ssid: bytes, password: bytes) -> bytes:
    """The packet that sends the settings of a Wi-Fi network."""
    return command(1, bytes([len(ssid)]) + ssid + bytes([len(password)]) + password)


@dataclass
class Client:
    """Listens to a device. send: writes bytes to it; feed() is given what comes from it."""

    send: Callable[[bytes], None]
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    other: bytes = b""  # what was no packet

    def __post_init__(self) -> None:
        self._buffer = b""
        self._news = threading.Condition()

    def feed(self, data: bytes) -> None:
        """Take bytes from the device."""
        with self._news:
            self._buffer += data
            while (at := self._buffer.find(b"IMPROV\x01")) >= 0:
                self.other += self._buffer[:at]
                self._buffer = self._buffer[at:]
                if len(self._buffer) < 9 or len(self._buffer) < 10 + self._buffer[8]:
                    break
                size = 9 + self._buffer[8]
                assert sum(self._buffer[:size]) % 256 == self._buffer[size], "a wrong checksum"
                self.packets.append((self._buffer[7], self._buffer[9:size]))
                self._buffer = self._buffer[size + 1 :]
            self._news.notify_all()

    def wait(self, kind: int, deadline: float = 20) -> bytes:
        """Take the packets that come until one of this type; returns its data."""
        end = time.monotonic() + deadline
        with self._news:
            while True:
                while self.packets:
                    got, data = self.packets.pop(0)
                    if got == kind:
                        return data
                left = end - time.monotonic()
                assert left > 0, f"no packet of type {kind}; there was {self.other[-500:]!r}"
                self._news.wait(left)

    def result(self, number: int) -> list[str]:
        """The texts of the next result, which must be of this command."""
        data = self.wait(RESULT)
        assert data[0] == number
        assert data[1] == len(data) - 2
        texts, rest = [], data[2:]
        while rest:
            texts.append(rest[1 : 1 + rest[0]].decode())
            assert len(rest) >= 1 + rest[0]
            rest = rest[1 + rest[0] :]
        return texts

    def error(self) -> int:
        """The next error that is one."""
        while True:
            data = self.wait(ERROR)
            assert len(data) == 1
            if data[0]:
                return data[0]
