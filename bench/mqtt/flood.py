"""A server in memory that floods: it answers CONNECT and SUBSCRIBE and then sends the same messages without end.

It parses nothing that comes after, and says nothing to QoS 1 acknowledgements, so that only the client's own speed
shows. The topic filter says what to send: flood/SIZE/QOS is also the topic. Run as a program of its own, so that it
has a processor core of its own; it prints its port.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator

_BLOCK = 1 << 18  # bytes given to the socket at once


def _length(n: int) -> bytes:
    out = bytearray()
    while True:
        n, low = n >> 7, n & 0x7F
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def publish(topic: bytes, payload: bytes, qos: int = 0, packet_id: int = 0, version: int = 4) -> bytes:
    """One PUBLISH, by hand: nothing of Coldframe's is measured against itself."""
    body = len(topic).to_bytes(2, "big") + topic
    if qos:
        body += packet_id.to_bytes(2, "big")
    if version == 5:
        body += b"\0"
    body += payload
    return bytes([0x30 | qos << 1]) + _length(len(body)) + body


def stream(topic: bytes, version: int) -> bytes:
    """What is sent again and again after a SUBSCRIBE to flood/SIZE/QOS."""
    _, size, qos = topic.split(b"/")
    payload = b"x" * int(size)
    if qos == b"0":
        one = publish(topic, payload, version=version)
        return one * max(1, _BLOCK // len(one))
    return b"".join(publish(topic, payload, 1, i, version) for i in range(1, 65536))


def cut(data: bytes) -> tuple[int, bytes, int] | None:
    """The first packet of data: its first byte, its body, and how many bytes it takes; None: not complete yet."""
    end = 1
    while len(data) > end and data[end] & 0x80:
        end += 1
    if len(data) <= end:
        return None
    size = end + 1 + sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(data[1 : end + 1]))
    return (data[0], data[end + 1 : size], size) if len(data) >= size else None


def _packets(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    data = b""
    while more := connection.recv(65536):
        data += more
        while packet := cut(data):
            first, body, size = packet
            data = data[size:]
            yield first, body


def _drain(connection: socket.socket) -> None:
    buffer = bytearray(1 << 16)
    with contextlib.suppress(OSError):
        while connection.recv_into(buffer):
            pass


def _serve(connection: socket.socket) -> None:
    version = 4
    with connection, contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for first, body in _packets(connection):
            if first == 0x10:
                version = body[6]
                connection.sendall(b"\x20\x03\0\0\0" if version == 5 else b"\x20\x02\0\0")
            elif first == 0x82:
                at = 2
                if version == 5:
                    at += 1 + body[2]
                n = int.from_bytes(body[at : at + 2], "big")
                topic = body[at + 2 : at + 2 + n]
                qos = body[at + 2 + n] & 3
                suback = body[:2] + (b"\0" if version == 5 else b"") + bytes([qos])
                connection.sendall(bytes([0x90, len(suback)]) + suback)
                if topic.startswith(b"flood/"):
                    data = stream(topic, version)
                    threading.Thread(target=_drain, args=(connection,), daemon=True).start()
                    while True:
                        connection.sendall(data)
            elif first == 0xC0:
                connection.sendall(b"\xd0\0")
            elif first >> 4 == 3 and first & 6 == 2:  # for clients that publish with QoS 1
                n = int.from_bytes(body[:2], "big")
                connection.sendall(b"\x40\x02" + body[2 + n : 4 + n])


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _end_with_parent() -> None:
    sys.stdin.read()  # ends when whoever started us has ended
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
