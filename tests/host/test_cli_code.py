"""coldframe eval, exec, run and repl on a real simulated board: output, values, errors, Ctrl-C, the line editor."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from coldframe_cli.commands import repl
from host.brokers import Mosquitto, until
from host.remoteboard import NAME, RemoteBoard


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteBoard]:
    folder = tmp_path_factory.mktemp("code")
    broker = Mosquitto(folder / "broker").start()
    board = RemoteBoard(broker, folder / "node").up()
    yield board
    board.stop()
    broker.stop()


def test_values_output_and_errors(board: RemoteBoard) -> None:
    assert board.text("eval", NAME, "6 * 7") == "42\n"
    assert board.text("eval", NAME, "None") == ""
    told = board.json("eval", NAME, "print('é🌱', end='') or [1, 'x']")
    assert told["ok"] and (told["output"], told["value"]) == ("é🌱", "[1, 'x']")
    assert board.json("exec", NAME, "x = 5\nprint(x)")["output"] == "5\n"
    assert board.text("eval", NAME, "x") == "5\n"  # what was made stays
    said = board.cli("exec", NAME, "print(1)\n1/0", code=1).stdout.decode()
    assert said.startswith("1\nTraceback") and said.endswith("ZeroDivisionError: divide by zero\n")
    told = board.json("eval", NAME, "nothing", code=1)
    assert not told["ok"] and "NameError" in told["error"] and "NameError" in told["output"]


def test_a_long_program_with_more_output_than_a_message_has_room_for(
    board: RemoteBoard, tmp_path: Path
) -> None:
    file = tmp_path / "long.py"
    file.write_text("n = 0\n" + "n += 1  # one more\n" * 3000 + "for i in range(5000): print(i, n)\n")
    assert board.text("run", NAME, file) == "".join(f"{i} 3000\n" for i in range(5000))
    file.write_text("def f():\n    raise ValueError('here')\nf()\n")
    assert 'File "long.py", line 2' in board.text("run", NAME, file, code=1)
    assert board.text("run", NAME, "-", stdin="print('from here')") == "from here\n"


def test_a_time_limit(board: RemoteBoard) -> None:
    told = board.json("exec", NAME, "print('on')\nwhile True: pass", "--limit", "0.5", code=1)
    assert told["code"] == "limit" and told["output"].startswith("on\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_code_on_the_device(board: RemoteBoard, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        board.command("exec", NAME, "print('begun')\nwhile True: pass", "--limit", "0"),
        env={**os.environ, **board.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stdout.readline() == b"begun\n"
    process.send_signal(number)
    out, said = process.communicate(timeout=20)
    assert process.returncode == code, (out, said)
    assert b"KeyboardInterrupt" in out or number != signal.SIGINT
    assert b"paho" not in said
    assert board.text("eval", NAME, "1") == "1\n"  # and it is free for the next


def test_repl_with_lines_from_a_pipe(board: RemoteBoard) -> None:
    lines = (
        "1 + 1\nfor i in range(2):\n    print(i)\n\ny = 7\ny\nimport asyncio\nawait asyncio.sleep(0)\n'end'"
    )
    assert board.text("repl", NAME, stdin=lines) == "2\n0\n1\n7\n'end'\n"


@pytest.mark.parametrize(
    ("code", "complete"),
    [
        ("1", True),
        ("x = (1,", False),
        ("x = (1,\n2)", True),
        ("if 1:", False),
        ("if 1:\n    x = 1", False),
        ("if 1:\n    x = 1\n", True),
        ("await f()", True),
        ("'''abc", False),
        ("for", True),  # wrong: the device shall say so
    ],
)
def test_what_is_complete(code: str, complete: bool) -> None:
    assert repl.is_complete(code) is complete


class Terminal:
    """The command in a terminal of its own, 100 columns wide. ``text``: what it has shown, without colours."""

    def __init__(self, board: RemoteBoard, *args: str) -> None:
        self._fd, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._process = subprocess.Popen(
            board.command(*args),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, **board.env, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
        )
        os.close(inside)
        self._raw = b""
        self._at = 0
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def text(self) -> str:
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self._raw).decode(errors="replace")

    def type(self, keys: str) -> None:
        """Type; ``expect`` looks behind what was there before."""
        self._at = len(self.text)
        os.write(self._fd, keys.encode())

    def expect(self, pattern: str) -> None:
        try:
            until(lambda: re.search(pattern, self.text[self._at :]), pattern, 30)
        except AssertionError:
            raise AssertionError(
                f"waited for {pattern!r} behind {self._at}, in vain; it shows {self._raw!r}"
            ) from None

    def end(self) -> int:
        return self._process.wait(20)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(20)

    def _read(self) -> None:
        while True:
            select.select([self._fd], [], [])
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                return
            self._raw += data


def test_repl_in_a_terminal(board: RemoteBoard, closing) -> None:
    terminal = closing(Terminal(board, "repl", NAME))
    terminal.expect(r"Coldframe .* on UNIX[^>]*>>> ?$")
    terminal.type("6 * 7\r")
    terminal.expect(r"\n42\r\n>>> ?$")
    terminal.type("for i in range(2):\r")
    terminal.expect(r"\.\.\.\s*$")  # a new line, indented
    terminal.type("print(i + 100)\r\r")
    terminal.expect(r"\n100\r\n101\r\n>>> ?$")
    terminal.type("node.nam\t")
    terminal.expect(r"(?s)nam.*e\s*$")
    terminal.type("\r")
    terminal.expect(r"\n'coldframe-.*'\r\n>>> ?$")
    terminal.type("print('run' + 'ning'); exec('while True: pass')\r")
    terminal.expect(r"\nrunning\r\n$")
    terminal.type("\x03")
    terminal.expect(r"KeyboardInterrupt[^>]*>>> ?$")
    terminal.type("thrown away\x03")
    terminal.expect(r">>> ?$")
    terminal.type("\x1b[A")  # the line before
    terminal.expect("while True")
    terminal.type("\x03")
    terminal.expect(r">>> ?$")
    terminal.type("\x04")
    assert terminal.end() == 0
    history = (board.folder / "state" / "coldframe" / "history").read_text()
    assert "6 * 7" in history and "thrown away" not in history


def test_repl_goes_on_after_a_restart_of_the_device(board: RemoteBoard, closing) -> None:
    terminal = closing(Terminal(board, "repl", NAME, "--no-history"))
    terminal.expect(r">>> ?$")
    terminal.type("1\r")
    terminal.expect(r"\n1\r\n>>> ?$")
    board.cut_power()
    board.up()
    deadline = time.monotonic() + 40
    while True:  # the first of it may be told that the session is lost
        terminal.type("'here' + ' again'\r")
        terminal.expect(r">>> ?$|\n.*\n>>> ?$")
        if "'here again'" in terminal.text or time.monotonic() > deadline:
            break
    terminal.expect("'here again'")
