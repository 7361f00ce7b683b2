"""Each rung of the ladder, provoked on the simulated board: the device comes back, says why, and keeps its settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import image
from kit.simboard import SimBoard

ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
DEADLINE = 60.0  # s; emulated hours on a busy PC


class Bench:
    """A board, a broker and its peer. The board's config.json names the broker."""

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto(folder / "broker")
        self.broker.start()
        self.peer = Peer(self.broker.port, ["#"])
        self.board = SimBoard(image(), folder / "node", unique_id=ID)
        self.config = b""

    def make(self, files: dict[str, str] | None = None, speed: int = 60, **config: Any) -> SimBoard:
        """Put files on the flash, with a config.json, and switch the board on."""
        config.setdefault("mqtt", {"host": "127.0.0.1", "port": self.broker.port})
        config.setdefault("watchdog", {"timeout": 30})
        self.board.put("config.json", config)
        self.config = self.board.get("config.json")
        for name, text in (files or {}).items():
            self.board.put(name, text)
        self.board.world(speed=speed)
        self.board.start()
        return self.board

    def online(self, times: int = 1) -> None:
        until(
            lambda: self.peer.payloads(f"{BASE}/available").count(b"online") >= times,
            f"online number {times}",
            DEADLINE,
        )

    def sysinfo(self) -> dict[str, Any]:
        """Ask the node how it is, over MQTT; the settings must be what they were."""
        topic = f"{BASE}/SYSINFO"
        before = len(self.peer.payloads(topic))

        def asked() -> bool:
            self.peer.publish(f"{topic}_", "")
            return len(self.peer.payloads(topic)) > before

        until(asked, "SYSINFO", DEADLINE)
        assert self.board.get("config.json") == self.config
        return dict(json.loads(self.peer.payloads(topic)[-1]))

    def crash(self, times: int = 1) -> dict[str, Any]:
        """The report that the broker keeps."""
        until(lambda: len(self.peer.payloads(f"{BASE}/crash")) >= times, f"crash report {times}", DEADLINE)
        late = Peer(self.broker.port, [f"{BASE}/crash"])
        try:
            until(lambda: late.messages, "the retained report")
            message = late.messages[0]
            assert message.retain and message.qos == 1
            return dict(json.loads(message.payload))
        finally:
            late.close()

    def record(self) -> bytes:
        return self.board.get("boot.rec")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.board.stop()
    bench.peer.close()
    bench.broker.stop()


HANG = "def work():\n    while True:\n        pass\n\ndef setup(node):\n    work()\n"


def test_an_app_that_hangs(bench: Bench) -> None:
    """Interrupted, blamed, left out at the second time, tried again after an hour, left out for longer then."""
    board = bench.make({"app.py": HANG})
    for _ in range(2):
        board.wait_for("stuck for 30 s, restarting", DEADLINE)
    board.wait_for(
        "running without your program (boot.py, main.py, app.py), after 2 failed boots in a row (app)"
    )
    report = bench.crash()
    info = bench.sysinfo()
    assert info["failed_boots"] == 2 and info["boots"] == 3
    assert any("running without your program" in text for text in info["errors"])
    assert report["cause"] == "watchdog: stuck in app.py, line 3" and report["layer"] == "app"
    assert report["level"] == 0 and report["boot"] == 2 and report["uptime"] >= 30
    assert report["version"] and report["board"] == "UNIX" and report["heap"] > 0
    assert 'File "app.py", line 3, in work' in report["traceback"]
    assert any("stuck for 30 s" in line for line in report["log"]), report["log"]
    reason = board.repl("import coldframe; print(coldframe.reset_reason()); coldframe.crash.show()")
    assert reason.startswith("watchdog: stuck in app.py, line 3")
    board.send("coldframe.resume()\r")
    # An hour of sound running later everything is tried again; one failure is enough now.
    board.world(speed=2000)
    board.wait_for("restart: all is tried again after 1 h", DEADLINE)
    board.world(speed=60)
    board.wait_for("stuck for 30 s, restarting", DEADLINE)
    board.wait_for("running without your program", DEADLINE)
    record = bench.record()
    assert record[3] == 1 and record[6] & 15 == 1  # the level; the next hold is two hours
    # Something new on the flash and a restart: everything is tried.
    board.put("app.py", "def setup(node):\n    node.action('./x')(lambda: 'y')\n")
    bench.sysinfo()
    seen = len(bench.peer.payloads(f"{BASE}/available"))
    board.repl("import machine")
    board.send("machine.reset()\r")
    until(lambda: len(bench.peer.payloads(f"{BASE}/available")) > seen, "the new start", DEADLINE)
    bench.peer.publish(f"{BASE}/x", "")
    bench.peer.wait_for(f"{BASE}/x_", "y")
    assert bench.record()[3] == 0


def test_battery_mode_that_cannot_sleep_has_a_watchdog(bench: Bench) -> None:
    """A node without a network of its own stays awake: then it is to be watched like any other."""
    board = bench.make({"app.py": HANG}, power={"mode": "battery"})
    board.wait_for("so the node stays awake", DEADLINE)
    board.wait_for("stuck for 30 s, restarting", DEADLINE)


def test_a_loop_that_catches_everything_does_not_escape_the_watchdog(bench: Bench) -> None:
    app = (
        "def setup(node):\n    while True:\n        try:\n            while True:\n                pass\n"
        "        except:\n            pass\n"
    )
    board = bench.make({"app.py": app})
    for _ in range(2):
        board.wait_for("stuck for 30 s, restarting", DEADLINE)
    # Nobody could tell where it was: the ladder goes its ordinary way.
    board.wait_for("running without your program (boot.py, main.py, app.py), after 2 failed boots in a row;")
    assert bench.crash()["cause"] == "watchdog: the program was stuck"
    bench.sysinfo()


def test_a_program_that_has_switched_ctrl_c_off_is_interrupted_all_the_same(bench: Bench) -> None:
    app = "import micropython\n\ndef setup(node):\n    micropython.kbd_intr(-1)\n    while True:\n        pass\n"
    board = bench.make({"app.py": app})
    board.wait_for("stuck for 30 s, restarting", DEADLINE)
    assert bench.crash()["cause"].startswith("watchdog: stuck in app.py, line ")


@pytest.mark.parametrize(
    ("files", "cause", "place"),
    [
        ({"app.py": "1 / 0\n"}, "app.py: ZeroDivisionError: divide by zero", 'File "app.py", line 1'),
        ({"app.py": "def setup(node):\n    x\n"}, "app.py: NameError", 'File "app.py", line 2, in setup'),
        ({"app.py": "import nothing\n"}, "app.py: ImportError: no module named 'nothing'", 'File "app.py"'),
        ({"main.py": "1 / 0\n"}, "/main.py: ZeroDivisionError", 'File "/main.py", line 1'),
        ({"boot.py": "1 / 0\n"}, "/boot.py: ZeroDivisionError", 'File "/boot.py", line 1'),
    ],
)
def test_a_program_that_raises(bench: Bench, files: dict[str, str], cause: str, place: str) -> None:
    """The node runs without it at once, reports it, and tries it again by a restart that grows rarer."""
    board = bench.make(files)
    bench.online()
    report = bench.crash()
    assert report["cause"].startswith(cause) and report["layer"] == "app" and place in report["traceback"]
    info = bench.sysinfo()
    assert info["failed_boots"] == 0 and len(info["errors"]) == 1
    if "main.py" in files:
        board.world(speed=2000)
        board.wait_for("restart: all is tried again after 1 h", DEADLINE)
        board.world(speed=60)
        bench.crash(2)
        assert bench.sysinfo()["failed_boots"] == 0
        assert bench.record()[3] == 0 and bench.record()[6] & 15 == 1


def test_callbacks_and_tasks_that_raise(bench: Bench) -> None:
    app = """
import asyncio
def bad():
    raise ValueError("in a callback")
class Odd(Exception):
    def __str__(self):
        return self.args[1]
async def task():
    raise ValueError("in a task")
async def odd():
    raise Odd("not even a text")
def setup(node):
    node.action("./bad")(bad)
    node.action("./good")(lambda: "fine")
    asyncio.create_task(task())
    asyncio.create_task(odd())
"""
    bench.make({"app.py": app})
    bench.online()
    bench.peer.publish(f"{BASE}/bad", "")
    until(lambda: len(bench.sysinfo()["errors"]) == 3, "all errors")
    bench.peer.publish(f"{BASE}/good", "")
    bench.peer.wait_for(f"{BASE}/good_", "fine")
    assert bench.sysinfo()["failed_boots"] == 0


def test_an_app_that_eats_the_heap(bench: Bench) -> None:
    app = """
import asyncio
eaten = []
async def eat():
    while True:
        try:
            eaten.append(bytearray(32))
        except MemoryError:
            await asyncio.sleep_ms(5)
def setup(node):
    asyncio.create_task(eat())
    @node.topic("./x", every=1)
    def x():
        return "x" * 3000
"""
    board = bench.make({"app.py": app}, speed=30)
    board.wait_for(
        re.compile(r"running without your program .* after \d failed boots in a row \(app\)"), DEADLINE
    )
    report = bench.crash()
    assert report["layer"] == "app", report
    bench.sysinfo()


def test_a_program_that_does_nothing_but_restart(bench: Bench) -> None:
    board = bench.make({"main.py": "import machine\nprint('again')\nmachine.reset()\n"})
    for _ in range(10):
        board.wait_for("again\n", DEADLINE)
    board.wait_for("running without your program", DEADLINE)
    bench.online()
    assert "again" not in board.console[board.console.rindex("running without") :]
    bench.sysinfo()


def test_deep_sleep_never_counts(bench: Bench) -> None:
    main = "import machine\nprint('awake')\nmachine.deepsleep(1000)\n"
    board = bench.make({"main.py": main})
    for _ in range(25):
        board.wait_for("awake\n", DEADLINE)
    assert bench.record()[2:4] == b"\0\0" and bench.record()[7] == 0
    assert "running without" not in board.console


def test_safe_mode_on_purpose_and_back(bench: Bench) -> None:
    app = "def setup(node):\n    node.action('./x')(lambda: 'y')\n"
    board = bench.make({"app.py": app, "boot.py": "print('mine')\n", "main.py": "1 / 0\n"}, name="shed")
    bench.online()
    board.repl("from coldframe import hal")
    board.send("hal.reset('a test', safe=True)\r")
    board.wait_for("running without anything of yours: safe mode", DEADLINE)
    bench.online(2)
    info = bench.sysinfo()
    assert info["safe"] is True and info["name"] == "shed"
    assert board.console.count("mine\n") == 1
    shown = board.repl("import coldframe; print(coldframe.reset_reason())")
    assert shown.strip() == "restart on purpose: a test"
    board.send("coldframe.recover()\r")
    board.wait_for("mine\n", DEADLINE)
    bench.online(3)
    assert bench.sysinfo()["safe"] is False


HOURS = """
import asyncio
async def count():
    n = 0
    while True:
        await asyncio.sleep(3600)
        n += 1
        print("hour", n)
def setup(node):
    asyncio.create_task(count())
"""


def test_outages_never_count(bench: Bench) -> None:
    """Four hours without a broker, four without an access point."""
    bench.peer.close()
    bench.broker.stop()
    farm = {"ssid": "Farm", "password": "secret99", "rssi": -48}
    bench.board.world(networks=[farm])
    board = bench.make(
        {"app.py": HOURS},
        speed=4000,
        watchdog={"timeout": 0},  # at this speed a busy PC is stuck for minutes
        wifi={"networks": [{"ssid": "Farm", "password": "secret99"}], "setup_ap": {"enabled": False}},
    )
    board.wait_for("joined Farm", DEADLINE)
    board.wait_for("hour 4\n", DEADLINE)
    board.world(networks=[])
    board.wait_for("hour 8\n", DEADLINE)
    record = bench.record()
    assert (record[1] & 15, record[2], record[3]) == (2, 0, 0), (record, board.console)  # sound
    bench.broker.start()
    bench.peer = Peer(bench.broker.port, ["#"])
    board.world(networks=[farm], speed=20)
    bench.online()
    bench.config = board.get("config.json")  # its passwords are encrypted by now
    assert bench.sysinfo()["failed_boots"] == 0, board.console


def test_the_echo_of_the_broker(bench: Bench) -> None:
    board = bench.make(speed=30, watchdog={"timeout": 0, "broker": 60})
    bench.online()
    until(lambda: len(bench.peer.payloads(f"{BASE}/WATCHDOG")) > 6, "a while with echo", DEADLINE)
    assert board.console.count(" started, base topic") == 1
    bench.broker.stop()
    board.wait_for("restart: watchdog.broker: no message of its own came back", DEADLINE)
    board.wait_for(" started, base topic", DEADLINE)
    bench.broker.start()
    bench.online(2)
    assert bench.sysinfo()["failed_boots"] == 0
    assert "watchdog.broker" in board.repl("import coldframe; print(coldframe.reset_reason())")


def test_an_echo_that_cannot_even_be_asked_for(bench: Bench) -> None:
    """What makes the watchdog's own service fail again and again must not keep it from its work."""
    app = """
def setup(node):
    async def publish(*args, **kwargs):
        raise MemoryError("no room")
    node.publish = publish
"""
    board = bench.make({"app.py": app}, speed=60, watchdog={"timeout": 0, "broker": 60})
    board.wait_for("restart: watchdog.broker: no message of its own came back", DEADLINE)


def test_the_report_is_published_once(bench: Bench) -> None:
    """Also if the broker is away at first; not at each connection, not after each restart."""
    bench.broker.stop()
    board = bench.make({"app.py": "1 / 0\n"}, speed=10)
    board.wait_for("ZeroDivisionError", DEADLINE)
    assert (board.flash / "crash.new").exists()
    bench.broker.start()
    bench.online()
    assert bench.crash()["cause"].startswith("app.py: ZeroDivisionError")
    until(lambda: (board.flash / "crash.json").exists(), "the mark of having been published")
    assert not (board.flash / "crash.new").exists()
    bench.broker.stop()
    bench.broker.start()
    bench.online(2)
    board.stop()
    board.put("app.py", "def setup(node):\n    pass\n")
    board.start()
    bench.online(3)
    bench.sysinfo()
    published = re.findall(rf"Received PUBLISH from {ID} .*'{BASE}/crash'", bench.broker.log)
    assert len(published) == 1
    shown = board.repl("import coldframe; print(coldframe.crash.last()['cause'])")
    assert shown.startswith("app.py: ZeroDivisionError")


def test_a_service_without_a_sign_of_life(bench: Bench) -> None:
    app = """
import asyncio
runs = []
def setup(node):
    async def shaky():
        runs.append(1)
        service.beat()
        print("run", len(runs))
        while len(runs) > 1:
            service.beat()
            await asyncio.sleep(10)
        await asyncio.sleep(100000)
    service = node.service("shaky", shaky, layer="app")
"""
    board = bench.make({"app.py": app})
    board.wait_for("run 1\n", DEADLINE)
    board.wait_for("service shaky: no sign of life for a minute", DEADLINE)
    board.wait_for("run 2\n", DEADLINE)
    bench.online()
    info = bench.sysinfo()
    assert info["restarts"] == 1 and info["failed_boots"] == 0
    until(lambda: bench.record()[1] & 15 == 2, "a sound boot", DEADLINE)
    assert "run 3" not in board.console


def test_components_go_second_and_the_newest_configuration_third(bench: Bench) -> None:
    """A component that hangs is blamed at once; what breaks the node itself after a change is the change."""
    bad = "class Bad:\n    def __init__(self, name=None, **options):\n        while True:\n            pass\n"
    board = bench.make(
        {"bad.py": bad, "app.py": "def setup(node):\n    node.action('./x')(lambda: 'y')\n"},
        components={"it": {"package": "bad", "component": "Bad"}},
    )
    for _ in range(2):
        board.wait_for("stuck for 30 s, restarting", DEADLINE)
    board.wait_for("running without your program and the components", DEADLINE)
    bench.online()
    report = bench.crash()
    assert report["layer"] == "component" and report["cause"] == "watchdog: stuck in bad.py, line 4", report
    bench.sysinfo()
    assert bench.record()[3] == 2


def test_the_newest_configuration_goes_when_the_node_cannot_start_with_it(bench: Bench) -> None:
    """What the checks let pass, and still ends the node: the last good one takes its place, the file stays."""
    boot = """
from coldframe import core
if not hasattr(core, "real"):
    core.real = core.Node.fill
def fill(self, text):
    if text == "poison":
        raise RuntimeError("poison")
    return core.real(self, text)
core.Node.fill = fill
"""
    board = bench.make({"boot.py": boot}, name="good")
    bench.online()
    until(lambda: (board.flash / "config.bak").exists(), "the last good copy", DEADLINE)
    board.stop()
    board.world(speed=200)
    bench.config = bench.config.replace(b'"good"', b'"poison"')
    board.put("config.json", bench.config)
    board.start()
    for _ in range(2):
        board.wait_for("Restart in 10 s", DEADLINE)
    board.wait_for("running without your program, the components and the newest configuration", DEADLINE)
    bench.online(2)
    report = bench.crash()
    assert report["layer"] == "config" and report["cause"] == "the node: RuntimeError: poison"
    assert bench.sysinfo()["name"] == "good"
