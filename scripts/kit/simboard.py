"""One simulated board: the unix image as a process, with its console, its folder and its scripted world.

    with SimBoard(image, folder) as board:
        board.put("main.py", "print('hello')")
        board.start()
        board.wait_for("hello", 5)
        board.world(pins={"5": 1})
        board.wait_state({"pin.6": 0}, 5)

docs/simulator.md describes what the world can hold and what the state shows.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from kit.ui import UserError

CAUSES = {1: "power", 2: "hard", 3: "watchdog", 4: "deepsleep", 5: "soft"}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def _holds(wanted: Mapping[str, Any] | Callable[[dict[str, Any]], bool], state: dict[str, Any]) -> bool:
    if callable(wanted):
        return wanted(state)
    return all(state.get(key) == value for key, value in wanted.items())


def _take_console() -> None:
    # The console becomes the controlling terminal, so that Ctrl-C on it interrupts the board; but not the program
    # that is only about to become one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class SimBoard:
    """A simulated board.

    Args:
        image: the unix image (dist/coldframe-UNIX-VERSION).
        folder: the node's folder; made if it does not exist. Two boards must not share one.
        heap: heap of the board as MicroPython's -X heapsize takes it, e.g. "38k"; None: the image's own.
        unique_id: the chip's id, 16 hexadecimal digits, for a new folder; None: a random one.
        options: further options of `-m simboard`, e.g. ("--lfs", "flash.img").
        on_line: called with every line of the console, without its end, from another thread.
        on_bytes: called with the bytes that come from the console, as they are, from that thread too.

    Raises:
        UserError: the image does not exist or is not a program.
    """

    def __init__(
        self,
        image: Path | str,
        folder: Path | str,
        *,
        heap: str | None = None,
        unique_id: str | None = None,
        options: Sequence[str] = (),
        on_line: Callable[[str], None] | None = None,
        on_bytes: Callable[[bytes], None] | None = None,
    ) -> None:
        self.image = Path(image).resolve()
        if not os.access(self.image, os.X_OK) or not self.image.is_file():
            raise UserError(
                "no simulated board there",
                where=self.image,
                expected="the unix image, an executable program",
                hint="python3 scripts/build.py UNIX",
            )
        self.folder = Path(folder).resolve()
        self.flash = self.folder / "flash"
        self.sim = self.folder / "sim"
        self.flash.mkdir(parents=True, exist_ok=True)
        self.sim.mkdir(exist_ok=True)
        self._command = [str(self.image)]
        if heap is not None:
            self._command += ["-X", f"heapsize={heap}"]
        self._command += ["-m", "simboard", str(self.folder), *options]
        if unique_id is not None:
            self._command += ["--id", unique_id]
        self._on_line = on_line
        self._on_bytes = on_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._group: int | None = None
        self._master = -1
        self._reader: threading.Thread | None = None
        self._text = ""
        self._read_to = 0
        self._news = threading.Condition()
        self._world: dict[str, Any] = {}
        self._serial = 0

    def __enter__(self) -> SimBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- files ----

    def put(self, name: str, content: str | bytes | Mapping[str, Any]) -> None:
        """Write a file to the board's flash; a mapping is written as JSON."""
        path = self.flash / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Mapping):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def get(self, name: str) -> bytes:
        """Read a file of the board's flash. Raises FileNotFoundError."""
        return (self.flash / name.lstrip("/")).read_bytes()

    # ---- power ----

    @property
    def running(self) -> bool:
        """Whether the board has power."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id; the same over all resets, another one after power-off."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Switch the power on. Does not wait for anything; see wait_for and wait_state."""
        if self.running:
            return
        self._end_group()
        with contextlib.suppress(FileNotFoundError):
            (self.sim / "state.json").unlink()
        self._master, slave = pty.openpty()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_take_console,
            )
        finally:
            os.close(slave)
        self._group = self._process.pid
        self._reader = threading.Thread(
            target=self._read, args=(self._master,), name=f"console of {self.folder.name}", daemon=True
        )
        self._reader.start()

    def stop(self) -> None:
        """Switch the power off and clean up. The peers of its connections see them end. Safe to call twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._end_group()

    def cut_power(self) -> None:
        """Switch the power off so that its peers see only silence, as when a real board loses its battery.

        Its connections end when the board is started again or stopped, or after 5 minutes.
        """
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGUSR2)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"{self.folder.name}: did not take the power cut within 5 s") from None

    def _end_group(self) -> None:
        # What is left of the process group: the holder of the connections of a board whose power was cut.
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
            self._group = None
        if self._reader is not None:
            self._reader.join(5)
            self._reader = None
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    # ---- console ----

    @property
    def console(self) -> str:
        """All that the board has printed since it was made, over all its lives."""
        with self._news:
            return self._text

    def _read(self, master: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        line = ""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # EIO: nobody has the other end any more
                data = b""
            if not data:
                break
            if self._on_bytes:
                self._on_bytes(data)
            text = _ESCAPES.sub("", decoder.decode(data)).replace("\r\n", "\n")
            with self._news:
                # A line's end may have been cut in two by the read.
                if text.startswith("\n") and self._text.endswith("\r"):
                    self._text = self._text[:-1]
                self._text += text
                self._news.notify_all()
            if self._on_line:
                *lines, line = (line + text).split("\n")
                for whole in lines:
                    self._on_line(whole.rstrip("\r"))
        with self._news:
            self._news.notify_all()

    def wait_for(self, pattern: str | re.Pattern[str], deadline: float = 10.0) -> re.Match[str]:
        """Wait until the console shows something that was not yet waited for.

        Args:
            pattern: a text, or a compiled regular expression.
            deadline: seconds.

        Returns:
            The match. The next call looks behind it.

        Raises:
            TimeoutError: it did not come in time, or the board ended; with the console's last lines.
        """
        wanted = pattern if isinstance(pattern, re.Pattern) else re.compile(re.escape(pattern))
        end = time.monotonic() + deadline
        with self._news:
            while True:
                match = wanted.search(self._text, self._read_to)
                if match:
                    self._read_to = match.end()
                    return match
                dead = self._reader is None or not self._reader.is_alive()
                left = end - time.monotonic()
                if left <= 0 or dead:
                    why = "the board ended" if dead else f"nothing within {deadline:g} s"
                    shown = self._text[self._read_to :][-2000:]
                    raise TimeoutError(
                        f"{self.folder.name}: waited for {wanted.pattern!r}, {why}; console:\n{shown}"
                    )
                self._news.wait(min(left, 0.5))

    def send(self, text: str | bytes) -> None:
        """Type on the console."""
        data = text.encode() if isinstance(text, str) else text
        while data:
            data = data[os.write(self._master, data) :]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.send(b"\x03")

    def repl(self, code: str, deadline: float = 10.0) -> str:
        """Run code in the raw REPL (a running program is interrupted) and return what it printed.

        Raises:
            RuntimeError: the code raised; with its traceback.
            TimeoutError: no answer in time.
        """
        end = time.monotonic() + deadline

        def left() -> float:
            return max(0.0, end - time.monotonic())

        # A Ctrl-C may fall between two programs, when nobody listens; so repeat until there is an answer.
        while True:
            self.send(b"\r\x03\x03\r\x01")
            try:
                self.wait_for(re.compile(r"raw REPL; CTRL-B to exit\s+>"), min(1.0, left()))
                break
            except TimeoutError:
                if left() <= 0 or not self.running:
                    raise
        self.send(code.encode() + b"\x04")
        match = self.wait_for(re.compile(r"OK(.*?)\x04(.*?)\x04>", re.DOTALL), left())
        self.send(b"\x02")
        if match[2].strip():
            raise RuntimeError(match[2].strip())
        return match[1]

    # ---- the world ----

    def world(self, *, deadline: float = 10.0, **sections: Any) -> None:
        """Change sections of the board's world (None removes one) and wait until the board has seen it.

        Args:
            deadline: seconds to wait for a running board.
            sections: e.g. pins={"5": 1}, networks=[...], outage=True; see docs/simulator.md.

        Raises:
            TimeoutError: the board did not take it, e.g. because a section is wrong; with its own words.
        """
        for name, value in sections.items():
            if value is None:
                self._world.pop(name, None)
            else:
                self._world[name] = value
        self._serial += 1
        self._world["serial"] = self._serial
        path = self.sim / "world.json"
        temp = path.with_suffix(".new")
        temp.write_text(json.dumps(self._world, indent=1, ensure_ascii=False), encoding="utf-8")
        temp.replace(path)
        if self.running:
            self.wait_state({"world": self._serial}, deadline)

    def state(self) -> dict[str, Any]:
        """What the board shows: pin levels, PWM, radio, ...; empty before it has started."""
        try:
            return dict(json.loads((self.sim / "state.json").read_text()))
        except FileNotFoundError:
            return {}

    def wait_state(
        self, wanted: Mapping[str, Any] | Callable[[dict[str, Any]], bool], deadline: float = 10.0
    ) -> dict[str, Any]:
        """Wait for a state.

        Args:
            wanted: keys and their values, or a function of the state that says whether it is the one.
            deadline: seconds.

        Returns:
            The state.

        Raises:
            TimeoutError: it did not come in time, or the board ended; with the state as it is.
        """
        end = time.monotonic() + deadline
        while True:
            alive = self.running
            state = self.state()
            if _holds(wanted, state):
                return state
            if time.monotonic() > end or not alive:
                what = "a state" if callable(wanted) else repr(dict(wanted))
                why = f"not within {deadline:g} s" if alive else "the board has ended"
                raise TimeoutError(f"{self.folder.name}: waited for {what}, {why}; state: {state}")
            time.sleep(0.005)

    def reset_cause(self) -> str:
        """Why the board last started: "power", "hard", "watchdog", "deepsleep" or "soft"; "" before it has."""
        return CAUSES.get(self.state().get("cause", 0), "")
