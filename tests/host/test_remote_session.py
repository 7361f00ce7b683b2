"""Sessions with a real node: several at once, over MQTT 5, with a spill file, in the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from host.brokers import Mosquitto, Peer, until
from host.remotehost import LAST, RemoteHost
from host.simboards import image
from kit.simboard import SimBoard

KEYS = [
    {"name": "anna", "key": "the first key, of anna", "role": "admin"},
    {"name": "eye", "key": "another key, to look", "role": "read"},
]
FILE = bytes(range(256)) * 400


@pytest.fixture
def board(tmp_path: Path, broker: Mosquitto, peer: Peer):
    """A node with two keys, MQTT 5 and a spill file."""
    board = SimBoard(image(), tmp_path / "node")
    mqtt = {"host": "127.0.0.1", "port": broker.port, "base": "b", "version": 5, "spill": "/spill"}
    board.put("config.json", {"mqtt": mqtt, "remote": {"keys": KEYS}, "sysinfo": {"every": 0}})
    board.put("big", FILE)
    board.start()
    peer.wait_for("b/available", "online")
    yield board
    board.stop()


def take(host: RemoteHost, ref: int) -> bytes:
    """Take the data of a command to its end, acknowledging as the protocol asks."""
    data = b""
    seq = 0
    while True:
        until(
            lambda n=seq: [r for r in host.replies() if r.ref == ref and (r.head == n or r.head >= LAST)],
            "data",
        )
        replies = {r.head: r for r in host.replies() if r.ref == ref}
        while seq in replies:
            data += replies[seq].body
            seq += 1
        if LAST | seq in replies:
            return data
        assert max(replies) < seq, replies[max(replies)]
        host.send("ack", host.command_bytes("ack", b"SEQ %d" % (seq - 1)))


def test_two_hosts_get_a_file_at_once(board: SimBoard, peer: Peer, broker: Mosquitto) -> None:
    anna = RemoteHost(peer, "b", KEYS[0]["key"]).open()
    eye = RemoteHost(peer, "b", KEYS[1]["key"]).open()
    assert (anna.welcome["role"], eye.welcome["role"]) == ("admin", "read")
    spilled = [p for p in board.folder.rglob("spill*") if p.is_file()]
    before = [(p.stat().st_mtime_ns, p.stat().st_size) for p in spilled]
    refs = []
    for host in (anna, eye):
        host.send("get", host.command_bytes("get", b'{"path": "/big"}'))
        refs.append(host.counter)
    # Neither acknowledges anything yet: each gets its window, and no more.
    for host, ref in zip((anna, eye), refs, strict=True):
        window = host.welcome["window"]
        until(lambda h=host, r=ref, w=window: len([x for x in h.replies() if x.ref == r]) >= w, "the window")
        assert host.call("ping")["busy"] is True
        assert len([x for x in host.replies() if x.ref == ref]) == window
        assert all(len(x.body) <= host.welcome["out"] for x in host.replies())
    for host, ref in zip((anna, eye), refs, strict=True):
        assert take(host, ref) == FILE
    # What goes to a host is not kept on the flash.
    assert [(p.stat().st_mtime_ns, p.stat().st_size) for p in spilled] == before
    assert [p for p in board.folder.rglob("spill*") if p.is_file()] == spilled
    # Each command has a line in the log, with the name of the key.
    board.wait_for("remote: anna get /big")
    board.wait_for("remote: eye get /big")
    assert eye.call("mkdir", {"path": "/no"})["code"] == "denied"
    board.wait_for("remote: eye mkdir failed: denied")
    assert "the first key" not in board.console


def test_repeated_and_wrong_commands(board: SimBoard, peer: Peer) -> None:
    host = RemoteHost(peer, "b", KEYS[0]["key"]).open()
    # The host has not heard that it is in, and says so: one session, the same one.
    host.send("open", host.open_bytes())
    until(lambda: len([r for r in host.replies() if r.ref == 1]) == 2, "the answer once more")
    # A command that comes three times is run once.
    m = host.command_bytes("mkdir", b'{"path": "/once"}')
    for _ in range(3):
        host.send("mkdir", m)
    until(lambda: len([r for r in host.replies() if r.ref == host.counter]) >= 1, "an answer")
    assert {r.kind for r in host.replies() if r.ref == host.counter} == {"out"}
    assert host.call("ping")["last"] == host.counter - 1
    for body in (b"[1, 2]", b"{", b"null", b"\xff\xfe", b"{}" * 3, b'{"path": "\xf0"}'):
        host.send("stat", host.command_bytes("stat", body))
        said = json.loads(host.answer(host.counter).body)
        assert said["code"] in ("args", "name"), (body, said)
    for verb in ("", "Stat", "__init__", "files", "../x", "\u2744"):
        host.send(verb, host.command_bytes(verb, b"{}"))
        if verb.count("/"):
            continue  # of no session
        assert json.loads(host.answer(host.counter).body)["code"] == "unknown", verb
    # No line of the log can be forged.
    host.call("stat", {"path": "/x\n2026-01-01 00:00:00.000 INFO     remote: eye reset"})
    assert "\n2026-01-01" not in board.console
    assert host.call("close") == {}
    host.send("ping", host.command_bytes("ping"))
    until(lambda: "session" in host.hints(), "the hint that it is over")
