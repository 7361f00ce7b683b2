"""Somebody who can read and write everything on the broker, but has no key: nothing is run, and the owner is served.

Real nodes on simulated boards, a real mosquitto. The attacker's commands would make folders on the nodes; the tests
look whether there are any.
"""

from __future__ import annotations

import json
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.remotehost import LAST, RemoteHost, key_id, mac
from host.simboards import image
from kit.simboard import SimBoard

KEY = "the key of the owner, 2026"
OTHER = "some other key, not of here"
FLOOD = 1500  # messages

MakeNode = Callable[..., SimBoard]


@pytest.fixture
def make_node(tmp_path: Path, broker: Mosquitto, peer: Peer) -> Iterator[MakeNode]:
    """Gives make(base, **remote): a node that is up."""
    made: list[SimBoard] = []

    def make(base: str = "a", **remote: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / base)
        made.append(board)
        config = {
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "base": base},
            "remote": {"key": KEY} | remote,
            "sysinfo": {"every": 0},
        }
        board.put("config.json", config)
        board.start()
        peer.wait_for(f"{base}/available", "online")
        return board

    yield make
    for board in made:
        board.stop()


@pytest.fixture
def attacker(broker: Mosquitto) -> Iterator[Peer]:
    peer = Peer(broker.port)
    yield peer
    peer.close()


def folders(board: SimBoard) -> list[str]:
    """What a command that was run has left on the board."""
    return sorted(p.name for p in board.folder.rglob("*") if p.is_dir() and p.name.startswith("evil"))


def make_folder(host: RemoteHost, name: str, **options: Any) -> bytes:
    return host.command_bytes("mkdir", json.dumps({"path": name}).encode(), **options)


def served(host: RemoteHost, board: SimBoard, name: str) -> None:
    """The owner's next command is run, and is all that was."""
    assert host.call("mkdir", {"path": name}) == {}
    assert folders(board) == [name]
    assert host.call("rm", {"path": name, "recursive": True}).get("code") is None
    assert folders(board) == []


def refused(peer: Peer, base: str = "a") -> int:
    """SYSINFO's count of messages with a wrong key."""
    seen = len(peer.payloads(f"{base}/SYSINFO"))
    peer.publish(f"{base}/SYSINFO_", "short")
    until(lambda: len(peer.payloads(f"{base}/SYSINFO")) > seen, "SYSINFO")
    return json.loads(peer.payloads(f"{base}/SYSINFO")[-1])["remote_refused"]


def test_forged_and_truncated(make_node: MakeNode, peer: Peer, attacker: Peer) -> None:
    board = make_node()
    owner = RemoteHost(peer, "a", KEY).open()
    before = refused(peer)
    # The owner's own message, held back by the attacker, with one bit changed: of each byte in turn.
    good = make_folder(owner, "/evil-forged", counter=1000)
    for at in range(len(good)):
        forged = bytearray(good)
        forged[at] ^= 1 << at % 8
        attacker.publish(owner.topic("mkdir"), bytes(forged), qos=1)
    # Cut at every length, and longer by a byte at either end.
    for size in range(len(good)):
        attacker.publish(owner.topic("mkdir"), good[:size])
    for longer in (good + b"\0", b"\0" + good):
        attacker.publish(owner.topic("mkdir"), longer)
    # A right proof in the wrong place: of another verb, another session, the other direction, the key itself.
    m = good[:-16]
    for key, topic in (
        (owner.kc, owner.topic("stat")),
        (owner.kc, f"a/cmd/mkdir/{'x' * 8}"),
        (owner.kd, owner.topic("mkdir")),
        (owner.kd, f"a/reply/out/{owner.sid}"),
        (KEY.encode(), owner.topic("mkdir")),
        (bytes(32), owner.topic("mkdir")),
        (b"", owner.topic("mkdir")),
    ):
        attacker.publish(owner.topic("mkdir"), m + mac(key, topic, m))
    attacker.publish(f"a/cmd/mkdir/{'x' * 8}", good)
    # The node's own messages, sent back to it.
    for heard in owner.heard("out"):
        attacker.publish(owner.topic("mkdir"), heard)
    served(owner, board, "evil-owner")
    assert refused(peer) - before > len(good)
    assert board.console.count("refused: a message in a session of key admin") <= 8  # and not once for each
    # The same with greetings, after which no session may be there.
    hello = replace(owner, sid="greeting").hello_bytes()
    for at in range(len(hello)):
        forged = bytearray(hello)
        forged[at] ^= 0x80
        attacker.publish("a/cmd/hello/greeting", bytes(forged))
        attacker.publish("a/cmd/hello/greeting", hello[:at])
    attacker.publish("a/cmd/hello/gree/ing", hello)
    attacker.publish("a/cmd/hello", hello)
    served(owner, board, "evil-after")
    assert peer.payloads("a/reply/out/greeting") == []
    # What the attacker did not change is still good.
    attacker.publish(owner.topic("mkdir"), good)
    until(lambda: folders(board) == ["evil-forged"], "the owner's message")


def test_replayed_and_reordered(make_node: MakeNode, peer: Peer, attacker: Peer) -> None:
    board = make_node()
    owner = RemoteHost(peer, "a", KEY).open()
    assert owner.call("mkdir", {"path": "/evil-once"}) == {}
    assert owner.call("rm", {"path": "/evil-once", "recursive": True}).get("code") is None
    # Two commands overtake one another: the one that is late is dropped.
    late, early = make_folder(owner, "/evil-late"), make_folder(owner, "/evil-early")
    for m in (early, late, early):
        attacker.publish(owner.topic("mkdir"), m)
    until(lambda: folders(board) == ["evil-early"], "the later command")
    assert owner.call("rm", {"path": "/evil-early", "recursive": True}).get("code") is None
    tape = [m for m in peer.messages if "/cmd/" in m.topic]
    assert len(tape) >= 7

    def replay(base: str = "a", sid: str = "") -> None:
        for _ in range(2):
            for m in tape:
                topic = m.topic.replace("a/", base + "/", 1)
                attacker.publish(topic.replace(owner.sid, sid or owner.sid), m.payload)

    replay()
    served(owner, board, "evil-now")
    assert owner.call("close") == {}
    replay()
    replay(sid="another1")
    again = replace(owner, nonce=os.urandom(16), counter=0).open()  # a new session of the same name
    replay()
    served(again, board, "evil-again")
    # A restart: the counters are gone, and so are the keys that they belong to.
    board.cut_power()
    peer.messages.clear()
    board.start()
    peer.wait_for("a/available", "online")
    replay()
    fresh = RemoteHost(peer, "a", KEY).open()
    replay()
    served(fresh, board, "evil-fresh")
    # A recorded greeting gets an answer, with which nobody who lacks the key can do anything; and the answer is another
    # one after each session, so that a recorded open does not fit it.
    welcomes = {m[5:21] for m in owner.heard("out") if m[2:5] == b"CF1"}
    assert len(welcomes) >= 2
    sessions = json.loads(peer.payloads("a/SYSINFO")[-1]) if peer.payloads("a/SYSINFO") else None
    assert sessions is None or sessions["remote_sessions"] <= 1
    # Another device with the very same key.
    other = make_node("b")
    replay("b")
    theirs = RemoteHost(peer, "b", KEY).open()
    live = make_folder(theirs, "/evil-cross")
    attacker.publish(fresh.topic("mkdir"), live)
    attacker.publish(f"a/cmd/mkdir/{theirs.sid}", live)
    served(theirs, other, "evil-theirs")
    served(fresh, board, "evil-ours")


def test_retained_commands_are_no_commands(make_node: MakeNode, peer: Peer, attacker: Peer) -> None:
    board = make_node()
    owner = RemoteHost(peer, "a", KEY).open()
    late = RemoteHost(peer, "a", KEY)
    attacker.publish(late.topic("hello"), late.hello_bytes(), retain=True)
    until(lambda: late.heard("out"), "the welcome, for it was said now")
    attacker.publish(owner.topic("mkdir"), make_folder(owner, "/evil-kept", counter=500), retain=True)
    until(lambda: folders(board) == ["evil-kept"], "the command")  # it was said now, by the owner
    (board.folder / "evil-kept").rmdir() if (board.folder / "evil-kept").is_dir() else None
    peer.messages.clear()
    board.cut_power()
    for path in board.folder.rglob("evil-kept"):
        path.rmdir()
    board.start()
    peer.wait_for("a/available", "online")
    fresh = RemoteHost(peer, "a", KEY).open()
    served(fresh, board, "evil-now")
    assert late.heard("out") == []


def test_wrong_keys_are_slowed_down_and_the_right_one_is_not(
    make_node: MakeNode, peer: Peer, attacker: Peer
) -> None:
    board = make_node()
    thieves = [RemoteHost(attacker, "a", OTHER) for _ in range(60)]
    for thief in thieves:
        thief.send("hello", thief.hello_bytes())
    owner = RemoteHost(peer, "a", KEY)
    start = time.monotonic()
    owner.greet()
    assert time.monotonic() - start < 5
    # A right key id, which anybody can read on the broker, and a wrong proof.
    for _ in range(30):
        m = b"\x80\0CF1" + key_id(KEY.encode()) + os.urandom(16)
        attacker.publish("a/cmd/hello/thief001", m + os.urandom(16))
        m = b"\x80\0" + struct.pack(">I", 1) + key_id(KEY.encode()) + owner.nonce + owner.nonce_d
        attacker.publish("a/cmd/open/thief001", m + os.urandom(16))
        attacker.publish(owner.topic("open"), m + os.urandom(16))
    owner.send("open", owner.open_bytes())
    assert owner.answer(1).body == b"{}"
    owner.counter = 1
    served(owner, board, "evil-mine")
    assert refused(peer) >= 31
    assert 1 <= board.console.count("refused: ") <= 6
    told = [m for m in peer.messages if m.topic.startswith("a/reply/err/") and b'"key"' in m.payload]
    assert 1 <= len(told) <= 6
    assert not [m for m in peer.messages if m.topic == "a/reply/out/thief001"]


def test_oversized(make_node: MakeNode, peer: Peer, attacker: Peer) -> None:
    board = make_node()
    owner = RemoteHost(peer, "a", KEY).open()
    for verb, sid in (
        ("mkdir", owner.sid),
        ("hello", owner.sid),
        ("open", owner.sid),
        ("put", "x" * 8),
        ("x" * 9000, owner.sid),
        ("mkdir", "x" * 9000),
        ("", ""),
        ("/" * 150, "x"),  # mosquitto takes 200 levels
        ("\u2744" * 300, "\u2744" * 8),
    ):
        for size in (0, 1, 41, 58, 1400, 1600, 70_000):
            attacker.publish(f"a/cmd/{verb}/{sid}", os.urandom(size))
    # The owner's largest piece is just not too large, one that is larger is skipped.
    body = json.dumps({"path": "/evil-size"}).encode()
    most = owner.welcome["in"]
    owner.send("mkdir", owner.command_bytes("mkdir", body + b"\n" + bytes(most)))
    served(owner, board, "evil-owner")
    assert owner.call("mkdir", {"path": "/evil-size"}, bytes(most - len(body) - 1)) == {}
    assert folders(board) == ["evil-size"]


def test_a_flood(make_node: MakeNode, peer: Peer, attacker: Peer) -> None:
    board = make_node(sessions=2)
    owner = RemoteHost(peer, "a", KEY).open()
    old = RemoteHost(peer, "a", KEY)
    old.greet()  # its greeting is on the attacker's tape
    chance = random.Random(5)
    kinds = ("hello", "open", "mkdir", "ack", "cancel", "eval", "close", "ping")

    def nonsense() -> None:
        kind = chance.choice(kinds)
        what = chance.randrange(6)
        if what == 0:
            attacker.client.publish(old.topic("hello"), old.hello_bytes(), 1)
            return
        sid = owner.sid if what < 3 else f"{chance.randrange(10**8):08}"
        size = chance.choice((25, 41, 58, 300))
        m = struct.pack(">HI", LAST, chance.randrange(2, 1 << 32)) + chance.randbytes(size)
        if kind == "hello":
            m = (
                b"\x80\0CF1"
                + (key_id(KEY.encode()) if what < 2 else chance.randbytes(4))
                + chance.randbytes(32)
            )
        elif kind == "open":
            m = b"\x80\0\0\0\0\1" + key_id(KEY.encode()) + chance.randbytes(48)
        attacker.client.publish(f"a/cmd/{kind}/{sid}", m, 1)

    def free() -> int:
        assert owner.call("exec", {}, b"import gc; gc.collect()")["ok"]
        return owner.call("ping")["mem_free"]

    before = free()
    longest = 0.0
    for n in range(FLOOD):
        nonsense()
        if n % 150 == 149:
            start = time.monotonic()
            assert owner.call("mkdir", {"path": f"/evil{n}"}) == {}
            longest = max(longest, time.monotonic() - start)
    # Somebody else with the key gets in meanwhile, however often the node says that it has opened another session.
    for _ in range(200):
        nonsense()
    friend = RemoteHost(peer, "a", KEY).open()
    assert friend.call("ping")["last"] == 1
    assert len(folders(board)) == FLOOD // 150
    for name in folders(board):
        assert owner.call("rm", {"path": "/" + name, "recursive": True}).get("code") is None
    served(owner, board, "evil-owner")
    assert longest < 10
    peer.publish("a/SYSINFO_", "short")
    until(lambda: peer.payloads("a/SYSINFO"), "SYSINFO")
    told = json.loads(peer.payloads("a/SYSINFO")[-1])
    assert told["remote_sessions"] == 2
    assert told["remote_refused"] > FLOOD // 10
    assert (told["reconnects"], told["errors"], told["restarts"]) == (0, [], 0)
    assert board.console.count("refused: ") <= 12
    assert before - free() < 20_000
