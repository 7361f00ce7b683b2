"""MQTT over a serial line: a node on the unix image, a line that can fail, the bridge, a real mosquitto."""

from __future__ import annotations

import os
import random
import re
import select
import socket
import subprocess
import sys
import threading
import zlib

import pytest
from coldframe_cli import framing, lines
from coldframe_cli.bridge import Bridge
from host.brokers import Peer, free_port, until
from host.mqttnode import ROOT, MqttNode
from host.proxy import LoopThread, Proxy

WINDOW = 240  # bytes: the device's default


class BridgeServer:
    """serve_tcp() of the bridge on a loop of its own; ``bridges`` are those made so far."""

    def __init__(self, broker_port: int) -> None:
        self.bridges: list[Bridge] = []
        self._thread = LoopThread()
        ready = threading.Event()
        ports: list[int] = []

        def on_ready(port: int) -> None:
            ports.append(port)
            ready.set()

        def make(send, name: str) -> Bridge:
            self.bridges.append(Bridge("127.0.0.1", broker_port, send, name=name))
            return self.bridges[-1]

        async def serve() -> None:
            self._task = self._thread.loop.create_task(lines.serve_tcp("127.0.0.1", 0, make, on_ready))

        self._thread.run(serve())
        assert ready.wait(20)
        self.port = ports[0]

    def close(self) -> None:
        self._thread.close()


@pytest.fixture
def line(broker, closing):
    """The serial line, as a proxy between node and bridge."""
    return closing(Proxy(closing(BridgeServer(broker.port)).port))


def test_frames_of_the_document():
    """docs/serial.md is right to the byte."""
    text = (ROOT / "docs" / "serial.md").read_text()
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert "`CBF43926`" in text
    rows = re.findall(r"^\| (\w+), connection (\d+), sequence (\d+)[^|]*\| `([0-9A-F ]+)` \|$", text, re.M)
    assert len(rows) == 7
    for name, connection, sequence, data in rows:
        raw = bytes.fromhex(data)
        (frame,) = framing.FrameDecoder().feed(raw)
        assert frame is not None, f"{name} is damaged"
        assert framing.NAMES[frame.type] == name
        assert (frame.connection, frame.sequence) == (int(connection), int(sequence))
        assert framing.encode(frame.type, frame.connection, frame.sequence, frame.payload) == raw
        body = raw[1:-1].replace(b"\x7d\x5e", b"\x7e").replace(b"\x7d\x5d", b"\x7d")
        assert zlib.crc32(body) == 0x2144DF1C


def test_decoder_finds_frames_however_they_are_cut():
    rng = random.Random(7)
    wanted = [(rng.randrange(1, 6), rng.randbytes(rng.randrange(121))) for _ in range(300)]
    frames = [framing.encode(t, 9, i & 255, p) for i, (t, p) in enumerate(wanted)]
    stream = b"".join(frames)
    decoder = framing.FrameDecoder()
    got = []
    while stream:
        n = rng.randrange(1, 40)
        got += decoder.feed(stream[:n])
        stream = stream[n:]
    assert [(f.type, f.payload) for f in got] == wanted
    assert decoder.damaged == 0
    assert [f.cost for f in got] == [len(frame) for frame in frames]


def test_decoder_reports_every_kind_of_damage_and_goes_on():
    good = framing.encode(framing.DATA, 1, 1, b"hello~}")
    for bad in (
        good[:5] + b"\x00" + good[6:],  # a byte changed
        good[:5] + good[6:],  # a byte lost
        b"\x7e\x03\x01\x7e",  # too short
        b"\x7e" + b"x" * 300 + b"\x7e",  # too long
        b"\x7e" + b"x" * 100000 + b"\x7e",
        b"\x7eab\x7d\x7e",  # ends in an escape
        b"\x7eab\x7dcdefghi\x7e",  # an escape of what needs none
    ):
        decoder = framing.FrameDecoder()
        frames = decoder.feed(bad + good)
        assert frames[0] is None
        assert frames[-1] is not None and frames[-1].payload == b"hello~}"
        assert decoder.damaged == len(frames) - 1


@pytest.mark.parametrize("qos", [0, 1])
def test_publishes_and_receives(broker, closing, line, qos):
    peer = closing(Peer(broker.port, ["out/#"]))
    node = closing(MqttNode(line.port, serial=True, buffer=8192))
    node.wait_for("serial line: up")
    node.subscribe("in/#", qos)
    for size in (0, 1, 7, 100, 120, 121, 1000, 5000):
        text = "{~}" * size
        node.tell("pub", "out/a", text[:size], qos)
        peer.wait_for("out/a", text[:size])
        mark = len(node.lines)
        peer.publish("in/a", text[:size], qos)
        node.wait_for(f"MSG in/a {text[:size].encode() if size < 50 else size} live", mark=mark)
    everything = "".join(map(chr, range(1, 1000)))
    node.tell("pub", "out/b", everything, qos)
    peer.wait_for("out/b", everything)


def test_floods_both_ways_arrive_in_order(broker, closing, line):
    peer = closing(Peer(broker.port, ["out"]))
    node = closing(MqttNode(line.port, serial=True))
    node.subscribe("in", 1)
    node.tell("flood", "out", 300, 1)
    for i in range(300):
        peer.client.publish("in", f"{i}", 1)
    node.wait_for("MSG in b'299'")
    until(lambda: len(peer.payloads("out")) >= 300, "300 messages")
    assert peer.payloads("out") == [b"%d" % i for i in range(300)]
    assert [x for x in node.lines if "MSG" in x] == [f"MSG in b'{i}' live" for i in range(300)]
    assert node.count("DOWN") == 0


def damage_some(chance: float, seed: int):
    """A line that changes, loses or adds a byte in some of the pieces it carries; ``damaged`` counts them."""
    rng = random.Random(seed)

    def damage(_way: str, data: bytes) -> bytes:
        if rng.random() >= chance:
            return data
        damage.damaged += 1
        at = rng.randrange(len(data))
        changed, lost, added = bytes((data[at] ^ 1 << rng.randrange(8),)), b"", data[at : at + 1] + b"?"
        return data[:at] + rng.choice((changed, lost, added)) + data[at + 1 :]

    damage.damaged = 0
    return damage


def test_damaged_line_loses_no_qos_1_message(broker, closing, line):
    peer = closing(Peer(broker.port, ["out"]))
    node = closing(MqttNode(line.port, serial=True, response_time=2))
    node.subscribe("in", 1)
    line.damage = damage = damage_some(0.03, 1)
    node.tell("flood", "out", 200, 1)
    for i in range(200):
        peer.publish("in", f"{i}", 1)
    until(lambda: damage.damaged >= 5, "damage", 60)
    line.damage = None
    node.wait_for("FLOODED", 60)
    wanted = [b"%d" % i for i in range(200)]
    until(lambda: set(peer.payloads("out")) >= set(wanted), "all messages of the node")
    assert list(dict.fromkeys(peer.payloads("out"))) == wanted  # in order; repeated ones are allowed

    def received() -> list[str]:
        return list(dict.fromkeys(x for x in node.lines if x.startswith("MSG in ")))

    until(lambda: len(received()) >= 200, "all messages for the node")
    assert received() == [f"MSG in b'{i}' live" for i in range(200)]
    assert node.count("DOWN") >= 1
    assert node.count("Traceback") == 0


@pytest.mark.parametrize("way", ["up", "down"])
def test_changed_letter_is_noticed(broker, closing, line, way):
    """Without the CRC nobody would: it is still a valid frame with a valid MQTT packet in it."""
    peer = closing(Peer(broker.port, ["out"]))
    node = closing(MqttNode(line.port, serial=True))
    node.subscribe("in", 1)
    changed = threading.Event()

    def change_one(direction: str, data: bytes) -> bytes:
        if direction == way and b"hello" in data and not changed.is_set():
            changed.set()
            return data.replace(b"hello", b"jello")
        return data

    line.damage = change_one
    node.tell("pub", "out", "hello", 1)
    peer.publish("in", "hello", 1)
    peer.wait_for("out", "hello")
    node.wait_for("MSG in b'hello'")
    until(lambda: node.count("UP") == 2, "the node to come back")
    node.wait_for("damaged")
    assert b"jello" not in peer.payloads("out")
    assert node.count("jello") == 0


@pytest.mark.parametrize("way", ["up", "down"])
def test_whole_frame_that_is_lost_is_noticed(broker, closing, line, way):
    node = closing(MqttNode(line.port, serial=True))
    node.subscribe("in", 1)
    lost = threading.Event()

    def lose_one(direction: str, data: bytes) -> bytes:
        if direction != way or lost.is_set():
            return data
        lost.set()
        return b""

    line.damage = lose_one
    node.tell("pub", "in", "first", 1)
    node.tell("pub", "in", "second", 1)
    node.wait_for("DONE in first")
    node.wait_for("DONE in second")
    node.wait_for("MSG in b'second'")
    node.wait_for("frames were lost" if way == "up" else "missing bytes on the serial line")
    assert node.count("DOWN") == 1
    assert node.count("MSG in b'first'") >= 1


def test_bridge_never_sends_more_than_the_window(broker, closing, line):
    peer = closing(Peer(broker.port))
    node = closing(MqttNode(line.port, serial=True, keepalive=600))
    node.subscribe("in", 0)
    sent: list[int] = []

    def count(way: str, data: bytes) -> bytes:
        if way == "down":
            sent.append(len(data))
        return data

    line.damage = count
    node.pause()
    for _ in range(200):
        peer.publish("in", "x" * 100, 0)
    until(lambda: sum(sent) > WINDOW // 2, "the bridge to send what it may")
    peer.publish("in", "y" * 100, 1)
    assert sum(sent) <= WINDOW
    node.go_on()
    until(lambda: node.count("MSG in") == 201, "all messages")
    assert node.count("DOWN") == 0


def test_broker_restarts_behind_the_bridge(broker, closing, line):
    node = closing(MqttNode(line.port, serial=True))
    node.subscribe("in", 1)
    broker.stop()
    node.wait_for("down: bridge: ", 3)
    node.tell("pub", "in", "meanwhile", 1)
    node.wait_for("bridge: broker: Connection refused")
    broker.start()
    until(lambda: node.count("UP") == 2, "the node to come back", 5)
    node.wait_for("DONE in meanwhile")
    node.wait_for("MSG in b'meanwhile'")


def test_board_that_restarts_gets_a_new_connection(broker, closing, line):
    peer = closing(Peer(broker.port, ["will"]))
    first = closing(MqttNode(line.port, serial=True, will=["will", "gone", 1, False]))
    first.wait_for("UP")
    first.kill()
    peer.wait_for("will", "gone")
    second = closing(MqttNode(line.port, serial=True))
    second.wait_for("UP")
    second.ask("pub", "t", "x", 1, answer="DONE")


def command(*args: str) -> subprocess.Popen[str]:
    env = dict(os.environ, PYTHONPATH=str(ROOT / "cli" / "src"), COLUMNS="200")
    return subprocess.Popen(
        [sys.executable, "-m", "coldframe_cli", *args],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_command_on_tcp_may_be_restarted(broker, closing):
    port = free_port()
    line = closing(Proxy(port))
    args = ("bridge", "--listen", f"127.0.0.1:{port}", "--broker", f"127.0.0.1:{broker.port}")
    bridge = closing(command(*args))
    assert bridge.stdout.readline() == f"listening on 127.0.0.1:{port} for broker 127.0.0.1:{broker.port}\n"
    node = closing(MqttNode(line.port, serial=True))
    node.ask("pub", "t", "x", 1, answer="DONE")


def test_command_on_a_serial_port(broker, closing):
    """The command with pyserial on a pseudo terminal; a thread carries the other end to the node."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    args = ("bridge", "--serial", name, "--broker", f"127.0.0.1:{broker.port}")
    bridge = closing(command(*args))
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def shuttle() -> None:
            link, _ = server.accept()
            with link:
                while not over.is_set():
                    ready, _, _ = select.select([link, master], [], [], 0.1)
                    if link in ready:
                        if not (data := link.recv(4096)):
                            return
                        os.write(master, data)
                    if master in ready:
                        link.sendall(os.read(master, 4096))

        thread = threading.Thread(target=shuttle, daemon=True)
        thread.start()
        peer = closing(Peer(broker.port, ["out"]))
        node = closing(MqttNode(server.getsockname()[1], serial=True))
        node.subscribe("in", 1)
        node.tell("flood", "out", 100, 1)
        for i in range(100):
            peer.client.publish("in", f"{i}", 1)
        node.wait_for("MSG in b'99'")
        peer.wait_for("out", "99")
        # The bridge is ended and started again: the node notices at once, not after its keep-alive.
        bridge.kill()
        bridge.wait(20)
        closing(command(*args))
        until(lambda: node.count("UP") == 2, "the node to come back", 20)
        node.ask("pub", "out", "again", 1, answer="DONE")
        over.set()
        thread.join(20)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["bridge", "--broker", "b"], "expected one of --serial and --listen"),
        (["bridge", "--broker", "b:x", "--serial", "p"], "expected a port number"),
        (["bridge", "--broker", "b", "--listen", "127.0.0.1"], "expected HOST:PORT"),
        (["bridge", "--broker", "b", "--listen", "192.0.2.1:1"], "cannot listen on 192.0.2.1:1"),
    ],
)
def test_command_explains_what_is_wrong(args, words):
    done = command(*args)
    text = " ".join(re.sub(r"[│╭╮╰╯─\s]+", " ", done.communicate(timeout=20)[0]).split())
    assert done.returncode == 2
    assert words in text
    assert "Traceback" not in text


def test_command_tells_its_version():
    done = command("--version")
    assert re.fullmatch(r"coldframe \d+\.\d+\.\d+\n", done.communicate(timeout=20)[0])
    assert done.returncode == 0
