"""The boards of bench/remote.py: ours as a simulated board, and mqrepl on mqtt_async on the same image."""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path

from kit.simboard import SimBoard
from kit.ui import UserError

HERE = Path(__file__).resolve().parent
ID = "00000000000000be"
BASE = f"coldframe/{ID}"
KEY = "a key for the bench"
PEER = "peer/mqb"
DEADLINE = 20.0  # s

# Keeps an eye on the heap, and is asked for what it has seen.
APP = """
import asyncio
import gc

most = 0

def setup(node):
    if {watch}:
        @node.action("./forget")
        def forget():
            global most
            gc.collect()
            most = gc.mem_alloc()
            return most

        @node.action("./most")
        def tell():
            return most

        async def heap():
            global most
            while True:
                await asyncio.sleep_ms(2)
                gc.collect()
                most = max(most, gc.mem_alloc())

        node.service("heap", heap, layer="app")
"""


class Ours:
    """A simulated board with a key and remote.insecure, connected. Use as a context manager.

    Args: watch: keep an eye on the heap, which costs time; buffer: mqtt.buffer, None: the board's own.
    """

    def __init__(
        self, image: Path, folder: Path, port: int, *, watch: bool = False, buffer: int | None = None
    ) -> None:
        self.board = SimBoard(image, folder / "ours", unique_id=ID)
        mqtt: dict[str, object] = {"host": "127.0.0.1", "port": port}
        if buffer:
            mqtt["buffer"] = buffer
        config = {"mqtt": mqtt, "remote": {"key": KEY, "insecure": True}, "log": {"console": "ERROR"}}
        self.board.put("config.json", config)
        self.board.put("app.py", APP.format(watch=watch))

    def __enter__(self) -> Ours:
        self.board.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.board.stop()


class Peer:
    """mqrepl on mqtt_async, subscribed to PEER/cmd/#. Use as a context manager.

    Args: sources: folder with mqtt_async.py, unix_fix.py and mqrepl.py.
    """

    def __init__(self, image: Path, folder: Path, port: int, sources: Path, *, watch: bool = False) -> None:
        self._command = [str(image), str(HERE / "guest" / "mqrepl_main.py"), str(port), PEER + "/"]
        self._command += ["watch"] if watch else []
        self._folder = folder / "peer"
        self._folder.mkdir(exist_ok=True)
        self._env = {**os.environ, "MICROPYPATH": f"{sources}:.frozen"}

    def __enter__(self) -> Peer:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=self._env,
        )
        said = b""
        end = time.monotonic() + DEADLINE
        assert self._process.stdout is not None
        while b"READY" not in said:
            left = max(0.0, end - time.monotonic())
            more = select.select([self._process.stdout], [], [], left)[0]
            piece = os.read(self._process.stdout.fileno(), 4096) if more else b""
            said += piece
            if not piece:
                self.__exit__()
                raise UserError("mqrepl did not start", where=self._command, hint=said.decode()[-500:])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
