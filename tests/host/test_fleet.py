"""Many devices at once, by the command `coldframe`: 500 simulated boards, and what happens to those that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import typer
from coldframe_cli import transfer
from coldframe_cli.app import app
from coldframe_cli.errors import CliError
from coldframe_cli.fleet import Selection, Target, find
from coldframe_cli.fleet import run as run_many
from host.brokers import Peer, until
from host.fleetboards import FleetBoards, coldframe, environment, link, profile, session

MANY = 500
ATTEMPTS = 3  # at a time that other tests on the same machine may spoil


@pytest.fixture
def few(broker, tmp_path, closing):
    """Six nodes; `few.run(...)` is the command."""
    fleet = closing(FleetBoards(tmp_path / "boards", 6, [broker.port]))
    fleet.start()
    fleet.run = lambda *args, **more: coldframe(tmp_path / "home", [broker.port], *args, **more)
    return fleet


def rows(result) -> dict[str, dict]:
    """What --json has told, by the devices' names."""
    return {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}


def test_500_boards(broker, tmp_path, closing):
    fleet = closing(FleetBoards(tmp_path / "boards", MANY, [broker.port]))
    fleet.start(240)
    names = {board.folder.name for board in fleet.boards}
    took = []
    for _ in range(ATTEMPTS):
        begun = time.monotonic()
        listed = coldframe(tmp_path / "home", [broker.port], "ls", "--json")
        took.append(time.monotonic() - begun)
        assert listed.returncode == 0, listed.stderr
        if took[-1] < 5:
            break
    assert {name for name, device in rows(listed).items() if device["state"] == "online"} == names
    assert min(took) < 5, f"coldframe ls took {took} s"

    data = os.urandom(20 * 1024)
    (tmp_path / "file.bin").write_bytes(data)
    source = str(tmp_path / "file.bin")
    begun = time.monotonic()
    put = coldframe(tmp_path / "home", [broker.port], "fs", "put", source, "/file.bin", "--all", "--json")
    put_took = time.monotonic() - begun
    assert put.returncode == 0, put.stdout[-2000:] + put.stderr
    done = rows(put)
    assert set(done) == names
    assert [board.folder.name for board in fleet.boards if board.get("file.bin") != data] == []
    assert all(board.running and "Traceback" not in board.console for board in fleet.boards)
    print(f"{MANY} boards: ls {min(took):.1f} s, 20 KiB put to all of them in {put_took:.1f} s")


def test_selectors(few, broker):
    tags = {"roof": ["node-001", "node-00[45]"], "shed": ["no-*"]}
    mine = replace(profile(broker.port), tags=tags)
    over = link(broker.port)
    for selection, expected in (
        (Selection(everything=True), "012345"),
        (Selection(names=("node-00[12]", "node-005")), "125"),
        (Selection(names=(few.base(3).rpartition("/")[2],)), "3"),
        (Selection(tags=("roof",)), "145"),
        (Selection(tags=("roof", "shed"), names=("*[12345]",)), "145"),
        (Selection(boards=("unix", "esp*")), "012345"),
    ):
        found = find(selection, over, mine)
        assert [t.name for t in found] == [f"node-00{i}" for i in expected], selection
    for selection, said in (
        (Selection(tags=("garden",)), "it has: roof, shed"),
        (Selection(tags=("shed",)), "--tag shed: no such device; 6 found"),
        (Selection(boards=("ESP*",)), "no such device"),
    ):
        with pytest.raises(CliError, match=said):
            find(selection, over, mine)
    over.close()


def test_selectors_of_a_command(few, tmp_path):
    table = few.run("ping", "--all")
    assert table.returncode == 0, table
    names = sorted(board.folder.name for board in few.boards)
    assert [line.split()[:2] for line in table.stdout.splitlines()[1:]] == [[n, "ms"] for n in names]
    # A pattern as the device means the same as --name.
    assert set(rows(few.run("ping", "node-00[01]", "--json"))) == {"node-000", "node-001"}
    config = tmp_path / "home" / ".config" / "coldframe" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[profiles.default]\ntags = { roof = ["node-001", "node-00[45]"] }\n')
    assert set(rows(few.run("--json", "ping", "--tag=roof"))) == {"node-001", "node-004", "node-005"}
    # What is fetched goes into a folder for each.
    assert few.run("fs", "get", "--name=node-00[01]", "/config.json", "out").returncode == 0
    got = {
        str(f.relative_to(tmp_path / "home")): f.read_bytes() for f in (tmp_path / "home/out").rglob("*.json")
    }
    assert got == {f"out/node-00{i}/config.json": few.boards[i].get("config.json") for i in range(2)}


ALONE = {"repl", "edit", "logs"}  # commands for one device only


def test_every_command_about_a_device_takes_them(few, tmp_path):
    found = {}

    def look(command) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            look(inner)
            first = next((p.name for p in inner.params if p.param_type_name == "argument"), None)
            if first == "device":
                found[name] = {flag for p in inner.params for flag in p.opts}

    look(typer.main.get_command(app))
    assert {"eval", "put", "set", "sync", "reset", "info", "drop"} <= set(found)
    wanted = {"--all", "--name", "--board", "--tag", "--failed", "--jobs"}
    assert {name for name, flags in found.items() if not wanted <= flags} == ALONE
    # Some that are unlike each other.
    names = {board.folder.name for board in few.boards}
    (tmp_path / "home" / "project").mkdir(parents=True)
    (tmp_path / "home" / "project" / "lib.py").write_text("x = 1\n")
    for command in (
        ("sync", "project"),
        ("config", "set", "sysinfo.every=60"),
        ("config", "get", "sysinfo.every"),
    ):
        done = few.run(*command, "--all", "--json")
        assert (done.returncode, set(rows(done))) == (0, names), (command, done.stdout, done.stderr)
    assert [row["result"] for row in rows(done).values()] == [60] * 6
    assert all(board.get("lib.py") == b"x = 1\n" for board in few.boards)


def test_those_that_failed_are_done_later(few):
    assert (
        few.run("ping", "--all").returncode == 0
    )  # now their names are known, also of those that are offline later
    few.boards[1].stop()
    few.boards[4].stop()
    put = few.run("fs", "mkdir", "--all", "/done", "--json", "--jobs", "3")
    assert put.returncode == 6
    told = rows(put)
    assert {name for name, row in told.items() if not row["ok"]} == {"node-001", "node-004"}
    assert {row["error"]["code"] for row in told.values() if not row["ok"]} <= {"offline", "timeout"}
    assert "4 of 6 devices done; the same with --failed tries these again" in put.stderr
    few.boards[1].start()
    until(lambda: few.boards[1].console.count(": up") == 2, "the node")
    again = few.run("fs", "mkdir", "--failed", "/done", "--json", "--timeout", "2")
    assert again.returncode == 6
    assert {name: row["ok"] for name, row in rows(again).items()} == {"node-001": True, "node-004": False}
    few.boards[4].start()
    until(lambda: few.boards[4].console.count(": up") == 2, "the node")
    assert few.run("fs", "mkdir", "--failed", "/done").returncode == 0
    assert all((board.flash / "done").is_dir() for board in few.boards)
    nothing = few.run("ping", "--failed")
    assert nothing.returncode == 2 and "--failed: there is none" in nothing.stderr


def test_ctrl_c_ends_what_runs_on_the_devices(few, broker, tmp_path):
    command = [sys.executable, "-m", "coldframe_cli", "exec", "--all", "while True: pass", "--jobs", "4"]
    done = subprocess.Popen(
        command, env=environment(tmp_path / "home", [broker.port]), stderr=subprocess.PIPE
    )
    at_work = "remote: admin exec while True"
    until(lambda: sum(at_work in board.console for board in few.boards) == 4, "four at work")
    done.send_signal(signal.SIGINT)
    assert done.wait(20) == 130, done.stderr.read()
    assert b"0 of 6 devices done; the same with --failed tries these again" in done.stderr.read()
    ended = [board for board in few.boards if at_work in board.console]
    until(lambda: all("exec failed: cancelled" in board.console for board in ended), "the end of the code")
    assert len(ended) == 4, "one more was begun after Ctrl-C"
    assert rows(few.run("ping", "--failed", "--json")).keys() == {board.folder.name for board in few.boards}


def test_errors_of_the_devices_are_failures(few):
    got = few.run("eval", "--all", "1 // (node.name != 'node-002')", "--json")
    assert got.returncode == 6
    failed = {name: row["error"]["text"] for name, row in rows(got).items() if not row["ok"]}
    assert list(failed) == ["node-002"] and "ZeroDivisionError" in failed["node-002"]
    code = "print(1 // (node.name != 'node-002'))"
    shown = few.run("exec", "--all", "-", stdin=code)  # read once, for all of them
    lines = shown.stdout.splitlines()
    assert shown.returncode == 6 and "ZeroDivisionError" in lines[-1]
    assert [line.split()[:2] for line in lines[1:-1]] == [[f"node-00{i}", "1"] for i in (0, 1, 3, 4, 5)]


def test_so_many_at_a_time(few, broker):
    over = link(broker.port)
    at_work, most = [], []

    def work(target):
        at_work.append(target)
        most.append(len(at_work))
        with session(over, target.base) as remote:
            transfer.put(remote, b"x" * 5000, "/x")
        at_work.remove(target)
        return target.name

    targets = [Target(few.base(i % 6), f"{i}") for i in range(6)]
    results = run_many(targets, work, 2)
    over.close()
    assert [result.value for result in results] == [target.name for target in targets]
    assert max(most) == 2


class Collector:
    """A process `coldframe collect`; ``rows``: what it has written."""

    def __init__(self, home, port: int, *args: str) -> None:
        command = [sys.executable, "-m", "coldframe_cli", "collect", *args]
        self.rows: list[dict] = []
        self.notes: list[str] = []
        self._process = subprocess.Popen(
            command, env=environment(home, [port]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for stream, take in (
            (self._process.stdout, lambda line: self.rows.append(json.loads(line))),
            (self._process.stderr, self.notes.append),
        ):
            threading.Thread(target=self._read, args=(stream, take), daemon=True).start()

    @staticmethod
    def _read(stream, take) -> None:
        for line in stream:
            take(line)

    def values(self) -> list:
        """But for the zeros that were sent until all listened."""
        return [value for row in list(self.rows) if (value := row.get("value", row.get("bytes"))) != 0]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def test_consumers_share_what_is_published(broker, tmp_path, closing):
    peer = closing(Peer(broker.port))
    peer.publish("coldframe/a/t", "from before", retain=True)
    sharing = [
        closing(Collector(tmp_path / "home", broker.port, "./t", "./log/+", "--share", "store"))
        for _ in range(2)
    ]
    alone = closing(Collector(tmp_path / "home", broker.port))
    until(lambda: all("listening" in "".join(c.notes) for c in (*sharing, alone)), "the collectors")
    # What was subscribed is there once the first message comes out.
    until(
        lambda: peer.publish("coldframe/a/t", "0") or all(c.rows for c in (*sharing, alone)),
        "a first message",
    )
    for n in range(1, 101):
        peer.publish(f"coldframe/{'ab'[n % 2]}/t", str(n))
    until(lambda: alone.values() == list(range(1, 101)), "all of it, in order")
    until(lambda: sorted(v for c in sharing for v in c.values()) == list(range(1, 101)), "each once")
    assert all(len(c.values()) > 20 for c in sharing), "not shared"
    assert {row["device"] for c in sharing for row in c.rows} == {"coldframe/a", "coldframe/b"}
    # One dies: the other gets all.
    sharing[0].kill()
    before = len(sharing[1].values())
    for n in range(101, 121):
        peer.publish("coldframe/a/log/INFO", f"line {n}")
        peer.publish("coldframe/a/reply/out/x", b"\0\xff")
    peer.publish("coldframe/a/t", b"\0\xff")
    wanted = [*(f"line {n}" for n in range(101, 121)), "AP8="]
    until(lambda: sharing[1].values()[before:] == wanted, "all of it")
    until(lambda: alone.values()[-21:] == wanted, "and nothing of remote administration")
