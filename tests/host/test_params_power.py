"""Parameters on a flash that loses its power at any write of a save, and of the repair of a damaged file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from host.simboards import DEADLINE, image
from kit import fsimage
from kit.simboard import SimBoard

BLOCKS = 64

MAIN = """
import json
from coldframe import Node, log
log.console(None)
node = Node({})
node.param("time", 20, low=1, high=900)
node.param("mode", "eco")
for i in range(20):
    node.param("p%d" % i, 0)
print("FOUND", json.dumps([node.params.values(), node.errors]))
if CHANGES:
    node.params.put(CHANGES)
    print("SAVED", node.params.save())
print("END")
"""


def values(time: int, mode: str, rest: int = 0) -> dict[str, Any]:
    return {"time": time, "mode": mode} | {f"p{i}": rest for i in range(20)}


DEFAULTS = values(20, "eco")
OLD = values(30, "boost")
NEW = values(900, "eco" * 50, 123456789)
OLD_FILE = json.dumps({"time": 30, "mode": "boost"}).encode()
BROKEN = b'{"time": 30, "mode": "bo'
MESSAGE = "/params.json: expected a JSON object of at most 8192 bytes; the last good copy is used"

# name: (files, changes that are saved, what a boot may find: values and errors)
CASES: dict[str, tuple[dict[str, bytes], dict[str, Any] | None, list[list[Any]]]] = {
    "first save": ({}, NEW, [[DEFAULTS, []], [NEW, []]]),
    "save": ({"params.json": OLD_FILE, "params.bak": OLD_FILE}, NEW, [[OLD, []], [NEW, []]]),
    "back to the defaults": ({"params.json": OLD_FILE}, DEFAULTS, [[OLD, []], [DEFAULTS, []]]),
    "repair": ({"params.json": BROKEN, "params.bak": OLD_FILE}, None, [[OLD, [MESSAGE]], [OLD, []]]),
}


def run(folder: Path, *options: str) -> tuple[str, bool]:
    """Give a board power until its program or the power ends. Returns what it printed and if it came to its end."""
    with SimBoard(image(), folder, options=("--lfs", "flash.img", "--exit", *options)) as board:
        board.start()
        ended = board.wait_for(re.compile(r"power cut at flash write|^END$", re.MULTILINE), DEADLINE)[0]
        return board.console, ended == "END"


def found(console: str) -> Any:
    """The values and errors that the program has found."""
    match = re.search(r"^FOUND (.*)$", console, re.MULTILINE)
    assert match, console
    return json.loads(match[1])


@pytest.mark.parametrize("case", CASES)
def test_power_cut_at_every_write(tmp_path: Path, case: str) -> None:
    files, changes, expected = CASES[case]
    flash = tmp_path / "sim" / "flash.img"
    flash.parent.mkdir(parents=True)

    main = MAIN.replace("CHANGES", repr(changes)).encode()
    flash.write_bytes(fsimage.make_image({**files, "main.py": main}, 4096, BLOCKS))
    fresh = flash.read_bytes()
    seen: list[Any] = []
    cut = 0
    whole = False
    while not whole:
        cut += 1
        assert cut < 200
        flash.write_bytes(fresh)
        console, whole = run(tmp_path, "--cut", str(cut))
        again, end = run(tmp_path)  # the next boot; it prints what it has found before it changes anything
        assert end, again
        state = found(again)
        assert state in expected, f"cut {cut}: {state}"
        if state not in seen:
            seen.append(state)
    assert "SAVED True" in console or changes is None
    assert len(seen) == len(expected), seen
    assert cut > 3
    if case == "repair":
        assert fsimage.read_image(flash.read_bytes())["params.broken"] == BROKEN
