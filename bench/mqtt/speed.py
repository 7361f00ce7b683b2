"""Messages per second, and the round trip, on the unix image: ours, the peers and a plain socket in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mqtt.broker import Connection, Mosquitto
from mqtt.guest import Guest, GuestFailed
from mqtt.quiet import server_in_memory

SECONDS = 0.25  # that one run shall take
# A Pico's heap (objects take twice as much on 64 bits). In the 2 MB that the image has by itself, MicroPython's
# search for two free blocks in a row would be most of what is measured.
HEAP = "512k"
MARK = "bench/mark"


@dataclass(frozen=True)
class Case:
    """One line of the table.

    do: what is done (see Bench). options: for the guest. first: messages of the first run, which tells how many
    the others need. most: never more than so many.
    """

    key: str
    title: str
    do: str
    options: dict[str, int | str] = field(default_factory=dict)
    unit: str = "msg/s"
    first: int = 400
    most: int = 4_000_000


CASES = (
    Case("publish_0_20", "publish QoS 0, 20 B", "publish", {"size": 20}),
    Case("publish_0_1k", "publish QoS 0, 1 KB", "publish", {"size": 1024}),
    Case("publish_1_window", "publish QoS 1, 20 B, several in flight", "window", {"size": 20}, first=500),
    Case("publish_1", "publish QoS 1, 20 B, one at a time", "pub1", {"size": 20}, first=20),
    Case("receive_0_mosquitto", "receive QoS 0, 20 B, mosquitto", "receive", {"qos": 0}, most=60_000),
    Case("receive_0_memory", "receive QoS 0, 20 B, memory", "recv", {"qos": 0, "filter": "flood/20/0"}),
    Case("receive_0_memory_1k", "receive QoS 0, 1 KB, memory", "recv", {"qos": 0, "filter": "flood/1024/0"}),
    Case("receive_1_mosquitto", "receive QoS 1, 20 B, mosquitto", "receive", {"qos": 1}, most=30_000),
    Case("receive_1_memory", "receive QoS 1, 20 B, memory", "recv", {"qos": 1, "filter": "flood/20/1"}),
    Case("echo", "round trip QoS 1, p50", "echo", {"size": 20}, "µs", first=20, most=3000),
)
SLOW = {"mqtt_as": 20}  # messages of the first run of a client that does some 10 to 200 a second


class Bench:
    """Runs cases on one image.

    Args:
        image: the unix image.
        peers: folder of the peers' sources, or None.
        note: told what is going on.
    """

    def __init__(self, image: Path, peers: Path | None, note: Callable[[str], None]) -> None:
        self.image = image
        self.peers = peers
        self.note = note
        self._runs = 0
        self.broken: dict[tuple[str, str], str] = {}  # (client, case) -> why

    def run(
        self, clients: list[str], rounds: int, cases: tuple[Case, ...] = CASES
    ) -> dict[str, dict[str, list[float]]]:
        """All cases: case key -> client -> one figure per round, in turns."""
        figures: dict[str, dict[str, list[float]]] = {}
        with Mosquitto() as broker, server_in_memory() as memory:
            for case in cases:
                port = memory if case.do == "recv" else broker.port
                figures[case.key] = self._case(case, clients, rounds, port)
        return figures

    def _case(self, case: Case, clients: list[str], rounds: int, port: int) -> dict[str, list[float]]:
        self.note(case.title)
        found: dict[str, list[float]] = {client: [] for client in clients}
        numbers: dict[str, int] = {}
        for turn in range(rounds + 1):
            for client in clients:
                if (client, case.key) in self.broken:
                    continue
                n = numbers.get(client, min(SLOW.get(client.partition("-")[0], case.first), case.first))
                try:
                    figure = self._once(case, client, port, n)
                except (GuestFailed, OSError) as error:
                    self.broken[client, case.key] = str(error)
                    continue
                if turn == 0:
                    a_second = 1e6 / figure if case.unit == "µs" else figure
                    numbers[client] = max(10, min(case.most, int(a_second * SECONDS)))
                else:
                    found[client].append(figure)
        return {client: values for client, values in found.items() if values}

    def _once(self, case: Case, client: str, port: int, n: int) -> float:
        # A name and a topic for each run: what a broker keeps of an earlier one shall not disturb it.
        self._runs += 1
        own = {"n": n, "id": f"bench-{self._runs}", "topic": f"bench/{self._runs:05}/air/hum"}
        do = getattr(self, "_" + case.do, self._plain)
        return do(case, client, port, {**case.options, **own})

    def _plain(self, case: Case, client: str, port: int, options: dict[str, int | str]) -> float:
        with Guest(self.image, client, case.do, port, options, self.peers, HEAP) as guest:
            return guest.finish("p50" if case.unit == "µs" else "rate")

    def _publish(self, case: Case, client: str, port: int, options: dict[str, int | str]) -> float:
        # From the first call until the broker has passed on what was published last.
        ear = Connection(port, "bench-ear")
        try:
            ear.subscribe(MARK)
            with Guest(self.image, client, "pub0", port, options, self.peers, HEAP) as guest:
                try:
                    end = ear.wait()
                except TimeoutError:
                    end = 0
                start = int(guest.wait_for("START"))
            if not end:
                raise GuestFailed("the last message did not arrive")
            return int(options["n"]) * 1e9 / (end - start)
        finally:
            ear.close()

    def _receive(self, case: Case, client: str, port: int, options: dict[str, int | str]) -> float:
        n, qos = int(options["n"]), int(options["qos"])
        mouth = Connection(port, "bench-mouth")
        try:
            with Guest(self.image, client, "recv", port, options, self.peers, HEAP) as guest:
                guest.wait_for("READY")
                mouth.flood(str(options["topic"]), b"x" * 20, qos, n)
                return guest.finish("rate")
        finally:
            mouth.close()


def median(values: list[float]) -> float:
    """The median; 0.0 when there is none."""
    return statistics.median(values) if values else 0.0


def ratio(figures: dict[str, list[float]], one: str, other: str, scale: float = 1.0) -> float | None:
    """Median over the rounds of one client's figure divided by the other's; None if either is missing."""
    a, b = figures.get(one), figures.get(other)
    if not a or not b:
        return None
    return median([x / (y * scale) for x, y in zip(a, b, strict=False)])
