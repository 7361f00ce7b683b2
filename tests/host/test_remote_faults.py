"""Remote administration on a bad network: every kind of transfer goes on while both sides' lines misbehave."""

from __future__ import annotations

import io
import os
import random
import threading
import time
from pathlib import Path

import pytest
from coldframe_cli import syncplan, transfer
from coldframe_cli.errors import DeviceError
from coldframe_cli.session import Session
from host.brokers import until
from host.fleetboards import KEY, FleetBoards, link, session
from host.proxy import Proxy
from host.traffic import Fault, inflict

PATIENCE = 60.0  # s; a host notices after up to 20 s that its line is dead
LINES = 400  # of output
# What happens to the line of the board, then to that of the host. Delay and rate are such that work goes on meanwhile.
FAULTS = [
    Fault("cut"),
    Fault("truncate up", n=300),
    Fault("truncate down", n=1000),
    Fault("delay", 3, 300),
    Fault("slow", 3, 20_000),
    Fault("refuse", 1),
    Fault("take away", 2),
    Fault("stall", 1),
]
APP = """
import asyncio, coldframe
async def setup(node):
    log = coldframe.log.getLogger("tick")
    async def tick():
        n = 0
        while True:
            log.info("%d.", n)
            n += 1
            await asyncio.sleep_ms(250)
    node.service("tick", tick)
"""


class Kind:
    """One kind of work, done again and again in a thread. ``done``: how often; ``moved``: goes up while bytes come."""

    def __init__(self, remote: Session, folder: Path) -> None:
        self.remote = remote
        self.folder = folder
        self.done = self.moved = 0
        self.wrong: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.done} times, {self.moved} pieces {self.wrong}"

    def work(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """To be called at the end: makes work() return if it would not by itself."""

    def progress(self, *_: object) -> None:
        self.moved += 1
        time.sleep(0.02)  # a slower line: most of the time something is on its way

    def expect(self, got: object, wanted: object, what: str) -> None:
        if got != wanted:
            self.wrong.append(f"{what}: {got!r:.200}, expected {wanted!r:.200}")

    def _run(self) -> None:
        try:
            while not self._end.is_set() and not self.wrong:
                self.work()
                self.done += 1
        except Exception as error:
            self.wrong.append(f"{type(error).__name__}: {error}")

    def fine(self) -> bool:
        assert not self.wrong, self
        return True

    def end(self) -> None:
        self._end.set()
        self.finish()
        self._thread.join(PATIENCE + 30)
        assert not self._thread.is_alive(), f"does not end: {self}"
        self.fine()


class Put(Kind):
    def work(self) -> None:
        data = os.urandom(60_000)
        transfer.put(self.remote, data, "/put.bin", progress=self.progress)
        self.expect((self.folder / "put.bin").read_bytes(), data, "put")


class Get(Kind):
    def work(self) -> None:
        sink = io.BytesIO()
        transfer.get(self.remote, "/get.bin", sink, progress=self.progress)
        self.expect(sink.getvalue(), (self.folder / "get.bin").read_bytes(), "get")


class Output(Kind):
    def work(self) -> None:
        got = bytearray()

        def take(data: bytes) -> None:
            got.extend(data)
            self.progress()

        told = self.remote.call(
            "exec",
            {},
            b"for i in range(%d): print(i, 'x' * 100)\n" % LINES,
            timeout=PATIENCE,
            on_data=take,
            on_lost=lambda n: self.wrong.append(f"{n} messages of the output are lost"),
        )
        self.expect(told.get("ok"), True, "exec")
        self.expect(got.decode(), "".join(f"{i} {'x' * 100}\n" for i in range(LINES)), "output")


class Follow(Kind):
    """The numbers that the program logs, one after the other."""

    next = -1

    def work(self) -> None:
        rest = b""

        def take(data: bytes) -> None:
            nonlocal rest
            *rows, rest = (rest + data).split(b"\n")
            for number in [int(row.split(b"tick: ")[1].rstrip(b".")) for row in rows if b"tick: " in row]:
                if self.next >= 0:
                    self.expect(number, self.next, "log line")
                self.next = number + 1
                self.moved += 1
                self.done += 1

        try:
            self.remote.call("log", {"follow": True, "lines": 1}, timeout=PATIENCE, on_data=take)
        except DeviceError as error:
            if error.code != "cancelled":
                raise

    def finish(self) -> None:
        self.remote.cancel()


class Sync(Kind):
    def work(self) -> None:
        here = self.folder.parent / "here"
        here.mkdir(exist_ok=True)
        for _ in range(3):
            name = f"f{random.randrange(6)}"
            (here / name).write_bytes(os.urandom(random.randrange(5000)))
        plan = syncplan.plan(
            self.remote, "/synced", syncplan.local(here, (), None, "/synced"), delete=True, exclude=()
        )
        syncplan.carry_out(self.remote, plan, lambda *_: None, self.progress)
        there = {f.name: f.read_bytes() for f in (self.folder / "synced").iterdir()}
        self.expect(there, {f.name: f.read_bytes() for f in here.iterdir()}, "sync")


@pytest.mark.parametrize("side", ["board", "host"])
def test_all_kinds_of_transfer_through_all_kinds_of_faults(broker, tmp_path, closing, side):
    proxy = closing(Proxy(broker.port))
    ports = {"board": broker.port, "host": broker.port, side: proxy.port}
    settings = {"remote": {"key": KEY, "sessions": 8}, "mqtt": {"keepalive": 5}}
    fleet = closing(FleetBoards(tmp_path / "boards", 1, [ports["board"]], settings))
    board = fleet.boards[0]
    board.put("app.py", APP)
    board.put("get.bin", os.urandom(60_000))
    fleet.start()
    over = closing(link(ports["host"]))
    kinds = [kind(session(over, fleet.base(0)), board.flash) for kind in (Put, Get, Output, Follow, Sync)]

    def all_go_on(what: str) -> None:
        seen = [kind.done for kind in kinds]

        def gone_on() -> bool:
            return all(kind.fine() and kind.done > n for kind, n in zip(kinds, seen, strict=True))

        try:
            until(gone_on, "all", PATIENCE)
        except AssertionError as error:
            states = "\n".join(map(str, kinds))
            raise AssertionError(f"after {what}: {error}\n{states}\n{board.console[-1500:]}") from None

    all_go_on("the start")
    for fault in FAULTS:
        seen = [kind.moved for kind in kinds]
        until(lambda s=seen: any(k.moved > n for k, n in zip(kinds, s, strict=True)), "something on its way")
        inflict(fault, proxy, broker)
        all_go_on(str(fault))
    for kind in kinds:
        kind.end()
    assert "Traceback" not in board.console
    assert not list(board.flash.rglob("*.part"))
    print(side, *kinds, sep="\n")
