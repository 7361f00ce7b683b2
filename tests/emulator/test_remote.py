"""Remote administration of a real image: a session over the serial line of the emulated Pico."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from coldframe_cli import transfer
from coldframe_cli.errors import DeviceError
from coldframe_cli.link import Link
from coldframe_cli.profiles import Broker as Address
from coldframe_cli.profiles import Profile
from coldframe_cli.session import Session
from emulator import Emulator
from host.brokers import Mosquitto

BASE = "test/pico"
KEY = "a key for the emulated board"
DEADLINE = 120.0
CONFIG = {
    "name": "pico",
    "mqtt": {"serial": {"uart": 0, "baud": 921600, "tx": 0, "rx": 1}, "base": BASE},
    "remote": {"key": KEY},
}
# Writes to the flash without end, and without ever letting go: what runs inside of it finds the file system at work.
WRITES = """
print('in')
n = 0
while True:
    with open('/lib.txt', 'w') as f:
        f.write('%d ' % n * 200)
    n += 1
"""


class Host:
    """The host's side, whose calls block: each runs in a thread of its own."""

    def __init__(self, link: Link) -> None:
        self.session = Session(link, BASE, KEY)

    async def do(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return await asyncio.to_thread(function, *args, **more)

    async def run(self, code: str, verb: str = "eval", **args: Any) -> str:
        """What the code prints, and its value; fails if it raises."""
        out = bytearray()
        told = await self.do(
            self.session.call, verb, args, code.encode(), timeout=DEADLINE, on_data=out.extend
        )
        assert told["ok"], (told, out)
        return out.decode()

    def begin(self, code: str) -> Stuck:
        return Stuck(self.session, code)


class Stuck:
    """Code that does not end by itself."""

    def __init__(self, session: Session, code: str) -> None:
        self.session = session
        self.output = b""
        self.code = ""
        self._thread = threading.Thread(target=self._run, args=(code,), daemon=True)
        self._thread.start()

    def _run(self, code: str) -> None:
        try:
            self.session.call("exec", {"limit": 0}, code.encode(), timeout=DEADLINE, on_data=self._data)
        except DeviceError as error:
            self.code = error.code

    def _data(self, data: bytes) -> None:
        self.output += data

    async def started(self, board: Emulator) -> None:
        await board.wait_until(lambda: b"in\n" in self.output, DEADLINE, "output of code that runs")

    async def cancelled(self, board: Emulator) -> None:
        self.session.cancel()
        await board.wait_until(lambda: not self._thread.is_alive(), DEADLINE, "the end of the code")
        assert self.code == "cancelled"
        assert b"KeyboardInterrupt: cancelled" in self.output, self.output[-300:]


@pytest.fixture
def link(tmp_path):
    broker = Mosquitto(tmp_path / "broker").start()
    with Link(Profile(brokers=(Address("127.0.0.1", broker.port),))) as made:
        made.port = broker.port
        yield made
    broker.stop()


async def test_a_session_with_the_emulated_pico(image, link):
    files = {"config.json": json.dumps(CONFIG).encode()}
    online = []
    link.listen(f"{BASE}/available", lambda _t, payload, _r: online.append(payload))
    async with Emulator(image, bridge=("127.0.0.1", link.port), files=files) as board:
        await board.wait_until(lambda: b"online" in online, DEADLINE, "the node")
        one, two = Host(link), Host(link)
        await one.do(one.session.open, DEADLINE)
        assert one.session.welcome.board == "RPI_PICO"
        assert await one.run("6 * 7") == "42"
        lines = "".join(f"{i} {'x' * 40}\n" for i in range(200))
        assert await one.run("for i in range(200): print(i, 'x' * 40)", "exec") == lines
        assert (
            await one.run("import asyncio\nawait asyncio.sleep_ms(10)\nprint('awaited')", "exec")
            == "awaited\n"
        )
        # A file there and back.
        content = bytes(range(256)) * 24
        await one.do(one.session.call, "mkdir", {"path": "/data"}, timeout=DEADLINE)
        told = await one.do(transfer.put, one.session, content, "/data/blob")
        assert told["sha256"] == hashlib.sha256(content).hexdigest()
        back = io.BytesIO()
        await one.do(transfer.get, one.session, "/data/blob", back)
        assert back.getvalue() == content
        # Code that would not end; somebody else is served meanwhile.
        await two.do(two.session.open, DEADLINE)
        stuck = one.begin("print('in')\nwhile True: pass")
        await stuck.started(board)
        assert (await two.do(two.session.call, "ping", timeout=DEADLINE))["uptime"] > 0
        await stuck.cancelled(board)
        assert await two.run("1 + 1") == "2"
        # Code that writes to the flash, with a file put by somebody else in the middle of it.
        stuck = one.begin(WRITES)
        await stuck.started(board)
        other = bytes(reversed(content[:4096]))
        await two.do(transfer.put, two.session, other, "/data/other")
        await stuck.cancelled(board)
        for name, data in ("blob", content), ("other", other):
            told = await two.do(
                two.session.call, "stat", {"path": f"/data/{name}", "sha": True}, timeout=DEADLINE
            )
            assert told["sha256"] == hashlib.sha256(data).hexdigest(), name
        written = (await one.run("open('/lib.txt').read()"))[1:-1].split()
        assert len(set(written)) <= 1 and len(written) in (0, 200), written
        # Safe mode: the same again, and back.
        before = len(online)
        await one.do(one.session.call, "reset", {"mode": "safe"}, timeout=DEADLINE)
        await board.wait_until(lambda: b"online" in online[before:], DEADLINE, "safe mode")
        await one.do(one.session.open, DEADLINE)
        assert (
            await one.run("node.config['name'], __import__('coldframe.bootrecord').bootrecord.safe()")
            == "('pico', True)"
        )
        stuck = one.begin("print('in')\nwhile True: pass")
        await stuck.started(board)
        await stuck.cancelled(board)
        await one.do(transfer.put, one.session, b"mended", "/data/blob")
        assert await one.run("open('/data/blob').read()") == "'mended'"
        for host in (one, two):
            await host.do(host.session.close)
