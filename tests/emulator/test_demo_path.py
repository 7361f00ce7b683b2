"""The released firmware, from power-on to a conversation with a real broker over the serial line."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from emulator import Emulator
from emulator.measure import heap
from host.brokers import Mosquitto, Peer

BASE = "test/pico"
DEADLINE = 120.0
APP = """
count = 0

async def setup(node):
    @node.action("./add")
    def add(payload):
        global count
        count += int(payload)
        return {"count": count}

    @node.topic("./counted")
    def counted():
        return count
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop()


@pytest.fixture
def peer(broker: Mosquitto) -> Iterator[Peer]:
    peer = Peer(broker.port, ["#"])
    yield peer
    peer.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The board's files: a configuration for the serial line and an app."""
    folder = tmp_path / "flash"
    folder.mkdir()
    mqtt = {"serial": {"uart": 0, "baud": 115200, "tx": 0, "rx": 1}, "base": BASE}
    (folder / "config.json").write_text(json.dumps({"name": "pico-under-test", "mqtt": mqtt}))
    (folder / "app.py").write_text(APP)
    return folder


class Board:
    """The emulated board beside a client at the broker, with waits that let both go on."""

    def __init__(self, emulator: Emulator, peer: Peer) -> None:
        self.emulator = emulator
        self.peer = peer
        self._seen = 0

    def forget(self) -> None:
        """Look only at messages that come from now on."""
        self._seen = len(self.peer.messages)

    def payloads(self, topic: str) -> list[bytes]:
        """What has come under *topic* (below the base) since `forget`."""
        return [m.payload for m in self.peer.messages[self._seen :] if m.topic == f"{BASE}/{topic}"]

    async def wait(self, topic: str, payload: bytes | None = None) -> bytes:
        """Wait for a message under *topic*, with *payload* if that is given; returns its payload."""

        def found() -> bool:
            have = self.payloads(topic)
            return bool(have) if payload is None else payload in have

        try:
            await self.emulator.wait_until(found, DEADLINE, f"{payload or 'a message'!r} under {topic}")
        except TimeoutError as error:
            raise AssertionError(f"{error}\nreceived: {self.peer.messages[-8:]}") from None
        return self.payloads(topic)[-1]

    def send(self, topic: str, payload: str) -> None:
        self.peer.publish(f"{BASE}/{topic}", payload)


@asynccontextmanager
async def running(image: Path, folder: Path, broker: Mosquitto, peer: Peer) -> AsyncIterator[Board]:
    """A board that has come on-line."""
    async with Emulator(image, folder, ("127.0.0.1", broker.port)) as emulator:
        board = Board(emulator, peer)
        await board.wait("available", b"online")
        yield board


async def test_comes_online_and_tells_about_itself(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        sysinfo = json.loads(await board.wait("SYSINFO"))
        assert sysinfo["name"] == "pico-under-test"
        assert sysinfo["id"] == "e6614103e7123456"
        assert sysinfo["board"] == "RPI_PICO"
        assert sysinfo["uname"]["release"] == "1.26.1"
        assert sysinfo["reset_cause"] == "power"
        assert sysinfo["errors"] == []
        assert 100_000 < sysinfo["mem_free"] < 264 * 1024
        flash = sysinfo["statvfs"]
        assert 0 < flash["f_bfree"] < flash["f_blocks"] and flash["f_blocks"] * flash["f_frsize"] == 1441792
        late = Peer(broker.port, [f"{BASE}/available"])  # who comes later finds it: it is retained
        try:
            message = late.wait_for(f"{BASE}/available", "online")
            assert message.retain
        finally:
            late.close()
        # the emulator's flow control never had to help: the window alone keeps the UART from overflowing
        assert board.emulator.serial is not None
        assert board.emulator.serial.waited == 0
        assert board.emulator.mcu.uart[0].overruns == 0


async def test_answers_sysinfo_and_the_apps_action(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        await board.wait("SYSINFO")
        board.forget()
        board.send("SYSINFO_", "")
        assert json.loads(await board.wait("SYSINFO"))["uptime"] >= 0
        board.send("add", "40")
        board.send("add", "2")
        assert json.loads(await board.wait("add_", b'{"count": 42}')) == {"count": 42}
        board.send("counted_", "")
        assert await board.wait("counted") == b"42"


async def test_bad_payload_to_the_app_does_no_harm(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        board.send("add", "forty-two")
        board.send("add", "1")
        await board.wait("add_", b'{"count": 1}')
        board.forget()
        board.send("SYSINFO_", "")
        assert any("add" in error for error in json.loads(await board.wait("SYSINFO"))["errors"])


async def test_reset_button_shows_as_offline_and_online(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        await board.wait("SYSINFO")
        board.forget()
        await board.emulator.reset()
        await board.wait("available", b"online")
        assert board.payloads("available")[0] == b"offline"
        sysinfo = json.loads(await board.wait("SYSINFO"))
        assert (sysinfo["reset_cause"], sysinfo["failed_boots"]) == ("power", 0)  # one cause for both here
        board.send("add", "7")
        await board.wait("add_", b'{"count": 7}')


async def test_boots_are_counted_over_resets(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        first = json.loads(await board.wait("SYSINFO"))
        board.forget()
        await board.emulator.exec("import machine; machine.reset()", expect_reset=True)

        def again() -> list[dict[str, object]]:  # what was on its way when it was stopped may still come
            told = [json.loads(payload) for payload in board.payloads("SYSINFO")]
            return [each for each in told if each["boots"] != first["boots"]]

        await board.emulator.wait_until(again, DEADLINE, "SYSINFO of another boot")
        second = again()[0]
        assert second["boots"] == first["boots"] + 1
        assert second["failed_boots"] == 0, "stopping at the REPL and restarting on purpose is no failure"


async def test_power_cut_shows_as_offline_and_online(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        board.forget()
        await board.emulator.power_cycle()
        await board.wait("available", b"online")
        assert board.payloads("available")[0] == b"offline"


async def test_broker_restart(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        await board.wait("SYSINFO")
        broker.kill()
        board.forget()
        broker.start()
        peer.wait_ready()
        await board.wait("available", b"online")
        board.send("add", "3")
        await board.wait("add_", b'{"count": 3}')
        assert board.emulator.resets == []


async def test_broker_that_comes_late(image, folder, broker, peer):
    broker.stop()
    async with Emulator(image, folder, ("127.0.0.1", broker.port)) as emulator:
        board = Board(emulator, peer)
        began = emulator.guest_seconds
        await emulator.wait_until(lambda: emulator.guest_seconds > began + 4, DEADLINE, "four seconds")
        broker.start()
        peer.wait_ready()
        await board.wait("available", b"online")
        assert emulator.resets == []


async def test_ctrl_c_leads_to_the_repl_and_resume_back(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        out = await board.emulator.exec("import coldframe\nprint(coldframe.node.name)", then="resume")
        assert out == "pico-under-test\n"
        board.forget()
        board.send("SYSINFO_", "")
        await board.wait("SYSINFO")
        assert board.emulator.resets == []


async def test_heap_after_boot(image, folder, broker, peer):
    async with running(image, folder, broker, peer) as board:
        await board.wait("SYSINFO")
        state = await heap(board.emulator)
        assert state.free >= 110 * 1024  # DESIGN 11: full tier on the RP2040, connected


async def test_broken_configuration_still_answers(image, folder, broker, peer):
    good = json.loads((folder / "config.json").read_text())
    good["mqtt"]["keepalive"] = "often"
    good["sysinfo"] = {"evry": 3}
    (folder / "config.json").write_text(json.dumps(good))
    async with running(image, folder, broker, peer) as board:
        errors = " ".join(json.loads(await board.wait("SYSINFO"))["errors"])
        assert "mqtt.keepalive" in errors
        assert "evry" in errors


async def test_image_with_a_file_system_carries_a_configuration(image, tmp_path):
    whole = image.with_name(f"{image.stem}-with-filesystem.uf2")
    assert whole.is_file(), f"{whole} is missing; make it with: python3 scripts/build.py RPI_PICO"
    folder = tmp_path / "from-the-image"
    async with Emulator(whole, folder) as board:
        found = board.files()
        assert json.loads(found["config.json"])
        assert (
            await board.exec("import json; print(type(json.load(open('/config.json'))))")
            == "<class 'dict'>\n"
        )
    shutil.rmtree(folder)
