"""Battery mode: the real image as a simulated board that sleeps, with a real broker. docs/power.md has the promises."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import FARM, image
from kit.simboard import SimBoard

ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
SPEED = 20  # times as fast as the wall
SLEEP = 20  # s of the board
AWAKE = re.compile(r"sleeping for (\d+) s after (\d+) ms")
HOME = [FARM | {"bssid": "02:00:00:00:00:01", "dhcp_delay": 3000}]
APP = """
from coldframe import Topic
def setup(node):
    node.add(Topic("./each", read=lambda: "each"))
    node.add(Topic("./third", read=lambda: "third", every=60))
    node.add(Topic("./never", read=lambda: "never")).wake = False
    node.add(Topic("./do", action=lambda payload: "done " + payload))
"""

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def peer(broker: Mosquitto) -> Iterator[Peer]:
    peer = Peer(broker.port, [f"{BASE}/#"], client_id="peer")  # the broker keeps what comes while it is away
    yield peer
    peer.close()


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto) -> Iterator[MakeNode]:
    """Gives make(app, networks, mqtt, **power): a sleepy board, switched on."""
    made: list[SimBoard] = []

    def make(
        app: str = APP,
        networks: list[dict] | None = None,
        mqtt: dict | None = None,
        wifi: dict | None = None,
        **power: Any,
    ) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}", unique_id=ID)
        made.append(board)
        board.put(
            "config.json",
            {
                "mqtt": {"host": "127.0.0.1", "port": broker.port, **(mqtt or {})},
                "wifi": {"networks": [{"ssid": "Farm", "password": "secret99"}], **(wifi or {})},
                "sysinfo": {"every": 0},
                "power": {"mode": "battery", "sleep": SLEEP, **power},
            },
        )
        board.put("app.py", app)
        board.world(networks=networks or HOME, speed=SPEED)
        board.start()
        return board

    yield make
    for board in made:
        board.stop()


def asleep(node: SimBoard, deadline: float = 20) -> tuple[int, int]:
    """Wait for the end of a wake. Returns the seconds of the sleep and the milliseconds of the wake."""
    match = node.wait_for(AWAKE, deadline)
    return int(match[1]), int(match[2])


def got(peer: Peer, name: str, times: int, deadline: float = 20) -> None:
    """Wait until a topic has come so many times. What was published before it has come then, too."""
    until(lambda: len(peer.payloads(f"{BASE}/{name}")) >= times, f"{name} number {times}", deadline)


def test_each_wake_delivers_exactly_its_messages(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(pin=7, settle=200)
    for wake in range(1, 8):
        node.wait_state({"pin.7": 1})
        assert asleep(node)[0] == SLEEP
        node.wait_state({"boots": wake, "sleep": SLEEP * 1000})
        assert node.state()["pin.7"] == 0 and node.state()["wlan.state"] == "off"
        got(peer, "available", wake)
        assert len(peer.payloads(f"{BASE}/each")) == wake
        assert len(peer.payloads(f"{BASE}/third")) == (wake + 2) // 3
    assert not peer.payloads(f"{BASE}/never") and not peer.payloads(f"{BASE}/SYSINFO")
    assert peer.payloads(f"{BASE}/available") == [b"online"] * 7  # and never offline
    assert all(m.qos == 1 for m in peer.messages)
    assert node.reset_cause() == "deepsleep"


def test_a_wake_that_delivers_proves_the_configuration(make_node: MakeNode, peer: Peer) -> None:
    node = make_node()
    asleep(node)
    assert node.get("config.bak") == node.get("config.json")


def test_a_wake_that_does_not_deliver_proves_nothing(make_node: MakeNode, broker: Mosquitto) -> None:
    node = make_node(mqtt={"port": 1}, awake_limit=10)
    asleep(node)
    assert not (node.flash / "config.bak").exists()


def test_a_wake_that_cannot_end_is_ended_by_the_watchdog(make_node: MakeNode, peer: Peer) -> None:
    """The loop still turns, but what is to bring the sleep has died: nothing else may feed the watchdog."""
    app = """
def setup(node):
    async def broken(went_well):
        raise ValueError("no sleep")
    node.power._sleep = broken
"""
    node = make_node(app, awake_limit=10)
    node.wait_for("service power failed", 20)
    node.wait_for(re.compile(r"awake for \d+ s and stuck"), 20)


def test_a_window_longer_than_a_number(make_node: MakeNode, peer: Peer) -> None:
    peer.publish(f"{BASE}/awake", "inf", qos=1, retain=True)
    node = make_node()
    node.wait_for('./awake: expected seconds, "on" or "off", got \'inf\'', 20)
    asleep(node)


def test_joins_fast_by_what_it_remembers(make_node: MakeNode, peer: Peer) -> None:
    node = make_node()
    slow = asleep(node)[1]
    node.wait_for("joined Farm")
    fast = asleep(node)[1]
    assert fast < slow - 2000, (fast, slow)  # of which 3000 are DHCP's
    state = node.state()
    assert "wlan.scans" not in state and state["wlan.tries"] == 1
    got(peer, "each", 2)


def test_asks_for_an_address_when_that_of_before_is_too_old(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(lease=3 * SLEEP // 2)  # good for one wake after the one that has asked
    times = [asleep(node)[1] for _ in range(4)]
    assert times[1] < times[0] - 2000 and times[2] > times[1] + 2000 and times[3] < times[2] - 2000, times
    got(peer, "each", 4)


def test_access_point_has_moved(make_node: MakeNode, peer: Peer) -> None:
    node = make_node()
    asleep(node)
    asleep(node)
    node.world(networks=[FARM | {"bssid": "02:00:00:00:00:02", "channel": 3, "dhcp_delay": 3000}])
    assert asleep(node)[0] == SLEEP  # it has delivered, and that it had to look for the network is no failure
    asleep(node)
    assert node.state()["wlan.tries"] == 1  # it knows the new one
    got(peer, "each", 4)
    assert "Farm not joined the fast way" in node.console


def test_another_device_has_got_the_address(make_node: MakeNode, peer: Peer) -> None:
    node = make_node()
    asleep(node)
    node.world(networks=[FARM | {"bssid": "02:00:00:00:00:01", "static": False, "ip": "10.77.9.9"}])
    assert asleep(node)[0] == SLEEP
    got(peer, "each", 2)
    node.wait_for("joined Farm, address 10.77.9.9")
    asleep(node)
    assert node.state()["wlan.tries"] == 1  # this one is remembered
    got(peer, "each", 3)


def test_no_broker_for_five_wakes(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    node = make_node(awake_limit=5, sleep_max=3 * SLEEP)
    assert asleep(node)[0] == SLEEP
    broker.stop()
    sleeps = [asleep(node)[0] for _ in range(5)]
    assert sleeps == [2 * SLEEP] + [3 * SLEEP] * 4
    broker.start()
    peer.wait_ready()
    assert asleep(node, 30)[0] == SLEEP
    got(peer, "each", 2)
    assert len(peer.payloads(f"{BASE}/each")) == 2  # without a spill file the others are lost
    peer.publish(f"{BASE}/SYSINFO_", "")
    got(peer, "SYSINFO", 1)
    info = json.loads(peer.payloads(f"{BASE}/SYSINFO")[0])
    # "each" five times, "third" twice or once
    assert info["power"]["outages"] == 0 and info["power"]["lost"] in (6, 7)
    assert info["failed_boots"] == 0 and not info["safe"]


def test_what_waits_in_the_spill_file_is_sent(make_node: MakeNode, broker: Mosquitto, peer: Peer) -> None:
    app = """
from coldframe import Topic, bootrecord
def setup(node):
    node.add(Topic("./wake", read=lambda: str(node.power.wakes)))
"""
    node = make_node(app, mqtt={"spill": "/spill"}, awake_limit=5, sleep_max=SLEEP)
    asleep(node)
    broker.stop()
    for _ in range(3):
        assert asleep(node)[0] == SLEEP
    broker.start()
    peer.wait_ready()
    asleep(node)
    got(peer, "wake", 5, 30)
    assert peer.payloads(f"{BASE}/wake") == [b"1", b"2", b"3", b"4", b"5"]


def test_no_access_point_on_a_wake(make_node: MakeNode, peer: Peer) -> None:
    # Nobody has been seen for longer than setup_ap.after, before the wake ends.
    node = make_node(
        awake_limit=20,
        awake_max=60,
        wifi={"setup_ap": {"after": 10}},
        networks=[FARM | {"password": "another one"}],
    )
    node.wait_state(lambda state: "wlan.ap.ssid" in state)  # after power-on somebody may be there to help
    asleep(node, 60)
    node.wait_for("reset cause: deepsleep")
    seen = []
    until(
        lambda: seen.append("wlan.ap.ssid" in node.state()) or len(re.findall(AWAKE, node.console)) > 1,
        "sleep",
        60,
    )
    assert not any(seen) and len(seen) > 20


def test_a_command_for_a_sleeping_node(make_node: MakeNode, peer: Peer) -> None:
    node = make_node()
    asleep(node)
    node.wait_state(lambda state: "sleep" in state)
    peer.publish(f"{BASE}/do", "it")
    asleep(node)
    peer.wait_for(f"{BASE}/do_", "done it")


def test_a_flag_keeps_it_awake(make_node: MakeNode, peer: Peer) -> None:
    node = make_node(awake_max=100)
    asleep(node)
    # Once, for so long.
    peer.publish(f"{BASE}/awake", "60", retain=True)
    peer.wait_for(f"{BASE}/awake_", "60")
    peer.wait_for(f"{BASE}/awake", "")  # it has taken the flag away
    peer.publish(f"{BASE}/do", "now")
    peer.wait_for(f"{BASE}/do_", "done now", 2)  # less than what is left of it
    assert 55_000 < asleep(node)[1] < 75_000
    assert asleep(node)[1] < 10_000
    # At each wake, for as long as is allowed, until it is taken back.
    peer.publish(f"{BASE}/awake", "on", retain=True)
    for _ in range(2):
        assert 95_000 < asleep(node)[1] < 120_000
    node.wait_for("staying awake")
    peer.publish(f"{BASE}/awake", "off", retain=True)
    assert asleep(node)[1] < 60_000
    assert asleep(node)[1] < 10_000
    assert peer.payloads(f"{BASE}/awake_")[-1] == b"0"


@pytest.mark.parametrize("hang", ["while True: pass", "time.sleep(1000)", "await asyncio.sleep(1000)"])
def test_a_reading_that_hangs(make_node: MakeNode, peer: Peer, hang: str) -> None:
    app = f"""
import asyncio, time
from coldframe import Topic
async def stuck():
    {hang}
def setup(node):
    node.add(Topic("./good", read=lambda: "good"))
    node.add(Topic("./stuck", read=stuck))
"""
    node = make_node(app, awake_limit=5, sleep_max=SLEEP)
    if hang.startswith("await"):
        for wake in (1, 2, 3, 4):  # the rest of the node is at work, and nothing is wrong with that
            assert 5_000 <= asleep(node)[1] < 20_000
            got(peer, "good", wake)
        return
    for _ in range(2):
        node.wait_for("s and stuck")
        assert "sleeping for" not in node.console
    # A program that has failed so often is not run any more, the node is.
    assert asleep(node)[0] == SLEEP
    got(peer, "available", 1)
    assert not peer.payloads(f"{BASE}/good")
    got(peer, "crash", 1)
    crash = json.loads(peer.payloads(f"{BASE}/crash")[0])
    assert "stuck in app.py" in crash["cause"], crash


def test_what_was_left_out_is_tried_again(make_node: MakeNode, peer: Peer) -> None:
    app = """
import os, time
def setup(node):
    if "hang" in os.listdir("/"):
        time.sleep(1000)
    print("the app is well")
"""
    node = make_node(app, sleep=1800, awake_limit=300)
    node.world(networks=HOME, speed=500)
    asleep(node)
    node.put("hang", "")
    for _ in range(2):
        node.wait_for("s and stuck", 60)
    (node.flash / "hang").unlink()
    before = node.console.count("the app is well")
    asleep(node, 60)
    assert node.console.count("the app is well") == before
    node.wait_for("all is tried again", 60)  # the first hour without it is over
    node.wait_for("the app is well", 60)


def test_an_app_that_raises_has_another_chance(make_node: MakeNode, peer: Peer) -> None:
    node = make_node("def setup(node):\n    raise ValueError('broken')\n")
    for _ in range(4):
        node.wait_for("ValueError: broken")
        assert asleep(node)[0] == SLEEP
    got(peer, "available", 4)


def test_power_is_cut_in_the_middle_of_a_wake(make_node: MakeNode, peer: Peer) -> None:
    node = make_node()
    asleep(node)
    for _ in range(3):
        node.wait_for("node: coldframe")
        node.cut_power()
        node.start()
        assert asleep(node)[0] == SLEEP
    assert "safe mode" not in node.console
