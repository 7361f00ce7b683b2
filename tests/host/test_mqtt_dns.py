"""The device's name look-up, on the unix image, against a name server of ours: slow, silent, lying, broken."""

from __future__ import annotations

import json
import random
import subprocess
import time

import pytest
from host.brokers import Peer, free_port, until
from host.mqttnode import MqttNode, image
from host.nameserver import NameServer, a, cname, record, reply, wire

HOME = "127.0.0.1"

# Look a name up as often as the host says, beside a task that shows whether anything stood still.
LOOK = """
import asyncio, json, sys, time
from coldframe import dns, log
log.console("DEBUG")
host, servers, times = json.loads('@')
if servers is not None:
    dns.servers = [tuple(s) for s in servers]
    dns.mdns = servers and tuple(servers[0])
longest = 0

async def tick():
    global longest
    last = time.ticks_ms()
    while True:
        await asyncio.sleep_ms(5)
        now = time.ticks_ms()
        longest = max(longest, time.ticks_diff(now, last))
        last = now

async def main():
    asyncio.create_task(tick())
    for i in range(times):
        start = time.ticks_ms()
        try:
            print("FOUND", json.dumps(await dns.resolve(host)), time.ticks_diff(time.ticks_ms(), start))
        except OSError as er:
            print("ERROR", er, time.ticks_diff(time.ticks_ms(), start))
    print("LONGEST", longest)

asyncio.run(main())
"""


def look(tmp_path, host: str, *servers: NameServer, times: int = 1) -> list[str]:
    """What the script says."""
    script = tmp_path / "look.py"
    ask = json.dumps([host, [s.place for s in servers] if servers else None, times])
    script.write_text(LOOK.replace("@", ask))
    done = subprocess.run([image(), script], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout.splitlines()


def found(lines: list[str]) -> list[str]:
    assert lines[0].startswith("FOUND"), lines
    return json.loads(lines[0].split(" ", 1)[1].rsplit(" ", 1)[0])


def error(lines: list[str]) -> str:
    assert lines[0].startswith("ERROR"), lines
    return lines[0][6:].rsplit(" ", 1)[0]


@pytest.fixture
def server(closing):
    def start(answer) -> NameServer:
        return closing(NameServer(answer))

    return start


def test_address(tmp_path, server):
    s = server(lambda q: reply(q, a("10.1.2.3")))
    assert found(look(tmp_path, "broker.example", s)) == ["10.1.2.3"]
    assert [q.name for q in s.asked] == ["broker.example"]
    assert s.asked[0].recursion
    assert len(s.asked[0].packet) == 32


def test_several_addresses_and_other_records_between(tmp_path, server):
    other = record(b"\xc0\x0c", 28, bytes(16)), record(wire("x.example"), 1, b"\x01\x02\x03\x04")
    wrong_class = record(b"\xc0\x0c", 1, b"\x05\x06\x07\x08", klass=3)
    many = [a(f"10.0.0.{i}") for i in range(1, 12)]
    s = server(lambda q: reply(q, a("0.0.0.0"), *other, wrong_class, *many))
    assert found(look(tmp_path, "b.example.", s)) == [f"10.0.0.{i}" for i in range(1, 9)]


def test_upper_case_is_no_other_name(tmp_path, server):
    s = server(lambda q: reply(q, a("10.1.2.3", wire("BROKER.Example")), question=q.question.upper()))
    assert found(look(tmp_path, "Broker.EXAMPLE", s)) == ["10.1.2.3"]


def test_aliases_are_followed_in_any_order(tmp_path, server):
    s = server(
        lambda q: reply(
            q, a("10.9.9.9", wire("c.example")), cname("c.example", wire("b.example")), cname("b.example")
        )
    )
    assert found(look(tmp_path, "a.example", s)) == ["10.9.9.9"]


def test_alias_without_an_address_is_asked_for(tmp_path, server):
    s = server(lambda q: reply(q, a("10.1.1.1") if q.name == "b.example" else cname("b.example")))
    assert found(look(tmp_path, "a.example", s)) == ["10.1.1.1"]
    assert [q.name for q in s.asked] == ["a.example", "b.example"]


def test_alias_in_a_circle_and_without_end(tmp_path, server):
    circle = server(lambda q: reply(q, cname("b.example"), cname("a.example", wire("b.example"))))
    assert error(look(tmp_path, "a.example", circle)) in (
        "no such host: a.example",
        "a.example: an alias that leads nowhere",
    )
    endless = server(lambda q: reply(q, cname("x" + q.name)))
    assert error(look(tmp_path, "a.example", endless)) == "a.example: an alias that leads nowhere"
    assert len(endless.asked) <= 5


def test_no_such_name(tmp_path, server):
    s = server(lambda q: reply(q, code=3))
    assert error(look(tmp_path, "gone.example", s)) == "no such host: gone.example"
    none = server(lambda q: reply(q))
    assert error(look(tmp_path, "gone.example", none)) == "no such host: gone.example"


def test_silent_server_is_asked_again_then_the_next_one(tmp_path, server):
    silent = server(lambda q: None)
    good = server(lambda q: reply(q, a("10.1.2.3")))
    lines = look(tmp_path, "b.example", silent, good)
    assert found(lines) == ["10.1.2.3"]
    assert 900 < int(lines[0].rsplit(" ", 1)[1]) < 1800
    assert len(silent.asked) == 1
    lines = look(tmp_path, "b.example", silent)
    assert error(lines) == "b.example: no answer from the name server"
    assert 5900 < int(lines[0].rsplit(" ", 1)[1]) < 7500
    assert len(silent.asked) == 4
    assert len({q.id for q in silent.asked}) == 2  # the same question again has the same number


def test_slow_server_is_not_too_slow_and_nothing_stands_still(tmp_path, server):
    slow = server(lambda q: reply(q, a("10.1.2.3")))
    slow.delay = 1.6
    lines = look(tmp_path, "b.example", slow, times=2)
    assert found(lines) == ["10.1.2.3"]
    assert 1500 < int(lines[0].rsplit(" ", 1)[1]) < 2400
    assert int(lines[-1].split()[1]) < 300, lines


def test_server_with_an_error_is_passed_over(tmp_path, server):
    broken = server(lambda q: reply(q, code=2))
    good = server(lambda q: reply(q, a("10.1.2.3")))
    assert found(look(tmp_path, "b.example", broken, good)) == ["10.1.2.3"]
    assert error(look(tmp_path, "b.example", broken)) == "b.example: the name server answers with error 2"


def test_answers_that_nobody_asked_for_are_ignored(tmp_path, server):
    bad = a("6.6.6.6")
    s = server(
        lambda q: [
            reply(q, bad, id=bytes([q.id[0] ^ 1, q.id[1]])),
            reply(q, bad, question=wire("evil.example") + b"\0\1\0\1"),
            reply(q, bad, question=q.question[:-4] + b"\0\x1c\0\1"),
            q.packet,
            q.packet[:12],
            b"",
            reply(q, bad)[:20],
            reply(q, a("6.6.6.6", wire("evil.example")), a("10.1.2.3")),
        ]
    )
    s.from_elsewhere = lambda q: reply(q, bad)
    assert found(look(tmp_path, "b.example", s)) == ["10.1.2.3"]


def test_numbers_cannot_be_guessed(tmp_path, server):
    s = server(lambda q: reply(q, a("10.1.2.3")))
    look(tmp_path, "b.example", s, times=50)
    ids = [q.id for q in s.asked]
    assert len(set(ids)) > 45
    steps = {(ids[i + 1][0] - ids[i][0]) % 256 for i in range(49)}
    assert len(steps) > 20


def test_cut_answer(tmp_path, server):
    s = server(lambda q: reply(q, a("10.1.2.3"), a("10.1.2.4"), cut=True)[:-7])
    assert found(look(tmp_path, "b.example", s)) == ["10.1.2.3"]
    empty = server(lambda q: reply(q, cut=True))
    good = server(lambda q: reply(q, a("10.1.2.3")))
    assert found(look(tmp_path, "b.example", empty, good)) == ["10.1.2.3"]
    assert error(look(tmp_path, "b.example", empty)) == "b.example: the answer was cut"


def test_names_that_lead_in_circles_and_out_of_the_packet(tmp_path, server):
    def packets(q):
        end = 12 + len(q.question)
        here = bytes([0xC0 | end >> 8, end & 255])
        for owner in (
            here,  # to itself
            bytes([0xC0 | (end + 2) >> 8, (end + 2) & 255]) + here,  # forward, and back
            b"\x01a" + here,  # ever longer
            b"\xff\xff",
            b"\xc0",
            b"\x3f",
            b"\x40abc",
            b"\x80",
            b"\x3f" + b"x" * 63 + b"\xc0\x0c",
        ):
            yield reply(q, record(owner, 1, b"\x06\x06\x06\x06"))
        yield reply(q, b"\xc0\x0c\0\1\0\1\0\0\0\0\xff\xff" + bytes(4))
        yield reply(q, record(b"\xc0\x0c", 5, here))
        yield reply(q)[:6] + b"\xff\xff" + reply(q)[8:]

    def answer(q):
        return [*packets(q), reply(q, a("10.1.2.3"))]

    s = server(answer)
    lines = look(tmp_path, "b.example", s)
    # Some of these say that there is no address; none does any harm.
    assert lines[0].startswith(("FOUND", "ERROR"))
    assert "6.6.6.6" not in lines[0]


def test_random_damage_does_no_harm(tmp_path, server):
    dice = random.Random(3)

    def answer(q):
        whole = bytearray(
            reply(
                q, cname("c.example"), cname("d.example", wire("c.example")), a("10.1.2.3", wire("d.example"))
            )
        )
        for _ in range(dice.randrange(1, 6)):
            whole[dice.randrange(2, len(whole))] = dice.randrange(256)
        return [bytes(whole[: dice.randrange(12, len(whole) + 1)]), reply(q, a("10.4.4.4"))]

    lines = look(tmp_path, "b.example", server(answer), times=200)
    assert len([line for line in lines if line.startswith(("FOUND", "ERROR"))]) == 200
    assert sum("10.4.4.4" in line for line in lines) > 50


@pytest.mark.parametrize("host", ["", ".", "a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_what_is_no_name(tmp_path, server, host):
    s = server(lambda q: reply(q, a("10.1.2.3")))
    assert error(look(tmp_path, host, s)) == f"not a host name: {host[:64]}"
    assert s.asked == []


def test_names_that_need_no_server(tmp_path, server):
    s = server(lambda q: None)
    assert found(look(tmp_path, "localhost", s)) == [HOME]
    assert s.asked == []


def test_without_a_name_server_the_slow_way_is_taken_and_told_once(tmp_path):
    # What getaddrinfo() makes of a name depends on this machine, so it is left out.
    lines = patched(tmp_path, "dns._blocking = lambda host: ['10.1.2.3']; hal.name_servers = lambda: []", 3)
    assert sum('FOUND ["10.1.2.3"]' in line for line in lines) == 3
    assert sum("the network names no name server: to look up broker.example" in line for line in lines) == 1


def test_before_there_is_a_network_nothing_is_asked(tmp_path):
    lines = patched(tmp_path, "hal.name_servers = lambda: None", 1)
    assert lines[0].startswith("ERROR broker.example: there is no network yet")


def patched(tmp_path, change: str, times: int) -> list[str]:
    """The lines of the script after a change of what it runs on."""
    script = tmp_path / "look.py"
    code = LOOK.replace("@", json.dumps(["broker.example", None, times]))
    script.write_text(code.replace("longest = 0", f"from coldframe import hal\n{change}\nlongest = 0", 1))
    done = subprocess.run([image(), script], capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def test_local_names_are_asked_for_by_mdns(tmp_path, server):
    # The answer bears the flag that mDNS adds to the class.
    s = server(lambda q: reply(q, record(b"\xc0\x0c", 1, b"\x0a\x01\x02\x03", klass=0x8001)))
    assert found(look(tmp_path, "broker.local", s)) == ["10.1.2.3"]
    assert s.asked[0].packet[2:4] == b"\0\0"
    silent = server(lambda q: None)
    assert error(look(tmp_path, "broker.local", silent)) == "broker.local: nobody answers"


def test_client_looks_the_name_up_for_each_connection(broker, closing, server):
    s = server(lambda q: reply(q, a(HOME)))
    node = closing(MqttNode(broker.port, host="broker.example", servers=[s.place]))
    node.wait_for("UP")
    broker.stop()
    node.wait_for("DOWN")
    asked = len(s.asked)
    broker.start()
    until(lambda: node.count("UP") == 2, "the node to come back")
    assert len(s.asked) > asked


def test_next_address_is_tried_when_one_refuses(broker, closing, server):
    s = server(lambda q: reply(q, a("127.0.0.9"), a(HOME)))
    nodes = [
        closing(MqttNode(broker.port, f"n{i}", host="broker.example", servers=[s.place])) for i in range(2)
    ]
    for node in nodes:
        since = time.monotonic()
        node.wait_for("UP")
        assert time.monotonic() - since < 2
        assert node.count("ECONNREFUSED") == 0


def test_client_works_on_while_the_name_server_is_silent(closing, server, tmp_path):
    s = server(lambda q: None)
    node = closing(MqttNode(free_port(), host="broker.example", servers=[s.place], response_time=3))
    for _ in range(20):
        since = time.monotonic()
        node.ask("state", answer="STATE")
        assert time.monotonic() - since < 0.5
    node.wait_for("no answer")
    s.answer = lambda q: reply(q, code=3)
    node.wait_for("no such host: broker.example")


def test_broker_that_moves_is_found(broker, closing, server):
    where = ["127.0.0.9"]
    s = server(lambda q: reply(q, a(where[0])))
    node = closing(MqttNode(broker.port, host="broker.example", servers=[s.place]))
    node.wait_for("ECONNREFUSED")
    where[0] = HOME
    node.wait_for("UP")
    peer = closing(Peer(broker.port, ["t"]))
    node.tell("pub", "t", "x", 1)
    peer.wait_for("t", "x")
