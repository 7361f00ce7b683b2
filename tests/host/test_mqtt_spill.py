"""A client with a spill file, on simulated boards: what it has accepted survives outages, restarts and power cuts."""

from __future__ import annotations

import json
import re

import pytest
from host.brokers import Mosquitto, Peer, until
from host.proxy import Proxy
from host.simboards import image
from kit.simboard import SimBoard

# Publishes numbers in flows of (first, how many, QoS), and says so when publish() is done.
PROGRAM = """
import asyncio, json, sys
from coldframe.mqtt import Client, Tcp
from coldframe.mqtt.spill import Spill

options = json.loads('@')
flows = options.pop("flows")
later = options.pop("later", False)  # not before there is a connection

class Watched(Spill):
    def add(self, *args):
        key = super().add(*args)
        if key is not None:
            print("STORED")
        return key

def got(topic, payload, retained):
    print("GOT", payload.decode())

async def publish(client, n, qos):
    await client.publish("out/%d" % qos, str(n), qos)
    print("ACCEPTED", qos, n)

async def flow(client, first, n, qos):
    if later:
        await client.up.wait()
    for i in range(first, first + n):
        await publish(client, i, qos)
    print("FLOW", qos, first, "DONE")

async def main():
    port = options.pop("port")
    limit = options.pop("limit", 16384)
    spill = Watched("/spill", limit)
    client = Client(Tcp("127.0.0.1", port), "node", spill=spill, on_message=got, on_up=lambda: print("UP"),
                    on_down=lambda: print("DOWN"), response_time=2, **options)
    asyncio.create_task(client.connect())
    asyncio.create_task(client.subscribe("in", 2))
    for args in flows:
        asyncio.create_task(flow(client, *args))
    print("READY")
    await client.up.wait()
    while not await client.drain(1):
        pass
    print("DRAINED", spill.pending)
    while True:
        await asyncio.sleep(1)

asyncio.run(main())
"""
ACCEPTED = re.compile(r"^ACCEPTED (\d) (\d+)$", re.MULTILINE)


@pytest.fixture
def make(tmp_path, closing):
    """Make a board with the program; its folder, and so its flash, is the same each time."""

    def make(
        port: int, *flows: tuple[int, int, int], options: tuple[str, ...] = (), **settings: object
    ) -> SimBoard:
        board = SimBoard(image(), tmp_path / "node", options=options)
        closing(Closing(board))
        settings.update(port=port, flows=flows)
        board.put("main.py", PROGRAM.replace("@", json.dumps(settings)))
        return board

    return make


class Closing:
    def __init__(self, board: SimBoard) -> None:
        self._board = board

    def close(self) -> None:
        self._board.stop()


def accepted(board: SimBoard, qos: int) -> list[int]:
    return [int(m[2]) for m in ACCEPTED.finditer(board.console) if int(m[1]) == qos]


def numbers(peer: Peer, qos: int) -> list[int]:
    return [int(payload) for payload in peer.payloads(f"out/{qos}")]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_published_off_line_goes_out_after_a_restart(tmp_path, make, closing, qos):
    broker = Mosquitto(tmp_path / "broker")
    board = make(broker.port, (0, 60, qos))
    board.start()
    board.wait_for(f"FLOW {qos} 0 DONE", 20)  # though there is no broker
    board.cut_power()
    broker.start()
    try:
        peer = closing(Peer(broker.port, ["out/#"]))
        board.put("main.py", PROGRAM.replace("@", json.dumps({"port": broker.port, "flows": [(60, 5, qos)]})))
        board.start()
        board.wait_for("DRAINED 0", 20)
        until(lambda: len(numbers(peer, qos)) >= 65, "all messages")
        assert numbers(peer, qos) == list(range(65))
        assert not (board.flash / "spill").exists()
    finally:
        broker.stop()


def test_nothing_is_written_while_all_is_well(broker, make, closing):
    peer = closing(Peer(broker.port, ["out/#"]))
    board = make(broker.port, (0, 30, 1), (0, 30, 2), later=True)
    board.start()
    for qos in (1, 2):
        until(lambda qos=qos: accepted(board, qos) == list(range(30)), "the messages to be acknowledged")
        until(lambda qos=qos: sorted(numbers(peer, qos)) == list(range(30)), "the peer to have them")
    assert "STORED" not in board.console


def test_a_full_file_holds_the_publisher_back(tmp_path, make, closing):
    broker = Mosquitto(tmp_path / "broker")
    board = make(broker.port, (0, 200, 1), limit=1500)
    board.start()
    until(lambda: len(accepted(board, 1)) >= 45, "the file to be full")
    broker.start()
    try:
        peer = closing(Peer(broker.port, ["out/#"]))
        board.wait_for("FLOW 1 0 DONE", 20)
        until(lambda: len(numbers(peer, 1)) >= 200, "all messages")
        assert list(dict.fromkeys(numbers(peer, 1))) == list(range(200))
        until(lambda: not (board.flash / "spill").exists(), "the file to be deleted")
    finally:
        broker.stop()


def test_publisher_goes_on_when_the_connection_is_lost(broker, make, closing):
    proxy = closing(Proxy(broker.port))
    peer = closing(Peer(broker.port, ["out/#"]))
    board = make(proxy.port, (0, 5, 1), (0, 5, 2), later=True)

    def no_acknowledgement(way: str, data: bytes) -> bytes:
        return data if way == "up" or data[:1] == b"\x20" and len(data) == 4 else b""

    proxy.damage = no_acknowledgement
    board.start()
    board.wait_for("UP", 10)
    until(lambda: numbers(peer, 1), "a message to be under way")
    assert not accepted(board, 1)  # no acknowledgement has come
    proxy.stall()
    proxy.cut()
    board.wait_for("FLOW 1 0 DONE", 20)
    board.wait_for("FLOW 2 0 DONE", 20)
    board.cut_power()
    proxy.damage = None
    proxy.go_on()
    board.put("main.py", PROGRAM.replace("@", json.dumps({"port": proxy.port, "flows": []})))
    board.start()
    board.wait_for("DRAINED 0", 20)
    until(lambda: set(numbers(peer, 1)) == set(range(5)), "QoS 1")
    until(lambda: len(numbers(peer, 2)) >= 5, "QoS 2")
    assert sorted(numbers(peer, 2)) == list(range(5))


def test_exactly_once_over_power_cuts_in_the_middle_of_traffic(broker, make, closing):
    """QoS 2 both ways, and QoS 1, while the power goes every now and then; the broker keeps the session."""
    peer = closing(Peer(broker.port, ["out/#"], qos=2))
    board = make(broker.port)
    board.start()
    board.wait_for("UP", 10)
    until(lambda: "in (QoS 2)" in broker.log, "the subscription")
    sent = 0
    for life in range(6):
        board.cut_power()
        flows = [(life * 100, 100, 1), (life * 100, 100, 2)]
        settings = {"port": broker.port, "flows": flows, "version": 4 + life % 2}
        board.put("main.py", PROGRAM.replace("@", json.dumps(settings)))
        board.start()
        board.wait_for("READY", 10)
        for _ in range(20):
            peer.client.publish("in", str(sent), 2)
            sent += 1
        mark = 20 + 13 * life

        def enough(life: int = life, mark: int = mark) -> bool:
            return sum(n >= life * 100 for n in accepted(board, 2)) >= mark

        until(enough, "some to be accepted")
    board.cut_power()
    board.put("main.py", PROGRAM.replace("@", json.dumps({"port": broker.port, "flows": []})))
    board.start()
    board.wait_for("DRAINED 0", 30)
    for qos in (1, 2):
        wanted = set(accepted(board, qos))
        until(
            lambda qos=qos, wanted=wanted: wanted <= set(numbers(peer, qos)),
            f"what was accepted of QoS {qos}",
        )
    assert len(numbers(peer, 2)) == len(set(numbers(peer, 2))), "doubled"

    def got() -> list[int]:
        return [int(n) for n in re.findall(r"^GOT (\d+)$", board.console, re.MULTILINE)]

    until(lambda: sorted(set(got())) == list(range(sent)), "all to have come")
    # Between the end of the callback and the note of it in the file, the power may go as well.
    assert len(got()) - sent <= 6


@pytest.mark.parametrize("cut", [7, 16, 29, 58, 81, 120])
def test_power_cut_in_a_flash_write(tmp_path, make, closing, cut):
    """The board's own littlefs, whose power goes in the middle of a write, then a start without a cut."""
    broker = Mosquitto(tmp_path / "broker")
    flows = [(0, 150, 1 + cut % 2)]
    qos = flows[0][2]
    program = PROGRAM.replace("@", json.dumps({"port": broker.port, "flows": flows}))
    first = SimBoard(image(), tmp_path / "node", options=("--lfs", "flash.img", "--size", "256"))
    closing(Closing(first))
    # The flash is not a folder: the program comes through the REPL.
    first.start()
    first.wait_for("started", 10)
    first.repl(f"f = open('/main.py', 'w'); f.write({program!r}); f.close()")
    first.stop()
    second = SimBoard(image(), tmp_path / "node", options=("--lfs", "flash.img", "--cut", str(cut)))
    closing(Closing(second))
    second.start()
    second.wait_for("power cut at flash write", 20)
    second.stop()
    promised = accepted(second, qos)
    broker.start()
    try:
        peer = closing(Peer(broker.port, ["out/#"]))
        third = SimBoard(image(), tmp_path / "node", options=("--lfs", "flash.img"))
        closing(Closing(third))
        third.start()
        third.wait_for(f"FLOW {qos} 0 DONE", 20)
        third.wait_for("DRAINED 0", 20)
        # The program publishes all of its numbers again; what was promised in the life before comes first.
        until(lambda: len(numbers(peer, qos)) >= 150 + len(promised), "all messages")
        assert numbers(peer, qos)[: len(promised)] == promised
        assert set(numbers(peer, qos)) == set(range(150))
    finally:
        broker.stop()


def test_spill_file_that_is_broken_costs_the_connection_nothing(broker, make, closing):
    peer = closing(Peer(broker.port, ["out/#"]))
    board = make(broker.port, (0, 3, 1))
    (board.flash / "spill").write_bytes(b"CFS1" + bytes(40))
    board.start()
    board.wait_for("not a journal; kept as /spill.bad", 10)
    board.wait_for("FLOW 1 0 DONE", 10)
    until(lambda: numbers(peer, 1) == [0, 1, 2], "the messages")
