"""coldframe sync, with a simulated board and a mosquitto."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from coldframe_cli import app, syncplan
from coldframe_cli.errors import CliError
from host.brokers import Mosquitto, Peer, until
from host.simboards import image
from kit.simboard import SimBoard

ID = "00000000000000e6"
BASE = f"coldframe/{ID}"
KEY = "the key of the owner"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimBoard]:
    folder = tmp_path_factory.mktemp("sync")
    broker = Mosquitto(folder / "broker").start()
    peer = Peer(broker.port, [f"{BASE}/available"])
    board = SimBoard(image(), folder / "node", unique_id=ID)
    board.port = broker.port
    mqtt = {"host": "127.0.0.1", "port": broker.port}
    board.put("config.json", {"mqtt": mqtt, "remote": {"key": KEY}, "log": {"file": "/mine.txt"}})
    board.put("app.py", "def setup(node):\n    pass\n")
    board.start()
    until(lambda: peer.payloads(f"{BASE}/available"), "online")
    yield board
    board.stop()
    peer.close()
    broker.stop()


@pytest.fixture
def sync(board: SimBoard, capfd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Gives sync(*args, code=0): runs `coldframe --json sync DEVICE ...`, returns the last line of JSON."""
    monkeypatch.setenv("COLDFRAME_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("COLDFRAME_BROKER", f"127.0.0.1:{board.port}")
    monkeypatch.setenv("COLDFRAME_KEY", KEY)

    def run(*args: str | Path, code: int = 0) -> dict:
        try:
            app.main(["--json", "sync", ID, *map(str, args)])
            ended = 0
        except SystemExit as end:
            ended = end.code or 0
        said = capfd.readouterr()
        assert ended == code, said
        return json.loads(said.out.splitlines()[-1])

    return run


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the beginnings of a program."""
    folder = tmp_path / "project"
    for name, text in {
        "main.py": "print('main')\n",
        "lib/pump.py": "def on():\n    return 1\n",
        "lib/deep/er/data.bin": "x" * 5000,
        "lib/__pycache__/pump.cpython-311.pyc": "no",
        ".git/HEAD": "no",
        "notes.txt~": "no",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "empty").mkdir()
    return folder


def put(told: dict) -> dict[str, str]:
    return {row["path"]: row["why"] for row in told["put"]}


def tree(board: SimBoard, folder: str) -> set[str]:
    root = board.flash / folder
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_only_what_has_changed_goes(board: SimBoard, sync, here: Path) -> None:
    first = sync(here, "/one", "--dry-run")
    assert first["dry_run"] and not (board.flash / "one").exists()
    told = sync(here, "/one")
    assert {**told, "seconds": 0, "dry_run": True} == {**first, "seconds": 0}
    files = {"/one/main.py": "new", "/one/lib/pump.py": "new", "/one/lib/deep/er/data.bin": "new"}
    assert put(told) == files and told["bytes"] == sum(row["size"] for row in told["put"])
    assert list(put(told))[-1] == "/one/main.py"  # what it imports is there then
    assert tree(board, "one") == {"main.py", "lib", "lib/pump.py", "lib/deep", "lib/deep/er", "empty"} | {
        "lib/deep/er/data.bin"
    }
    assert board.get("one/lib/deep/er/data.bin") == b"x" * 5000
    again = sync(here, "one/")
    assert (again["put"], again["made"], again["same"]) == ([], [], 3)
    # Of the same length, and of another; the time of a file does not count.
    (here / "lib/pump.py").write_text("def on():\n    return 2\n")
    (here / "main.py").write_text("print('longer')\n")
    (here / "lib/deep/er/data.bin").touch()
    told = sync(here, "/one")
    assert put(told) == {"/one/lib/pump.py": "changed", "/one/main.py": "changed"} and told["same"] == 1
    assert board.get("one/lib/pump.py") == (here / "lib/pump.py").read_bytes()


def test_nothing_is_deleted_unless_asked(board: SimBoard, sync, here: Path) -> None:
    sync(here, "/two")
    for name in ("old.py", "olddir/sub/a.py", "keep/me.txt", "lib/x.log"):
        board.put(f"two/{name}", "old")
    before = tree(board, "two")
    assert sync(here, "/two")["removed"] == []
    told = sync(here, "/two", "--delete", "--dry-run", "-x", "keep", "-x", "*.log")
    assert tree(board, "two") == before
    assert told["removed"] == ["/two/old.py", "/two/olddir/sub/a.py", "/two/olddir/sub", "/two/olddir"]
    assert sync(here, "/two", "--delete", "-x", "keep", "-x", "*.log")["removed"] == told["removed"]
    assert tree(board, "two") == before - {"old.py", "olddir", "olddir/sub", "olddir/sub/a.py"}


def test_what_a_device_keeps_for_itself_stays(board: SimBoard, sync, here: Path) -> None:
    config = board.get("config.json")
    for name in ("params.json", "wifi.json", "setup.key", "config.bak", "mine.txt.1", "mine.py"):
        board.put(name, "1")
    told = sync(here, "--delete", "-x", "one", "-x", "two", "-x", "app.py", "-x", "sim")
    assert told["removed"] == ["/mine.py"]
    kept = {"/config.json", "/params.json", "/wifi.json", "/setup.key", "/config.bak"}
    assert kept | {"/mine.txt.1", "/boot.rec"} <= set(told["kept"])
    assert board.get("config.json") == config and board.get("main.py") == (here / "main.py").read_bytes()
    assert board.get("app.py")
    # The firmware starts main.py by that name, and no other.
    assert put(sync(here, "--mpy", "--dry-run")) == {"/lib/pump.mpy": "new"}
    (board.flash / "main.py").unlink()


def test_compiled(board: SimBoard, sync, here: Path) -> None:
    sync(here, "/three")
    told = sync(here, "/three", "--mpy")
    # The source would be imported instead of the bytecode.
    assert put(told) == {"/three/lib/pump.mpy": "new", "/three/main.mpy": "new"}
    assert "/three/lib/pump.py" in told["removed"] and not (board.flash / "three/lib/pump.py").exists()
    assert board.get("three/lib/pump.mpy")[:2] == b"M\x06"
    assert sync(here, "/three", "--mpy")["put"] == []
    (here / "lib/pump.py").write_text("def on(:\n")
    error = sync(here, "/three", "--mpy", code=2)["error"]["text"]
    assert "pump.py" in error and "SyntaxError" in error


def test_what_does_not_fit_is_told_before_anything_is_done(board: SimBoard, sync, here: Path) -> None:
    board.put("four/lib", "a file")
    before = tree(board, "four")
    assert "/four/lib" in sync(here, "/four", code=2)["error"]["text"]
    assert tree(board, "four") == before
    assert "expected a folder" in sync(here, "/four/lib", code=2)["error"]["text"]
    (here / ("long" * 61)).write_text("x")
    assert "241 bytes" in sync(here, "/five", code=2)["error"]["text"]
    assert not (board.flash / "five").exists()
    with pytest.raises(CliError, match="control characters"):
        (here / ("long" * 61)).unlink()
        (here / "a\nb").write_text("x")
        syncplan.local(here)


def test_patterns(here: Path) -> None:
    assert set(syncplan.local(here, ["lib"])) == {"main.py", "empty"}
    assert "lib/deep/er/data.bin" not in syncplan.local(here, ["lib/deep/er/*"])
    assert ".git/HEAD" in syncplan.local(here, ["!.git"])
    assert "lib/pump.py" not in syncplan.local(here, ["*.py", "!pump.py"])


def test_a_save_is_followed_by_a_sync(
    board: SimBoard, here: Path, sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends as Ctrl-C ends it, once it has done what the test wants."""
    from coldframe_cli.commands import sync as command

    stop = threading.Event()
    looked = command.syncplan.changed

    def changed(folder: Path) -> tuple:
        if stop.is_set():
            raise KeyboardInterrupt
        return looked(folder)

    monkeypatch.setattr(command.syncplan, "changed", changed)
    failures: list[BaseException] = []

    def save() -> None:
        try:
            until(lambda: (board.flash / "six/main.py").exists(), "the first sync")
            (here / "main.py").write_text("print('saved')\n")
            until(lambda: board.get("six/main.py") == b"print('saved')\n", "the second sync")
            (here / "lib/new.py").write_text("1\n")
            until(lambda: (board.flash / "six/lib/new.py").exists(), "the third sync")
        except BaseException as error:
            failures.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=save)
    thread.start()
    sync(here, "/six", "--watch", code=130)
    thread.join()
    assert not failures, failures
