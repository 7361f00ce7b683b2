"""scripts/simulate.py: twenty nodes at a real broker, and its one clear message for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from host.simboards import image
from kit import host
from kit.broker import Mosquitto

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60


def simulate(*args: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "simulate.py"),
        *map(str, args),
        "--image",
        str(image()),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)


def processes(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"simboard" in command and str(folder).encode() in command:
                found.append(int(entry.name))
    return found


def test_twenty_nodes_come_up_each_with_its_own_flash_and_leave_nothing(tmp_path: Path) -> None:
    done = simulate("-n", 20, "--once", "--deadline", 40, "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "20 of 20 nodes online" in done.stdout
    names = [f"sim-{i:02}" for i in range(1, 21)]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    ids = {(tmp_path / name / "sim" / "unique_id").read_text().strip() for name in names}
    assert len(ids) == 20
    for name in names:
        assert json.loads((tmp_path / name / "flash" / "config.json").read_text())["name"] == name
    assert processes(tmp_path) == []


def test_a_kept_folder_is_the_same_boards_again(tmp_path: Path) -> None:
    with Mosquitto(port=None) as broker:
        for boots in (1, 2):
            done = simulate("-n", 2, "--once", "--dir", tmp_path, "--broker", f"127.0.0.1:{broker.port}")
            assert done.returncode == 0, done.stderr
            state = json.loads((tmp_path / "sim-01" / "sim" / "state.json").read_text())
            assert state["boots"] == boots


def test_config_and_app_are_given_to_every_node(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"mqtt": {"base": "farm/{name}"}}')
    app = tmp_path / "app.py"
    app.write_text(
        "from coldframe import Topic\n"
        "def setup(node):\n"
        "    node.add(Topic('./answer', read=lambda: node.name + ' says 42', every=1, retain=True))\n"
    )
    listen = host.ensure({"mosquitto_sub": "mosquitto-clients"}, "this test")["mosquitto_sub"]
    with Mosquitto(port=None) as broker:
        subscriber = subprocess.Popen(
            [listen, "-p", str(broker.port), "-t", "farm/+/answer", "-C", "2", "-W", str(DEADLINE)],
            stdout=subprocess.PIPE,
            text=True,
        )
        node = subprocess.Popen(
            [
                sys.executable, ROOT / "scripts" / "simulate.py", "-n", "1", "--image", image(),
                "--broker", f"127.0.0.1:{broker.port}", "--config", config, "--app", app,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            heard, _ = subscriber.communicate(timeout=DEADLINE)
            assert heard.splitlines() == ["sim-01 says 42"] * 2
        finally:
            node.send_signal(signal.SIGINT)
            assert node.wait(DEADLINE) == 0
            if node.stdout:
                node.stdout.close()


def test_ctrl_c_ends_all_of_them(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "simulate.py", "-n", "3", "--image", image(), "--dir", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if line.startswith("3 of 3"):
                break
        assert len(processes(tmp_path)) == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
        assert "stopping 3 nodes" in process.stderr.read()
    assert processes(tmp_path) == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-n", "0"], ["-n: got 0", "1 to 500"]),
        (["--broker", "there:no"], ["--broker", "HOST:PORT"]),
        (["--config", "/nowhere.json"], ["/nowhere.json", "config.json"]),
        (["--app", "/nowhere.py"], ["/nowhere.py", "setup(node)"]),
        (["--broker", "127.0.0.1:1"], ["broker 127.0.0.1:1", "cannot reach it"]),
    ],
)
def test_mistakes_end_with_one_message(args: list[str], words: list[str]) -> None:
    done = simulate(*args, "--once")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_nodes_that_do_not_come_up_are_named(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    app = tmp_path / "app.py"
    app.write_text("import machine\nmachine.bootloader()\n")  # switches the board off
    start = time.monotonic()
    done = simulate("-n", 1, "--once", "--deadline", 3, "--config", config, "--app", app)
    assert done.returncode == 2, done.stdout
    assert "1 of 1 nodes are not online" in done.stderr
    assert "sim-01 (ended)" in done.stderr
    assert time.monotonic() - start < DEADLINE / 2
