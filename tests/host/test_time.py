"""The time of day on the simulated board: real NTP over UDP, well-behaved and hostile servers, a clock that jumps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, until
from host.ntpserver import NtpServer, Question
from host.simboards import image
from kit.simboard import SimBoard

DEADLINE = 15.0
IMPORT = "import coldframe\nfrom coldframe import clock, timekeeper, timezone, wallclock\n"

Make = Callable[..., SimBoard]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Gives make(app, **config): a board whose clock is not set at power-on, switched off."""
    made: list[SimBoard] = []

    def later(app: str | None = None, **config: Any) -> SimBoard:
        board = SimBoard(image(), tmp_path / f"node{len(made)}")
        made.append(board)
        board.put("config.json", config)
        if app:
            board.put("app.py", app)
        board.world(clock="unset")
        return board

    yield later
    for board in made:
        board.stop()


@pytest.fixture
def server() -> Iterator[Callable[..., NtpServer]]:
    """Gives server(answer, offset): an NTP server."""
    made: list[NtpServer] = []

    def start(*args: Any, **options: Any) -> NtpServer:
        made.append(NtpServer(*args, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def ask(board: SimBoard, expression: str) -> Any:
    """The value of an expression on the board; the node is stopped and goes on afterwards."""
    value = json.loads(board.repl(f"{IMPORT}import json\nprint(json.dumps({expression}))"))
    board.send("coldframe.resume()\r")
    return value


def test_ntp_sets_the_clock_and_a_soft_reset_keeps_it(make: Make, server: Callable[..., NtpServer]) -> None:
    good = server()
    board = make(time={"ntp": [good.host], "tz": "CET-1CEST,M3.5.0,M10.5.0/3"})
    board.start()
    board.wait_for(f"{good.host} says 20", DEADLINE)
    ms, valid, rtc, source = ask(board, "[clock.unix_ms(), clock.valid(), wallclock.rtc_ms(), clock.source]")
    assert abs(ms / 1000 - time.time()) < 2 and abs(rtc - ms) < 50
    assert (valid, source) == (True, "ntp")
    question = good.asked[0]
    assert (question.mode, question.version, len(question.packet)) == (3, 4, 48)
    assert set(question.packet[1:40]) == {0}  # what our clock shows is nobody's business
    # The log switches to the time of day.
    board.wait_for("resume", DEADLINE)
    text = board.repl("import coldframe; coldframe.log.tail(1)")
    assert text.startswith(time.strftime("%Y-%m-%d ")), text
    good.close()
    board.send(b"\x04")
    board.wait_for("started, base topic", DEADLINE)
    ms, valid = ask(board, "[clock.unix_ms(), clock.valid()]")
    assert valid and abs(ms / 1000 - time.time()) < 2


def lie(**wrong: Any) -> Callable[[Question], bytes]:
    """An answer that is right but for these fields."""
    return lambda question: question.answer(time.time() - 5000, **wrong)


HOSTILE: dict[str, Any] = {
    "wrong originate": lie(originate=b"12345678"),
    "no originate": lie(originate=bytes(8)),
    "kiss of death": lie(stratum=0, reference=b"DENY"),
    "kiss: rate": lie(stratum=0, reference=b"RATE"),
    "silent": lambda question: None,
    "cut": lambda question: question.answer(time.time() - 5000)[:47],
    "empty": lambda question: b"",
    "a client's packet": lie(mode=3),
    "a broadcast": lie(mode=5),
    "alarm": lie(leap=3),
    "stratum 16": lie(stratum=16),
    "far from a clock": lie(dispersion=2 << 16),
    "negative delay": lie(delay=0x80000000),
    "no transmit time": lie(transmit=bytes(8)),
    "the far future": lambda question: question.answer(time.time() + 60 * 365 * 86400),
    "the past": lambda question: question.answer(946684800),
    "answered before it was asked": lambda question: question.answer(time.time(), receive=time.time() + 60),
    "version 1": lie(version=1),
    "noise": lambda question: bytes(range(200)),
}


def test_what_hostile_servers_say_is_not_believed(make: Make, server: Callable[..., NtpServer]) -> None:
    """Each of them alone first, so that its own answer is what is refused; then they and a good one."""
    hostile = {name: server(answer) for name, answer in HOSTILE.items()}
    elsewhere = server(lambda question: None)
    elsewhere.from_elsewhere = lambda question: question.answer(time.time() - 5000)
    hostile["from another port"] = elsewhere
    board = make(time={"ntp": []})
    board.world(clock="unset", speed=5)  # 2 s of waiting for those who are silent pass in 0.4
    board.start()
    board.wait_for("started, base topic", DEADLINE)
    hosts = {name: one.host for name, one in hostile.items()}
    done = board.repl(
        "import asyncio, json\nfrom coldframe import sntp\n"
        "async def one(name, host):\n"
        "    try:\n        print(json.dumps([name, 'believed', await sntp.query(host)]))\n"
        "    except OSError as e:\n        print(json.dumps([name, 'refused', str(e)]))\n"
        f"async def all():\n    await asyncio.gather(*[one(*x) for x in {list(hosts.items())!r}])\n"
        "asyncio.run(all())",
        60,
    )
    said = {name: (word, why) for name, word, why in map(json.loads, done.splitlines())}
    assert set(said) == set(hosts)
    assert {name: why for name, (word, why) in said.items() if word == "believed"} == {}
    for name in ("wrong originate", "no originate", "silent", "cut", "empty", "from another port", "noise"):
        assert said[name][1] == "no answer", name
    assert "alone (DENY)" in said["kiss of death"][1]
    assert "1.5" in said["far from a clock"][1] or "ms away" in said["far from a clock"][1]
    assert all(one.asked for one in hostile.values())


def test_a_good_server_among_bad_ones(make: Make, server: Callable[..., NtpServer]) -> None:
    deny = server(HOSTILE["kiss of death"])
    future = server(HOSTILE["the far future"])
    good = server()
    board = make(
        time={"ntp": ["127.0.0.1:ntp", deny.host, "127.0.0.1:9", future.host, good.host], "every": 64}
    )
    board.world(clock="unset", speed=10)
    good.answer = lambda question: question.answer(time.time())
    board.start()
    board.wait_for(f"{good.host} says 20", DEADLINE)
    assert ask(board, "timekeeper.state.server") == good.host
    until(lambda: len(good.asked) >= 3, "asked again after time.every", DEADLINE)
    assert len(deny.asked) == 1  # it wanted to be left alone


def test_a_server_that_is_years_off_is_not_believed_by_a_clock_that_was_right(
    make: Make, server: Callable[..., NtpServer]
) -> None:
    one = server()
    two = server()
    board = make(time={"ntp": [one.host, two.host], "every": 64})
    board.world(clock="unset", speed=20)
    # On the board time runs 20 times faster, and so it does for its servers.
    begin = time.time()

    def right(question: Question) -> bytes:
        return question.answer(begin + (time.time() - begin) * 20)

    one.answer = two.answer = right
    board.start()
    board.wait_for(f"{one.host} says 20", DEADLINE)
    one.answer = lambda question: question.answer(begin + 5 * 365 * 86400)
    asked = len(one.asked), len(two.asked)
    until(lambda: len(one.asked) > asked[0] and len(two.asked) > asked[1], "both were asked", DEADLINE)
    until(lambda: ask(board, "timekeeper.state.server") == two.host, "the second one is believed", DEADLINE)
    assert ask(board, "clock.unix_ms()") / 1000 < begin + 86400
    # Both of them: so it must be true.
    two.answer = one.answer
    until(lambda: ask(board, "clock.unix_ms()") / 1000 > begin + 86400 * 365, "both are believed", DEADLINE)


TELL = """
from coldframe import clock, timezone
def setup(node):
    node.action("tell")(lambda: [timezone.unix(), clock.valid(), clock.source])
"""


def test_time_over_mqtt(make: Make, broker: Mosquitto) -> None:
    topic = "/FmPyIOT/datetime"
    peer = Peer(broker.port, [topic + "_", "tell_"])

    def told() -> list[Any]:
        before = len(peer.payloads("tell_"))
        peer.publish("tell", "")
        until(lambda: len(peer.payloads("tell_")) > before, "the device's time")
        return list(json.loads(peer.payloads("tell_")[-1]))

    peer.publish(topic, "1750000000", retain=True)  # old: the broker has kept it
    board = make(
        TELL,
        mqtt={"host": "127.0.0.1", "port": broker.port},
        time={"ntp": [], "mqtt": topic, "tz": "CET-1CEST,M3.5.0,M10.5.0/3"},
    )
    board.world(clock="unset", speed=4)
    board.start()
    until(lambda: peer.payloads(topic + "_") == [b"_"], "the question")
    until(lambda: len(peer.payloads(topic + "_")) > 1, "the question again, as nobody answers")
    for payload, unix in (
        ("[2026, 11, 21, 5, 12, 34, 56, 0]", 1795260896),  # local time, as FmPyIOT's server sends it
        ("(2026, 7, 1, 2, 12, 0, 0, 0)", 1782900000),
        ("1795260800", 1795260800),
        ("1795260700123", 1795260700),
        ("1795260600.5", 1795260600),
        ("2026-11-21T11:34:56Z", 1795260896),
        ("2026-11-21T17:04:50.25+0530", 1795260890),
        ("2026-11-21 12:34:40", 1795260880),
    ):
        peer.publish(topic, payload)
        until(lambda unix=unix: abs(unix - told()[0]) < 30, payload)  # type: ignore[misc]
        assert told()[1:] == [True, "mqtt"]
    for payload in ("soon", "[2026]", "[2026, 13, 1, 0, 0, 0, 0, 0]", "12", "", "4000000000", "[" * 200):
        peer.publish(topic, payload)
        board.wait_for(f"{topic} failed", DEADLINE)
    assert abs(told()[0] - 1795260880) < 600
    peer.close()


JUMPS = """
from coldframe import clock
def setup(node):
    n = [0]
    @node.topic("./tick", every=1)
    def tick():
        n[0] += 1
        return "%d %d" % (n[0], clock.seconds())
    @node.topic("./at", at="03:00")
    def at():
        return "at"
    async def moved(seconds):
        await node.publish("./moved", "%d" % seconds)
    node.on("clock", moved)
"""


def test_a_clock_that_jumps_disturbs_nothing(make: Make, broker: Mosquitto) -> None:
    board = make(JUMPS, mqtt={"host": "127.0.0.1", "port": broker.port, "keepalive": 10}, time={"ntp": []})
    board.world(clock="unset", speed=20)
    peer = Peer(broker.port, ["coldframe/#"])
    board.start()
    until(lambda: any(m.topic.endswith("/tick") for m in peer.messages), "the first tick")
    base = next(m.topic for m in peer.messages if m.topic.endswith("/tick"))[: -len("/tick")]
    # Years on, back before the start, a day on, an hour back, ten seconds.
    for n, date in enumerate((1795260896, 1600000000, 1795347296, 1795343696, 1795343730)):
        board.world(clock="unset", speed=20, date=date)
        until(lambda n=n: len(peer.payloads(f"{base}/moved")) == n + 1, "the event")  # type: ignore[misc]
        before = len(peer.payloads(f"{base}/tick"))
        until(lambda before=before: len(peer.payloads(f"{base}/tick")) > before + 10, "10 ticks")  # type: ignore[misc]
    moves = [int(text) for text in peer.payloads(f"{base}/moved")]
    year = 365 * 86400
    assert (
        moves[0] > 5 * year and moves[1] < -6 * year and moves[2] > 6 * year and -3700 < moves[3] < -3500
    ), moves
    ticks = [tuple(map(int, text.split())) for text in peer.payloads(f"{base}/tick")]
    assert [n for n, _ in ticks] == list(range(1, len(ticks) + 1))
    steps = [b[1] - a[1] for a, b in zip(ticks, ticks[1:], strict=False)]
    assert set(steps) <= {0, 1, 2} and sum(steps) / len(steps) < 1.2, steps  # of the clock that does not jump
    assert peer.payloads(f"{base}/available") == [b"online"]
    assert board.state()["boots"] == 1
    assert json.loads(board.repl("import coldframe, json; print(json.dumps(coldframe.node.errors))")) == []
    peer.close()
