"""Where the log of a node goes: MQTT, the file, captured output, the file of a crash; on a real board and broker."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from host.brokers import Mosquitto, Peer, until
from host.proxy import Proxy
from host.simboards import image
from kit.simboard import SimBoard

ID = "00000000000000c1"
BASE = f"coldframe/{ID}"

APP = """
import asyncio
from coldframe import log

logger = log.getLogger("app")

def setup(node):
    @node.action("./say")
    def say(payload):
        level, _, text = payload.partition(" ")
        logger.log(log.level(level), text)

    @node.action("./flood")
    def flood(payload):
        for n in range(int(payload)):
            logger.warning("flood %d", n)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator:
    """Gives make(port, files, **log): a board whose config.json has this log section, switched off."""
    boards: list[SimBoard] = []

    def make(port: int, files: dict[str, str] | None = None, **log: object) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(boards)}", unique_id=ID)
        boards.append(board)
        board.put("config.json", {"mqtt": {"host": "127.0.0.1", "port": port, "keepalive": 5}, "log": log})
        for name, text in {"app.py": APP, **(files or {})}.items():
            board.put(name, text)
        return board

    yield make
    for board in boards:
        board.stop()


def lines(peer: Peer, level: str = "WARNING") -> list[str]:
    """What has come on ./log/LEVEL, without the time."""
    return [payload.decode().split(" ", 1)[1] for payload in peer.payloads(f"{BASE}/log/{level}")]


def online(peer: Peer) -> None:
    until(lambda: b"online" in peer.payloads(f"{BASE}/available"), "online")


def test_levels_go_to_their_topics(make, broker: Mosquitto, peer: Peer) -> None:
    board = make(broker.port, mqtt="WARNING", level="DEBUG")
    board.start()
    online(peer)
    for what in ("debug no", "info no", "warning take care", "error broken", "critical hot"):
        peer.publish(f"{BASE}/say", what)
    until(lambda: lines(peer, "CRITICAL"), "the critical line")
    assert lines(peer) == ["app: take care"]
    assert lines(peer, "ERROR") == ["app: broken"]
    assert lines(peer, "CRITICAL") == ["app: hot"]
    topics = {message.topic for message in peer.messages if "/log/" in message.topic}
    assert topics == {f"{BASE}/log/{level}" for level in ("WARNING", "ERROR", "CRITICAL")}
    # At DEBUG nothing feeds itself: the client's own lines about the sending are not sent.
    board.stop()
    config = json.loads((board.flash / "config.json").read_text())
    board.put("config.json", {**config, "log": {"mqtt": "DEBUG", "level": "DEBUG"}})
    greeted = peer.payloads(f"{BASE}/available").count(b"online")
    board.start()  # its topics are asked for before the greeting
    until(lambda: peer.payloads(f"{BASE}/available").count(b"online") > greeted, "online")
    peer.publish(f"{BASE}/say", "debug once")
    until(lambda: "app: once" in lines(peer, "DEBUG"), "the debug line")
    peer.publish(f"{BASE}/say", "info last")
    until(lambda: "app: last" in lines(peer, "INFO"), "the last line")
    assert len(lines(peer, "DEBUG")) < 12, lines(peer, "DEBUG")


def test_lines_wait_while_there_is_no_broker(make, broker: Mosquitto, peer: Peer, tmp_path: Path) -> None:
    make(broker.port, mqtt="WARNING").start()
    online(peer)
    peer.publish(f"{BASE}/say", "warning before")
    until(lambda: lines(peer) == ["app: before"], "the first line")
    peer.publish(f"{BASE}/flood", "10")
    until(lambda: "app: flood 9" in lines(peer), "ten lines")
    assert lines(peer)[1:] == [f"app: flood {n}" for n in range(10)]


def test_what_was_said_off_line_comes_later(make, broker: Mosquitto, peer: Peer, closing) -> None:
    proxy = closing(Proxy(broker.port))
    app = (
        APP
        + """
    @node.action("./talk")
    async def talk():
        print("READY")
        while node.client.up.is_set():
            await asyncio.sleep(0.1)
        for n in range(20):
            logger.error("off-line %d", n)
"""
    )
    board = make(proxy.port, files={"app.py": app}, mqtt="ERROR")
    board.start()
    online(peer)
    peer.publish(f"{BASE}/talk", "")
    board.wait_for("READY")
    proxy.refuse()
    board.wait_for("off-line 19")
    proxy.heal()
    until(lambda: "app: off-line 19" in lines(peer, "ERROR"), "the last line", 60)
    assert lines(peer, "ERROR") == [f"app: off-line {n}" for n in range(20)]


def test_lost_lines_are_counted(make, broker: Mosquitto, peer: Peer) -> None:
    make(broker.port, mqtt="WARNING").start()
    online(peer)
    peer.publish(f"{BASE}/flood", "1000")
    until(lambda: any(line.endswith("flood 999") for line in lines(peer)), "the last line", 60)
    got = lines(peer)
    lost = sum(int(n) for line in got for n in re.findall(r"^\((\d+) records lost\)", line))
    # Other records than ours are written meanwhile, and may be among the lost.
    assert 1000 - len(got) <= lost <= 1000 - len(got) + 20
    assert lost > 500


class RudeBroker:
    """Takes connections, and ends each as soon as something is published below ./log/, as some brokers do."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connections = 0
        self.ended = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            peer.recv(1024)
            peer.sendall(bytes((0x20, 2, 0, 0)))
            data = b""
            while chunk := peer.recv(1024):
                data += chunk
                if b"/log/" in data:
                    self.ended += 1
                    return
                while len(data) >= 2 and len(data) >= 2 + data[1]:
                    packet, data = data[: 2 + data[1]], data[2 + data[1] :]
                    if packet[0] & 0xF0 == 0x80:
                        peer.sendall(bytes((0x90, 3)) + packet[2:4] + b"\0")
                    elif packet[0] & 0xF6 == 0x32:
                        at = 4 + packet[3]
                        peer.sendall(bytes((0x40, 2)) + packet[at : at + 2])
                    elif packet[0] == 0xC0:
                        peer.sendall(bytes((0xD0, 0)))

    def close(self) -> None:
        self._server.close()


def test_a_broker_that_forbids_the_topic_is_not_plagued(make, closing) -> None:
    rude = closing(RudeBroker())
    app = APP + '    logger.error("to be sent")\n'
    board = make(rude.port, files={"app.py": app}, mqtt="WARNING")
    board.start()
    board.wait_for("given up", 60)
    assert rude.ended == 3
    connections = rude.connections
    until(lambda: rude.connections == connections, "no more connections")


def test_file(make, broker: Mosquitto, peer: Peer) -> None:
    board = make(broker.port, file="/log.txt", file_size=1000, file_level="WARNING")
    board.start()
    online(peer)
    peer.publish(f"{BASE}/say", "error one")
    path = board.flash / "log.txt"
    until(lambda: path.exists() and "app: one" in path.read_text(), "the line in the file")
    assert "base topic" not in path.read_text()  # INFO
    for n in range(30):
        peer.publish(f"{BASE}/say", f"error number {n}")
    until(lambda: "number 29" in path.read_text(), "the last line")
    first = path.with_name("log.txt.1")
    assert first.exists() and first.stat().st_size <= 1000 and path.stat().st_size <= 1000
    numbers = [int(n) for n in re.findall(r"number (\d+)\n", first.read_text() + path.read_text())]
    assert numbers == list(range(numbers[0], 30))


def test_nothing_configured_is_imported(make, broker: Mosquitto, peer: Peer) -> None:
    app = """
import sys
def setup(node):
    print("MODULES", [name for name in sys.modules if "coldframe.log" in name])
"""
    board = make(broker.port, files={"app.py": app})
    board.start()
    assert board.wait_for(re.compile(r"MODULES (\[.*\])"), 20)[1] == "['coldframe.log']"


def test_capture(make, broker: Mosquitto, peer: Peer) -> None:
    app = APP + '    print("printed by the app")\n'
    board = make(broker.port, files={"app.py": app}, capture=True, mqtt="INFO")
    board.start()
    until(
        lambda: any(line == "print: printed by the app" for line in lines(peer, "INFO")), "the printed line"
    )
    assert lines(peer, "INFO").count("print: printed by the app") == 1
    assert board.console.count("printed by the app") == 1


def test_console_off(make, broker: Mosquitto, peer: Peer) -> None:
    board = make(broker.port, console="OFF")
    board.start()
    online(peer)
    peer.publish(f"{BASE}/say", "error silent")
    peer.publish(f"{BASE}/SYSINFO_", "")
    until(lambda: peer.payloads(f"{BASE}/SYSINFO"), "an answer")
    assert "silent" not in board.console and "base topic" not in board.console


def test_log_of_a_crash_is_kept(make, broker: Mosquitto, peer: Peer) -> None:
    main = """
import machine
from coldframe import log
if machine.reset_cause() == machine.PWRON_RESET:
    log.warning("about to hang")
    machine.WDT(timeout=300)
    while True:
        pass
print("RECOVERED", log.ring.recovered, list(log.before()))
"""
    board = make(broker.port, files={"main.py": main})
    board.start()
    found = board.wait_for(re.compile(r"RECOVERED .*\]"), 30)[0]
    assert "WARNING  root: about to hang" in found
    report = json.loads((board.flash / "crash.new").read_text())
    assert any(line.endswith("WARNING  root: about to hang") for line in report["log"])
    assert report["cause"] == "watchdog: the program was stuck" and report["layer"] == "app"


def test_snippets_of_the_page(make, broker: Mosquitto) -> None:
    """All Python of docs/log.md, in its order."""
    page = (Path(__file__).resolve().parents[2] / "docs/log.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(code) >= 5
    board = make(broker.port, files={"main.py": "\n".join(code) + '\non_edge(None)\nprint("DO" + "NE")\n'})
    board.start()
    board.wait_for("DONE", 20)
    assert "3 litres in tank 1, expected 5" in board.console and "ZeroDivisionError" in board.console
