"""The simulated board's radio: joining networks, and silence wherever a real radio would be silent."""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from host.simboards import DEADLINE, FARM, MakeBoard, boards, quiet
from kit.broker import Mosquitto

JOIN = """
import network, socket, time
w = network.WLAN(network.STA_IF)
w.active(True)
w.connect("Farm", "secret99")
while w.status() in (1, 2):
    time.sleep_ms(10)
print("status", w.status(), w.ifconfig()[0])
"""


@pytest.fixture
def make_board(tmp_path: Path) -> Iterator[MakeBoard]:
    yield from boards(tmp_path)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(4)
        s.settimeout(DEADLINE)
        yield s


def dial(server: socket.socket) -> str:
    port = server.getsockname()[1]
    return f"s = socket.socket(); s.connect(socket.getaddrinfo('127.0.0.1', {port})[0][-1])\n"


def accept(server: socket.socket) -> socket.socket:
    peer, _ = server.accept()
    peer.settimeout(DEADLINE)
    return peer


def receive(peer: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        data = peer.recv(count - len(got))
        assert data, f"the connection ended after {got!r}"
        got += data
    return got


# ---- joining ----


def test_scan_join_wrong_password_no_network(make_board: MakeBoard) -> None:
    board = make_board()
    cafe = {"ssid": "Café", "rssi": -80, "bssid": "02:00:00:00:00:07"}
    board.world(networks=[cafe, FARM, {"ssid": "Under", "hidden": True, "rssi": -90, "password": "12345678"}])
    board.start()
    out = board.repl(
        "import network, time, json\n"
        "w = network.WLAN(network.STA_IF); w.active(True)\n"
        "print(json.dumps([(n[0].decode(), n[2], n[3], n[4], n[5]) for n in w.scan()]))\n"
        "def join(*a):\n"
        "    w.connect(*a)\n"
        "    while w.status() in (1, 2): time.sleep_ms(5)\n"
        "    print(w.status(), w.isconnected(), w.ifconfig()[0], w.config('ssid'))\n"
        "join('Farm', 'wrong')\n"
        "join('Nowhere', 'x')\n"
        "join('Farm', 'secret99'); print(w.status('rssi'), w.config('channel'))\n"
        "join('Café')\n"
        "w.disconnect(); print(w.status(), w.ifconfig()[0])\n"
    )
    lines = out.splitlines()
    assert json.loads(lines[0]) == [
        ["Farm", 11, -48, 5, False],
        ["Café", 6, -80, 0, False],
        ["", 6, -90, 5, True],
    ]
    assert lines[1:3] == ["-3 False 0.0.0.0 Farm", "-2 False 0.0.0.0 Nowhere"]
    assert lines[3].startswith("3 True 10.77.") and lines[3].endswith(" Farm")
    assert lines[4] == "-48 11"
    assert lines[5].startswith("3 True 10.77.") and lines[5].endswith(" Café")
    assert lines[6] == "0 0.0.0.0"


def test_networks_come_and_go_and_dhcp_may_not_answer(make_board: MakeBoard) -> None:
    board = make_board(JOIN)
    board.world(networks=[dict(FARM, dhcp=False)])
    board.start()
    board.wait_state({"wlan.state": "no address"}, DEADLINE)
    board.world(networks=[dict(FARM, ip="192.168.7.7")])
    board.wait_for("status 3 192.168.7.7", DEADLINE)
    board.wait_state({"wlan.ip": "192.168.7.7", "wlan.ssid": "Farm"}, DEADLINE)
    board.world(networks=[])
    board.wait_state({"wlan.state": "idle", "air": "down"}, DEADLINE)
    assert board.repl("print(w.isconnected(), w.status())") == "False 0\n"
    board.world(networks=[FARM])
    assert board.repl("print(w.isconnected())") == "False\n"  # nobody told it to join again
    board.repl("w.connect('Farm', 'secret99')")
    board.wait_state({"wlan.state": "connected", "air": "open"}, DEADLINE)


def test_settings(make_board: MakeBoard) -> None:
    board = make_board()
    board.world(networks=[FARM])
    board.start()
    out = board.repl(
        "import network\n"
        "w = network.WLAN(network.STA_IF); ap = network.WLAN(network.AP_IF)\n"
        "print(w is network.WLAN(0), len(w.config('mac')), w.config('mac') != ap.config('mac'))\n"
        "network.hostname('greenhouse'); network.country('no')\n"
        "print(w.config('hostname'), network.country())\n"
        "w.config(txpower=8, pm=w.PM_NONE); print(w.config('txpower'))\n"
        "w.ipconfig(addr4='10.1.2.3/16', gw4='10.1.0.1'); print(w.ipconfig('addr4'), w.ipconfig('dhcp4'))\n"
        "for f in (lambda: w.connect('a'), lambda: w.scan(), lambda: w.config('nonsense')):\n"
        "    try: f()\n"
        "    except Exception as e: print(type(e).__name__, e)\n"
    )
    assert out.splitlines() == [
        "True 6 True",
        "greenhouse NO",
        "8",
        "('10.1.2.3', '255.255.0.0') False",
        "OSError [Errno 1] EPERM",
        "OSError [Errno 1] EPERM",
        "ValueError unknown config param 'nonsense'",
    ]


def test_no_traffic_without_a_link(make_board: MakeBoard, server: socket.socket) -> None:
    board = make_board()
    board.world(networks=[FARM], hosts={"broker.local": "127.0.0.1", "gone.local": None})
    board.start()
    port = server.getsockname()[1]
    board.repl(
        "import socket, network, time\n"
        "def attempt(f):\n"
        "    try: f(); print('fine')\n"
        "    except OSError as e: print('OSError', e.args[0])\n"
        f"def dial(): s = socket.socket(); s.connect(socket.getaddrinfo('127.0.0.1', {port})[0][-1])\n"
        "def ask(): print(bytes(socket.getaddrinfo('broker.local', 1)[0][-1][4:8]))\n"
        "def datagram(): u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        f"u.sendto(b'x', socket.getaddrinfo('127.0.0.1', {port})[0][-1])\n"
    )
    out = board.repl("attempt(dial); attempt(ask); attempt(datagram)")
    assert out.splitlines() == ["OSError 113", "OSError [addrinfo error -2]", "OSError 113"]
    assert not select.select([server], [], [], 0)[0]
    board.repl("w = network.WLAN(0); w.active(True); w.connect('Farm', 'secret99')")
    board.wait_state({"air": "open"}, DEADLINE)
    out = board.repl(
        "attempt(dial); attempt(ask); attempt(datagram); attempt(lambda: socket.getaddrinfo('gone.local', 1))"
    )
    assert out.splitlines() == [
        "fine", "b'\\x7f\\x00\\x00\\x01'", "fine", "fine", "OSError [addrinfo error -2]",
    ]  # fmt: skip
    accept(server).close()


# ---- silence ----


@pytest.mark.parametrize("how", ["outage", "vanished", "wired outage"])
def test_an_outage_is_silence_and_loses_nothing(
    make_board: MakeBoard, server: socket.socket, how: str
) -> None:
    wired = how == "wired outage"
    board = make_board("import socket\nprint('status')" if wired else JOIN)
    if not wired:
        board.world(networks=[FARM])
    board.start()
    board.wait_for("status", DEADLINE)
    board.repl(dial(server) + "s.send(b'before'); s.setblocking(False)")
    with accept(server) as peer:
        assert receive(peer, 6) == b"before"
        if how == "vanished":
            board.world(networks=[])
            board.wait_state({"air": "down", "wlan.state": "idle"}, DEADLINE)
        else:
            board.world(outage=True)
            board.wait_state({"air": "silent"}, DEADLINE)
        assert board.repl("print(s.send(b'during'))") == "6\n"  # into the send buffer
        peer.sendall(b"hello?")
        assert quiet(peer)
        assert board.repl("print(s.read(10))") == "None\n"
        if how == "vanished":
            board.world(networks=[FARM])
            board.repl("w.connect('Farm', 'secret99')")
        else:
            board.world(outage=None)
        board.wait_state({"air": "open"}, DEADLINE)
        assert receive(peer, 6) == b"during"
        # What the peer sent while nobody heard arrives by TCP's own retransmission.
        assert board.repl("s.settimeout(15); print(s.read(6))", DEADLINE) == "b'hello?'\n"
        board.repl("s.send(b'after')")
        assert receive(peer, 5) == b"after"
        board.repl("s.close()")
        assert peer.recv(1) == b""


def test_a_connection_closed_during_an_outage_ends_after_it(
    make_board: MakeBoard, server: socket.socket
) -> None:
    board = make_board("import socket")
    board.start()
    board.repl("import socket\n" + dial(server))
    with accept(server) as peer:
        board.world(outage=True)
        board.wait_state({"air": "silent"}, DEADLINE)
        board.repl("s.send(b'bye'); s.close(); t = socket.socket()")  # t gets the number that was s's
        assert quiet(peer)
        board.world(outage=None)
        assert receive(peer, 3) == b"bye"
        assert peer.recv(1) == b""
    assert board.repl("t.close(); print('fine')") == "fine\n"


def test_an_attempt_during_an_outage_gets_through_after_it(
    make_board: MakeBoard, server: socket.socket
) -> None:
    board = make_board("import socket, select, errno")
    board.world(outage=True)
    board.start()
    board.wait_state({"air": "silent"}, DEADLINE)
    port = server.getsockname()[1]
    out = board.repl(
        "import socket, select\n"
        "s = socket.socket(); s.setblocking(False)\n"
        f"try: s.connect(socket.getaddrinfo('127.0.0.1', {port})[0][-1])\n"
        "except OSError as e: print(e.errno)\n"
        "p = select.poll(); p.register(s, select.POLLOUT); print(p.poll(300))\n"
    )
    assert out == "115\n[]\n"
    board.world(outage=None)
    assert board.repl("print(len(p.poll(15000)))", DEADLINE) == "1\n"
    board.repl("s.send(b'hi')")
    with accept(server) as peer:
        assert receive(peer, 2) == b"hi"


def test_another_address_ends_the_old_connections(make_board: MakeBoard, server: socket.socket) -> None:
    board = make_board(JOIN)
    board.world(networks=[dict(FARM, ip="10.0.0.2")])
    board.start()
    board.wait_for("status 3 10.0.0.2", DEADLINE)
    board.repl(dial(server))
    with accept(server) as peer:
        board.world(networks=[dict(FARM, ip="10.0.0.3")])
        board.wait_state({"wlan.ip": "10.0.0.3", "air": "open"}, DEADLINE)
        out = board.repl("try: s.settimeout(5); print(s.read(1))\nexcept OSError as e: print(e.errno)")
        assert out == "104\n"  # ECONNRESET
        assert quiet(peer)  # and the peer was told nothing
    board.repl(dial(server) + "s.send(b'new')")
    with accept(server) as peer:
        assert receive(peer, 3) == b"new"


def test_resets_say_nothing_soft_resets_close(make_board: MakeBoard, server: socket.socket) -> None:
    board = make_board("import machine, socket; print('cause', machine.reset_cause())")
    board.start()
    board.wait_for("cause 1", DEADLINE)
    board.repl("import socket, machine\n" + dial(server))
    with accept(server) as peer:
        board.send("machine.reset()\r")
        board.wait_for("cause 2", DEADLINE)
        assert quiet(peer)
        board.repl("import socket, machine\n" + dial(server))
        with accept(server) as second:
            board.send("machine.soft_reset()\r")
            board.wait_for("cause 5", DEADLINE)
            assert second.recv(1) == b""
        assert quiet(peer)


def test_a_power_cut_is_silence_switching_off_is_not(make_board: MakeBoard, server: socket.socket) -> None:
    board = make_board("print('up')")
    board.start()
    board.wait_for("up", DEADLINE)
    board.repl("import socket\n" + dial(server))
    with accept(server) as peer:
        board.cut_power()
        assert not board.running
        assert quiet(peer)
    board.start()
    board.wait_for("up", DEADLINE)
    board.repl("import socket\n" + dial(server))
    with accept(server) as peer:
        board.stop()
        assert peer.recv(1) == b""


# ---- access point ----


def test_a_server_of_the_board_is_reached_over_its_access_point(make_board: MakeBoard) -> None:
    board = make_board(
        """
import asyncio, network
ap = network.WLAN(network.AP_IF)
ap.config(essid="setup", key="12345678")
ap.active(True)
async def serve(r, w):
    await r.readline()
    w.write(b"page\\n")
    await w.drain()
    w.close()
    await w.wait_closed()
async def main():
    await asyncio.start_server(serve, "0.0.0.0", 80)
    print("serving", ap.ifconfig()[0])
    while True:
        await asyncio.sleep(1)
asyncio.run(main())
"""
    )
    board.world(networks=[FARM], stations=1)
    board.start()
    board.wait_for("serving 192.168.4.1", DEADLINE)
    state = board.wait_state(
        {"wlan.ap.ssid": "setup", "wlan.ap.password": "12345678", "air": "down"}, DEADLINE
    )
    with socket.create_connection(("127.0.0.1", state["port.80"]), DEADLINE) as client:
        client.sendall(b"GET\n")
        assert receive(client, 5) == b"page\n"
    assert board.repl("print(ap.isconnected(), len(ap.status('stations')))") == "True 1\n"
    board.send("ap.active(False)\r")
    board.wait_state(lambda s: "wlan.ap.ssid" not in s, DEADLINE)
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", state["port.80"]), 0.7):
        pass


# ---- the framework on it ----


def test_a_node_joins_again_and_reaches_its_broker_again(make_board: MakeBoard) -> None:
    with Mosquitto(port=None) as broker:
        board = make_board()
        (board.flash / "main.py").unlink()
        board.put(
            "config.json",
            {
                "mqtt": {"host": "127.0.0.1", "port": broker.port, "keepalive": 5},
                "wifi": {"networks": [{"ssid": "Farm", "password": "secret99"}]},
            },
        )
        board.world(networks=[], speed=5)  # five seconds of the node's in one of ours
        board.start()
        board.wait_for("none of the 1 network(s) can be joined", DEADLINE)
        for _ in range(2):
            board.world(networks=[FARM])
            board.wait_for(
                re.compile(r"mqtt: .*: up"), DEADLINE
            )  # maybe before the node says that it has joined
            board.wait_state({"wlan.state": "connected", "wlan.ssid": "Farm"}, DEADLINE)
            board.world(networks=[])
            board.wait_for("lost Farm", DEADLINE)
            board.wait_for(re.compile(r"mqtt: .*: down"), DEADLINE)  # it finds out by its own keep-alive
