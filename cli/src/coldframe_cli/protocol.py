"""Messages of the remote administration: the host's half of docs/remote-protocol.md.

Bytes in, bytes out: nothing here knows about brokers, time or threads.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import string
import struct
from dataclasses import dataclass

MAC_SIZE = 16
NONCE_SIZE = 16
SEQUENCES = 0x8000  # sequence numbers have 15 bits and wrap
SINGLE = b"\xff\xff"
_LAST = 0x8000
_MAGIC = b"CF1"
_HINT_MAX = 200  # bytes
_SESSION_CHARACTERS = string.ascii_letters + string.digits + "-_"


class BadMessage(ValueError):
    """A message that is damaged, forged or not ours."""


@dataclass(frozen=True)
class Welcome:
    """What the device has told of itself. Sizes in bytes.

    ``to_device``, ``from_device``: the largest body in that direction; ``window``, ``ahead``: how many messages
    may be on their way unacknowledged, from it and to it.
    """

    nonce: bytes
    role: str
    to_device: int
    from_device: int
    window: int
    ahead: int
    name: str
    version: str
    board: str


@dataclass(frozen=True)
class Reply:
    """An authentic message from the device that belongs to the command with counter ``ref``.

    ``sequence`` is None for a single message outside the sequence.
    """

    counter: int
    ref: int
    sequence: int | None
    last: bool
    error: bool
    body: bytes

    def json(self) -> dict:
        """The body as a JSON object. Raises BadMessage if it is none."""
        return _json(self.body)


def new_session_id() -> str:
    """A session's name: 8 random characters that may stand in a topic."""
    return "".join(secrets.choice(_SESSION_CHARACTERS) for _ in range(8))


def new_nonce() -> bytes:
    return secrets.token_bytes(NONCE_SIZE)


def key_bytes(key: str) -> bytes:
    """The key as it is configured, as bytes."""
    return key.encode()


def key_id(key: bytes) -> bytes:
    """4 bytes by which the device finds the key among its own."""
    return _hmac(key, b"coldframe key id")[:4]


def mac(key: bytes, topic: str, message: bytes, more: bytes = b"") -> bytes:
    """The 16 bytes at the end of a message; ``more`` is authenticated, too, but not sent."""
    return _hmac(key, topic.encode() + b"\0" + message + more)[:MAC_SIZE]


def header(sequence: int, last: bool) -> bytes:
    """Sequence number modulo 2**15, and whether it is the last message of its command."""
    return struct.pack(">H", sequence % SEQUENCES | (_LAST if last else 0))


def ahead(sequence: int, of: int) -> int:
    """How far ``sequence`` is ahead of ``of``; negative if it is behind. Both may have wrapped."""
    return (sequence - of + SEQUENCES // 2) % SEQUENCES - SEQUENCES // 2


def session_keys(
    key: bytes, base: str, session: str, nonce_host: bytes, nonce_device: bytes
) -> tuple[bytes, bytes]:
    """The keys of a session: (host to device, device to host)."""
    tail = b"\0" + base.encode() + b"\0" + session.encode() + b"\0" + nonce_host + nonce_device
    return _hmac(key, b"c2d" + tail), _hmac(key, b"d2c" + tail)


def hello(key: bytes, topic: str, nonce: bytes) -> bytes:
    """The first message of a session."""
    message = header(0, True) + _MAGIC + key_id(key) + nonce
    return message + mac(key, topic, message)


def welcome(key: bytes, topic: str, message: bytes, nonce: bytes) -> Welcome:
    """Read the answer to a hello that was sent with ``nonce``. Raises BadMessage."""
    body = _checked(key, topic, message, nonce)
    if not body.startswith(SINGLE + _MAGIC) or len(body) < 5 + NONCE_SIZE:
        raise BadMessage("not a welcome")
    told = _json(body[5 + NONCE_SIZE :])
    try:
        return Welcome(
            nonce=body[5 : 5 + NONCE_SIZE],
            role=str(told["role"]),
            to_device=max(64, int(told["in"])),
            from_device=int(told["out"]),
            window=max(1, int(told["window"])),
            ahead=max(1, int(told.get("ahead", told["window"]))),
            name=str(told.get("name", "")),
            version=str(told.get("version", "")),
            board=str(told.get("board", "")),
        )
    except (KeyError, TypeError, ValueError):
        raise BadMessage("a welcome without role, in, out and window") from None


def opening(key: bytes, session_key: bytes, topic: str, nonce_host: bytes, nonce_device: bytes) -> bytes:
    """The second message of a session, with counter 1."""
    message = header(0, True) + struct.pack(">I", 1) + key_id(key) + nonce_host + nonce_device
    return message + mac(session_key, topic, message)


def command(key: bytes, topic: str, counter: int, sequence: int, last: bool, body: bytes) -> bytes:
    """A message of a command; the topic names the verb."""
    message = header(sequence, last) + struct.pack(">I", counter) + body
    return message + mac(key, topic, message)


def reply(key: bytes, topic: str, message: bytes) -> Reply:
    """Read what came under reply/out or reply/err in an open session. Raises BadMessage."""
    body = _checked(key, topic, message)
    if len(body) < 10:
        raise BadMessage("too short")
    head, counter, ref = struct.unpack_from(">HII", body)
    single = head == 0xFFFF
    return Reply(
        counter=counter,
        ref=ref,
        sequence=None if single else head % SEQUENCES,
        last=not single and bool(head & _LAST),
        error=topic.rsplit("/", 2)[-2] == "err",
        body=bytes(body[10:]),
    )


def hint(topic: str, message: bytes) -> str | None:
    """The code of an unauthenticated hint ("session", "stale", "key", "busy", "size"); None if it is none."""
    if (
        topic.rsplit("/", 2)[-2] != "err"
        or not message.startswith(SINGLE + bytes(8))
        or len(message) > _HINT_MAX
    ):
        return None
    try:
        return str(_json(message[10:])["code"])
    except (BadMessage, KeyError):
        return None


def arguments(args: dict) -> bytes:
    """The JSON line of a command, as short as it gets; nothing if there are none."""
    return json.dumps(args, ensure_ascii=False, separators=(",", ":")).encode() if args else b"{}"


def acknowledged(body: bytes) -> int | None:
    """n of "SEQ n"; None if it is something else."""
    word, _, number = body.partition(b" ")
    return int(number) if word == b"SEQ" and number.isdigit() else None


def json_lines(text: bytes) -> list:
    """Read JSON values, one per line. Raises BadMessage."""
    try:
        return [json.loads(line) for line in text.decode().splitlines() if line]
    except ValueError:
        raise BadMessage("expected a JSON value per line") from None


def _checked(key: bytes, topic: str, message: bytes, more: bytes = b"") -> bytes:
    body, given = message[:-MAC_SIZE], message[-MAC_SIZE:]
    if len(message) < MAC_SIZE + 2 or not hmac.compare_digest(given, mac(key, topic, body, more)):
        raise BadMessage("not authentic")
    return body


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _json(text: bytes) -> dict:
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError):
        raise BadMessage("not JSON") from None
    if not isinstance(value, dict):
        raise BadMessage("not a JSON object")
    return value
