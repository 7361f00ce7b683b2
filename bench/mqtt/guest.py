"""Programs on the unix image: one process per measurement, which prints `RESULT NAME NUMBER` lines."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent / "guest"


class GuestFailed(Exception):
    """The measured program ended otherwise than with its result; the text is the last that it said."""


class Guest:
    """A running case. Use as a context manager: at the end the process is gone.

    Args:
        image: the unix image.
        client: which client: a driver in guest/, and behind a dash what it is told ("coldframe-5").
        case: what it does, a name in guest/run.py's CASES.
        port: of the server on this machine.
        options: passed on to the case.
        peers: the folder with the sources of the other projects' clients, if there is one.
        heap: bytes of heap, None for the image's own default.
    """

    def __init__(
        self,
        image: Path,
        client: str,
        case: str,
        port: int,
        options: dict[str, int | str],
        peers: Path | None = None,
        heap: str | None = None,
    ) -> None:
        path = [str(HERE)] + ([str(peers)] if peers else []) + [".frozen"]
        words = [f"{key}={value}" for key, value in options.items()]
        size = ["-X", f"heapsize={heap}"] if heap else []
        self.process = subprocess.Popen(
            [image, *size, HERE / "run.py", client, case, "127.0.0.1", str(port), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "MICROPYPATH": ":".join(path)},
        )
        self.results: dict[str, float] = {}
        self._said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, deadline: float) -> str | None:
        """The next line but results; None at the end of the program.

        Raises:
            GuestFailed: nothing came within *deadline* seconds.
        """
        end = time.monotonic() + deadline
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                said = self._said[-1] if self._said else "nothing"
                raise GuestFailed(f"no result in time; its last words: {said}") from None
            if line is None:
                return None
            if line.startswith("RESULT "):
                _, name, value = line.split()
                self.results[name] = float(value)
            else:
                self._said.append(line)
                return line

    def wait_for(self, word: str, deadline: float = 10) -> str:
        """Wait for a line that begins with *word*; returns what follows.

        Raises:
            GuestFailed: the program ended before, or it did not come within so many seconds.
        """
        end = time.monotonic() + deadline
        while True:
            line = self.line(end - time.monotonic())
            if line is None:
                raise GuestFailed(self._last_words())
            if line.split(" ", 1)[0] == word:
                return line[len(word) :].strip()

    def finish(self, result: str, deadline: float = 10) -> float:
        """Wait for the end of the program and return one of its results.

        Raises:
            GuestFailed: there is no such result, or not within so many seconds.
        """
        end = time.monotonic() + deadline
        while result not in self.results:
            if self.line(end - time.monotonic()) is None:
                break
        if result not in self.results:
            raise GuestFailed(self._last_words())
        return self.results[result]

    def _last_words(self) -> str:
        said = [line for line in self._said if line.strip()]
        return said[-1] if said else f"exit status {self.process.wait()}"

    def cpu_seconds(self) -> float:
        """CPU time that the process has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
