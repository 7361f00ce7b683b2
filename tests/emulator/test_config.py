"""The configuration on the released image: the power goes in the middle of a flash write, and nothing is lost."""

from __future__ import annotations

import json
import random
import re

import pytest
from emulator import Emulator

# Says what the configuration holds, then changes it in all the ways there are.
PROGRAM = b"""
import json
from coldframe import config, log, store

log.console(None)
c, errors = config.load()
networks = c["wifi.networks"]
print("LOADED", json.dumps([c["name"], c["mqtt.password"], networks and networks[0]["password"], errors]))
number = int(c["name"]) + 1 if c.given("name") else 1
while True:
    errors = config.save({"name": str(number), "mqtt": {"password": "hunter2 %d" % number}})
    print("SAVED", number, errors)
    store.write("/wifi.json", json.dumps({"A": "hunter2 %d" % number}))
    print("GIVEN", number)
    c, errors = config.load()
    print("TAKEN", number, errors)
    text = json.dumps({"name": str(number), "mqtt": {"password": c["mqtt.password"]},
                       "wifi": {"networks": c["wifi.networks"]}})
    store.write("/config.json", text)  # as somebody who writes passwords into the file
    print("WRITTEN", number)
    c, errors = config.load()
    print("SEALED", number, errors)
    number += 1
"""


def _last(console: str, word: str) -> int:
    return max((int(n) for n in re.findall(rf"^{word} (\d+)", console, re.MULTILINE)), default=0)


@pytest.mark.parametrize("seed", range(2))
async def test_power_cut_in_a_flash_write_loses_no_setting(image, seed):
    dice = random.Random(seed)
    async with Emulator(image, files={"main.py": PROGRAM}, pace=False) as board:
        for _ in range(3):
            await board.wait_for("SAVED")
            board.cut_power_at(dice.randrange(1, 50), seed=dice.randrange(1000))
            await board.wait_power_cut()
            console = board.console
            await board.power_on()
            loaded = await board.wait_for(re.compile(r"LOADED \[.*\]"))
            name, password, network, errors = json.loads(loaded.removeprefix("LOADED "))
            assert errors == []
            saved, given = _last(console, "SAVED"), _last(console, "GIVEN")
            assert int(name) in (saved, saved + 1), (name, saved)
            assert password == f"hunter2 {name}"
            if given:
                assert network in (f"hunter2 {given}", f"hunter2 {given + 1}"), (network, given)
            if _last(console, "SEALED"):
                broken = re.findall(r"^(?:SAVED|TAKEN|SEALED) \d+ \[.+\]", console, re.MULTILINE)
                assert not broken
        # Whatever was cut, what has been read since then is encrypted.
        await board.wait_for("SEALED")
