"""coldframe config, params, logs, crash, reset on a real simulated board; what the shell completes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import command
from host.brokers import Mosquitto, until
from host.remoteboard import BASE, NAME, RemoteBoard

APP = """
from coldframe import log
def setup(node):
    node.param("threshold", 21.5, low=5, high=30, unit="C")
    node.param("mode", "eco", choices=("eco", "boost"))

    @node.action("./say")
    def say(payload):
        log.getLogger("app").warning("%s", payload)
"""
WIFI = {"networks": [{"ssid": "Farm", "password": "secret99"}]}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteBoard]:
    folder = tmp_path_factory.mktemp("admin")
    broker = Mosquitto(folder / "broker").start()
    board = RemoteBoard(broker, folder / "node", {"app.py": APP}, wifi=WIFI, name="Shed")
    board.world(networks=[{"ssid": "Farm", "password": "secret99"}])
    board.up()
    yield board
    board.stop()
    broker.stop()


def stored(board: RemoteBoard) -> dict:
    return json.loads(board.get("config.json"))


def test_get(board: RemoteBoard) -> None:
    told = board.json("config", "get", NAME)
    assert told["name"] == "Shed"
    assert told["wifi"]["networks"] == [{"ssid": "Farm", "password": "*****"}]
    assert told["remote"]["key"] == "*****"
    assert list(told) == ["name", "mqtt", "wifi", "remote"]  # in the order of docs/config.md
    assert json.loads(board.text("config", "get", NAME, "wifi.networks")) == told["wifi"]["networks"]
    said = board.cli("config", "get", NAME, "mqtt.keepalive")
    assert said.stdout.strip().isdigit()
    assert b"this is the default" in said.stderr
    said = board.cli("config", "get", NAME, "mqtt.nonsense", code=1)
    assert b"error: config: mqtt.nonsense: there is no such key" in said.stderr


def test_set_and_validate(board: RemoteBoard) -> None:
    said = board.cli("config", "set", NAME, "log.level=debug", "sysinfo.every=700", "mqtt.user=me")
    assert (said.stdout, b"coldframe reset bench" in said.stderr) == (b"saved\n", True)
    assert stored(board)["sysinfo"] == {"every": 700}
    assert "nothing changed" in board.text("config", "set", NAME, "sysinfo.every=700")
    board.cli("config", "set", NAME, "sysinfo=null", "mqtt.user=null")
    assert "sysinfo" not in stored(board) and "user" not in stored(board)["mqtt"]
    before = board.get("config.json")
    said = board.cli("config", "set", NAME, "mqtt.prot=1", code=1)
    assert b"error: mqtt.prot: unknown key, did you mean mqtt.port?" in said.stderr
    assert b"expected PATH=VALUE" in board.cli("config", "set", NAME, "mqtt.port", code=2).stderr
    told = board.json("config", "validate", NAME, "mqtt.port=70000", "x=1", code=1)
    assert told["texts"] == ["mqtt.port: expected 1 to 65535, got 70000", "x: unknown key"]
    assert board.text("config", "validate", NAME) == "no mistakes\n"
    assert board.get("config.json") == before


def test_a_whole_file_that_is_longer_than_a_message(board: RemoteBoard, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    networks = [{"ssid": f"Network {i}", "password": f"a long password {i:030}"} for i in range(60)]
    config = {
        **json.loads(board.text("config", "get", NAME)),
        "wifi": {"networks": [*WIFI["networks"], *networks]},
    }
    file.write_text(json.dumps(config))
    assert file.stat().st_size > 4000
    assert board.text("config", "validate", NAME, "--file", file) == "no mistakes\n"
    config["mqtt"]["keepalive"] = 1
    file.write_text(json.dumps(config))
    said = board.text("config", "validate", NAME, "--file", file, code=1)
    assert "mqtt.keepalive: expected 5 to 65535, got 1" in said
    said = board.cli("config", "apply", NAME, "--file", file, code=1)
    assert b"mqtt.keepalive: expected 5" in said.stderr
    assert not (board.flash / "config.new").exists()  # it would hold passwords that can be read
    file.write_text('{"name": }')
    assert b"not JSON, line 1" in board.cli("config", "apply", NAME, "--file", file, code=2).stderr
    file.write_text('{"mqtt": {"keepalive": 1}}')
    assert b"mqtt.keepalive: expected" in board.cli("config", "check", file, code=2).stderr


def test_apply_keeps_what_works_and_takes_back_what_does_not(board: RemoteBoard) -> None:
    board.world(speed=5)
    try:
        said = board.cli("config", "apply", NAME, "sysinfo.every=900")
        assert said.stdout.startswith(b"kept: bench has reached its broker")
        assert stored(board)["sysinfo"] == {"every": 900}
        said = board.cli("config", "apply", NAME, "mqtt.port=1", "--trial", "15", code=1)
        assert re.search(
            rb"error: bench: the new settings were taken back: .*broker was not reached", said.stderr
        )
        assert stored(board)["mqtt"]["port"] == board.broker.port
        assert "nothing changed" in board.text("config", "apply", NAME, "sysinfo.every=900")
    finally:
        board.world(speed=None)


def test_edit(board: RemoteBoard, tmp_path: Path) -> None:
    """An editor that looks whether others can read the file, makes a mistake, and mends it when asked again."""
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import json, os, sys\n"
        "path = sys.argv[1]\n"
        "assert os.stat(os.path.dirname(path)).st_mode & 0o77 == 0\n"
        "data = json.load(open(path))\n"
        "assert data['remote']['key'] == '*****'\n"
        "data['log'] = {'level': 'WARNING'} if data.get('log') == {'level': 'LOUD'} else {'level': 'LOUD'}\n"
        "data['wifi']['networks'].append({'ssid': 'Café', 'password': 'another one'})\n"
        "json.dump(data, open(path, 'w'))\n"
    )
    kept = stored(board)["remote"]["key"]
    words = f"{sys.executable} {editor}"
    said = board.cli("config", "edit", NAME, "--no-trial", stdin="y\n", EDITOR=words, VISUAL="")
    assert b"log.level: expected one of DEBUG, INFO" in said.stderr
    assert said.stdout.strip().startswith(b"saved")
    now = stored(board)
    assert now["log"] == {"level": "WARNING"}
    assert [network["ssid"] for network in now["wifi"]["networks"]] == ["Farm", "Café", "Café"]
    assert now["remote"]["key"] == kept  # the stars have left it alone
    assert all(network["password"].startswith("enc:") for network in now["wifi"]["networks"])
    assert "nothing changed" in board.text("config", "edit", NAME, EDITOR="true", VISUAL="")
    said = board.cli("config", "edit", NAME, EDITOR="no-such-editor-here", VISUAL="", code=2)
    assert b"set EDITOR" in said.stderr


def test_params(board: RemoteBoard) -> None:
    board.cli("params", "set", NAME, "threshold=22", "mode=boost")
    assert board.json("params", "get", NAME, "threshold", "mode") == {"threshold": 22, "mode": "boost"}
    listed = board.text("params", "list", NAME)
    assert re.search(r"^threshold +22(\.0)? +C +float +5 to 30 +21\.5 *$", listed, re.M), listed
    assert re.search(r"^mode +boost +choice +eco, boost +eco *$", listed, re.M), listed
    said = board.cli("params", "set", NAME, "threshold=99", "mode=eco", code=1)
    assert b"threshold: expected a number from 5 to 30" in said.stderr
    assert board.json("params", "get", NAME, "mode") == {"mode": "boost"}  # all or none
    board.cli("params", "drop", NAME, "threshold", "mode")
    assert board.json("params", "get", NAME, "threshold", "mode") == {"threshold": 21.5, "mode": "eco"}
    assert b"expected NAME=VALUE" in board.cli("params", "set", NAME, "threshold", code=2).stderr


def test_logs_out_of_the_ring(board: RemoteBoard) -> None:
    with board.session() as session:
        for text in ("first", "second", "\x1b[31mthird"):
            session.link.publish(f"{BASE}/say", text.encode()).wait_for_publish(10)
    until(lambda: "third" in board.text("logs", NAME), "the line in the ring")
    text = board.text("logs", NAME, "--level", "warning")
    rows = [row for row in text.splitlines() if " app: " in row]
    assert [row.partition("WARNING  app: ")[2] for row in rows] == ["first", "second", "?[31mthird"]
    told = [json.loads(row) for row in board.text("logs", NAME, "-l", "warning", "--json").splitlines()]
    mine = [row for row in told if row.get("logger") == "app"]
    assert [row["text"] for row in mine] == ["first", "second", "\x1b[31mthird"]
    since = board.text("logs", NAME, "--since", mine[1]["seq"], "-l", "WARNING", "--numbers")
    assert "second" in since and "first" not in since
    assert re.search(rf"^ *{mine[1]['seq']} ", since, re.M)
    newest = board.json("logs", NAME, "-n", 1)
    assert (newest["logger"], newest["level"]) == ("remote", "INFO")
    assert b"expected one of DEBUG" in board.cli("logs", NAME, "--level", "loud", code=2).stderr


def test_logs_that_follow(board: RemoteBoard) -> None:
    process = subprocess.Popen(
        board.command("logs", NAME, "--follow", "-n", "1"),
        env={**command.environment(board.folder), **board.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        process.stdout.readline()  # the newest line of before: it listens now
        with board.session() as session:
            session.link.publish(f"{BASE}/say", b"while you look").wait_for_publish(10)
        while "while you look" not in (line := process.stdout.readline()):
            assert line, "it ended"
        board.cli("reset", NAME)  # it goes on after a restart, and shows no line twice
        with board.session() as session:
            session.link.publish(f"{BASE}/say", b"after the restart").wait_for_publish(10)
        rows = []
        while "after the restart" not in (line := process.stdout.readline()):
            assert line, rows
            rows.append(line)
        assert any("startup: start number" in row for row in rows), rows
        assert not any("while you look" in row for row in rows)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()


def test_reset_and_crash(board: RemoteBoard) -> None:
    assert board.text("crash", NAME) == "no crash is known\n"
    said = board.text("reset", NAME)
    assert re.fullmatch(r"bench is there again after \d+\.\d s\n", said)
    assert board.reset_cause() == "hard"
    assert board.json("reset", NAME, "--mode", "safe")["mode"] == "safe"
    assert board.json("info", NAME)["safe"] is True
    board.cli("reset", NAME, "--mode", "normal")
    assert board.json("info", NAME)["safe"] is False
    board.cli("reset", NAME, "--mode", "soft")
    assert board.reset_cause() == "soft"
    assert b"Invalid value for '--mode'" in board.cli("reset", NAME, "--mode", "nice", code=2).stderr
    board.put("main.py", "import coldframe\nraise ValueError('no main')\n")
    board.cli("reset", NAME)
    told = board.json("crash", NAME)
    assert "no main" in told["crash"]["traceback"]
    text = board.text("crash", NAME)
    assert "ValueError: no main" in text and "Last lines of the log:" in text
    board.cli("crash", NAME, "--clear")
    assert board.text("crash", NAME) == "no crash is known\n"


def test_the_shell_completes(board: RemoteBoard) -> None:
    board.cli("ls")  # which keeps the names
    env = {**command.environment(board.folder), **board.env}

    def tab(line: str, shell: str = "bash") -> list[str]:
        words = line.split(" ")
        asked = {
            "_COLDFRAME_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        done = subprocess.run(
            command.words(), env={**env, **asked}, capture_output=True, text=True, timeout=60
        )
        return done.stdout.split()

    assert {"logs", "ls"} <= set(tab("coldframe l"))
    assert tab("coldframe config ap") == ["apply"]
    assert tab("coldframe reset S") == ["Shed"]
    kept = board.folder / "cache" / "coldframe" / "devices.json"
    assert json.loads(kept.read_text()) == ["Shed"]
    kept.write_text("{")
    assert tab("coldframe reset S") == []
    # Not the shell that the tests happen to run in, which may be one without completion, such as make's.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    assert "_COLDFRAME_COMPLETE" in board.text("--show-completion", "zsh", **named)
