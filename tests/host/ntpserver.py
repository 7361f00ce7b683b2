"""An NTP server for tests that can be right, silent, lying or broken. It answers on UDP, in a thread."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable

EPOCH = 2208988800  # 1970 as NTP counts

Answer = Callable[["Question"], "bytes | list[bytes] | None"]


def stamp(seconds: float) -> bytes:
    """A time stamp of NTP, also of the era that begins in 2036."""
    whole = int(seconds // 1)
    return struct.pack(">II", (whole + EPOCH) & 0xFFFFFFFF, int((seconds - whole) * 2**32) & 0xFFFFFFFF)


class Question:
    """One question as it came: its packet, and when."""

    def __init__(self, packet: bytes, came: float) -> None:
        self.packet = packet
        self.came = came
        self.mode = packet[0] & 7
        self.version = packet[0] >> 3 & 7
        self.transmit = packet[40:48]

    def answer(
        self,
        now: float,
        *,
        leap: int = 0,
        version: int = 4,
        mode: int = 4,
        stratum: int = 2,
        delay: int = 0x0800,
        dispersion: int = 0x0400,
        reference: bytes = b"\x7f\x00\x00\x01",
        originate: bytes | None = None,
        receive: float | None = None,
        transmit: bytes | None = None,
    ) -> bytes:
        """The packet that a server would send which believes that it is `now` (Unix seconds)."""
        head = struct.pack(
            ">BBbbII4s", leap << 6 | version << 3 | mode, stratum, 6, -20, delay, dispersion, reference
        )
        return (
            head
            + stamp(now - 16)
            + (self.transmit if originate is None else originate)
            + stamp(now if receive is None else receive)
            + (stamp(now) if transmit is None else transmit)
        )


class NtpServer:
    """Answers each question with what ``answer(question)`` returns: packets, or None for silence.

    Without it, with the right time, plus `offset` seconds.
    """

    def __init__(self, answer: Answer | None = None, offset: float = 0.0) -> None:
        self.answer = answer or (lambda question: question.answer(time.time() + self.offset))
        self.offset = offset
        self.delay = 0.0  # s on the way back
        self.asked: list[Question] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._other.bind(("127.0.0.1", 0))
        self.from_elsewhere: Answer | None = None  # sent first, and not from the port that was asked
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        self._other.close()

    def _serve(self) -> None:
        while True:
            try:
                packet, sender = self._socket.recvfrom(512)
            except OSError:
                return
            question = Question(packet, time.time())
            self.asked.append(question)
            for answer, out in ((self.from_elsewhere, self._other), (self.answer, self._socket)):
                given = answer(question) if answer else None
                if self.delay:
                    time.sleep(self.delay)
                for reply in [given] if isinstance(given, bytes) else given or []:
                    try:
                        out.sendto(reply, sender)
                    except OSError:
                        return
