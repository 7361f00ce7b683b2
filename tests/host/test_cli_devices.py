"""coldframe ls, watch, discover, logs --published: a real broker, simulated boards, the command as a process."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from coldframe_cli import mdns, views
from coldframe_cli.devices import Device, base_of_document
from coldframe_cli.logview import RingReader, of_topic
from host import command
from host.brokers import DEADLINE, Mosquitto, Peer, until
from host.simboards import FARM, image
from kit.simboard import SimBoard

APP = """
from coldframe import log
logger = log.getLogger("pump")
def setup(node):
    @node.action("./say")
    def say(payload):
        logger.warning("%s", payload)
        if payload[0] == "[":
            logger.info("not so important")
"""
BROKEN = """
def setup(node):
    1 / 0
"""


@dataclass
class Farm:
    """Three boards: two below coldframe/, one elsewhere; one with trouble."""

    broker: Mosquitto
    peer: Peer
    boards: dict[str, SimBoard]
    env: dict[str, str]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("farm")
    broker = Mosquitto(folder / "broker").start()
    peer = Peer(broker.port, ["#"])
    boards: dict[str, SimBoard] = {}
    try:
        for i, (name, base, app) in enumerate(
            (
                ("pump-1", "coldframe/{id}", APP),
                ("roof", "coldframe/{name}", BROKEN),
                ("cellar", "home/below/{name}", ""),
            )
        ):
            board = boards[name] = SimBoard(image(), folder / name, unique_id=f"00000000000000d{i}")
            board.put(
                "config.json",
                {
                    "name": name,
                    "wifi": {
                        "networks": [{"ssid": "Farm", "password": "secret99"}],
                        "mdns": name == "cellar",
                    },
                    "mqtt": {"host": "127.0.0.1", "port": broker.port, "base": base},
                    "log": {"mqtt": "INFO"},
                },
            )
            if app:
                board.put("app.py", app)
            board.world(networks=[FARM])
            board.start()
        for base in ("coldframe/00000000000000d0", "coldframe/roof", "home/below/cellar"):
            peer.wait_for(f"{base}/available", b"online")
        yield Farm(broker, peer, boards, command.environment(folder, broker=f"127.0.0.1:{broker.port}"))
    finally:
        for board in boards.values():
            board.stop()
        peer.close()
        broker.close()


def test_ls(farm: Farm) -> None:
    told = {row["name"]: row for row in command.rows(command.run("ls", "--json", env=farm.env).stdout)}
    assert set(told) == {"pump-1", "roof"}  # the third is not below coldframe/
    pump = told["pump-1"]
    assert pump["base"] == "coldframe/00000000000000d0"
    assert (pump["id"], pump["online"], pump["state"]) == ("00000000000000d0", True, "online")
    assert pump["info"]["board"] == "UNIX"
    assert pump["info"]["wifi"]["rssi"] == FARM["rssi"]
    assert "mem_largest" not in pump["info"]  # what takes long was not asked for
    told = command.rows(command.run("ls", "--trouble", "--json", env=farm.env).stdout)
    assert [row["name"] for row in told] == ["roof"]
    assert "ZeroDivisionError" in told[0]["info"]["errors"][-1]
    for pattern in ("pump-*", "00000000000000d0", "coldframe/*d0"):
        told = command.rows(command.run("ls", pattern, "--json", env=farm.env).stdout)
        assert [row["name"] for row in told] == ["pump-1"], pattern
    (farm.boards["roof"].folder / "tags.toml").write_text('[profiles.x]\ntags = { dry = ["ro*"] }\n')
    tagged = farm.env | {"COLDFRAME_CONFIG": str(farm.boards["roof"].folder / "tags.toml")}
    told = command.rows(command.run("ls", "--tag", "dry", "--board", "uni*", "--json", env=tagged).stdout)
    assert [row["name"] for row in told] == ["roof"]
    assert (
        "tag 'wet': not in the profile; it has: dry"
        in command.run("ls", "--tag", "wet", env=tagged, code=2).stderr
    )
    told = command.rows(command.run("ls", "--base", "home/+/+", "--json", env=farm.env).stdout)
    assert [row["name"] for row in told] == ["cellar"]
    done = command.run("ls", env=farm.env)
    assert re.search(r"^pump-1 +UNIX +\d+\.\d+\.\d+ +\d+[sm]\S* +-48 +\S+[KM] *$", done.stdout, re.M)
    assert re.search(r"^roof .*ZeroDivisionError", done.stdout, re.M)
    assert "2 devices, 2 online, 1 with trouble" in done.stderr
    assert "no device is called 'x*'" in command.run("ls", "x*", env=farm.env).stderr


def test_ls_without_a_broker(farm: Farm) -> None:
    done = command.run("ls", "--broker", "127.0.0.1:1", "--timeout", "1", env=farm.env, code=5)
    assert re.search(r"^error: broker .*127\.0\.0\.1:1.*connection refused", done.stderr)


def test_every_broker_of_the_list_is_asked(farm: Farm, tmp_path: Path) -> None:
    """As in a RabbitMQ cluster, where a retained message is on one node only."""
    second = Mosquitto(tmp_path / "second").start()
    peer = Peer(second.port, ["#"])
    try:
        peer.publish("coldframe/elsewhere/available", b"offline", retain=True)
        peer.wait_for("coldframe/elsewhere/available", b"offline")
        both = f"127.0.0.1:{farm.broker.port},127.0.0.1:{second.port}"
        told = command.rows(command.run("ls", "--json", "--broker", both, env=farm.env).stdout)
        assert [(row["name"], row["state"]) for row in told] == [
            ("elsewhere", "offline"),
            ("pump-1", "online"),
            ("roof", "online"),
        ]
        second.stop()  # one that is away holds nothing up
        told = command.rows(command.run("ls", "--json", "--broker", both, env=farm.env).stdout)
        assert [row["name"] for row in told] == ["pump-1", "roof"]
    finally:
        peer.close()
        second.close()


def test_discover(farm: Farm) -> None:
    farm.peer.publish("stranger/available", b"online", qos=1, retain=True)
    farm.peer.publish("shop/available", b"yes, 3 of them", qos=1, retain=True)
    try:
        done = command.run("discover", "--no-mdns", "--json", env=farm.env)
        told = {row["base"]: row for row in command.rows(done.stdout)}
        assert set(told) == {
            "coldframe/00000000000000d0",
            "coldframe/roof",
            "home/below/cellar",
            "stranger",  # what answers to nothing is told as well, "shop" is none of ours
        }
        assert told["home/below/cellar"]["info"]["id"] == "00000000000000d2"
        assert told["stranger"]["state"] == "silent"
        text = command.run("discover", "--no-mdns", env=farm.env).stdout
        assert re.search(r"^  cellar +UNIX +\S+ +online +home/below/cellar *$", text, re.M)
        assert re.search(r"^Perhaps devices.*\n  stranger$", text, re.M)
    finally:
        farm.peer.publish("stranger/available", b"", qos=1, retain=True)
        farm.peer.publish("shop/available", b"", qos=1, retain=True)


def test_the_local_network(farm: Farm) -> None:
    """What a board answers to an mDNS question is put on the loopback's multicast group, where zeroconf listens."""
    port = farm.boards["cellar"].wait_state(lambda state: "port.udp.5353" in state)["port.udp.5353"]
    question = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x0a_coldframe\x04_tcp\x05local\0\0\x0c\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(DEADLINE)
        s.sendto(question, ("127.0.0.1", port))
        answer = s.recv(2000)
        # Only now: both may have bound the same port.
        search = mdns.Search(["127.0.0.1"])
        try:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            until(
                lambda: s.sendto(answer, ("224.0.0.251", 5353)) and search.wait_for("cellar", 0.2),
                "the device to be heard",
            )
        finally:
            found = search.close()
    assert [(one.id, one.board, one.address) for one in found] == [
        ("00000000000000d2", "UNIX", farm.boards["cellar"].state()["wlan.ip"])
    ]
    table = views.neighbours(found, known={"00000000000000d2"})
    assert [str(cell) for column in table.columns for cell in column.cells][-1] == "yes"


def test_watch_sees_a_device_come_and_go(farm: Farm) -> None:
    watch = command.Running(("watch", "--json", "pump-1"), farm.env)
    try:
        watch.wait_for('"state": "online"')
        farm.boards["pump-1"].stop()
        watch.wait_for('"state": "offline"')
        before = len(watch.lines)
        farm.boards["pump-1"].start()
        until(lambda: any('"state": "online"' in line for line in watch.lines[before:]), "pump-1 again")
        assert watch.interrupt() == 130
        assert {json.loads(line)["name"] for line in watch.lines if line} <= {"pump-1", "00000000000000d0"}
    finally:
        watch.kill()
    picture = command.run("watch", "-n", 1, "--every", 1, env=farm.env).stdout
    assert re.search(r"^pump-1 +UNIX ", picture, re.M)
    assert "2 devices, 2 online" in picture


def test_logs_that_are_published(farm: Farm) -> None:
    farm.peer.wait_for("coldframe/00000000000000d0/available", b"online")
    logs = command.Running(("logs", "--level", "warning"), farm.env)
    raw = command.Running(("logs", "pump-*", "--json"), farm.env)
    try:
        for each in (logs, raw):
            each.wait_for("listening on")
        farm.peer.publish("coldframe/00000000000000d0/say", b"[red]low\x1b[2J")
        line = logs.wait_for("pump: ")
        assert re.fullmatch(r"\d\d:\d\d:\d\d pump-1 +WARNING  pump: \[red\]low\?\[2J", line), line
        told = json.loads(raw.wait_for('"pump"'))
        assert (told["device"], told["logger"], told["text"]) == ("pump-1", "pump", "[red]low\x1b[2J")
        assert json.loads(raw.wait_for("not so important"))["level"] == "INFO"
        assert not [line for line in logs.lines if "not so important" in line]
        assert logs.interrupt() == 130
    finally:
        logs.kill()
        raw.kill()


def test_who_shares_the_lines_gets_each_once(farm: Farm) -> None:
    two = [command.Running(("logs", "--share", "archive", "--json"), farm.env) for _ in range(2)]
    try:
        for one in two:
            one.wait_for("listening on")
        say = "coldframe/00000000000000d0/say"

        def texts(one: command.Running) -> list[str]:
            told = [json.loads(line) for line in one.lines if '"WARNING"' in line]
            return [each["text"] for each in told if each["logger"] == "pump"]  # others warn of the time

        def both() -> bool:
            farm.peer.publish(say, b"warm")  # which of them gets it is the broker's choice
            return all(texts(one) for one in two)

        until(both, "a line at each of them")
        for i in range(20):
            farm.peer.publish(say, b"line %d." % i)

        def numbered() -> list[str]:
            return sorted(text for one in two for text in texts(one) if text != "warm")

        until(lambda: len(numbered()) >= 20, "20 lines in all")
        assert numbered() == sorted(f"line {i}." for i in range(20))
    finally:
        for one in two:
            one.kill()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (270, "4m30s"),
        (11220, "3h07m"),
        (3 * 86400 + 18000, "3d5h"),
        (1e7, "115d"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert views.span(seconds) == text


def test_a_table_fits() -> None:
    device = Device(
        "coldframe/x", True, {"name": "n" * 60, "board": "B" * 40, "errors": ["e\x1b[31m" * 50]}, None, 1
    )
    table = views.devices([device], width=80)
    assert sum(column.width or 0 for column in table.columns) + len(table.columns) - 1 <= 80


def test_ring_lines_in_pieces() -> None:
    text = (
        b"12    12.345 INFO     node: a: b\n"
        b"13 2026-11-21 15:24:41.628 ERROR    app: Traceback:\n  File x\nZeroDivisionError: y\n"
        b"14    13.000 WARNING  x: last\n"
    )
    for cut in range(1, len(text)):
        reader = RingReader("d")
        lines = reader.feed(text[:cut]) + reader.feed(text[cut:]) + reader.end()
        assert [(line.seq, line.level, line.name, line.text) for line in lines] == [
            (12, "INFO", "node", "a: b"),
            (13, "ERROR", "app", "Traceback:\n  File x\nZeroDivisionError: y"),
            (14, "WARNING", "x", "last"),
        ]
    reader = RingReader("d")
    lines = (
        reader.feed(b"     1.200 INFO     a: b\n ... 7 lines lost\n     1.300 INFO     a: c\n") + reader.end()
    )
    assert [(line.text, line.lost) for line in lines] == [("b", 0), ("c", 7)]
    assert of_topic("d", "INFO", b"1.200 (3 records lost) a: b").lost == 3


def test_what_home_assistant_was_told() -> None:
    ours = {"o": {"name": "Coldframe"}, "avty_t": "a/b/available"}
    assert base_of_document(ours) == "a/b"
    assert (
        base_of_document({"origin": {"name": "Coldframe"}, "~": "a/b", "avty": [{"t": "~/available"}]})
        == "a/b"
    )
    assert base_of_document({"o": {"name": "Tasmota"}, "avty_t": "a/b/available"}) is None
    assert base_of_document({"avty_t": "a/b/available"}) is None
