"""A broker that the test plays itself: a socket that listens, connections whose every byte the test sends and sees.

    broker = RawBroker(version=5)
    node = Node(broker.port, version=5)
    link = broker.accept()
    hello = link.accepted()                    # takes CONNECT, answers CONNACK
    node.call("publish", "a", "x", 1)
    sent = link.expect(PUBLISH, topic="a", qos=1, dup=False)
    link.send(ack(PUBACK, sent.id))

Nothing is answered by itself but PINGREQ, and that only where the test does not wait for one.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from conformance import packets
from conformance.packets import CONNECT, PINGREQ, PINGRESP_PACKET, Packet, Properties

DEADLINE = 20.0  # s, for what happens at once on a machine that is not overloaded


class RawBroker:
    """Listens on a free port of 127.0.0.1.

    Args:
        version: 4 (MQTT 3.1.1) or 5; what the test speaks.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        self.links: list[Link] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE)
        self.port: int = self._listener.getsockname()[1]

    def accept(self, deadline: float = DEADLINE) -> Link:
        """The next connection of a client, within that many seconds."""
        self._listener.settimeout(deadline)
        try:
            peer, _ = self._listener.accept()
        except TimeoutError:
            raise AssertionError(f"no client has connected within {deadline:g} s") from None
        link = Link(peer, self.version)
        self.links.append(link)
        return link

    def accepted(
        self, session: bool = False, props: Properties | None = None, deadline: float = DEADLINE
    ) -> Link:
        """The next connection with its CONNECT taken (it is ``link.hello``) and answered with CONNACK 0."""
        link = self.accept(deadline)
        link.accepted(session, props)
        return link

    def nobody(self, seconds: float) -> None:
        """AssertionError if a client connects within that time."""
        self._listener.settimeout(seconds)
        try:
            self._listener.accept()
        except TimeoutError:
            return
        raise AssertionError("a client has connected")

    def close(self) -> None:
        self._listener.close()
        for link in self.links:
            link.close()


class Link:
    """One connection. Attributes: ``seen``, all packets that came, and ``hello``, the CONNECT among them."""

    def __init__(self, peer: socket.socket, version: int) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.version = version
        self.seen: list[Packet] = []
        self.hello: Packet | None = None
        self._peer = peer
        self._data = b""

    def accepted(self, session: bool = False, props: Properties | None = None) -> Packet:
        """Take CONNECT and answer it with CONNACK 0. Returns the CONNECT."""
        hello = self.expect(CONNECT, level=self.version)
        self.send(packets.connack(self.version, session, 0, props))
        return hello

    def send(self, *data: bytes) -> None:
        """Send these bytes in one piece."""
        self._peer.sendall(b"".join(data))

    def next(self, deadline: float = DEADLINE) -> Packet | None:
        """The next packet, None at the end of the connection.

        Raises:
            Violation: it is none that a client may send, or CONNECT is not the first.
            AssertionError: nothing came in time, or the connection ended inside a packet.
        """
        end = time.monotonic() + deadline
        while not (size := packets.take_packet(self._data)):
            more = self._read(end)
            if not more:
                assert not self._data, f"the connection ended inside a packet: {self._data.hex(' ')}"
                return None
            self._data += more
        raw, self._data = self._data[:size], self._data[size:]
        packet = packets.parse(raw, self.version)
        packets.check((packet.type == CONNECT) == (not self.seen), f"packet {len(self.seen) + 1} is {packet}")
        self.seen.append(packet)
        if packet.type == CONNECT:
            self.hello = packet
        return packet

    def expect(self, kind: int, deadline: float = DEADLINE, **fields: Any) -> Packet:
        """The next packet, which has to be of that type and to have these fields."""
        while True:
            packet = self.next(deadline)
            assert packet is not None, f"the connection ended, expected {packets.NAMES[kind]}"
            if packet.type == PINGREQ and kind != PINGREQ:
                self.send(PINGRESP_PACKET)
                continue
            break
        assert packet.type == kind, f"expected {packets.NAMES[kind]}, got {packet}"
        for name, value in fields.items():
            assert getattr(packet, name) == value, (
                f"{packet}: {name}={getattr(packet, name)!r}, not {value!r}"
            )
        return packet

    def rest(self, deadline: float = DEADLINE) -> list[Packet]:
        """All packets until the client closes the connection."""
        found = []
        while packet := self.next(deadline):
            found.append(packet)
        return found

    def ended(self, deadline: float = DEADLINE) -> None:
        """The client closes the connection, and sends nothing more before."""
        more = self.rest(deadline)
        assert not more, f"expected the end of the connection, got {[str(packet) for packet in more]}"

    def silent(self, seconds: float) -> None:
        """Nothing comes for that time, and the connection stays."""
        end = time.monotonic() + seconds
        try:
            packet = self.next(seconds)
        except AssertionError:
            assert time.monotonic() >= end
            return
        raise AssertionError(f"expected silence, got {packet or 'the end of the connection'}")

    def alive(self) -> None:
        """Nothing has come up to now, and the client still reads: it answers a message of QoS 1 at once."""
        self.send(packets.publish(self.version, "fence", b"", 1, 65535))
        self.expect(packets.PUBACK, id=65535)

    def alive_after(self, allowed: Callable[[Packet], bool]) -> None:
        """Like alive(), but packets that are allowed may come before; PUBLISH of QoS 1 among them is acknowledged."""
        self.send(packets.publish(self.version, "fence", b"", 1, 65535))
        while packet := self.next():
            if packet.type == packets.PUBACK and packet.id == 65535:
                return
            assert allowed(packet), f"{packet} is not allowed"
            if packet.qos == 1:
                self.send(packets.ack(packets.PUBACK, packet.id))
        raise AssertionError("the connection ended")

    def cut(self) -> None:
        """End the connection as a network does that breaks down: reset, without a goodbye."""
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._peer.close()

    def close(self) -> None:
        self._peer.close()

    def _read(self, end: float) -> bytes:
        left = end - time.monotonic()
        self._peer.settimeout(max(left, 0.001))
        try:
            return self._peer.recv(65536)
        except TimeoutError:
            seen = ", ".join(str(packet) for packet in self.seen[-6:])
            raise AssertionError(f"nothing came in time; the last packets were: {seen}") from None
        except ConnectionResetError:
            return b""
