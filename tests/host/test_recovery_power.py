"""The boot record and the report of a crash on a flash that loses its power at any write, or is full."""

from __future__ import annotations

import json
import re
from pathlib import Path

from host.simboards import DEADLINE, image
from kit import fsimage
from kit.simboard import SimBoard

BLOCKS = 64
CONFIG = json.dumps({"name": "old", "watchdog": {"timeout": 30}}).encode()

# Three failed boots in one program, as far as the flash is concerned, and all forgotten in the end.
MAIN = """
from coldframe import bootrecord, crash, log
log.console(None)
for n in range(3):
    try:
        raise ValueError("number %d" % n)
    except ValueError as e:
        crash.keep("failure %d" % n, e, "app")
    print("REPORT", n)
    bootrecord.mark(bootrecord.RUNNING, "app")
    bootrecord.mark(bootrecord.FAILED, "app")
    bootrecord._state = bootrecord._filed = None  # what a reset does to the RAM
    print("LEVEL", bootrecord.begin())
crash.published()
bootrecord.clear()
print("END")
"""

# Fills the flash, and hangs.
FULL = b"""
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
            print("FULL", e.args[0])
    while True:
        pass
"""


def board(folder: Path, *options: str) -> SimBoard:
    return SimBoard(image(), folder, options=("--lfs", "flash.img", *options))


def make(folder: Path, **files: bytes) -> Path:
    """Put the files of a device on a flash. Returns its image."""
    flash = folder / "sim" / "flash.img"
    flash.parent.mkdir(parents=True, exist_ok=True)
    content = {"config.json": CONFIG, **{f"{name}.py": data for name, data in files.items()}}
    flash.write_bytes(fsimage.make_image(content, 4096, BLOCKS))
    return flash


def last(console: str, word: str) -> int:
    return max((int(n) for n in re.findall(rf"^{word} (\d+)", console, re.MULTILINE)), default=-1)


def test_power_cut_at_every_write(tmp_path: Path) -> None:
    """The record and the report are the old or the new ones, the next start is a good one, no setting is touched."""
    flash = make(tmp_path, main=MAIN.encode())
    fresh = flash.read_bytes()
    levels, causes = set(), set()
    cut = 0
    whole = False
    while not whole:
        cut += 1
        assert cut < 300
        flash.write_bytes(fresh)
        with board(tmp_path, "--exit", "--cut", str(cut)) as first:
            first.start()
            end = first.wait_for(re.compile(r"power cut at flash write|^END$", re.MULTILINE), DEADLINE)[0]
            whole = end == "END"
            console = first.console
        files = fsimage.read_image(flash.read_bytes())
        assert files["config.json"] == CONFIG
        record = files.get("boot.rec")
        level = record[3] & 15 if record else 0
        assert record is None or record[0] == 2 and len(record) >= 8, (cut, record)
        reached, report = last(console, "LEVEL"), last(console, "REPORT")
        assert level in ((0, 2) if reached == 2 else (max(0, reached), reached + 1)), (cut, level, console)
        levels.add(level)
        text = files.get("crash.new") or files.get("crash.json")
        cause = json.loads(text)["cause"] if text else "failure -1"
        assert cause in (f"failure {report}", f"failure {report + 1}"), (cut, cause, console)
        causes.add(cause)
        with board(tmp_path, "--exit") as second:
            second.start()
            second.wait_for(re.compile("^END$|old started", re.MULTILINE), DEADLINE)
    print(f"{cut - 1} writes")
    assert cut > 30 and levels == {0, 1, 2} and len(causes) == 4


def test_full_flash(tmp_path: Path) -> None:
    """A program that fills the flash and hangs is left out; the report is there, short or not at all."""
    flash = make(tmp_path, app=FULL)
    with board(tmp_path) as it:
        it.world(speed=20)
        it.start()
        it.wait_for("FULL 28", 3 * DEADLINE)
        for _ in range(2):
            it.wait_for("stuck for 30 s, restarting", 3 * DEADLINE)
        it.wait_for("running without your program", 3 * DEADLINE)
        it.wait_for("old started", DEADLINE)
        shown = it.repl("import coldframe; print(coldframe.crash.last())")
        assert shown.strip() == "None" or "watchdog: stuck in app.py, line" in shown
    files = fsimage.read_image(flash.read_bytes())
    assert files["config.json"] == CONFIG
    assert not [name for name in files if name.endswith(".tmp")]
