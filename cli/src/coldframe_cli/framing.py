"""Frames of the serial line: the host's half of docs/serial.md.

A frame on the line is ``7E`` + stuffed body + ``7E``; the body is type, connection, sequence, payload and
a CRC-32 of all that, least significant byte first. Nothing here knows about MQTT, sockets or ports.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

FLAG = 0x7E
ESCAPE = 0x7D

OPEN = 1
OPENED = 2
DATA = 3
CLOSE = 4
CREDIT = 5

NAMES = {OPEN: "OPEN", OPENED: "OPENED", DATA: "DATA", CLOSE: "CLOSE", CREDIT: "CREDIT"}

VERSION = 1  # of this framing; the first payload byte of OPEN and OPENED
LINE_MAX = 256  # the longest frame on the line, both flags and all escapes counted
PAYLOAD_MAX = 120  # fits LINE_MAX even if every byte of the frame must be escaped
EVERY_CONNECTION = 0  # as the connection number of a CLOSE; no board numbers a connection so
_BODY_MIN = 3 + 4  # type, connection, sequence, CRC


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that arrived whole.

    ``cost`` is its length on the line, flags and escapes included: what CREDIT counts.
    """

    type: int
    connection: int
    sequence: int
    payload: bytes
    cost: int


def encode(type_: int, connection: int, sequence: int, payload: bytes = b"") -> bytes:
    """Return the bytes of one frame as they go onto the line.

    Raises ValueError when the payload is longer than PAYLOAD_MAX.
    """
    if len(payload) > PAYLOAD_MAX:
        raise ValueError(f"serial frame payload: expected at most {PAYLOAD_MAX} bytes, got {len(payload)}")
    body = bytes((type_, connection & 0xFF, sequence & 0xFF)) + payload
    body += struct.pack("<I", zlib.crc32(body))
    # The escape first: the other way round it would escape the escapes it has just made.
    body = body.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return b"\x7e" + body + b"\x7e"


def payload_for(line: int) -> int:
    """How much payload surely fits a frame of ``line`` bytes on the line, even if every byte is escaped."""
    return (line - 2) // 2 - _BODY_MIN


class FrameDecoder:
    """Cuts a stream of line bytes into frames; keeps its place when the bytes come one at a time."""

    def __init__(self) -> None:
        self._body = bytearray()
        self.damaged = 0  # frames thrown away since the start: bad CRC, too long, too short

    def feed(self, data: bytes) -> list[Frame | None]:
        """Take line bytes; return the frames that are complete now, None standing for a damaged one."""
        frames: list[Frame | None] = []
        while data:
            body, flag, data = data.partition(b"\x7e")
            self._body += body
            if len(self._body) > LINE_MAX:
                # Without a limit a line full of noise would grow this for ever; one byte over
                # the limit stays behind, so that the next flag still reports the damage.
                del self._body[LINE_MAX + 1 :]
            if flag and self._body:
                frame = _decode(bytes(self._body))
                self._body.clear()
                self.damaged += frame is None
                frames.append(frame)
        return frames

    def reset(self) -> None:
        """Forget a frame that has come in part."""
        self._body.clear()


def _decode(stuffed: bytes) -> Frame | None:
    if len(stuffed) + 2 > LINE_MAX:
        return None
    first, *rest = stuffed.split(b"\x7d")
    body = bytearray(first)
    for part in rest:
        if not part or part[0] not in (FLAG ^ 0x20, ESCAPE ^ 0x20):
            return None
        body.append(part[0] ^ 0x20)
        body += part[1:]
    if len(body) < _BODY_MIN:
        return None
    (crc,) = struct.unpack_from("<I", body, len(body) - 4)
    if crc != zlib.crc32(body[:-4]):
        return None
    return Frame(body[0], body[1], body[2], bytes(body[3:-4]), len(stuffed) + 2)
