"""Days of a node's life in minutes: the simulated board with its time sped up, a real broker, and faults by the hour.

What is checked at the end: no QoS 1 message was lost either way, every schedule was kept whenever there was a
connection, the heap is as empty in the last third of the time as in the second, and the board was never reset.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from host.brokers import Mosquitto, Peer, until
from host.simboards import FARM, image
from kit.simboard import SimBoard

ID = "00000000000000e7"
BASE = f"coldframe/{ID}"
HOUR = 3600.0
FAST, SLOW = 60, 900  # s between two readings of the two schedules
SAMPLE = 600  # s between two looks at the heap
_TALK = 30  # s between two numbered messages, each way
_END = 90.0  # s of the wall for what is left at the end to arrive
_LATE = 15  # s that a reading may be late

_APP = (Path(__file__).parent / "scripts" / "endurance_app.py").read_text()


@dataclass
class Fault:
    """Something that goes wrong at an hour of the emulated time."""

    at: float  # s of emulated time
    what: str
    length: float = 0.0  # s


def plan(hours: float, seed: int) -> list[Fault]:
    """A day has its share of everything; shorter runs have less, but each kind once if there is room."""
    rng = random.Random(seed)
    kinds: list[tuple[str, float, float]] = [
        ("access point gone", 0.3, 4.0),
        ("broker gone", 0.3, 3.0),
        ("broker restarts", 0.0, 0.0),
        ("new address", 0.0, 0.0),
        ("silent link", 0.05, 1.0),
        ("clock jumps", 0.0, 0.0),
        ("access point gone for a moment", 0.01, 0.05),
        ("slow action", 0.0, 0.0),
    ]
    faults: list[Fault] = []
    room = hours * HOUR - 0.3 * HOUR
    at = 0.25 * HOUR
    stretch = min(1.0, hours / 24)
    bag: list[tuple[str, float, float]] = []
    while at < room:
        if not bag:
            bag = rng.sample(kinds, len(kinds))
        what, least, most = bag.pop()
        length = rng.uniform(least, most) * HOUR * stretch
        if at + length > room:
            break
        faults.append(Fault(at, what, length))
        at += length + rng.uniform(0.1, 0.6) * HOUR * max(stretch, 0.3)
    return faults


@dataclass
class Result:
    """What came of it."""

    hours: float
    wall: float  # s
    heap: list[tuple[float, int]] = field(default_factory=list)  # (hours, bytes free after a collection)
    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class Endurance:
    """One board, one broker, one peer.

    Args:
        folder: an empty one.
        speed: how much faster the board's time runs than the wall's.
        config: further sections of config.json.
        say: called with a line about each thing that happens.
    """

    def __init__(
        self,
        folder: Path,
        *,
        speed: float,
        heap: str = "256k",
        config: dict[str, Any] | None = None,
        unix_image: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.speed = speed
        self.say = say
        self.broker = Mosquitto(folder / "broker", queue=0).start()
        self.numbers: list[int] = []  # of the node's messages, as they came
        self.readings: dict[str, list[int]] = {"fast": [], "slow": []}  # ms of the board's clock
        self.heap: list[dict[str, int]] = []
        self.ups: list[int] = []  # when a connection was made, ms of the board's clock
        self.stalls: list[list[int]] = []  # [from, to] in the same: the PC gave the board no time
        self.logged = 0
        self.received: dict[str, int] = {}
        self.peer = Peer(self.broker.port, [f"{BASE}/#"], client_id="endurance", sink=self._take)
        self.board = SimBoard(unix_image or image(), folder / "node", unique_id=ID, heap=heap)
        self.board.put(
            "config.json",
            {
                "mqtt": {"host": "127.0.0.1", "port": self.broker.port},
                # The one restart that an outage may lead to would be taken for one that should not be.
                "wifi": {"networks": [{"ssid": "Farm", "password": "secret99"}], "reset_after": 0},
                "log": {"mqtt": "INFO", "console": "WARNING"},
                "sysinfo": {"every": SLOW},
                "watchdog": {"timeout": 300},
                **(config or {}),
            },
        )
        self.board.put("app.py", _APP)
        self.network = dict(FARM)
        self.sent = 0
        self._begun = 0.0

    def close(self) -> None:
        """End everything."""
        self.board.stop()
        self.peer.close()
        self.broker.close()

    def _take(self, message: Any) -> None:
        name = message.topic[len(BASE) + 1 :]
        if name == "number":
            self.numbers.append(int(message.payload))
        elif name in self.readings:
            self.readings[name].append(int(message.payload))
        elif name == "heap":
            self.heap.append(json.loads(message.payload))
        elif name == "up":
            self.ups.append(int(message.payload))
        elif name == "stall":
            self.stalls.append(json.loads(message.payload))
        elif name == "received":
            self.received = json.loads(message.payload)
        elif name.startswith("log/"):
            self.logged += 1

    @property
    def now(self) -> float:
        """Seconds of emulated time since the start."""
        return (time.monotonic() - self._begun) * self.speed

    def run(self, hours: float, seed: int = 1) -> Result:
        """Live through so many hours, and judge."""
        self.board.world(networks=[self.network], speed=self.speed)
        self._begun = time.monotonic()
        self.board.start()
        faults = plan(hours, seed)
        until(lambda: self.ups, "the first connection", 30)
        ends: list[Fault] = []
        while self.now < hours * HOUR:
            if faults and self.now >= faults[0].at:
                fault = faults.pop(0)
                self.say(
                    f"{fault.at / HOUR:6.2f} h  {fault.what}"
                    + (f" for {fault.length / HOUR:.2f} h" * bool(fault.length))
                )
                self._begin(fault)
                if fault.length:
                    ends.append(Fault(fault.at + fault.length, fault.what))
            if ends and self.now >= ends[0].at:
                self._end(ends.pop(0))
            while self.sent * _TALK < self.now:
                self.sent += 1
                self.peer.client.publish(f"{BASE}/down", str(self.sent), 1)
            time.sleep(max(0.002, min(0.05, _TALK / self.speed)))
        for fault in ends:
            self._end(fault)
        return self._judge(hours)

    def _begin(self, fault: Fault) -> None:
        what = fault.what
        if what.startswith("access point gone"):
            self.board.world(networks=[])
        elif what == "broker gone":
            self.broker.stop()
        elif what == "broker restarts":
            self.broker.stop()
            self.broker.start()
        elif what == "silent link":
            self.board.world(outage=True)
        elif what == "new address":
            self.network["ip"] = f"10.77.3.{random.randrange(2, 250)}"
            self.board.world(networks=[self.network])
        elif what == "clock jumps":
            self.peer.client.publish(f"{BASE}/jump", str(random.choice((-7200, -61, 90, 86400))), 1)
        elif what == "slow action":
            self.peer.client.publish(f"{BASE}/work", "60", 1)

    def _end(self, fault: Fault) -> None:
        if fault.what.startswith("access point gone"):
            self.board.world(networks=[self.network])
        elif fault.what == "broker gone":
            self.broker.start()
        elif fault.what == "silent link":
            self.board.world(outage=None)

    # ---- the judgement

    def _judge(self, hours: float) -> Result:
        result = Result(hours, time.monotonic() - self._begun)
        problems = result.problems
        # All that both sides have sent by now must arrive; the node says what it has got.
        self.peer.client.publish(f"{BASE}/finish", "", 1)
        try:
            until(lambda: "finished" in self.received and self._complete(), "what is under way", _END)
        except AssertionError:
            problems.append("not everything has arrived")
        result.wall = time.monotonic() - self._begun
        got = self.received
        lost_up = set(range(1, got.get("sent", 0) + 1)) - set(self.numbers)
        if lost_up:
            problems.append(f"{len(lost_up)} QoS 1 message(s) of the node lost: {sorted(lost_up)[:10]}")
        if got.get("count") != self.sent:
            problems.append(f"QoS 1 messages to the node: {self.sent} sent, {got.get('count')} received")
        boots = self.board.state().get("boots")
        if boots != 1:
            problems.append(f"the board was reset: {boots} starts, the last by {self.board.reset_cause()}")
        problems += self._schedules()
        result.heap = [(row["ms"] / 3.6e6, row["free"]) for row in self.heap]
        problems += flat(result.heap)
        console = self.board.console
        if "Traceback" in console or "CRITICAL" in console:
            found = re.search(r"(?s).{0,300}(Traceback|CRITICAL).{0,600}", console)
            problems.append(f"on the console: {found[0] if found else ''}")
        result.figures = {
            "messages of the node": got.get("sent", 0),
            "messages to the node": self.sent,
            "of these came twice": got.get("twice", 0),
            "readings": {name: len(set(times)) for name, times in self.readings.items()},
            "connections": len(self.ups),
            "stalls of the PC (s of emulated time)": [
                round((end - start) / 1000) for start, end in self.stalls
            ],
            "log lines": self.logged,
            "dropped by the node": got.get("dropped", 0),
        }
        return result

    def _complete(self) -> bool:
        got = self.received
        return got.get("count", 0) >= self.sent and len(set(self.numbers)) >= got.get("sent", 0)

    def _schedules(self) -> list[str]:
        # Between two readings there is one period, unless the connection was down in between, or the board had no time.
        excuses = [(up, up) for up in self.ups] + [(start, end) for start, end in self.stalls]
        problems = []
        for name, period in (("fast", FAST), ("slow", SLOW)):
            times = sorted(set(self.readings[name]))
            if len(times) < 2:
                problems.append(f"schedule {name}: {len(times)} readings")
            for before, after in zip(times, times[1:], strict=False):
                if after - before > (period + _LATE) * 1000 and not any(
                    before - 60_000 < end and start < after + 60_000 for start, end in excuses
                ):
                    problems.append(
                        f"schedule {name}: nothing between {before / 3.6e6:.3f} h and {after / 3.6e6:.3f} h"
                    )
        return problems


def flat(curve: list[tuple[float, int]]) -> list[str]:
    """What is wrong with the heap over time: the last third must be as empty as the second.

    The first third is left out: each kind of fault, the first time, loads code that stays. What has leaked is missing
    in every look from then on, so the middle and the best one tell; one look may meet the node at work, with its
    queues full, and show some KB less.

    Args:
        curve: (hours, bytes free after a collection).
    """
    if len(curve) < 9:
        return [f"only {len(curve)} looks at the heap"]
    third = len(curve) // 3
    before = sorted(free for _, free in curve[third:-third])
    after = sorted(free for _, free in curve[-third:])
    middle = before[len(before) // 2], after[len(after) // 2]
    if middle[0] - middle[1] > 1500 or before[-1] - after[-1] > 1500 or before[0] - after[0] > 16000:
        return [
            f"the heap shrinks: free at the median {middle[0]} -> {middle[1]}, at most {before[-1]} -> {after[-1]}, "
            f"at least {before[0]} -> {after[0]}"
        ]
    return []
