"""put on the released image: the power goes in the middle of a flash write; the file is the old one or the new one."""

from __future__ import annotations

import json
import random
import re

from emulator import Emulator

# Says which version of the file there is, then puts one after another; the session is played by the program.
PROGRAM = b"""
import asyncio, hashlib, json, os
from coldframe import log, store
from coldframe.remote.put import put
log.console(None)

def content(n):
    return b"".join([hashlib.sha256(b"%d %d" % (n, i)).digest() for i in range(150 + n % 3)])

class Command:
    ref = 1
    at = None

    class session:
        say = staticmethod(lambda *args: True)

    class node:
        class remote:
            writing = ()

    def __init__(self, **args):
        self.args = args

    async def send(self, data):
        self.at = json.loads(data)["at"]

async def send(n):
    data = content(n)
    cmd = Command(path="f", size=len(data), sha256=hashlib.sha256(data).digest().hex(), resume=True)
    task = asyncio.create_task(put(cmd))
    while cmd.at is None:
        await asyncio.sleep(0)
    at = cmd.at
    piece = 0
    while not piece or at < len(data):
        piece += 1
        cmd.on_data(piece, at + 700 >= len(data), data[at : at + 700])
        at += 700
    await task

def version():
    data = store.read("/f")
    if data is None:
        return 0
    n = int(store.read("/version") or b"0")
    for m in (n, n + 1):
        if data == content(m):
            return m
    return "mixed"

n = version()
print("FOUND", json.dumps([n, [name for name in os.listdir("/") if name.endswith(".part")]]))
while True:
    store.write("/version", str(n))
    n += 1
    print("BEGUN", n)
    asyncio.run(send(n))
    print("PUT", n)
"""


async def test_power_cut_in_a_flash_write_leaves_a_whole_file(image):
    dice = random.Random(1)
    async with Emulator(image, files={"main.py": PROGRAM}, pace=False) as board:
        for _ in range(4):
            await board.wait_for("PUT")
            board.cut_power_at(dice.randrange(1, 70), seed=dice.randrange(1000))
            await board.wait_power_cut()
            console = board.console
            await board.power_on()
            found, parts = json.loads(
                (await board.wait_for(re.compile(r"FOUND \[.*\]"))).removeprefix("FOUND ")
            )
            last = max(int(n) for n in re.findall(r"^PUT (\d+)\r?$", console, re.MULTILINE))
            begun = max(int(n) for n in re.findall(r"^BEGUN (\d+)\r?$", console, re.MULTILINE))
            assert found in (last, begun), (found, last, begun)
            assert len(parts) <= 1
        await board.wait_for("PUT")
