"""put and mv on a flash that loses its power at any write: the old file or the new one, never a mix."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.remotefiles import Files
from host.remotehost import RemoteHost
from host.simboards import DEADLINE, image
from kit import fsimage
from kit.simboard import SimBoard

BLOCKS = 64
SIZE = 40_000  # more than one flush on the way
ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
AVAILABLE = f"{BASE}/available"
KEY = "a key of the owner's alone"

# Gives put its pieces without a network between: a cut at each write of it takes a quarter of a second this way.
MAIN = """
import asyncio, hashlib, json, os
from coldframe import log, store
from coldframe.remote.put import put
from coldframe.remote.files import mv
log.console(None)

def content(kind, size):
    return b"".join([hashlib.sha256(b"%d %d" % (kind, i)).digest() for i in range(size // 32)])

NEW = content(7, SIZE)
KNOWN = {content(3, 5120): "old", NEW: "new", None: "none", content(5, 2560): "other"}

class Command:
    ref = 1
    chunk = 1000
    on_data = None
    at = None

    class session:
        role = "admin"
        say = staticmethod(lambda *args: True)

    class node:
        class remote:
            writing = ()

    def __init__(self, **args):
        self.args = args

    async def send(self, data):
        self.at = json.loads(data)["at"]

def show():
    parts = []
    for name in os.listdir("/"):
        if name.endswith(".part"):
            data = store.read(name)
            parts.append(len(data) if NEW[:len(data)] == data else -1)
    return [KNOWN.get(store.read("/f"), "mixed"), KNOWN.get(store.read("/g"), "mixed"), parts]

async def do_put():
    cmd = Command(path="f", size=len(NEW), sha256=hashlib.sha256(NEW).digest().hex(), resume=True)
    task = asyncio.create_task(put(cmd))
    while cmd.at is None:
        await asyncio.sleep(0)
    n = 0
    at = cmd.at
    while at < len(NEW) or not n:
        n += 1
        cmd.on_data(n, at + 1400 >= len(NEW), NEW[at : at + 1400])
        at += 1400
    await task

async def do_mv():
    if store.exists("/g"):
        await mv(Command(path="g", to="f"))

print("FOUND", json.dumps(show()))
asyncio.run(do_CASE())
print("DONE", json.dumps(show()))
print("END")
"""


def content(kind: int, size: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d %d" % (kind, i)).digest() for i in range(size // 32))


OLD, OTHER = content(3, 5120), content(5, 2560)
# name: (files, what a boot may find as f and g, what is there in the end)
CASES: dict[str, tuple[dict[str, bytes], list[list[str]], list[Any]]] = {
    "put": ({"f": OLD}, [["old", "none"], ["new", "none"]], ["new", "none", []]),
    "put, nothing there": ({}, [["none", "none"], ["new", "none"]], ["new", "none", []]),
    "mv": ({"f": OLD, "g": OTHER}, [["old", "other"], ["other", "none"]], ["other", "none", []]),
}


def run(folder: Path, *options: str) -> tuple[str, bool]:
    """Give a board power until its program or the power ends. Returns what it printed and if it came to its end."""
    with SimBoard(image(), folder, options=("--lfs", "flash.img", "--exit", *options)) as board:
        board.start()
        ended = board.wait_for(
            re.compile(r"power cut at flash write|^END$|Traceback", re.MULTILINE), DEADLINE
        )
        assert ended[0] != "Traceback", board.console
        return board.console, ended[0] == "END"


def shown(word: str, console: str) -> Any:
    match = re.search(rf"^{word} (.*)$", console, re.MULTILINE)
    assert match, console
    return json.loads(match[1])


@pytest.mark.parametrize("case", CASES)
def test_power_cut_at_every_write(tmp_path: Path, case: str) -> None:
    """The next boot finds one of the two, and the next put goes on with what is there, and ends well."""
    files, expected, done = CASES[case]
    flash = tmp_path / "sim" / "flash.img"
    flash.parent.mkdir(parents=True)
    size = SIZE if case == "put" else 10_240
    main = MAIN.replace("SIZE", str(size)).replace("do_CASE", f"do_{case[:3].strip(',')}").encode()
    flash.write_bytes(fsimage.make_image({**files, "main.py": main}, 4096, BLOCKS))
    fresh = flash.read_bytes()
    seen: list[Any] = []
    kept: set[int] = set()
    cut = 0
    whole = False
    while not whole:
        cut += 1
        assert cut < 600
        flash.write_bytes(fresh)
        console, whole = run(tmp_path, "--cut", str(cut))
        again, end = run(tmp_path)
        assert end, again
        *state, parts = shown("FOUND", again)
        assert state in expected, f"cut {cut}: {state}"
        assert all(0 <= size <= SIZE for size in parts), f"cut {cut}: {parts}"
        kept.update(parts)
        assert shown("DONE", again) == done, f"cut {cut}"
        if state not in seen:
            seen.append(state)
    print(f"{case}: {cut - 1} writes; of a put that was cut off, these sizes were found: {sorted(kept)}")
    assert seen == expected
    if case == "put":
        assert cut > 40 and kept == {0, 33_600, SIZE}


@pytest.mark.parametrize("cut", [15, 30, 45, 60])
def test_power_cut_in_a_session(tmp_path: Path, broker: Mosquitto, cut: int) -> None:
    """The same through the broker: the host goes on in a new session, and all of it is there in the end."""
    flash = tmp_path / "sim" / "flash.img"
    flash.parent.mkdir(parents=True)
    config = {"remote": {"key": KEY}, "mqtt": {"host": "127.0.0.1", "port": broker.port}}
    files = {"config.json": json.dumps(config).encode(), "f": OLD}
    flash.write_bytes(fsimage.make_image(files, 4096, BLOCKS))
    new = content(7, SIZE)
    peer = Peer(broker.port, [f"{BASE}/reply/#", AVAILABLE])
    try:
        for boots, options in enumerate((("--cut", str(cut)), ()), 1):
            with SimBoard(image(), tmp_path, unique_id=ID, options=("--lfs", "flash.img", *options)) as board:
                board.start()
                until(lambda n=boots: peer.payloads(AVAILABLE).count(b"online") == n, "the node", DEADLINE)
                it = Files(RemoteHost(peer, BASE, KEY).open())
                now = it.get("f")[0]
                assert now == OLD or not options and now == new
                result = it.put("f", new, resume=not options, patience=3)
                if options:
                    assert result["code"] == "silence"
                    board.wait_for(f"power cut at flash write {cut}", DEADLINE)
                else:
                    assert result["size"] == SIZE
                    assert it.get("f")[0] == new
                    assert not [name for name in it.ls("/") if name.endswith(".part")]
    finally:
        peer.close()
