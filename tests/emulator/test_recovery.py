"""The ladder of docs/recovery.md on the released image: each rung provoked, and what the device says about it.

One boot serves several rungs, and hangs are seen after half a second, since a busy board is emulated slowly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator import Emulator
from host.brokers import Mosquitto, Peer

BASE = "test/rung"
DEADLINE = 120.0
PLAIN = json.dumps({"name": "rung", "watchdog": {"timeout": 30}}).encode()

# The watchdog looks five times a second, and bites at the third look.
QUICK = """
from coldframe import hal

def hasten():
    timer = hal._dog._timer
    timer.init(mode=timer.PERIODIC, period=200, callback=hal._dog._look)
    hal._dog.limit = 2

"""
HANG = QUICK + "def work():\n    hasten()\n    while True:\n        pass\n\ndef setup(node):\n    work()\n"
LINE = HANG.splitlines().index("    while True:") + 2
STUCK = f"watchdog: stuck in app.py, line {LINE}"
GOOD = "def setup(node):\n    node.action('./x')(lambda: 'y')\n    print('app runs')\n"

STATE = """
import json, os, coldframe
from coldframe import bootrecord, crash, hal
node = coldframe.node
print("STATE", json.dumps({"level": bootrecord.level(), "failed": bootrecord.failed(), "boots": bootrecord.boots(),
    "blamed": bootrecord.blamed(), "reason": coldframe.reset_reason(), "crash": crash.last(), "files": os.listdir("/"),
    "name": node and node.name, "errors": node and node.errors, "alive": node and all(
    s.task or s.done for s in node.services), "kept": bool(hal.kept())}))
"""


async def state(board: Emulator, then: str = "resume") -> dict[str, Any]:
    """What a person at the console finds."""
    found = re.search(r"STATE (.*)", await board.exec(STATE, then=then))
    assert found
    return dict(json.loads(found[1]))


async def started(board: Emulator, times: int = 1) -> None:
    """Wait until the node has started that often (what it says before that may come before the console is there)."""
    await board.wait_until(lambda: board.console.count("rung started") >= times, DEADLINE, f"start {times}")


WITHOUT = "running without your program (boot.py, main.py, app.py), after 2 failed boots in a row (app);"


async def test_a_program_that_hangs(image):
    """Interrupted, reported, left out at the second time, though the power goes between the two."""
    async with Emulator(image, files={"config.json": PLAIN, "app.py": HANG.encode()}) as board:
        await board.wait_for("stuck for 30 s, restarting")
        await board.wait_boot(2)
        assert board.resets == ["watchdog"]
        await board.power_cycle()  # clears the chip's memory, and nobody's fault
        await board.wait_for("stuck for 30 s, restarting")
        await board.wait_boot(4)
        await started(board, 3)
        now = await state(board)
        assert (now["level"], now["failed"], now["blamed"], now["kept"]) == (1, 2, "app", True)
        assert now["name"] == "rung" and now["alive"], now
        assert now["errors"][0].startswith(WITHOUT)
        assert now["reason"] == STUCK
        crash = now["crash"]
        assert (crash["cause"], crash["layer"], crash["level"], crash["failed"]) == (STUCK, "app", 0, 1)
        assert crash["board"] == "RPI_PICO" and crash["heap"] > 50_000
        assert f'File "app.py", line {LINE}, in work' in crash["traceback"]
        assert any("stuck for 30 s" in line for line in crash["log"]), crash["log"]
        # Without power the level stays; the settings have never been touched.
        await board.power_cycle()
        await started(board, 4)
        now = await state(board, then="repl")
        assert (now["level"], now["failed"], now["reason"]) == (1, 2, "power")
        assert board.files()["config.json"] == PLAIN
        assert board.files()["app.py"] == HANG.encode()
        # Something new on the flash, and everything runs again.
        await board.exec(f"with open('/app.py', 'w') as f:\n    f.write({GOOD!r})")
        await board.exec("import machine\nmachine.reset()", expect_reset=True)
        await board.wait_for("app runs")
        now = await state(board)
        assert (now["level"], now["failed"], now["errors"]) == (0, 0, []), now
        assert "boot.rec" not in now["files"]


async def test_what_python_cannot_interrupt(image):
    """Interrupts are off, so the chip's own watchdog ends it; the log tells at the next start what was before."""
    app = """
import machine
from coldframe import log

def setup(node):
    log.warning("last words")
    machine.WDT(timeout=300)
    machine.disable_irq()
    while True:
        pass
"""
    async with Emulator(image, files={"config.json": PLAIN, "app.py": app.encode()}) as board:
        await started(board, 3)
        now = await state(board)
        assert board.resets == ["watchdog"] * 2
        assert (now["level"], now["failed"], now["blamed"], now["alive"]) == (1, 2, "", True), now
        crash = now["crash"]
        assert (crash["cause"], crash["reset"]) == ("watchdog: the program was stuck", "watchdog")
        assert "last words" in crash["log"][-1], crash["log"]


async def test_missing_module_broken_json_and_power_cuts(image):
    """The last good settings and no program; neither that nor a power cut is a failed boot."""
    files = {
        "config.json": b'{"name": "broken", "watchdog" {}}',
        "config.bak": PLAIN,
        "app.py": b"import nothing\n",
    }
    async with Emulator(image, files=files) as board:
        await board.wait_for("rung started")
        await board.wait_for("ImportError: no module named 'nothing'")
        for n in range(3):
            now = await state(board)
            assert (now["level"], now["failed"], now["boots"], now["alive"]) == (0, 0, 1, True), now
            assert now["name"] == "rung"
            assert "/config.json: not JSON, line 1: expected a colon" in now["errors"][0]
            assert now["errors"][1] == "service app: ImportError: no module named 'nothing'"
            assert now["crash"]["cause"] == "app.py: ImportError: no module named 'nothing'"
            if n < 2:
                await board.power_cycle()
                await board.wait_for("service app failed")
        left = board.files()
        assert left["config.json"] == left["config.broken"] == files["config.json"]
        assert left["config.bak"] == PLAIN and "boot.rec" not in left


async def test_a_program_that_does_nothing_but_restart(image):
    main = b"import machine\nprint('again')\nmachine.reset()\n"
    async with Emulator(image, files={"config.json": PLAIN, "main.py": main}) as board:
        await board.wait_for("rung started")
        assert len(board.resets) == 10
        now = await state(board)
        assert (now["level"], now["alive"], now["crash"]) == (1, True, None), now
        assert now["reason"] == "restart by the program"


EATS = """
import asyncio
eaten = []
async def eat():
    for size in (8192, 512, 128):
        try:
            while True:
                eaten.append(bytearray(size))
        except MemoryError:
            pass
    while True:
        asyncio.create_task(more())
        await asyncio.sleep_ms(200)
async def more():
    bytearray(3000)
def setup(node):
    asyncio.create_task(eat())
"""


async def test_a_program_that_eats_the_heap(image):
    async with Emulator(image, files={"config.json": PLAIN, "app.py": EATS.encode()}) as board:
        await started(board, 3)
        now = await state(board)
        assert (now["level"], now["blamed"], now["alive"]) == (1, "app", True), now
        assert now["crash"]["layer"] == "app", now


FULL = (
    QUICK
    + """
import os

def setup(node):
    try:
        os.mkdir("/fill")
    except OSError:
        pass
    for n in range(10):  # the last blocks of the flash are found only by files of their own
        try:
            with open("/fill/%d" % n, "ab") as f:
                while True:
                    f.write(bytes(512))
                    f.flush()
        except OSError as e:
            print("FULL", e)
    hasten()
    while True:
        pass
"""
)


async def test_full_flash(image):
    """No room for a report, or for the file of the boot record: the device comes back all the same."""
    files = {"config.json": PLAIN, "app.py": FULL.encode(), "big": bytes(1_372_000)}
    async with Emulator(image, files=files) as board:
        for _ in range(2):
            await board.wait_for("FULL 28")
            await board.wait_for("stuck for 30 s, restarting")
        await started(board, 3)
        now = await state(board)
        assert (now["level"], now["failed"], now["alive"]) == (1, 2, True), now
        assert now["crash"] is None or now["crash"]["cause"].startswith("watchdog: stuck in app.py")
        assert board.files()["config.json"] == PLAIN


# -- over the serial line, with a broker ---------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop()


async def test_from_afar(image, tmp_path, broker):
    """A program that raises, one that hangs, safe mode and back: at each rung the device answers over MQTT."""
    config = {
        "name": "rung",
        "watchdog": {"timeout": 30},
        "mqtt": {"serial": {"uart": 0, "baud": 115200, "tx": 0, "rx": 1}, "base": BASE},
    }
    settings = json.dumps(config).encode()
    peer = Peer(broker.port, ["#"])
    files = {"config.json": settings, "app.py": b"def setup(node):\n    1 / 0\n"}

    async def payload(topic: str, since: int = 0) -> Any:
        def found() -> list[bytes]:
            return [m.payload for m in peer.messages[since:] if m.topic == f"{BASE}/{topic}"]

        await board.wait_until(lambda: bool(found()), DEADLINE, topic)
        return json.loads(found()[-1])

    async def sysinfo() -> Any:
        since = len(peer.messages)
        peer.publish(f"{BASE}/SYSINFO_", "")
        return await payload("SYSINFO", since)

    async def online(times: int) -> None:
        def seen() -> int:
            return [m.payload for m in peer.messages if m.topic == f"{BASE}/available"].count(b"online")

        await board.wait_until(lambda: seen() >= times, DEADLINE, f"online number {times}")

    try:
        async with Emulator(image, bridge=("127.0.0.1", broker.port), files=files) as board:
            crash = await payload("crash")
            assert crash["cause"] == "app.py: ZeroDivisionError: divide by zero"
            assert 'File "app.py", line 2, in setup' in crash["traceback"]
            info = await sysinfo()
            assert (info["failed_boots"], len(info["errors"])) == (0, 1)
            # A worse one.
            since = len(peer.messages)
            await board.exec(f"with open('/app.py', 'w') as f:\n    f.write({HANG!r})")
            await board.exec("from coldframe import hal\nhal.reset('a new app')", expect_reset=True)
            crash = await payload("crash", since)
            assert (crash["cause"], crash["layer"]) == (STUCK, "app")
            info = await sysinfo()
            assert info["failed_boots"] == 2 and info["reset_cause"] == "soft", info
            assert info["errors"][0].startswith(WITHOUT)
            late = Peer(broker.port, [f"{BASE}/crash"])
            await board.wait_until(lambda: bool(late.messages), DEADLINE, "the retained report")
            late.close()
            assert late.messages[0].retain and json.loads(late.messages[0].payload) == crash
            # Safe mode on purpose, and back.
            ups = len([m for m in peer.messages if m.payload == b"online"])
            await board.exec(f"with open('/app.py', 'w') as f:\n    f.write({GOOD!r})")
            await board.exec("from coldframe import hal\nhal.reset('a test', safe=True)", expect_reset=True)
            await online(ups + 1)
            info = await sysinfo()
            assert info["safe"] is True and info["name"] == "rung", info
            await board.exec("import coldframe\ncoldframe.recover()", expect_reset=True)
            await board.wait_for("app runs")
            await online(ups + 2)
            info = await sysinfo()
            assert (info["safe"], info["failed_boots"], info["errors"]) == (False, 0, []), info
            peer.publish(f"{BASE}/x", "")
            await board.wait_until(lambda: peer.payloads(f"{BASE}/x_") == [b"y"], DEADLINE, "the app")
            assert board.files()["config.json"] == settings
    finally:
        peer.close()
