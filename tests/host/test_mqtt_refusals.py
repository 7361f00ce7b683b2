"""The MQTT client against a broker that says no, or nonsense: a scripted one, as no real one would."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import pytest
from host.brokers import until
from host.mqttnode import MqttNode


class ScriptedBroker:
    """Answers each packet with what ``answer(kind, packet)`` returns; None closes the connection.

    While ``chatter`` is set, it sends that five times a second as well.
    """

    def __init__(self, answer: Callable[[int, bytes], bytes | None]) -> None:
        self.chatter = b""
        self._answer = answer
        self._link: socket.socket | None = None
        self._over = threading.Event()
        self.packets: list[tuple[int, bytes]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._chatterer = threading.Thread(target=self._chat, daemon=True)
        self._chatterer.start()

    def __enter__(self) -> ScriptedBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._over.set()
        if self._link:
            with contextlib.suppress(OSError):
                self._link.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._chatterer.join(20)
        assert not self._thread.is_alive()

    def count(self, kind: int) -> int:
        return sum(k == kind for k, _ in self.packets)

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            self._link = link
            with link, link.makefile("rb") as stream:
                try:
                    while head := stream.read(2):
                        body = stream.read(head[1])  # all packets of these tests are shorter than 128 bytes
                        self.packets.append((head[0], body))
                        answer = self._answer(head[0], body)
                        if answer is None:
                            break
                        link.sendall(answer)
                except OSError:
                    pass

    def _chat(self) -> None:
        while not self._over.wait(0.2):
            if self.chatter and self._link:
                with contextlib.suppress(OSError):
                    self._link.sendall(self.chatter)


@pytest.fixture
def start():
    nodes: list[MqttNode] = []

    def start(broker: ScriptedBroker, **settings: object) -> MqttNode:
        nodes.append(MqttNode(broker.port, **settings))
        return nodes[-1]

    yield start
    for node in nodes:
        node.kill()


CONNECT, SUBSCRIBE, PUBLISH_1 = 0x10, 0x82, 0x32


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "unacceptable protocol version (code 1)"),
        (2, "client identifier rejected (code 2)"),
        (3, "server unavailable (code 3)"),
        (4, "bad user name or password (code 4)"),
        (5, "not authorised (code 5)"),
    ],
)
def test_refused_connection_is_explained_and_not_hammered(start, code, text):
    with ScriptedBroker(lambda kind, packet: bytes((0x20, 2, 0, code))) as broker:
        node = start(broker)
        node.wait_for("the broker refused the connection: " + text)
        assert broker.count(CONNECT) == 1
        assert node.ask("state", answer="STATE") == "STATE False 0 0 0"


def test_refused_subscription_is_told_and_not_repeated(start):
    def answer(kind: int, packet: bytes) -> bytes | None:
        if kind == CONNECT:
            return b"\x20\x02\x00\x00"
        if kind == SUBSCRIBE:
            return b"\x90\x03" + packet[:2] + (b"\x80" if b"no" in packet else b"\x00")
        return None

    with ScriptedBroker(answer) as broker:
        node = start(broker)
        node.wait_for("UP")
        assert "refused the subscription to no/#" in node.ask("sub", "no/#", 1, answer="REFUSED")
        assert node.ask("sub", "yes", 1, answer="SUB") == "SUB yes 0"  # less than was asked for
        node.tell("pub", "t", "x", 1)  # this broker hangs up on it
        until(lambda: node.count("UP") >= 2 and broker.count(SUBSCRIBE) >= 3, "a second connection")
        again = [packet for kind, packet in broker.packets if kind == SUBSCRIBE][2:]
        assert again and not any(b"no" in packet for packet in again)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x30\x03\x00\x01x",  # a message before CONNACK
        b"\xd0\x00",  # PINGRESP before CONNACK
        b"\x20\x02\x00\x63",  # an unknown return code
        b"\x00\x00",
        b"\xff" * 8,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_nonsense_instead_of_connack(start, nonsense):
    with ScriptedBroker(lambda kind, packet: nonsense) as broker:
        node = start(broker, response_time=1)
        until(lambda: broker.count(CONNECT) >= 2, "another attempt")
        assert node.count("Traceback") == 0
        assert node.count("UP") == node.count("MSG") == 0
        assert node.count("trying on") >= 1


def test_lost_acknowledgement_ends_the_connection_although_others_come(start):
    """The broker goes on talking, but never acknowledges: that cannot go on for ever either."""

    def answer(kind: int, packet: bytes) -> bytes | None:
        if kind == CONNECT:
            return b"\x20\x02" + bytes((broker.count(CONNECT) > 1, 0))  # it keeps the session
        return b""

    with ScriptedBroker(answer) as broker:
        node = start(broker, keepalive=60, response_time=1)
        node.wait_for("UP")
        broker.chatter = b"\x30\x04\x00\x01xy"
        node.wait_for("MSG x b'y'")
        since = time.monotonic()
        node.tell("pub", "t", "never acknowledged", 1)
        node.wait_for("DOWN", 15)
        assert 5 < time.monotonic() - since < 9
        broker.chatter = b""
        until(lambda: broker.count(PUBLISH_1 | 8) >= 1, "it to be sent again with DUP", 10)


def test_error_in_the_callback_is_logged_and_the_message_acknowledged(start):
    def answer(kind: int, packet: bytes) -> bytes | None:
        if kind == CONNECT:
            return b"\x20\x02\x00\x00"
        if kind == SUBSCRIBE:
            return (
                b"\x90\x03"
                + packet[:2]
                + b"\x01"
                + b"\x32\x0c\x00\x08in/raise\x00\x07"
                + b"\x30\x05\x00\x02inx"
            )
        return b""

    with ScriptedBroker(answer) as broker:
        node = start(broker)
        node.subscribe("in", 1)
        node.wait_for("MSG in b'x'")
        node.wait_for("from the callback")
        until(lambda: (0x40, b"\x00\x07") in broker.packets, "the acknowledgement")
        assert node.count("DOWN") == 0
