"""Commands in mqrepl's form (remote.insecure): from a client that does what the public mqboard does, and from itself.

mqboard is no part of this project: its test runs where COLDFRAME_PEERS names a folder with it (docs/benchmarks.md).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from host.brokers import Mosquitto, Peer, until
from host.mqreplhost import Failed, MqreplHost
from host.proxy import Proxy
from host.remotehost import RemoteHost
from host.simboards import image
from kit.simboard import SimBoard

ID = "00000000000000e5"
BASE = f"coldframe/{ID}"
KEY = "the key of the owner"
# What mqboard makes of `ls DIR` and of `mkdir -p DIR`.
LS = (
    "import uos\nfor f in uos.ilistdir('%s'):\n"
    " print('{:12} {}{}'.format(f[3]if len(f)>3 else 0,f[0],'/'if f[1]&0x4000 else ''))"
)
MKDIR = (
    "import uos; p=''\nfor d in '%s'.split('/'):\n  p += d;\n  try: uos.mkdir(p)\n  except OSError: pass\n"
    "  if not p.endswith('/'): p += '/'\n"
)


class Node:
    """A board with remote.insecure, online, and the broker it is at."""

    def __init__(self, folder: Path, **remote: object) -> None:
        self.broker = Mosquitto(folder / "broker").start()
        self.peer = Peer(self.broker.port, [f"{BASE}/#"])
        self.board = SimBoard(image(), folder / "node", unique_id=ID)
        self.board.put(
            "config.json", {"mqtt": {"host": "127.0.0.1", "port": self.broker.port}, "remote": remote}
        )
        self.board.put("app.py", "def setup(node):\n    pass\n")
        # A retained message is nobody's command.
        self.peer.publish(f"{BASE}/cmd/eval/retained", b"\x80\0open('retained', 'w')", retain=True)
        self.board.start()
        self.online(1)

    def online(self, times: int) -> None:
        until(lambda: self.peer.payloads(f"{BASE}/available").count(b"online") >= times, "online")
        # The board says that it is online once its subscriptions are granted.

    def close(self) -> None:
        self.board.stop()
        self.peer.close()
        self.broker.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("plain"), insecure=True, key=KEY)
    yield node
    node.close()


@pytest.fixture(params=[BASE, f"{BASE}/mqb"], ids=["topic", "prefix"])
def host(node: Node, request) -> Iterator[MqreplHost]:
    host = MqreplHost(node.broker.port, request.param)
    yield host
    host.close()


@pytest.fixture
def main(node: Node) -> Iterator[MqreplHost]:
    host = MqreplHost(node.broker.port, BASE)
    yield host
    host.close()


def flash(node: Node) -> set[str]:
    return {path.name for path in node.board.flash.iterdir()}


@pytest.mark.parametrize("size", [0, 1, 1400, 1401, 20_000, 150_000])
def test_files_go_there_and_back(node: Node, host: MqreplHost, size: int) -> None:
    data = os.urandom(size)
    assert host.perform("put", data, "sub.bin") == b"OK"
    assert node.board.get("sub.bin") == data
    assert host.perform("get", name="/sub.bin") == data
    assert not [name for name in flash(node) if name.endswith(".part")]


def test_expressions_programs_and_errors(node: Node, host: MqreplHost) -> None:
    assert host.perform("eval", b"6*7") == b"42"
    assert host.perform("eval", b"'a' 'b'") == b"'ab'"
    assert host.perform("eval", b"None") == b"None"
    assert host.perform("eval", b"x = 5\nprint('x is', x)") == b"x is 5\n"
    assert host.perform("eval", b"x + 1") == b"6"
    long = "".join(f"line {n}\n" for n in range(1000))  # mqrepl's board has room for 2800 bytes of it
    assert host.perform("eval", b"for n in range(1000):\n  print('line', n)") == long.encode()
    with pytest.raises(Failed, match=r"(?s)Traceback.*ZeroDivisionError"):
        host.perform("eval", b"1/0")
    with pytest.raises(Failed, match="SyntaxError"):
        host.perform("eval", b"if if")
    with pytest.raises(Failed, match="not supported"):
        host.perform("ota", b"data", "00" * 32)
    with pytest.raises(Failed, match="ENOENT"):
        host.perform("get", name="nowhere")
    with pytest.raises(Failed, match="ENOENT"):
        host.perform("put", b"data", "nowhere/file")
    assert host.perform("eval", b"6*7") == b"42"


def test_what_mqboard_makes_of_eval(node: Node, main: MqreplHost) -> None:
    assert main.perform("eval", (MKDIR % "/lib/deep").encode()) == b""
    assert main.perform("put", b"print(1)", "/lib/deep/a.py") == b"OK"
    listed = main.perform("eval", (LS % "/lib/deep").encode()).decode().split()
    assert listed[1:] == ["a.py"]
    main.perform("eval", b"import uos; uos.remove('/lib/deep/a.py')")
    assert main.perform("eval", (LS % "/lib/deep").encode()) == b""


def test_a_put_is_whole_or_has_not_been(node: Node, main: MqreplHost) -> None:
    main.perform("put", b"old", "kept")
    peer, say = node.peer, main.send
    before = len(peer.messages)
    say("put", "gapgapga", b"\0\0new1", "kept")
    say("put", "gapgapga", b"\0\0new1", "kept")  # repeated
    say("put", "gapgapga", b"\0\2new3", "kept")
    until(lambda: peer.payloads(f"{BASE}/reply/err/gapgapga"), "the error")
    say("put", "gapgapga", b"\x80\3new4", "kept")  # mqboard has still sent this one
    assert main.perform("eval", b"1") == b"1"
    assert peer.payloads(f"{BASE}/reply/err/gapgapga") == [b"put: message missing: 2 vs. 1"]
    assert node.board.get("kept") == b"old"
    assert not [name for name in flash(node) if name.endswith(".part")]
    # Repetitions of a finished one, as after a lost connection, change nothing and are not answered.
    say("put", "twicetwi", b"\x80\0one", "kept")
    until(lambda: peer.payloads(f"{BASE}/reply/out/twicetwi"), "OK")
    say("put", "twicetwi", b"\x80\0two", "kept")
    assert main.perform("eval", b"1") == b"1"
    assert node.board.get("kept") == b"one"
    assert peer.payloads(f"{BASE}/reply/out/twicetwi") == [b"\xff\xffOK"]
    assert len(peer.messages) > before


def test_malformed_commands_are_harmless(node: Node, main: MqreplHost) -> None:
    for topic in (
        "",
        "eval",
        "eval/",
        "eval//",
        "put/abcdefgh",
        "put/abcdefgh/",
        "get/abcdefgh",
        "/",
        "no/no/no",
    ):
        for payload in (b"", b"\x80", b"\x80\0", b"\0\5x", b"\x80\0\xff\xfe", b"\xff\xffopen('pwned','w')"):
            node.peer.publish(f"{BASE}/cmd/{topic}", payload)
            node.peer.publish(f"{BASE}/mqb/cmd/{topic}", payload)
    assert main.perform("eval", b"6*7") == b"42"
    assert main.perform("put", b"1", "well") == b"OK"
    assert not {"pwned", "retained"} & flash(node)


def test_sessions_with_a_key_go_on_beside_it(node: Node, main: MqreplHost) -> None:
    owner = RemoteHost(node.peer, BASE, KEY).open()
    assert "uptime" in owner.call("ping")
    assert main.perform("eval", b"6*7") == b"42"
    # A message of a session that is over is no program: its sender is told to open a new one.
    stale = RemoteHost(node.peer, BASE, KEY)
    stale.kc = bytes(32)
    stale.send("eval", stale.command_bytes("eval", b"{}\nopen('pwned', 'w')"))
    until(lambda: stale.hints() == ["session"], "the hint")
    assert "uptime" in owner.call("ping")
    assert "pwned" not in flash(node)


def test_the_log_as_mqboard_shows_it(node: Node, main: MqreplHost) -> None:
    main.perform("eval", b"from coldframe import log; log.getLogger('app').error('broken')")
    until(lambda: any(b"broken" in m for m in node.peer.payloads(f"{BASE}/log")), "the line")
    line = next(m.decode() for m in node.peer.payloads(f"{BASE}/log") if b"broken" in m)
    assert re.fullmatch(r"E \d+\.\d{3} app: broken", line)


def test_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    node = Node(tmp_path, key=KEY)
    try:
        host = MqreplHost(node.broker.port, BASE)
        for prefix in (BASE, f"{BASE}/mqb"):
            host.topic = prefix
            host.send("eval", "abcdefgh", b"\x80\0open('pwned', 'w')")
            host.send("put", "abcdefgh", b"\x80\0data", "pwned")
        assert "uptime" in RemoteHost(node.peer, BASE, KEY).open().call("ping")
        assert "pwned" not in flash(node)
        host.close()
    finally:
        node.close()


def test_a_command_runs_once_though_the_connection_is_cut(tmp_path: Path) -> None:
    """The broker gives the command again to a board that has lost the connection before it could acknowledge it."""
    node = Node(tmp_path, insecure=True)
    proxy = Proxy(node.broker.port)
    try:
        config = json.loads(node.board.get("config.json"))
        config["mqtt"]["port"] = proxy.port
        node.board.stop()
        node.board.put("config.json", config)
        node.board.start()
        node.online(2)
        host = MqreplHost(node.broker.port, BASE)
        host.perform("eval", b"n = 0")
        proxy.damage = lambda way, data: b"" if way == "up" else data  # what the board says is lost
        host.send("eval", "onceonce", b"\x80\0n += 1")
        node.board.wait_for("plain eval n += 1", 10)
        proxy.cut()
        proxy.damage = None
        node.online(3)
        assert host.perform("eval", b"n") == b"1"
        host.close()
    finally:
        node.close()
        proxy.close()


# The public mqboard.


def mqboard_of(folder: Path) -> list[str]:
    """The command that runs the public mqboard in folder; skips the test where it is not."""
    peers = os.environ.get("COLDFRAME_PEERS", "")
    program = Path(peers, "mqboard", "mqboard.py")
    if not peers or not program.is_file():
        pytest.skip("COLDFRAME_PEERS names no folder with mqboard/mqboard.py (docs/benchmarks.md)")
    python = Path(peers, "mqboard", "venv", "bin", "python")
    return [str(python if python.exists() else sys.executable), "-W", "ignore", str(program)]


def test_the_public_mqboard(node: Node, tmp_path: Path) -> None:
    command = mqboard_of(tmp_path)
    address = {"MQBOARD_SERVER": "127.0.0.1", "MQBOARD_PORT": str(node.broker.port), "MQBOARD_PREFIX": BASE}
    env = {**os.environ, **address}

    def run(*args: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run([*command, *args], env=env, cwd=tmp_path, capture_output=True, timeout=60)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return done

    assert run("eval", "6*7").stdout == b"42\n"
    assert run("eval", "print('hello')\nprint(1)").stdout.startswith(b"hello\n1\n")
    assert b"ZeroDivisionError" in run("eval", "1/0", code=1).stderr
    for size in (0, 3000, 50_000, 150_000):
        data = os.urandom(size)
        (tmp_path / "local.bin").write_bytes(data)
        assert run("put", "local.bin", "peer.bin").stdout.replace(b".", b"") == b"OK\n"
        assert node.board.get("peer.bin") == data
        run("get", "peer.bin", "back.bin")
        assert (tmp_path / "back.bin").read_bytes() == data
    run("mkdir", "-p", "/peer/deep")
    run("put", "local.bin", "/peer/deep/")
    # Folders of a PC's file system do not tell sizes, and `ls -r` insists on them.
    assert b" local.bin\n" in run("ls", "/peer/deep").stdout
    assert re.search(rb"'local.bin':'[0-9a-f]{40}'", run("ls", "--sha", "/peer/deep").stdout)
    run("rm", "/peer/deep/local.bin")
    run("rmdir", "/peer/deep")
    # view ends only with a signal; its lines have the colour of their level where they go to a terminal.
    with subprocess.Popen(
        [*command, "view"], env={**env, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE
    ) as view:
        try:
            deadline = time.monotonic() + 20
            os.set_blocking(view.stdout.fileno(), False)
            seen = b""
            while b"seen by view" not in seen and time.monotonic() < deadline:
                run("eval", "from coldframe import log; log.getLogger('app').error('seen by view')")
                seen += view.stdout.read() or b""
            assert re.search(rb"^E \d+\.\d{3} app: seen by view$", seen, re.MULTILINE)
        finally:
            view.kill()
