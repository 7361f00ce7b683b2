"""Ctrl-C, coldframe.status() and coldframe.resume() on the released image of the Pico."""

from __future__ import annotations

import json
import re

from emulator import Emulator

APP = """
def setup(node):
    node.topic("./answer", every=3600)(lambda: 42)
    print("app is ready")
"""


async def test_ctrl_c_status_resume(image):
    files = {"config.json": json.dumps({"mqtt": {"serial": {}}}).encode(), "app.py": APP.encode()}
    async with Emulator(image, files=files, pace=False) as board:
        await board.wait_for("app is ready", 60)
        for n in range(3):
            board.send_keys(b"\x03" * (n + 1))  # tools send several
            await board.wait_for(">>> ", 60)
            board.send_keys(b"import coldframe; coldframe.resume()\r")
            await board.wait_for("resume()", 60)
        board.send_keys(b"\x03")
        await board.wait_for(">>> ", 60)
        board.send_keys(b"coldframe.status()\r")
        await board.wait_for("stands still: coldframe.resume() goes on with it.", 60)
        screen = board.console[board.console.rindex("Coldframe ") :]
        assert max(map(len, screen.splitlines())) < 80, screen
        assert re.match(r"Coldframe \S+ on RPI_PICO ", screen)
        assert "! broker " in screen and "broker    none" not in screen
        assert "./answer" in screen and "app (done)" in screen
