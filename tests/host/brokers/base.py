"""What all brokers of the tests have in common: a folder, a port, a process."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self

DEADLINE = 20.0  # s, for anything that happens at once on a machine that is not overloaded
_START_DEADLINE = 90.0  # s; RabbitMQ needs some 6 s of a core that it has for itself


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Wait until ``condition()`` is true; AssertionError naming ``what`` after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"waited {deadline} s in vain for {what}"
        time.sleep(0.01)


class Broker:
    """A broker of its own in a folder; the port stays the same when it is started again.

    What it remembers of sessions and retained messages outlives stop() and start(), and crash() and start(),
    unless ``cannot`` says otherwise; kill() makes it forget all.
    """

    name: ClassVar[str]
    #: What it does not do (a word that the tests use -> the reason).
    cannot: ClassVar[Mapping[str, str]] = {}
    #: User name and password, where it remembers nothing for clients without.
    login: ClassVar[tuple[str, str] | None] = None
    #: Sent to the process to end it in an orderly way.
    end_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, wait: bool = True) -> Self:
        """Start it, and return once it takes connections, or at once and wait_ready() is called later."""
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it takes connections."""
        try:
            until(self._listening, f"{self.name} to listen; see {self.folder}", _START_DEADLINE)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """End it in an orderly way: it keeps its sessions."""
        self._end(self.end_signal)

    def crash(self) -> None:
        """End it as a crash does; what it has on the disk stays there."""
        self._end(signal.SIGKILL)

    def kill(self) -> None:
        """End it as a crash does, all of its state lost."""
        self.crash()
        for path in self._state():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """End it and all that belongs to it; for the end of a test."""
        self.crash()

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "output.log").read_text(errors="replace")

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str] | None:
        return None

    def _state(self) -> list[Path]:
        """The files and folders that hold what it remembers."""
        raise NotImplementedError

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(3 * DEADLINE)
            self._process = None

    def _listening(self) -> bool:
        ended = self._process is None or self._process.poll() is not None
        assert not ended, f"{self.name} has ended; it said:\n{self.log[-2000:]}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
