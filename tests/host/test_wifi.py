"""The node's Wi-Fi on the simulated board: which network it joins, and what it does when it cannot."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, until
from host.simboards import DEADLINE, FARM, image
from kit.simboard import SimBoard

KNOWN = {"ssid": "Farm", "password": "secret99"}
BARN = {"ssid": "Barn", "password": "12345678", "rssi": -70, "channel": 1}

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """Gives make(networks, app, world, **wifi): a node with this configuration in this world, running."""
    made: list[SimBoard] = []

    def make(
        networks: list[Any],
        app: str = "",
        world: dict[str, Any] | None = None,
        mqtt_port: int | None = None,
        **wifi: Any,
    ) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id="00000000000000c0")
        made.append(board)
        mqtt = {"mqtt": {"host": "127.0.0.1", "port": mqtt_port}} if mqtt_port else {}
        board.put("config.json", {"wifi": {"networks": networks, **wifi}, **mqtt})
        if app:
            board.put("app.py", app)
        board.world(**{"networks": [FARM], "speed": 20, **(world or {})})
        board.start()
        return board

    yield make
    for board in made:
        board.stop()


def joined(board: SimBoard, ssid: str = "Farm", deadline: float = DEADLINE) -> dict[str, Any]:
    """Wait until the board is in a network; returns its state."""
    return board.wait_state({"wlan.state": "connected", "wlan.ssid": ssid}, deadline)


def test_trying_a_network_that_is_not_in_the_configuration(make_node: MakeNode) -> None:
    app = """
from coldframe import wifi
def setup(node):
    async def visit():
        w = wifi.of(node)
        print("nearby", w.nearby())
        w.networks = [{"ssid": "Farm", "password": "secret99"}]
        await w.up.wait()
        print("none for", w.seen_none_for())
        for ssid, password in (("Barn", "wrong"), ("Nowhere", "12345678"), ("Barn", "12345678")):
            print("trial", repr(await w.try_join(ssid, password)), w.state, w.up.is_set())
        w.back()
        await w.up.wait()
        print("back in", w.ssid, w.joins)
        print("trial", repr(await w.try_join("Barn", "12345678")))
        w.networks = [{"ssid": "Barn", "password": "12345678"}]
        await w.up.wait()
        print("now in", w.ssid, w.joins, repr(w.cause), w.rssi())
    node.service("visit", visit, once=True)
"""
    board = make_node([], app, {"networks": [FARM, BARN, {"ssid": "Café"}, {"ssid": "x", "hidden": True}]})
    board.wait_for(
        "nearby [('Farm', -48, 'WPA2'), ('Caf\\xe9', -60, 'open'), ('Barn', -70, 'WPA2')]", DEADLINE
    )
    board.wait_for("none for 0", DEADLINE)
    board.wait_for("trial 'wrong password' join False", DEADLINE)
    board.wait_for("trial 'not in reach' join False", DEADLINE)
    board.wait_for("trial '' join False", DEADLINE)
    board.wait_for("back in Farm", DEADLINE)
    board.wait_for("trial ''", DEADLINE)
    board.wait_for("now in Barn", DEADLINE)
    assert "'' -70" in board.console.splitlines()[-1]
    assert board.console.count("joined Barn") == 1  # it was not left when it became a known one


def test_ranking(make_node: MakeNode) -> None:
    """The strongest comes first; the one that was joined last has a bonus; the strongest access point is taken."""
    weak = FARM | {"bssid": "02:00:00:00:00:01", "rssi": -90}
    strong = FARM | {"bssid": "02:00:00:00:00:02", "rssi": -50, "channel": 3}
    barn = {"ssid": "Barn", "password": BARN["password"]}
    app = """
def setup(node):
    def changed(state):
        if state == "up":
            print("bssid", node.wifi.bssid.hex(), node.wifi.channel)
    node.on("wifi", changed)
"""
    board = make_node([barn, KNOWN], app, {"networks": [weak, BARN, strong]})
    board.wait_for("bssid 020000000002 3", DEADLINE)
    joined(board, "Farm")
    # Barn is 10 dB stronger now, which is not enough for another network than the last.
    board.world(networks=[BARN | {"rssi": -40}, {"ssid": "Other", "rssi": -20}])
    joined(board, "Barn")
    board.wait_for("joined Barn", DEADLINE)
    board.wait_state(lambda s: (board.flash / "wifi.last").exists(), DEADLINE)  # it has held for a minute
    board.stop()
    board.world(networks=[BARN | {"rssi": -60}, strong])
    board.start()
    board.wait_for("joined", DEADLINE)
    assert board.state()["wlan.ssid"] == "Barn"
    assert board.get("wifi.last") == b"Barn"


def test_hidden_network(make_node: MakeNode) -> None:
    board = make_node([KNOWN, {"ssid": "Gone"}], world={"networks": [FARM | {"hidden": True}, BARN]})
    joined(board)


def test_wrong_password_then_right(make_node: MakeNode) -> None:
    """It is said, it is tried less and less often, but never given up; the right one is taken without a restart."""
    app = """
def setup(node):
    async def tell():
        import asyncio
        while True:
            await asyncio.sleep(60)
            print("cause", node.wifi.cause)
    node.service("tell", tell)
"""
    board = make_node([{"ssid": "Farm", "password": "wrong"}], app, {"speed": 200})
    board.wait_for("Farm not joined: wrong password", DEADLINE)
    board.wait_for("cause wrong password", DEADLINE)
    first = board.state()["wlan.tries"]
    for _ in range(20):
        board.wait_for("cause wrong password", DEADLINE)
    tries = board.state()["wlan.tries"] - first
    assert 3 <= tries <= 12, f"{tries} attempts in 20 minutes"
    assert board.console.count("not joined") == 1  # the same cause is not logged again and again
    board.world(networks=[FARM | {"password": "wrong"}])  # the router's was changed to ours
    board.wait_for("joined Farm", DEADLINE)
    board.world(networks=[FARM])
    board.wait_for("lost Farm", DEADLINE)
    board.wait_for("not joined: wrong password", DEADLINE)
    assert board.state()["boots"] == 1


def test_a_new_password_is_used_at_once(make_node: MakeNode) -> None:
    app = """
import asyncio
def setup(node):
    async def correct():
        while node.wifi.failed < 6:
            await asyncio.sleep(1)
        node.wifi.networks = [{"ssid": "Farm", "password": "secret99"}]
        began = __import__("time").ticks_ms()
        await node.wifi.up.wait()
        print("after", __import__("time").ticks_ms() - began)
    node.service("correct", correct)
"""
    board = make_node([{"ssid": "Farm", "password": "wrong"}], app)
    assert int(board.wait_for(re.compile(r"after (\d+)"), DEADLINE)[1]) < 5000


def test_failures_that_are_none(make_node: MakeNode) -> None:
    """A driver that says "wrong password" by mistake, and a radio that is stuck until it is switched off and on."""
    board = make_node([KNOWN], world={"networks": [FARM | {"glitch": 400}], "speed": 5})
    board.wait_for("joined Farm", DEADLINE)
    assert board.state()["wlan.tries"] == 1
    board.world(wlan="stuck", networks=[FARM], speed=100)
    board.wait_for("lost Farm", DEADLINE)
    board.wait_for("restarting the radio", DEADLINE)
    joined(board)
    assert board.state()["wlan.starts"] == 2 and board.state()["boots"] == 1


def test_away_for_hours(make_node: MakeNode) -> None:
    """No network for six hours: the attempts are few, the heap stays as it is, and then it is joined again."""
    app = """
import asyncio, gc
def setup(node):
    async def tell():
        while True:
            while node.wifi.state not in ("up", "none"):
                await asyncio.sleep(1)
            gc.collect()
            print("hour", node.wifi.state, gc.mem_alloc())
            await asyncio.sleep(3600)
    node.service("tell", tell)
"""
    board = make_node([KNOWN, {"ssid": "Barn"}], app, reset_after=0)
    board.wait_for("joined Farm", DEADLINE)
    board.world(networks=[], speed=1500)
    board.wait_for("lost Farm", DEADLINE)
    used = []
    for _ in range(7):
        used.append(int(board.wait_for(re.compile(r"hour \w+ (\d+)"), DEADLINE)[1]))
    tries = board.state()["wlan.tries"]
    assert used[-1] - used[2] < 200, used
    board.world(networks=[FARM], speed=20)
    joined(board)
    assert 50 < tries < 800, f"{tries} attempts in 6 hours"
    assert board.state()["boots"] == 1
    assert board.console.count("not joined") < tries / 2


def test_the_heap_stays_as_it_is_over_many_reconnects(make_node: MakeNode) -> None:
    app = """
import gc
def setup(node):
    def changed(state):
        if state == "up":
            gc.collect()
            print("heap", node.wifi.joins, gc.mem_alloc())
    node.on("wifi", changed)
"""
    board = make_node([KNOWN, {"ssid": "Barn"}], app)
    board.wait_for("joined Farm", DEADLINE)
    timeline = []
    for n in range(25):
        timeline += [
            {"at": n * 25000 + 1000, "networks": []},
            {"at": n * 25000 + 6000, "networks": [FARM]},
        ]
    board.world(networks=[FARM], timeline=timeline, speed=50)
    used: dict[int, int] = {}
    while max(used, default=0) < 16:
        match = board.wait_for(re.compile(r"heap (\d+) (\d+)"), DEADLINE)
        used[int(match[1])] = int(match[2])
    assert used[16] - used[6] < 100, used


def test_the_last_resort(make_node: MakeNode) -> None:
    """One restart, after the configured time, only if there was a network, and the boot is none that failed."""
    app = "def setup(node):\n    from coldframe import bootrecord\n    print('failed', bootrecord.failed())\n"
    board = make_node([KNOWN], app, {"speed": 300}, reset_after=600)
    board.wait_for("joined Farm", DEADLINE)
    board.world(networks=[])
    board.wait_for(re.compile(r"no network for 6\d\d s"), DEADLINE)
    board.wait_state({"boots": 2}, DEADLINE)
    board.wait_for("failed 0", DEADLINE)
    board.wait_for("restarting the radio", DEADLINE)
    board.wait_state(lambda s: s.get("wlan.tries", 0) > 5, DEADLINE)  # many rounds, more than 600 s
    assert board.state()["boots"] == 2
    board.world(networks=[FARM])
    joined(board)


def test_not_while_somebody_uses_the_access_point(make_node: MakeNode) -> None:
    app = """
import asyncio
def setup(node):
    async def guest():
        await node.wifi.up.wait()
        node.wifi.hold = True
        await asyncio.sleep(1000)
        print("tries", node.wifi.failed)
        node.wifi.hold = False
        node.wifi.back()
    node.service("guest", guest, once=True)
"""
    board = make_node([KNOWN], app, {"speed": 300}, reset_after=100)
    board.wait_for("joined Farm", DEADLINE)
    tries = board.state()["wlan.tries"]
    board.world(networks=[])
    board.wait_for("tries 0", DEADLINE)
    assert board.state()["wlan.tries"] == tries and board.state()["boots"] == 1
    board.world(networks=[FARM])
    joined(board)


def test_settings_reach_the_radio(make_node: MakeNode) -> None:
    board = make_node([KNOWN], country="no", hostname="Green House {short}", power_save=True)
    state = joined(board)
    assert state["wlan.country"] == "NO" and state["wlan.hostname"] == "Green-House-0000c0"
    assert state["wlan.pm"] == 0x11


def test_an_access_point_that_is_open_already_is_closed(make_node: MakeNode) -> None:
    """As the one that MicroPython opens on a new ESP8266; and a station that is on already gets its settings, too."""
    board = make_node([KNOWN])
    joined(board)
    board.stop()
    board.put(
        "boot.py",
        "import network\n"
        "ap = network.WLAN(network.AP_IF); ap.config(ssid='MicroPython-1', key='micropythoN'); ap.active(True)\n"
        "network.WLAN(network.STA_IF).active(True)\n",
    )
    board.start()
    state = joined(board)
    assert "wlan.ap.ssid" not in state and state["wlan.pm"] == 0x10


def test_addresses(make_node: MakeNode) -> None:
    """A fixed one in one network, DHCP's in the next; a wrong one does not make the device unreachable."""
    fixed = {"ip": "10.1.2.3", "mask": "255.255.0.0", "gateway": "10.1.0.1", "dns": "10.1.0.2"}
    networks = [KNOWN | {"address": fixed}, {"ssid": "Barn", "password": "12345678"}]
    app = """
def setup(node):
    node.on("wifi", lambda state: print("addresses", state, node.wifi.wlan.ifconfig()))
"""
    board = make_node(networks, app)
    board.wait_for("addresses up ('10.1.2.3', '255.255.0.0', '10.1.0.1', '10.1.0.2')", DEADLINE)
    assert joined(board)["wlan.pm"] == 0x10
    board.world(networks=[BARN])
    board.wait_for("addresses up ('10.77.", DEADLINE)
    board.stop()
    board.put("config.json", {"wifi": {"networks": [KNOWN], "address": {"ip": "10.1.2.300"}}})
    board.world(networks=[FARM])
    board.start()
    board.wait_for("wifi.address", DEADLINE)
    board.wait_for("addresses up ('10.77.", DEADLINE)


def test_another_address_while_joined(make_node: MakeNode, broker: Mosquitto) -> None:
    """By DHCP: the hook is called, and the node is with its broker again in moments, not after 1.5 keep-alives."""
    app = """
from time import ticks_ms
def setup(node):
    node.on("wifi", lambda state: print("wifi", state, node.wifi.address()))
    node.on("down", lambda: print("down"))
    node.on("up", lambda: print("broker"))
"""
    board = make_node(
        [KNOWN], app, {"networks": [FARM | {"ip": "10.0.0.2"}], "speed": 1}, mqtt_port=broker.port
    )
    until(lambda: "wifi up 10.0.0.2" in board.console and "broker" in board.console, "the broker")
    board.world(networks=[FARM | {"ip": "10.0.0.3"}])
    board.wait_for("address 10.0.0.3 instead of 10.0.0.2", DEADLINE)
    board.wait_for("wifi up 10.0.0.3", DEADLINE)
    until(lambda: board.console.count("broker") == 2, "the broker again")
    assert board.console.count("joined Farm") == 1


# ---- the light ----

# A second pin looks at the light's, and the flashes of some seconds are counted in groups.
WATCH = """
import asyncio, machine, time
seen = []
eye = machine.Pin(8, machine.Pin.IN)
eye.irq(lambda pin: seen.append(time.ticks_ms()), machine.Pin.IRQ_RISING)
def setup(node):
    async def watch(what, *event):
        node.emit(*event)
        await asyncio.sleep_ms(300)
        seen.clear()
        await asyncio.sleep_ms(6300)
        groups = []
        for n, t in enumerate(seen):
            if n == 0 or time.ticks_diff(t, seen[n - 1]) > 800:
                groups.append(0)
            groups[-1] += 1
        print("light", what, eye.value(), groups[1:-1])
    async def show():
        await watch("nothing to wait for", "wifi", None)
        await watch("none", "wifi", "none")
        await watch("join", "wifi", "join")
        await watch("setup", "setup", True)
        await watch("off", "setup", False)
        node.wifi.cause = "wrong password"
        await watch("wrong password", "wifi", "none")
        node.client = True
        await watch("no broker", "wifi", "up")
        node.client = None
        await watch("online", "up")
        seen.clear()
        for n in range(3):
            node.emit("message")
            await asyncio.sleep_ms(300)
        print("light messages", len(seen))
        await watch("message", "message")
    from coldframe import wifi
    wifi.of(node)
    node.service("show", show, once=True)
"""


def test_the_light(make_node: MakeNode) -> None:
    board = make_node(
        [],
        WATCH,
        {"speed": 5, "wires": [[5, 8]]},
        led={"pin": 5, "pulse": True},
        setup_ap={"enabled": False},  # it would be shown
    )

    def light(what: str) -> tuple[int, list[int]]:
        match = board.wait_for(re.compile(rf"light {what} (\d) \[(.*)\]"), DEADLINE)
        return int(match[1]), [int(n) for n in match[2].split(", ") if n]

    assert light("nothing to wait for") == (0, [])  # Wi-Fi is off
    assert set(light("none")[1]) == {1}
    assert light("join")[1] == []  # one group that does not end
    assert set(light("setup")[1]) == {1}
    assert light("off") == (0, [])
    assert set(light("wrong password")[1]) == {3}
    assert set(light("no broker")[1]) == {2}
    assert light("online") == (1, [])
    board.wait_for("light messages 3", DEADLINE)


def test_the_boards_own_light_follows_the_connection(make_node: MakeNode, broker: Mosquitto) -> None:
    """Active low: shines when the broker is reached, is dark when it must not be steady, and when the node ends."""
    board = make_node([KNOWN], mqtt_port=broker.port, led={"active_low": True})
    board.wait_for(re.compile(r"mqtt: .*: up"), DEADLINE)
    board.wait_state({"pin.2": 0}, DEADLINE)
    board.interrupt()
    board.wait_for(">>>", DEADLINE)
    board.repl("import asyncio, coldframe; asyncio.run(coldframe.node.stop())")
    board.wait_state({"pin.2": 1}, DEADLINE)


# ---- the name ----


def ask(port: int, name: str, kind: int, times: int = 1) -> list[tuple[str, int, bytes]]:
    """Ask the board's mDNS as a resolver that knows nothing of it does: (name, type, data) of all records."""
    question = (
        b"".join(bytes((len(x),)) + x.encode() for x in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(DEADLINE)
        s.sendto(struct.pack(">HHHHHH", 77, 0, times, 0, 0, 0) + question * times, ("127.0.0.1", port))
        data = s.recv(1500)
    number, flags, questions, answers, others, more = struct.unpack(">HHHHHH", data[:12])
    assert (number, flags, questions, others) == (77, 0x8400, min(times, 8), 0)
    question *= questions
    assert data[12 : 12 + len(question)] == question
    at = 12 + len(question)
    records = []
    for _ in range(answers + more):
        labels = []
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        kind, group, ttl, size = struct.unpack(">HHIH", data[at + 1 : at + 11])
        assert group == 1 and 0 < ttl <= 10  # RFC 6762, 6.7
        records.append((".".join(labels), kind, data[at + 11 : at + 11 + size]))
        at += 11 + size
    assert at == len(data)
    return records


def test_mdns(make_node: MakeNode) -> None:
    board = make_node(
        [KNOWN], world={"networks": [FARM | {"ip": "10.0.0.2"}]}, mdns=True, hostname="Green House"
    )
    joined(board)
    port = board.wait_state(lambda s: "port.udp.5353" in s, DEADLINE)["port.udp.5353"]
    host, instance = "green-house.local", "green-house._coldframe._tcp.local"
    assert ask(port, "GREEN-house.local", 1) == [(host, 1, bytes((10, 0, 0, 2)))]
    found = ask(port, "_coldframe._tcp.local", 12)
    assert [(name, kind) for name, kind, _ in found] == [
        ("_coldframe._tcp.local", 12),
        (instance, 33),
        (instance, 16),
        (host, 1),
    ]
    assert found[0][2].startswith(b"\x0bgreen-house\x0a_coldframe") and b"id=00000000000000c0" in found[2][2]
    assert ask(port, "_services._dns-sd._udp.local", 12)[0][2].startswith(b"\x0a_coldframe")
    assert len(ask(port, host, 1, times=12)) == 8  # no more are looked at, nor repeated in the answer
    assert ask(port, instance, 33)[0][1] == 33 and ask(port, instance, 16)[0][1] == 16
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for rubbish in (b"", b"\0" * 5, b"\0" * 40, b"\0\0\0\0\0\x01" + b"\0" * 6 + b"\xc0\x0c\0\x01\0\x01"):
            s.sendto(rubbish, ("127.0.0.1", port))
    board.world(networks=[FARM | {"ip": "10.0.0.3"}], speed=200)  # it looks at its address every five minutes
    board.wait_for("address 10.0.0.3", DEADLINE)
    board.world(speed=1)
    port = board.state()["port.udp.5353"]
    assert ask(port, host, 1) == [(host, 1, bytes((10, 0, 0, 3)))]
