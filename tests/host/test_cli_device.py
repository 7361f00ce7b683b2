"""The command `coldframe` with a real simulated board: what a user types, sees, and gets as exit code."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from coldframe_cli import transfer
from coldframe_cli.errors import NO_BROKER, REFUSED, UNREACHABLE, USAGE, DeviceError, Timeout
from host.brokers import Mosquitto, until
from host.brokers.base import free_port
from host.proxy import Proxy
from host.remoteboard import BASE, NAME, RemoteBoard


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteBoard]:
    folder = tmp_path_factory.mktemp("cli")
    broker = Mosquitto(folder / "broker").start()
    board = RemoteBoard(broker, folder / "node").up()
    yield board
    board.stop()
    broker.stop()


@pytest.fixture(autouse=True)
def _room(board: RemoteBoard) -> Iterator[None]:
    yield
    for file in (*board.flash.glob("*.bin"), *board.flash.glob("*.part")):
        file.unlink(missing_ok=True)


def content(size: int) -> bytes:
    return bytes((i * i >> 3) & 0xFF for i in range(256)) * (size // 256) + b"x" * (size % 256)


def test_ping_and_info(board: RemoteBoard) -> None:
    assert "Coldframe" in board.text("ping", NAME)
    assert board.json("ping", BASE)["device"] == BASE
    assert board.json("info", NAME)["mqtt_base_topic"] == BASE
    assert "statvfs.f_bfree" in board.text("info", NAME)


def test_a_device_is_found_by_its_name(board: RemoteBoard) -> None:
    with board.session() as session:
        name = session.welcome.name
    assert name != NAME
    assert board.json("ping", name)["device"] == BASE
    cache = board.folder / "cache" / "coldframe" / "names.json"
    assert BASE in cache.read_text()
    assert board.json("ping", name)["device"] == BASE  # from what is remembered
    cache.write_text(cache.read_text().replace(BASE, "coldframe/elsewhere"))
    assert board.json("ping", name)["device"] == BASE  # which may be wrong
    cache.write_text("rubbish")
    assert board.json("ping", name)["device"] == BASE


def test_options_before_and_behind_the_command(board: RemoteBoard) -> None:
    at = f"mqtt://localhost:{board.broker.port}"
    assert board.text("--broker", at, "--json", "ping", NAME, COLDFRAME_BROKER="nowhere.invalid")[0] == "{"
    assert board.text("ping", "--json", NAME, "--broker", at, COLDFRAME_BROKER="nowhere.invalid")[0] == "{"


def test_exit_codes(board: RemoteBoard) -> None:
    said = board.cli("ping", "nobody", "--timeout", "1", code=UNREACHABLE).stderr.decode()
    assert "coldframe/nobody: no answer; expected" in said
    said = board.cli("ping", NAME, "--timeout", "4", "--key", "x" * 16, code=REFUSED).stderr.decode()
    assert "does not accept this key" in said
    nothing = free_port()
    said = board.cli("ping", NAME, "--broker", f"localhost:{nothing}", code=NO_BROKER).stderr.decode()
    assert f"broker mqtt://localhost:{nothing}: connection refused" in said
    assert b"expected a name" in board.cli("ping", "a/#", code=USAGE).stderr
    assert b"No such file" in board.cli("run", NAME, "/no/such/file.py", code=USAGE).stderr
    error = board.cli("fs", "get", NAME, "/nothing", "--json", code=1).stdout.decode()
    assert '"code": "missing"' in error


def test_files_there_and_back(board: RemoteBoard, tmp_path: Path) -> None:
    big = tmp_path / "big é 🌱.bin"
    big.write_bytes(content(150_001))
    sha = hashlib.sha256(big.read_bytes()).hexdigest()
    told = board.json("fs", "put", NAME, big)
    assert (told["path"], told["size"], told["sha256"]) == (f"/{big.name}", 150_001, sha)
    assert board.get(big.name) == big.read_bytes()
    rows = {row["name"]: row for row in board.json("fs", "ls", NAME, "--sha")}
    assert rows[big.name] == {"name": big.name, "size": 150_001, "dir": False, "sha256": sha}
    board.cli("fs", "get", NAME, f"/{big.name}", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    assert board.cli("fs", "cat", NAME, f"/{big.name}").stdout == big.read_bytes()
    board.cli("fs", "mkdir", NAME, "/a/b", "-p")
    board.cli("fs", "mv", NAME, f"/{big.name}", "/a/b/c")
    assert "c  150.0 kB" in board.text("fs", "tree", NAME, "/a")
    assert b"-r" in board.cli("fs", "get", NAME, "/a", code=USAGE).stderr
    board.cli("fs", "rm", NAME, "/a", code=1)
    board.cli("fs", "rm", NAME, "/a", "-r")
    assert "a" not in {row["name"] for row in board.json("fs", "ls", NAME)}


@pytest.mark.parametrize("size", [0, 1, 1399, 70_000])
def test_sizes(board: RemoteBoard, size: int) -> None:
    with board.session() as session:
        assert transfer.put(session, content(size), "/size.bin")["size"] == size
        assert board.get("size.bin") == content(size)


def test_folders_there_and_back(board: RemoteBoard, tmp_path: Path) -> None:
    for name in ("top.py", "lib/one.py", "lib/deep/two.py"):
        file = tmp_path / "app" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {name}\n")
    board.cli("fs", "put", NAME, tmp_path / "app", "/app", "-r")
    assert board.get("app/lib/deep/two.py") == b"# lib/deep/two.py\n"
    board.cli("fs", "get", NAME, "/app", tmp_path / "back", "-r")
    found = {str(f.relative_to(tmp_path / "back")) for f in (tmp_path / "back").rglob("*") if f.is_file()}
    assert found == {"top.py", "lib/one.py", "lib/deep/two.py"}
    board.cli("fs", "rm", NAME, "/app", "-r")


def test_standard_input_and_output(board: RemoteBoard) -> None:
    board.cli("fs", "put", NAME, "-", "/stdin.txt", stdin="line\n")
    assert board.text("fs", "get", NAME, "/stdin.txt", "-") == "line\n"


def test_cut_connections_during_put_and_get(board: RemoteBoard, closing) -> None:
    proxy = closing(Proxy(board.broker.port))
    data = content(600_000)
    cuts = 0

    def progress(done: int, total: int | None) -> None:
        nonlocal cuts
        if total and done * 4 // total > cuts:
            cuts += 1
            if cuts < 4:
                proxy.cut()

    with board.session(proxy.port) as session:
        transfer.put(session, data, "/cut.bin", progress=progress)
        assert board.get("cut.bin") == data and cuts >= 3 and session.link.drops >= 3
        cuts = 0
        sink = Path(board.folder / "got")
        with sink.open("w+b") as file:
            transfer.get(session, "/cut.bin", file, size=len(data), progress=progress)
        assert sink.read_bytes() == data and session.link.drops >= 6


def test_a_restart_of_the_device_during_put_and_get(board: RemoteBoard) -> None:
    data = content(600_000)
    at: list[int] = []
    told: list[str] = []

    def progress(done: int, total: int | None) -> None:
        if done > 100_000 and not at:
            at.append(done)
            board.cut_power()
            board.start()

    with board.session() as session:
        done = transfer.put(session, data, "/restart.bin", progress=progress, waiting=told.append)
        assert len(told) == 1 and "does not know the session any more" in told[0]
        assert done["sha256"] == hashlib.sha256(data).hexdigest()
        assert at and session.reopened == 1
        assert board.get("restart.bin") == data
        at.clear()
        sink = Path(board.folder / "got")
        with sink.open("w+b") as file:
            transfer.get(session, "/restart.bin", file, size=len(data), progress=progress)
        assert sink.read_bytes() == data and at and session.reopened == 2


def test_a_transfer_that_was_interrupted_goes_on_in_the_next_call(board: RemoteBoard, tmp_path: Path) -> None:
    data = content(600_000)  # more than is on its way at once

    def interrupt(done: int, _total: int | None) -> None:
        if done > 80_000:
            raise KeyboardInterrupt

    with board.session() as session, pytest.raises(KeyboardInterrupt):
        transfer.put(session, data, "/later.bin", progress=interrupt)
    with board.session() as session:
        told = transfer.put(session, data, "/later.bin")
        assert told["resumed"] > 0 and board.get("later.bin") == data
    target = tmp_path / "later.bin"
    with board.session() as session, pytest.raises(KeyboardInterrupt):
        transfer.get_file(session, "/later.bin", target, progress=interrupt)
    assert not target.exists()
    with board.session() as session:
        told = transfer.get_file(session, "/later.bin", target)
        assert told["resumed"] > 0 and target.read_bytes() == data
        (tmp_path / "later.bin.part").write_bytes(b"something else")
        told = transfer.get_file(session, "/later.bin", target)
        assert told["resumed"] == 0 and target.read_bytes() == data


def test_a_device_that_vanishes_is_told_of(board: RemoteBoard) -> None:
    def vanish(done: int, _total: int | None) -> None:
        if done > 50_000:
            board.cut_power()

    with board.session() as session, pytest.raises(Timeout, match=BASE):
        transfer.put(session, content(600_000), "/gone.bin", progress=vanish, patience=3.0)
    board.up()


def test_no_room(board: RemoteBoard) -> None:
    with board.session() as session, pytest.raises(DeviceError) as error:
        transfer.put(session, bytes(3_000_000), "/huge.bin")
    assert error.value.code == "space"


def test_ctrl_c_ends_the_command(board: RemoteBoard, tmp_path: Path, closing) -> None:
    proxy = closing(Proxy(board.broker.port))
    proxy.rate = 100_000
    big = tmp_path / "big"
    big.write_bytes(content(1_000_000))
    process = closing(
        subprocess.Popen(
            board.command("fs", "put", NAME, big, "/c.bin"),
            env={**os.environ, **board.env, "COLDFRAME_BROKER": f"localhost:{proxy.port}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    )
    until(lambda: any(f.stat().st_size for f in board.flash.glob("c.bin.*.part")), "some of it to be there")
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=20)
    assert process.returncode == 130, (out, said)
    assert b"Traceback" not in said
