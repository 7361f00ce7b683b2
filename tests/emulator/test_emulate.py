"""scripts/emulate.py as a person uses it: options, terminal, signals, messages."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from host.brokers import Mosquitto, Peer, free_port

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "emulate.py"
DEADLINE = 120.0


def run(*arguments: object, **more) -> subprocess.CompletedProcess[str]:
    """Run it to its end, without a terminal."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, **more
    )


class Running:
    """It at work, its output readable with a deadline."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self.text = ""
        self._output = output

    def wait_for(self, text: str) -> None:
        """Wait until *text* has been written."""
        end = time.monotonic() + DEADLINE
        while text not in self.text:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come; output so far:\n{self.text}"
            if select.select([self._output], [], [], left)[0]:
                try:
                    data = os.read(self._output, 4096)
                except OSError:  # a terminal whose other side is closed
                    data = b""
                assert data, f"it ended without {text!r}; output:\n{self.text}"
                self.text += data.decode(errors="replace")

    def end(self) -> int:
        """Wait for its end; returns the exit status."""
        return self.process.wait(DEADLINE)


@contextlib.contextmanager
def running(*arguments: object, terminal: bool = False) -> Iterator[Running]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    if terminal:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    else:
        ours, theirs = os.pipe()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield Running(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A board's folder in which the user's program is in charge."""
    folder = tmp_path / "flash"
    folder.mkdir()
    (folder / "main.py").write_text("print('ready')\n")
    return folder


def test_exec_once_prints_the_output_only(image, folder):
    code = "f = open('new', 'w'); print(f.write('x' * 9)); f.close()"
    done = run(image, "--flash", folder, "--once", "--exec", code)
    assert (done.returncode, done.stdout) == (0, "9\n")
    assert (folder / "new").read_text() == "x" * 9


def test_exception_in_exec_is_shown_and_is_a_failure(image):
    done = run(image, "--once", "--exec", "print(1); nothing")
    assert done.returncode == 1
    assert "NameError: name 'nothing' isn't defined" in done.stderr


def test_console_is_shown_and_sigterm_saves_the_files(image, folder):
    (folder / "main.py").write_text(
        "open('made', 'w').close()\nprint('rea' + 'dy')\nimport time; time.sleep(999)\n"
    )
    with running(image, "--flash", folder) as it:
        it.wait_for("ready")
        it.process.send_signal(signal.SIGTERM)
        assert it.end() == 0
    assert (folder / "made").is_file()


def test_files_come_back_while_it_runs(image, folder):
    with running(
        image, "--flash", folder, "--exec", "open('early', 'w').close(); print('writ' + 'ten')"
    ) as it:
        it.wait_for("written")
        end = time.monotonic() + DEADLINE
        while not (folder / "early").exists():
            assert time.monotonic() < end
            assert it.process.poll() is None
            time.sleep(0.05)
        it.process.send_signal(signal.SIGINT)
        assert it.end() == 0


def test_keys_go_to_the_board_and_ctrl_x_leaves(image, folder):
    with running(image, "--flash", folder, "--repl", terminal=True) as it:
        it.wait_for(">>> ")
        os.write(it._output, b"print(6 * 7, 'typed')\r")
        it.wait_for("42 typed")
        os.write(it._output, b"while True: pass\r\r")
        it.wait_for("...")
        os.write(it._output, b"\x03")  # for the board, not for the script
        it.wait_for("KeyboardInterrupt")
        os.write(it._output, b"\x18")
        assert it.end() == 0


def test_broker_that_is_not_there_is_named_and_tried_again(image, tmp_path):
    folder = tmp_path / "flash"
    folder.mkdir()
    mqtt = {"serial": {"uart": 0, "baud": 115200, "tx": 0, "rx": 1}, "base": "late"}
    (folder / "config.json").write_text(json.dumps({"mqtt": mqtt}))
    broker = Mosquitto(tmp_path / "broker")
    with running(image, "--flash", folder, "--bridge", f"127.0.0.1:{broker.port}") as it:
        it.wait_for(f"127.0.0.1:{broker.port}")
        assert "refused" in it.text
        broker.start()
        try:
            peer = Peer(broker.port, ["late/#"])
            peer.wait_for("late/available", "online", DEADLINE)
            peer.close()
        finally:
            it.process.send_signal(signal.SIGTERM)
            assert it.end() == 0
            broker.stop()


def test_once_ends_after_the_first_exchange(image, tmp_path):
    folder = tmp_path / "flash"
    folder.mkdir()
    mqtt = {"serial": {"uart": 0, "baud": 115200, "tx": 0, "rx": 1}}
    (folder / "config.json").write_text(json.dumps({"mqtt": mqtt}))
    broker = Mosquitto(tmp_path / "broker").start()
    try:
        done = run(image, "--flash", folder, "--bridge", f"127.0.0.1:{broker.port}", "--once")
        assert done.returncode == 0, done.stderr
    finally:
        broker.stop()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bridge", "here"], "error: --bridge: got 'here'; expected HOST:PORT"),
        (["--bridge", "here:99999"], "error: --bridge: got 'here:99999'"),
        (["--unique-id", "12"], "error: unique id: got '12'; expected 16 hexadecimal digits"),
        (["--board", "RPI_PICKO"], "error: unknown board 'RPI_PICKO'"),
        (["--board", "UNIX"], "error: UNIX cannot be emulated"),
        (["--once"], "error: --once needs something to wait for"),
    ],
)
def test_wrong_options_end_in_one_message(image, arguments, message):
    done = run(image, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_image_that_is_not_there_ends_in_one_message(tmp_path):
    done = run(tmp_path / "none.uf2")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'none.uf2'}: No such file or directory")


def test_folder_that_is_a_file_ends_in_one_message(image, tmp_path):
    (tmp_path / "file").touch()
    done = run(image, "--flash", tmp_path / "file")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'file'}: ")


def test_deadline_ends_in_one_message(image, folder):
    done = run(image, "--flash", folder, "--once", "--deadline", "1", "--exec", "while True: pass")
    assert done.returncode == 2
    assert "the code to end: not within" in done.stderr
    assert "Traceback" not in done.stderr


def test_bridge_port_that_nobody_listens_on_does_not_stop_the_board(image, folder):
    done = run(
        image, "--flash", folder, "--bridge", f"127.0.0.1:{free_port()}", "--once", "--exec", "print(1)"
    )
    assert (done.returncode, done.stdout) == (0, "1\n")
