"""The spill file on the released image: the power goes in the middle of a flash write, and no promise is broken."""

from __future__ import annotations

import json
import random
import re

import pytest
from emulator import Emulator

# Says what the file has, then uses it and says each promise once it is one.
PROGRAM = b"""
import json
from coldframe.mqtt.spill import Spill

spill = Spill("/spill", 1500)
spill.load()
found = []
first = 0
while True:
    entry = spill.next()
    if entry is None:
        break
    number = int(entry[1])
    assert entry[2] == b"%d" % number * 9 and entry[3] == 2
    found.append((number, entry[6], entry[7]))
    first = max(first, number + 1)
print("LOADED", json.dumps(found), json.dumps(sorted(spill.incoming_ids())))
spill.forget(None)
spill.rewind()
number = first
while True:
    while True:
        key = spill.add(str(number), b"%d" % number * 9, 2, False)
        if key is None:
            break
        print("STORED", number)
        number += 1
    for _ in range(6):
        entry = spill.next()
        if entry is None:
            break
        n = int(entry[1])
        spill.assign(entry[0], n % 500 + 1)
        spill.incoming(n % 50 + 1)
        spill.sync()
        print("ASSIGNED", n)
        spill.released(entry[0])
        spill.sync()
        print("RELEASED", n)
        spill.forget(n % 50 + 1)
        spill.sync()
        print("DONE", n)
        spill.done(entry[0])
"""


def _said(console: str, word: str) -> set[int]:
    return {int(n) for n in re.findall(rf"^{word} (\d+)\r?$", console, re.MULTILINE)}


@pytest.mark.parametrize("seed", range(6))
async def test_power_cut_in_a_flash_write_breaks_no_promise(image, seed):
    dice = random.Random(seed)
    async with Emulator(image, files={"main.py": PROGRAM}, pace=False) as board:
        for _ in range(4):
            await board.wait_for("STORED")
            board.cut_power_at(dice.randrange(1, 60), seed=dice.randrange(1000))
            await board.wait_power_cut()
            console = board.console
            await board.power_on()
            loaded = await board.wait_for(re.compile(r"LOADED \[.*\] \[.*\]"))
            listed, _ = json.JSONDecoder().raw_decode(loaded, len("LOADED "))
            found = {number: (id, released) for number, id, released in listed}
            stored, done = _said(console, "STORED"), _said(console, "DONE")
            assert stored - done <= set(found), "lost"
            for number in _said(console, "ASSIGNED") & set(found):
                assert found[number][0] == number % 500 + 1
            for number in _said(console, "RELEASED") & set(found):
                assert found[number][1], f"{number} would be sent again"
