"""What the tests of the MQTT client rely on: the faults happen as they are meant to, and the witness sees them."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest
from host.proxy import Proxy
from host.traffic import KINDS, plan
from host.witness import Witness


@pytest.fixture
def line(closing):
    """A proxy in front of a server that sends back what it gets; and what makes connections through it."""
    server = closing(socket.create_server(("127.0.0.1", 0)))

    def echo(s: socket.socket) -> None:
        with s, suppress(ConnectionError):
            while data := s.recv(4096):
                s.sendall(data)

    def serve() -> None:
        while True:
            try:
                s, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(s,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    proxy = closing(Proxy(server.getsockname()[1]))

    def connect() -> socket.socket:
        return closing(socket.create_connection(("127.0.0.1", proxy.port), 5))

    return proxy, connect


def all_of(s: socket.socket) -> bytes:
    """What comes until the other end says that it is the end."""
    got = b""
    while data := s.recv(4096):
        got += data
    return got


@pytest.mark.parametrize("way", ["up", "down"])
def test_truncated_after_so_many_bytes(line, way):
    proxy, connect = line
    s = connect()
    s.sendall(b"whole")
    assert s.recv(10) == b"whole"
    proxy.truncate(way, 3)
    s.sendall(b"abcdef")
    got = all_of(s)
    assert got == b"abc" if way == "down" else b"abc".startswith(got)
    again = connect()
    again.sendall(b"whole")
    assert again.recv(10) == b"whole"


def test_delay_and_rate(line):
    proxy, connect = line
    s = connect()
    proxy.delay = 0.2
    since = time.monotonic()
    s.sendall(b"late")
    assert s.recv(10) == b"late"
    assert 0.4 <= time.monotonic() - since < 2  # there and back
    proxy.delay = None
    proxy.rate = 300
    since = time.monotonic()
    s.sendall(bytes(300))
    got = 0
    while got < 300:
        got += len(s.recv(300))
    assert 0.8 <= time.monotonic() - since < 4


def test_stalled_link_stays_and_is_silent(line):
    proxy, connect = line
    s = connect()
    proxy.stall()
    s.sendall(b"into nothing")
    s.settimeout(0.3)
    with pytest.raises(TimeoutError):
        s.recv(10)
    proxy.go_on()
    s.sendall(b"for ever")
    with pytest.raises(TimeoutError):
        s.recv(10)
    assert connect().send(b"another") == 7


def test_network_taken_away_answers_nobody(line):
    proxy, connect = line
    old = connect()
    old.settimeout(0.3)
    proxy.take_away()
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", proxy.port), 0.5)
    with pytest.raises(TimeoutError):
        old.recv(1)
    proxy.come_back()
    s = connect()
    s.sendall(b"back")
    assert s.recv(10) == b"back"


def test_refused_and_cut(line):
    proxy, connect = line
    old = connect()
    old.sendall(b"x")
    assert old.recv(1) == b"x"
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        old.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect()
    proxy.come_back()
    assert connect().send(b"x") == 1


def test_plan_is_decided_by_its_seed():
    assert plan(7, 50) == plan(7, 50) != plan(8, 50)
    assert set(Counter(fault.name for fault in plan(7, 50)).values()) <= {5, 6}
    for fault in plan(7, 50):
        (least, most), (few, many) = KINDS[fault.name]
        assert least <= fault.seconds <= most and few <= fault.n <= many


def publish(number: int, payload: bytes, qos: int) -> bytes:
    return bytes([0x30 | qos << 1, 5 + len(payload)]) + b"\0\1t" + number.to_bytes(2, "big") + payload


def test_witness_knows_who_has_what():
    witness = Witness()
    for byte in publish(1, b"a", 1) + publish(2, b"b", 1) + publish(3, b"c", 2):
        witness.hear(1, "up", bytes([byte]))  # in the smallest pieces
    witness.hear(1, "down", b"\x20\x02\0\0" + b"\x40\x02\0\1" + b"\x50\x02\0\3")
    assert witness.settled("up", (1, b"a"))
    assert not witness.settled("up", (1, b"b"))
    assert not witness.settled("up", (2, b"c"))
    witness.hear(2, "down", b"\x70\x02\0\3" + publish(1, b"a", 1))
    assert witness.settled("up", (2, b"c"))
    assert not witness.settled("down", (1, b"a"))
    witness.hear(2, "up", b"\x40\x02\0\1")
    assert witness.settled("down", (1, b"a"))


def test_witness_knows_who_has_sent_a_message_anew():
    witness = Witness()
    witness.hear(1, "up", publish(1, b"a", 2) + publish(2, b"b", 2))
    witness.hear(2, "up", publish(1, b"a", 2) + publish(3, b"b", 2))
    assert not witness.sent_anew("up", (2, b"a"))
    assert witness.sent_anew("up", (2, b"b"))
    witness.hear(2, "down", b"\x50\x02\0\1")
    witness.hear(2, "up", b"\x62\x02\0\1")
    assert not witness.sent_anew("up", (2, b"a"))
    witness.hear(2, "up", publish(1, b"a", 2))
    assert witness.sent_anew("up", (2, b"a"))


def test_witness_reads_mqtt_5():
    witness = Witness(5)
    witness.hear(1, "up", bytes([0x32, 5 + 4 + 1]) + b"\0\1t\0\1" + b"\3\x23\0\1" + b"a")
    witness.hear(1, "down", b"\x40\x03\0\1\x10")
    assert witness.settled("up", (1, b"a"))
