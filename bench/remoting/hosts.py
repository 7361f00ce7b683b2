"""The two ends on the PC that bench/remote.py compares: the package coldframe_cli, and mqboard's engine."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from coldframe_cli import transfer
from coldframe_cli.errors import CliError
from coldframe_cli.link import Link
from coldframe_cli.profiles import Broker, Profile
from coldframe_cli.session import Session
from kit.ui import UserError

from remoting import boards

HERE = Path(__file__).resolve().parent


class Failed(Exception):
    """The command did not do what it shall; the text says why."""


class Host(Protocol):
    """What is measured. All times in seconds, of the command alone: connected before, for ours the session open."""

    def put(self, file: Path, name: str) -> float:
        """Put a file on the board."""

    def get(self, name: str, file: Path) -> float:
        """Get a file from the board."""

    def eval(self, code: str) -> tuple[float, str]:
        """Evaluate an expression. Returns the time and the repr()."""

    def heap(self, what: str) -> int:
        """Bytes of the board's heap in use: now ("forget"), or the most since that was asked ("most")."""


class Ours:
    """coldframe_cli. ``opening``: s that it took to open the session."""

    def __init__(self, port: int) -> None:
        self._stack = contextlib.ExitStack()
        self.link = self._stack.enter_context(Link(Profile(brokers=(Broker("127.0.0.1", port),))))
        self.session = Session(self.link, boards.BASE, boards.KEY)
        self._stack.callback(self.session.close)
        self.session.open(boards.DEADLINE)  # the board may still be on its way to the broker
        start = time.monotonic()
        self.session.open()
        self.opening = time.monotonic() - start

    def close(self) -> None:
        """End the session and the connection."""
        self._stack.close()

    def put(self, file: Path, name: str) -> float:
        return self._timed(lambda: transfer.put(self.session, file, name))[0]

    def get(self, name: str, file: Path) -> float:
        return self._timed(lambda: transfer.get_file(self.session, name, file, resume=False))[0]

    def eval(self, code: str) -> tuple[float, str]:
        said = bytearray()
        seconds, told = self._timed(lambda: self.session.call("eval", {}, code.encode(), on_data=said.extend))
        if not told["ok"]:
            raise Failed(told["error"])
        return seconds, said[len(said) - told["value"] :].decode() if told["value"] else ""

    def heap(self, what: str) -> int:
        heard: queue.Queue[bytes] = queue.Queue()
        topic = f"{boards.BASE}/{what}"
        stop = self.link.listen(f"{topic}_", lambda _topic, payload, _retained: heard.put(payload))
        self.eval("1")  # the subscription is there by then
        self.link.publish(topic, b"")
        try:
            return int(heard.get(timeout=boards.DEADLINE))
        except queue.Empty:
            raise Failed(f"no answer to {what}") from None
        finally:
            stop()

    def _timed(self, command):
        start = time.monotonic()
        try:
            result = command()
        except CliError as error:
            raise Failed(str(error)) from None
        return time.monotonic() - start, result


class Mqboard:
    """mqboard's engine in a Python of its own.

    Args: folder: with engine.py; python: one that has click and paho-mqtt 1.6; topic: what comes before /cmd/.
    """

    def __init__(self, folder: Path, python: Path, port: int, topic: str) -> None:
        command = [python, "-W", "ignore", HERE / "mqboard_driver.py", folder, str(port), topic]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._answer()
        end = time.monotonic() + boards.DEADLINE
        while True:  # its board may still be on its way to the broker; the first command also connects
            try:
                self.eval("1")
                return
            except Failed:
                if time.monotonic() > end:
                    self.close()
                    raise

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def put(self, file: Path, name: str) -> float:
        return float(self._do(do="put", file=str(file), name=name)["seconds"])

    def get(self, name: str, file: Path) -> float:
        return float(self._do(do="get", file=str(file), name=name)["seconds"])

    def eval(self, code: str) -> tuple[float, str]:
        answer = self._do(do="eval", code=code)
        return float(answer["seconds"]), answer["output"]

    def heap(self, what: str) -> int:
        return int(self.eval({"forget": "forget()", "most": "most"}[what])[1])

    def _do(self, **order: str) -> dict:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if answer["error"]:
            raise Failed(answer["error"])
        return answer

    def _answer(self) -> dict:
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            why = self._process.stderr.read().strip()[-500:]
            raise UserError("mqboard's engine did not start", hint=f"{why}; see docs/benchmarks.md")
        return json.loads(line)


@contextlib.contextmanager
def closing(host: Ours | Mqboard) -> Iterator[Ours | Mqboard]:
    """Close it at the end."""
    try:
        yield host
    finally:
        host.close()
