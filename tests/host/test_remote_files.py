"""Files over MQTT, to and from a simulated board, through a real broker."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.mqttnode import image
from host.remotefiles import Files
from host.remotehost import RemoteHost
from kit import fsimage
from kit.simboard import SimBoard

ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
KEY = "a key of the owner's alone"
READ = "a key that may only look"

MakeNode = Callable[..., SimBoard]
Session = Callable[..., Files]


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto) -> Iterator[MakeNode]:
    """Gives make(files, heap=, which=, options=): a board with these files that is administered over the broker."""
    made: list[SimBoard] = []

    def make(
        files: dict[str, bytes] | None = None,
        heap: str | None = None,
        which: str = "UNIX",
        options: tuple[str, ...] = (),
        **config: Any,
    ) -> SimBoard:
        folder = tmp_path / f"node{len(made)}"
        board = SimBoard(image(which), folder, unique_id=ID, heap=heap, options=options)
        made.append(board)
        config.setdefault("remote", {"keys": [{"name": "me", "key": KEY}, READER]})
        # Many small pieces, as on a small board.
        config.setdefault("mqtt", {"host": "127.0.0.1", "port": broker.port, "buffer": 1536})
        board.put("config.json", config)
        for name, data in (files or {}).items():
            board.put(name, data)
        board.start()
        return board

    yield make
    for board in made:
        board.stop()


READER = {"name": "display", "key": READ, "role": "read"}


@pytest.fixture
def session(broker: Mosquitto) -> Iterator[Session]:
    """Gives session(key): an open session, once the node is there."""
    peers: list[Peer] = []

    def make(key: str = KEY) -> Files:
        peer = Peer(broker.port, [f"{BASE}/reply/#", f"{BASE}/+"])
        peers.append(peer)
        asked = 0.0

        def there() -> bool:
            # A node that is starting may not hear the first greeting.
            nonlocal asked
            if time.monotonic() - asked > 0.5:
                asked = time.monotonic()
                host = RemoteHost(peer, BASE, key)
                host.send("hello", host.hello_bytes())
            return any(m.topic.startswith(f"{BASE}/reply/out/") for m in peer.messages)

        until(there, "the node", 20)
        return Files(RemoteHost(peer, BASE, key).open())

    yield make
    for peer in peers:
        peer.close()


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parts(board: SimBoard) -> list[str]:
    return [path.name for path in board.flash.rglob("*.part")]


def test_files_and_folders(make_node: MakeNode, session: Session) -> None:
    board = make_node({"main/old.py": b"old"})
    it = session()
    call = it.host.call
    assert call("mkdir", {"path": "lib/a/b", "parents": True}) == {}
    code = content(20_000)
    assert it.put("lib/a/b/c.py", code)["sha256"] == sha(code)
    assert it.put("main/old.py", b"")["size"] == 0
    assert it.put("main/ä 'quoted' \"x\" \\ 😀", b"1")["size"] == 1
    assert board.get("lib/a/b/c.py") == code and board.get("main/ä 'quoted' \"x\" \\ 😀") == b"1"
    assert it.ls("lib", recursive=True, sha=True) == {"a": None, "a/b": None, "a/b/c.py": [20_000, sha(code)]}
    assert it.ls("main") == {"old.py": 0, "ä 'quoted' \"x\" \\ 😀": 1}
    for offset in (0, 12_345, 20_000):
        assert it.get("/lib/a/b/c.py", offset)[0] == code[offset:]
    stat = call("stat", {"path": "lib/a/b/c.py", "sha": True})
    assert 0 < stat.pop("free") < 2_000_000
    assert stat == {"size": 20_000, "dir": False, "sha256": sha(code)}
    assert call("mv", {"path": "lib/a/b/c.py", "to": "main/old.py"}) == {}
    assert board.get("main/old.py") == code
    assert call("rm", {"path": "lib", "recursive": True}) == {"removed": 3}
    assert not (board.flash / "lib").exists()
    for verb, args, wanted in (
        ("get", {"path": "none"}, "missing"),
        ("get", {"path": "main"}, "isdir"),
        ("rm", {"path": "main"}, "notempty"),
        ("mkdir", {"path": "main"}, "exists"),
        ("ls", {"path": "none"}, "missing"),
    ):
        said = call(verb, args)
        assert said["code"] == wanted and "Errno" not in said["text"], said
    assert "remote: me put lib/a/b/c.py" in board.console


def test_a_program_that_hangs_is_replaced_in_safe_mode(make_node: MakeNode, session: Session) -> None:
    board = make_node({"app.py": b"print('the old program')"})
    assert session().host.call("reset", {"mode": "safe"}) == {"mode": "safe"}
    board.wait_for("safe mode", 20)
    board.wait_for(": up", 20)
    it = session()
    assert it.get("app.py")[0] == b"print('the old program')"
    assert it.put("app.py", b"print('the new program')")["size"] == 24
    assert it.host.call("reset", {"mode": "normal"}) == {"mode": "normal"}
    board.wait_for("the new program", 20)


TRICKS = [
    ("..", "name"),
    ("../sim/world.json", "name"),
    ("/../../outside", "name"),
    ("lib/../../outside", "name"),
    ("lib/..", "name"),
    ("a\0b", "name"),
    ("a\nb", "name"),
    ("\x1b[2J", "name"),
    ("x" * 300, "name"),
    ("a/" * 140, "name"),
    ("", "args"),
    (None, "args"),
    (7, "args"),
    (["a"], "args"),
]


def test_path_tricks(make_node: MakeNode, session: Session) -> None:
    """Nothing outside the flash is read, written or deleted, and nothing inside that was not meant."""
    board = make_node({"lib/x": b"x"})
    (board.folder / "outside").write_bytes(b"not the board's")
    it = session()
    before = {path: path.read_bytes() for path in board.flash.rglob("*") if path.is_file()}
    outside = sorted(path.name for path in board.folder.iterdir())
    for path, wanted in TRICKS:
        for verb in ("ls", "stat", "get", "mkdir", "rm", "mv"):
            args = {"path": path, "to": "y", "recursive": True, "parents": True}
            if not path and verb == "ls" and path is None:
                continue  # that is "/"
            assert it.host.call(verb, args).get("code") == wanted, (verb, path)
        assert it.host.call("mv", {"path": "lib/x", "to": path}).get("code") == wanted, path
        assert it.put(path, b"evil")["code"] == wanted, path
    # Absolute names, and those of the host, are below the board's root.
    for path in ("/etc/passwd", str(board.folder / "outside")):
        assert it.get(path)[1]["code"] == "missing"
        assert it.put(path, b"evil")["code"] in ("missing", "notdir")
    assert it.host.call("rm", {"path": "/", "recursive": True})["code"] == "denied"
    assert it.host.call("mv", {"path": "/", "to": "lib/y"})["code"] == "denied"
    assert it.put("/", b"evil")["code"] == it.put("lib/", b"evil")["code"] == "name"
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in board.folder.iterdir()) == outside
    assert (board.folder / "outside").read_bytes() == b"not the board's"
    assert it.put("lib/x", b"good")["size"] == 4


def test_who_may_only_read(make_node: MakeNode, session: Session) -> None:
    board = make_node({"wifi.broken": b"secret", "config.old": b"secret", "data.csv": b"1,2"})
    it = session(READ)
    for name in ("config.json", "//config.json", "./config.old", "wifi.broken"):
        assert it.get(name)[1]["code"] == "denied"
        stat = it.host.call("stat", {"path": name, "sha": True})
        assert stat["size"] and stat["sha256"] is None
    listed = it.ls("/", sha=True)
    assert listed["config.json"][1] is None and listed["data.csv"] == [3, sha(b"1,2")]
    assert it.get("data.csv")[0] == b"1,2"
    for verb in ("put", "mkdir", "rm", "mv"):
        assert it.host.call(verb, {"path": "data.csv", "to": "x"})["code"] == "denied"
    assert board.get("data.csv") == b"1,2"
    assert session().get("config.json")[0] == board.get("config.json")


def test_a_megabyte_through_20_kb(make_node: MakeNode, session: Session) -> None:
    """Both ways, on a heap that it does not fit 50 times over; the node goes on with its work."""
    board = make_node(heap="64k", which="UNIX32")
    it = session()
    data = content(1 << 20)
    free = it.host.call("ping")["mem_free"]
    began = time.monotonic()
    assert it.put("big", data)["sha256"] == sha(data)
    middle = time.monotonic()
    assert board.get("big") == data
    got, result = it.get("big")
    assert got == data, result
    ended = time.monotonic()
    print(f"free {free} B; put {1024 / (middle - began):.0f} KB/s, get {1024 / (ended - middle):.0f} KB/s")
    assert free < 20 * 1024
    assert "MemoryError" not in board.console and parts(board) == []


def test_pieces_are_lost(make_node: MakeNode, session: Session) -> None:
    board = make_node()
    it = session()
    data = content(100_000)
    result = it.put("f", data, lose=lambda n: n % 9 == 3)
    assert result["sha256"] == sha(data) and result["back"] >= 2
    assert board.get("f") == data
    assert it.put("f", data[:50_000], lose=lambda n: n == 1)["size"] == 50_000
    # The last one, and with it any reason to say something.
    last = -(-50_000 // it.host.welcome["in"])
    assert it.put("g", data[:50_000], lose=lambda n: n == last)["size"] == 50_000


def test_the_power_goes_in_the_middle(make_node: MakeNode, session: Session) -> None:
    board = make_node({"f": b"old"})
    it = session()
    data = content(300_000)

    def cut(n: int) -> None:
        if n == 100:
            board.cut_power()

    assert it.put("f", data, each=cut, patience=1)["code"] == "silence"
    assert board.get("f") == b"old" and len(parts(board)) == 1
    board.start()
    board.wait_for(": up", 20)
    board.wait_for(": up", 20)
    it = session()
    result = it.put("f", data, resume=True)
    assert result["sha256"] == sha(data) and result["at"] >= 32768
    assert board.get("f") == data and parts(board) == []


def test_the_broker_goes_in_the_middle(make_node: MakeNode, session: Session, broker: Mosquitto) -> None:
    """A put goes on in a new session, while that of the old one still waits for its pieces."""
    board = make_node()
    it = session()
    data = content(300_000)

    def stop(n: int) -> None:
        if n == 100:
            broker.kill()

    assert it.put("f", data, each=stop, patience=1)["code"] == "silence"
    broker.start()
    it.host.peer.wait_ready()
    it = session()  # the old one is still there, and so is its put
    result = it.put("f", data, resume=True)
    assert result["sha256"] == sha(data) and result["at"] > 0
    assert board.get("f") == data


def test_two_sessions_write_and_read_the_same_file(make_node: MakeNode, session: Session) -> None:
    board = make_node({"f": content(60_000, 1)})
    a, b = session(), session()
    seen = []

    def other(n: int) -> None:
        if n == 5:
            seen.append(b.put("f", b"b")["code"])
            seen.append(b.get("f")[1]["sha256"])

    data = content(60_000, 2)
    assert a.put("f", data, each=other)["sha256"] == sha(data)
    assert seen == ["busy", sha(content(60_000, 1))]
    assert b.get("f")[0] == data
    assert b.put("f", b"b")["size"] == 1
    assert board.get("f") == b"b"


def test_no_room(tmp_path: Path, broker: Mosquitto, session: Session) -> None:
    """Said before anything is written; and when somebody else fills the flash meanwhile, nothing is left over."""
    board = SimBoard(image(), tmp_path / "node", unique_id=ID, options=("--lfs", "flash.img"))
    config = {"remote": {"key": KEY}, "mqtt": {"host": "127.0.0.1", "port": broker.port}}
    files = {"config.json": json.dumps(config).encode(), "f": b"old"}
    (board.sim / "flash.img").write_bytes(fsimage.make_image(files | {"app.py": FILL}, 4096, 64))
    with board:
        board.start()
        it = session()
        before = it.ls("/")
        said = it.put("f", content(400_000))
        assert said["code"] == "space" and "400000 bytes" in said["text"]
        assert it.ls("/") == before

        def fill(n: int) -> None:
            if n == 20:
                it.host.peer.publish(f"{BASE}/fill", "")
                it.host.peer.wait_for(f"{BASE}/fill_", "full")

        assert it.put("f", content(150_000), each=fill)["code"] == "space"
        it.host.peer.publish(f"{BASE}/empty", "")
        it.host.peer.wait_for(f"{BASE}/empty_", "empty")
        assert it.ls("/") == before
        assert it.get("f")[0] == b"old"
        assert it.put("f", content(150_000))["size"] == 150_000


FILL = b"""
import os

def setup(node):
    @node.action("./fill")
    def fill():
        try:
            with open("/fill", "wb") as f:
                while True:
                    f.write(bytes(512))
                    f.flush()
        except OSError as e:
            return "full" if e.errno == 28 else str(e)

    @node.action("./empty")
    def empty():
        os.remove("/fill")
        return "empty"
"""
