"""Deep sleep on the released image: the RP2040 has none, so the chip waits and is reset, and knows it afterwards."""

from __future__ import annotations

from pathlib import Path

from emulator import Emulator

MAIN = b"""
import time
from coldframe import bootrecord, hal
from coldframe.hal.sleep import stash, stashed

time.sleep(1)  # until the console is there
print("START", hal.reset_cause(), stashed(), bootrecord.failed())
if hal.reset_cause() != "deepsleep":
    stash(b"what is to be known")
    hal.watchdog(60)  # whose looks must neither end the sleep nor count in it
    bootrecord.mark(bootrecord.RUNNING)
    hal.deepsleep(100000)
print("AWAKE")
"""


async def test_deepsleep(image: Path) -> None:
    board = Emulator(image, files={"main.py": MAIN}, pace=False)
    try:
        await board.start(200)
        await board.wait_for("START power None 0", 100)
        await board.wait_for("START deepsleep b'what is to be known' 0", 100)
        await board.wait_for("AWAKE", 100)
    finally:
        await board.stop()
