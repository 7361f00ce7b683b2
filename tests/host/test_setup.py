"""The setup access point: when it is open, its name server, its web server in front of whoever comes."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.simboards import FARM, image
from kit.simboard import SimBoard

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
MEMORY = """
import asyncio, gc
async def setup(node):
    while True:
        gc.collect()
        print("used", gc.mem_alloc(), "end")
        await asyncio.sleep_ms(300)
"""
Make = Callable[..., SimBoard]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Gives make(config, **world): a board that has been started."""
    made: list[SimBoard] = []

    def make(config: dict[str, Any] | None = None, app: str = "", **world: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id="00000000000000c0")
        made.append(board)
        if config:
            board.put("config.json", config)
        if app:
            board.put("app.py", app)
        board.world(**{"networks": [FARM], **world})
        board.start()
        return board

    yield make
    for board in made:
        board.stop()


def port_of(board: SimBoard, name: str = "port.80") -> int:
    """Where a server of the board listens on this machine."""
    state = board.wait_state(lambda s: "port.80" in s and "port.udp.53" in s and "wlan.ap.ssid" in s, 30)
    return int(state[name])


def talk(port: int, data: bytes, deadline: float = 20) -> bytes:
    """Send bytes to the web server; returns all that it answers."""
    with socket.create_connection(("127.0.0.1", port), deadline) as s:
        s.settimeout(deadline)
        with contextlib.suppress(ConnectionError):
            s.sendall(data)
        got = b""
        with contextlib.suppress(ConnectionError):
            while part := s.recv(65536):
                got += part
        return got


def request(method: str, path: str, more: str = "", body: bytes = b"", name: str = "192.168.4.1") -> bytes:
    """The bytes of a request."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {name}\r\n{more}{length}\r\n".encode() + body


def status(reply: bytes) -> int:
    """The status of a reply."""
    found = re.match(rb"HTTP/1\.1 (\d+) ", reply)
    assert found, reply[:200]
    return int(found[1])


def state_of(port: int) -> dict[str, Any]:
    """What the page is shown."""
    return dict(json.loads(talk(port, request("GET", "/state")).split(b"\r\n\r\n", 1)[1]))


# ---- when it is open ----


def test_its_password_is_its_own_and_stays(make: Make) -> None:
    boards = [make(), make()]
    seen = []
    for board in boards:
        told = board.wait_for(re.compile('network "(.*)" with the password "(.*)" and open'), 20)
        name, password = told[1], told[2]
        state = board.wait_state(lambda s: "wlan.ap.ssid" in s)
        assert state["wlan.ap.ssid"] == name == "coldframe-0000c0"
        assert state["wlan.ap.password"] == password
        assert re.fullmatch("[a-km-np-z2-9]{10}", password)
        seen.append(password)
    assert seen[0] != seen[1]  # although the chips' numbers are the same
    boards[0].stop()
    boards[0].start()
    assert boards[0].wait_state(lambda s: "wlan.ap.ssid" in s)["wlan.ap.password"] == seen[0]
    assert "password" not in boards[0].repl("import coldframe; coldframe.log.tail(50)")


def test_chosen_name_and_password(make: Make) -> None:
    ap = {"ssid": "setup of {name}", "password": "a \"b\" & 'c'"}
    board = make({"name": "shed", "wifi": {"setup_ap": ap}})
    state = board.wait_state(lambda s: "wlan.ap.ssid" in s, 20)
    assert (state["wlan.ap.ssid"], state["wlan.ap.password"]) == ("setup of shed", ap["password"])
    off = make({"wifi": {"setup_ap": {"enabled": False}}})
    off.wait_for("started, base topic", 20)
    time.sleep(1)
    assert "wlan.ap.ssid" not in off.state()


def test_closed_when_joined_and_open_again_when_the_network_is_gone(make: Make) -> None:
    wifi = {"networks": [{"ssid": "Farm", "password": "secret99"}], "setup_ap": {"after": 30}}
    board = make({"wifi": wifi}, speed=10)
    board.wait_for("joined Farm", 20)
    assert "wlan.ap.ssid" not in board.state()
    for _ in range(2):
        board.world(networks=[])
        board.wait_for("lost Farm")
        left = time.monotonic()
        board.wait_for("setup access point coldframe-0000c0 is open", 30)
        assert 2.5 < time.monotonic() - left < 15  # 30 s of the board's
        port_of(board)
        tries = board.state()["wlan.scans"]
        board.wait_state(
            lambda s, n=tries: s["wlan.scans"] > n, 30
        )  # the known networks are still looked for
        board.world(networks=[FARM])
        board.wait_for("joined Farm", 30)
        board.wait_for("setup access point closed")
        board.wait_state(lambda s: "wlan.ap.ssid" not in s)


def test_a_guest_is_not_thrown_out_and_does_not_stay_for_ever(make: Make) -> None:
    wifi = {"networks": [{"ssid": "Farm", "password": "secret99"}], "setup_ap": {"after": 10}}
    board = make({"wifi": wifi}, networks=[], stations=1, speed=10)
    port = port_of(board)
    board.world(networks=[FARM])
    end = time.monotonic() + 8  # 80 s of the board's: more than between two rounds
    while time.monotonic() < end:
        assert state_of(port)["trial"] is None
        time.sleep(0.5)
    assert "joined Farm" not in board.console
    board.world(speed=60)
    board.wait_for("joined Farm", 30)
    board.wait_for("setup access point closed", 30)


# ---- the name server ----


def question(name: bytes, kind: int = 1, *, number: int = 7, flags: int = 0x0100) -> bytes:
    """A question for a name, each of its labels with its length before it."""
    return struct.pack(">6H", number, flags, 1, 0, 0, 0) + name + struct.pack(">2H", kind, 1)


def ask(s: socket.socket, data: bytes) -> bytes | None:
    """Send a packet to the name server; None if it does not answer."""
    s.send(data)
    try:
        return s.recv(2048)
    except TimeoutError:
        return None


def test_names(make: Make) -> None:
    board = make()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port_of(board, "port.udp.53")))
        s.settimeout(10)
        name = b"\x11connectivitycheck\x07gstatic\x03com\0"
        reply = ask(s, question(name))
        assert reply == (
            struct.pack(">6H", 7, 0x8580, 1, 1, 0, 0) + name + b"\0\1\0\1" + b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\x04"
            + bytes([192, 168, 4, 1])
        )  # fmt: skip
        # With an EDNS record behind it (RFC 6891), as Android asks.
        edns = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
        extended = question(name)[:10] + b"\0\1" + question(name)[12:] + edns
        assert ask(s, extended) == reply
        for other in (28, 65, 12):  # AAAA, HTTPS, PTR: there is nothing of that kind, and no error
            answer = ask(s, question(name, other))
            assert answer and answer[:12] == struct.pack(">6H", 7, 0x8580, 1, 0, 0, 0)
        s.settimeout(0.3)
        for bad in (
            b"",
            b"\0",
            question(name)[:-1],
            question(name)[:20],
            question(name, flags=0x8180),  # an answer
            question(name, flags=0x2800),  # another kind of question
            question(b"\xc0\x0c"),  # a pointer to itself
            question(b"\x40" + b"x" * 64 + b"\0"),
            question(
                b"\x3f" + b"x" * 63 + b"\x3f" + b"y" * 63 + b"\x3f" + b"z" * 63 + b"\x3f" + b"u" * 63 + b"\0"
            ),
            struct.pack(">6H", 7, 0x0100, 0, 0, 0, 0),
            struct.pack(">6H", 7, 0x0100, 2, 0, 0, 0) + name + b"\0\1\0\1" + name + b"\0\1\0\1",
        ):
            assert ask(s, bad) is None, bad
        chance = random.Random(4)
        for _ in range(1500):
            data = bytearray(question(name))
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            s.send(data[: chance.randrange(len(data) + 1)])
        s.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while s.recv(2048):
                pass
        s.settimeout(10)
        assert ask(s, question(name)) == reply
    assert "failed" not in board.console


# ---- the web server ----


def test_only_our_own_page_may_send(make: Make) -> None:
    board = make()
    port = port_of(board)
    body = b"ssid=Farm&password=secret99"
    for refused in (
        request("POST", "/try", FORM, body, name="evil.example"),
        request("POST", "/try", FORM, body, name="192.168.4.1.evil.example"),
        request("POST", "/try", FORM, body, name=""),
        request("POST", "/try", FORM + "Origin: http://evil.example\r\n", body),
        request("POST", "/try", FORM + "Origin: null\r\n", body),
        request("POST", "/save", FORM + "Origin: https://192.168.4.1\r\n", b"x=1"),
    ):
        assert status(talk(port, refused)) == 403
    assert state_of(port)["trial"] is None
    reply = talk(port, request("GET", "/state", name="evil.example"))
    assert status(reply) == 302
    assert b"Location: http://192.168.4.1/\r\n" in reply
    assert (
        status(talk(port, request("POST", "/try", FORM + "Origin: http://192.168.4.1\r\n", b"ssid="))) == 400
    )
    assert status(talk(port, request("POST", "/try", FORM + "Origin: http://192.168.4.1\r\n", body))) == 303
    assert state_of(port)["trial"]["ssid"] == "Farm"
    # One at a time.
    reply = talk(port, request("POST", "/try", FORM + "Accept: application/json\r\n", body))
    assert status(reply) == 400
    assert b"already" in reply


def test_probes_and_methods(make: Make) -> None:
    board = make()
    port = port_of(board)
    for path in (
        "/generate_204",
        "/gen_204",
        "/hotspot-detect.html",
        "/connecttest.txt",
        "/ncsi.txt",
        "/success.txt",
    ):
        for name in ("connectivitycheck.gstatic.com", "192.168.4.1"):
            assert status(talk(port, request("GET", path, name=name))) == 302
    assert status(talk(port, request("GET", "/favicon.ico"))) == 404
    assert status(talk(port, request("DELETE", "/"))) == 501
    assert status(talk(port, request("GET", "http://192.168.4.1/"))) == 200
    head = talk(port, request("HEAD", "/"))
    assert status(head) == 200
    assert head.endswith(b"\r\n\r\n")
    assert re.search(rb"Content-Length: [1-9]\d{3}", head)


def test_nonsense_and_too_much(make: Make) -> None:
    board = make(app=MEMORY)
    port = port_of(board)
    # What a form needs is imported with the first one.
    assert status(talk(port, request("POST", "/try", FORM, b"ssid="))) == 400
    used = [int(board.wait_for(re.compile(r"used (\d+) end"))[1]) for _ in range(3)]
    chance = random.Random(4)
    post = f"POST /try HTTP/1.1\r\nHost: 192.168.4.1\r\n{FORM}"
    for data, expected in (
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n", 200),
        (b"GET\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),  # the beginning of TLS
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET nowhere HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n", 302),
        (b"GET / HTTP/1.1\r\nHost: 192.168.4.1\r\nCookie: " + b"x" * 3000 + b"\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"x" * 20000, 431),
        (f"{post}Content-Length: 2049\r\n\r\n".encode() + b"x" * 2049, 413),
        (f"{post}Content-Length: 99999999999999999999\r\n\r\n".encode(), 413),
        (f"{post}Content-Length: 1000000\r\n\r\n".encode() + b"x" * 300000, 413),
        (f"{post}Content-Length: -1\r\n\r\n".encode(), 400),
        (f"{post}Content-Length: 1e3\r\n\r\n".encode(), 400),
        (f"{post}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(), 411),
        (f"{post}Content-Length: 9\r\n\r\nssid=%ff%".encode(), 400),
        (f"{post}Content-Length: 4\r\n\r\n&=&=".encode(), 400),
        (request("POST", "/try", "Content-Type: text/plain\r\n", b"ssid=Farm"), 400),
        (request("POST", "/nowhere", FORM, b"ssid=Farm"), 404),
    ):
        reply = talk(port, data)
        # What is still being sent when the reply goes out may cost the reply, but nothing else.
        assert not reply or status(reply) == expected, (data[:60], reply[:60])
    for _ in range(60):
        noise = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400)))
        talk(port, noise + b"\n\n")
    for cut in (b"", b"G", b"GET / HT", f"{post}Content-Length: 20\r\n\r\nssid".encode()):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(cut)
    assert status(talk(port, request("GET", "/"))) == 200
    # Nothing is kept.
    end = time.monotonic() + 20
    while int(board.wait_for(re.compile(r"used (\d+) end"))[1]) > max(used) + 2000:
        assert time.monotonic() < end, (used, board.console[-300:])
    assert "Traceback" not in board.console


def test_slow_clients_do_not_keep_others_out(make: Make) -> None:
    board = make(app=MEMORY)
    port = port_of(board)
    used = int(board.wait_for(re.compile(r"used (\d+) end"))[1])
    slow = []
    try:
        for _ in range(30):
            s = socket.create_connection(("127.0.0.1", port), 10)
            slow.append(s)
            s.sendall(b"GET / HTTP/1.1\r\nHost: 192.")
        began = time.monotonic()
        for _ in range(5):
            assert status(talk(port, request("GET", "/"))) == 200
            for s in slow:
                with contextlib.suppress(ConnectionError):
                    s.sendall(b"1")
        assert time.monotonic() - began < 10
        # Never more than a few at once.
        assert int(board.wait_for(re.compile(r"used (\d+) end"))[1]) < used + 30_000
        board.world(speed=10)
        end = time.monotonic() + 10
        left = set(slow)
        while left:  # they are given up after some seconds
            assert time.monotonic() < end, f"{len(left)} are still open"
            for s in list(left):
                s.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    try:
                        if s.recv(100) == b"":
                            left.discard(s)
                    except ConnectionError:
                        left.discard(s)
    finally:
        for s in slow:
            s.close()


def test_the_name_server_outlives_a_full_heap(make: Make) -> None:
    app = """
def setup(node):
    from coldframe.setup import captivedns
    real = captivedns.answer
    left = [1]
    def answer(packet, own):
        if left:
            left.pop()
            raise MemoryError("no room")
        return real(packet, own)
    captivedns.answer = answer
"""
    board = make(app=app)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port_of(board, "port.udp.53")))
        s.settimeout(2)
        name = b"\x03www\x07example\x03org\0"
        assert not ask(s, question(name))
        assert ask(s, question(name))


def test_the_password_is_not_taken_into_the_log(make: Make) -> None:
    """Not by log.capture either: the log is sent to the broker, and stands in the report of a crash."""
    board = make({"log": {"capture": True}}, app="print('captured')\n\ndef setup(node):\n    pass\n")
    port_of(board)
    password = board.state()["wlan.ap.password"]
    board.wait_for(f'with the password "{password}"', 30)
    lines = board.repl("import coldframe; print('\\n'.join(coldframe.log.lines(50)))")
    assert "captured" in lines, lines
    assert password not in lines, lines
    assert "True" in board.repl("print(coldframe.log.ring.captured)")  # it goes on


def test_the_page_does_not_tell_a_password_in_the_address_of_the_broker(make: Make) -> None:
    board = make({"mqtt": {"host": "mqtt://joe:secret77@10.9.9.9"}})
    port = port_of(board)
    reply = talk(port, request("GET", "/state"))
    assert b"10.9.9.9" in reply and b"joe" in reply and b"secret77" not in reply, reply
    # What the page has shown comes back with the form: it is still the same broker, with the same password.
    host = json.loads(reply.split(b"\r\n\r\n", 1)[1])["host"]
    body = f"full=1&ssid=Farm&password=secret99&host={host.replace(':', '%3A')}".encode()
    assert status(talk(port, request("POST", "/try", FORM, body))) == 303

    def over() -> bool:
        trial = json.loads(talk(port, request("GET", "/state")).split(b"\r\n\r\n", 1)[1])["trial"]
        return trial is not None and not trial["busy"]

    end = time.monotonic() + 60
    while not over():
        assert time.monotonic() < end
        time.sleep(0.5)
    assert status(talk(port, request("POST", "/save", FORM))) == 303
    while b"Farm" not in board.get("config.json"):
        assert time.monotonic() < end
        time.sleep(0.1)
    text = board.repl("from coldframe.config import load; print(load()[0]['mqtt.host'])")
    assert "mqtt://joe:secret77@10.9.9.9" in text, text
