"""Reads along what a client and a broker say to each other, and tells who has lost or doubled a message.

It knows of MQTT as much as that takes, and is no code of the firmware's.
"""

from __future__ import annotations

from collections import defaultdict

_PUBLISH, _PUBACK, _PUBREL, _PUBCOMP = 3, 4, 6, 7

Key = tuple[int, bytes]  # QoS and payload: what tells the messages of one direction apart


class Witness:
    """What went between the two, over all connections of one session.

    Args: version: 4 for MQTT 3.1.1, or 5.

    ``up`` and ``down`` are the two directions of messages: from and to the client.
    """

    def __init__(self, version: int = 4) -> None:
        self._version = version
        self._rest: dict[tuple[int, str], bytearray] = defaultdict(bytearray)  # of a connection and way
        self._by_id: dict[tuple[str, int], Key] = {}  # way and packet identifier -> the message under it last
        self._ids: dict[tuple[str, Key], set[int]] = defaultdict(set)
        self._settled: set[tuple[str, Key]] = set()
        self._released: set[tuple[str, Key]] = set()
        self._anew: set[tuple[str, Key]] = set()

    def hear(self, connection: int, way: str, data: bytes) -> None:
        """Take in bytes of a connection that go "up", from the client, or "down"."""
        rest = self._rest[connection, way]
        rest += data
        while (packet := _cut_off(rest)) is not None:
            self._packet(way, *packet)

    def forget(self) -> None:
        """Drop what is known of messages, for others under new names."""
        self._ids.clear()
        self._settled.clear()
        self._released.clear()
        self._anew.clear()

    def settled(self, way: str, key: Key) -> bool:
        """Whether the receiver of that message has said that it has it for good."""
        return (way, key) in self._settled

    def sent_anew(self, way: str, key: Key) -> bool:
        """Whether the sender has sent the message as another one: under a second identifier, or again when it had
        released it (PUBREL) or it was settled."""
        return len(self._ids[way, key]) > 1 or (way, key) in self._anew

    def _packet(self, way: str, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == _PUBLISH and (qos := first >> 1 & 3):
            at = 2 + int.from_bytes(body[:2], "big")
            number = int.from_bytes(body[at : at + 2], "big")
            at += 2
            if self._version == 5:
                length, at = _varint(body, at)
                at += length
            key = (qos, bytes(body[at:]))
            self._by_id[way, number] = key
            self._ids[way, key].add(number)
            if (way, key) in self._settled or (way, key) in self._released:
                self._anew.add((way, key))
        elif kind == _PUBREL:
            self._released.add((way, self._by_id.get((way, int.from_bytes(body[:2], "big")), (0, b""))))
        elif kind in (_PUBACK, _PUBCOMP):
            other = "down" if way == "up" else "up"
            key = self._by_id.get((other, int.from_bytes(body[:2], "big")), (0, b""))
            if (kind == _PUBACK) == (key[0] == 1):
                self._settled.add((other, key))


def _cut_off(rest: bytearray) -> tuple[int, bytes] | None:
    """Take the first whole packet off: its first byte, and what comes after the length."""
    if all(byte & 0x80 for byte in rest[1:5]):
        return None  # the length is not there yet
    length, at = _varint(rest, 1)
    if len(rest) < at + length:
        return None
    packet = rest[0], bytes(rest[at : at + length])
    del rest[: at + length]
    return packet


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """The variable byte integer at ``at`` (MQTT 5.0, 1.5.5), and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
