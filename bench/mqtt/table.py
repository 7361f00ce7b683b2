"""The figures of bench/client.py as tables, and the goals beside the results."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from mqtt.speed import CASES, median, ratio

OURS = "coldframe"


@dataclass(frozen=True)
class Goal:
    """One goal: what, what is wanted, what was measured (None: not measured), whether that is met."""

    what: str
    wanted: str
    measured: float | None
    met: bool | None


def _at_least(what: str, limit: float, unit: str, value: float | None) -> Goal:
    return Goal(what, f"≥ {limit:g} {unit}", value, None if value is None else value >= limit)


def _at_most(what: str, limit: float, unit: str, value: float | None) -> Goal:
    return Goal(what, f"≤ {limit:,g} {unit}", value, None if value is None else value <= limit)


def goals(found: dict[str, Any]) -> list[dict[str, Any]]:
    """All goals, for the JSON file."""
    return [asdict(goal) for goal in _goals(found)]


def _goals(found: dict[str, Any]) -> list[Goal]:
    goals: list[Goal] = []
    if "speed" in found:
        goals += _speed(found["speed"])
    if "heap" in found:
        goals += _heap(found["heap"])
    if "idle" in found:
        garbage, share = _pair(found["idle"].get(OURS))
        percent = None if share is None else share * 100
        goals.append(_at_most("idle and connected: garbage", 0, "B/s", garbage))
        goals.append(_at_most("idle and connected: CPU of this machine", 1, "%", percent))
    if "outage" in found:
        for length, clients in found["outage"].items():
            for i, how in enumerate(("publishing", "nothing to publish")):
                seconds = _pair(clients.get(OURS))[i]
                goals.append(_at_most(f"back in use, outage of {length}, {how}", 1, "s", seconds))
    if "rp2040" in found:
        goals += _chip(found["rp2040"][OURS])
    return goals


def _pair(value: Any) -> tuple[float | None, float | None]:
    return (None, None) if value is None or isinstance(value, str) else tuple(value)


def _failures(found: dict[str, Any]) -> dict[str, str]:
    """What could not be measured -> why."""
    failures = dict(found.get("speed_failures", {}))
    for case, figures in {**found.get("heap", {}), "idle": found.get("idle", {})}.items():
        failures |= {f"{client} {case}": why for client, why in figures.items() if isinstance(why, str)}
    return failures


def _speed(speed: dict[str, dict[str, list[float]]]) -> list[Goal]:
    def times(case: str, other: str, other_case: str | None = None) -> float | None:
        both = {
            OURS: speed.get(case, {}).get(OURS, []),
            other: speed.get(other_case or case, {}).get(other, []),
        }
        return ratio(both, OURS, other)

    asy = "mqtt_async"
    return [
        _at_least("publish QoS 0, 20 B", 3, f"× {asy}", times("publish_0_20", asy)),
        _at_least("publish QoS 0, 20 B", 0.6, "× raw", times("publish_0_20", "raw")),
        _at_least("publish QoS 1, its window", 3, f"× {asy}", times("publish_1_window", asy, "publish_1")),
        _at_least("publish QoS 1, its window", 0.85, "× raw pipelined", times("publish_1_window", "raw")),
        _at_least("receive QoS 0, memory", 5, f"× {asy}", times("receive_0_memory", asy)),
        _at_least("receive QoS 1, memory", 5, f"× {asy}", times("receive_1_memory", asy)),
        _at_least("receive QoS 0, mosquitto", 0.9, "× raw", times("receive_0_mosquitto", "raw")),
        _at_least("receive QoS 1, mosquitto", 0.9, "× raw", times("receive_1_mosquitto", "raw")),
        _at_most("round trip p50", 1, f"× {asy}", times("echo", asy)),
    ]


def _heap(heap: dict[str, dict[str, float | str]]) -> list[Goal]:
    def figure(case: str, payload: int = 0) -> float | None:
        value = heap[case].get(OURS)
        return value - payload if isinstance(value, float) else None

    return [
        _at_most("heap per message published, QoS 0", 32, "B", figure("publish_0")),
        _at_most("heap per message published, QoS 1", 32, "B", figure("publish_1")),
        _at_most("heap per message received beyond 20 B, QoS 0", 64, "B", figure("receive_0", 20)),
        _at_most("heap per message received beyond 20 B, QoS 1", 64, "B", figure("receive_1", 20)),
    ]


def _chip(cost: dict[str, float | None]) -> list[Goal]:
    idle = cost["idle_cpu"]
    return [
        _at_most("RP2040: received in a burst", 120, "µs", cost["received"]),
        _at_most("RP2040: published in a burst", 120, "µs", cost["published"]),
        _at_most("RP2040: received one at a time, with a turn", 550, "µs", cost["received_alone"]),
        _at_most("RP2040: published one at a time, with a turn", 550, "µs", cost["published_alone"]),
        _at_most("RP2040: idle and connected: garbage", 0, "B/s", cost["idle_garbage"]),
        _at_most("RP2040: idle and connected: CPU", 1, "%", None if idle is None else idle * 100),
        _at_most("RP2040: RAM kept, frozen, without buffer", 3072, "B", cost["kept"]),
    ]


def _number(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return "failed"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def show(found: dict[str, Any], clients: list[str]) -> None:
    """Print everything that was measured."""
    console = Console(width=150)
    missing = found.get("missing_peers", [])
    if "speed" in found:
        table = _table("unix image: messages per second, medians", ["", *clients])
        for case in CASES:
            figures = found["speed"].get(case.key, {})
            title = case.title if case.unit == "msg/s" else f"{case.title}, {case.unit}"
            cells = [_number(median(figures[c])) if c in figures else "-" for c in clients]
            table.add_row(title, *cells)
        console.print(table)
    if "heap" in found:
        names = [client for client in clients if client in found["heap"]["publish_0"]]
        table = _table("32-bit unix image: bytes of heap per message of 20 B, collector off", ["", *names])
        for case, figures in found["heap"].items():
            table.add_row(case.replace("_", " QoS "), *(_number(figures[c]) for c in names))
        console.print(table)
    if "idle" in found:
        table = _table("idle and connected, unix image", ["", *found["idle"]])
        pairs = [_pair(value) for value in found["idle"].values()]
        table.add_row("garbage, bytes per second", *(_number(garbage) for garbage, _ in pairs))
        table.add_row("CPU, %", *(_number(None if share is None else share * 100) for _, share in pairs))
        console.print(table)
    if "outage" in found:
        names = list(next(iter(found["outage"].values())))
        table = _table(
            "seconds from the broker's return until back in use ('-': not within 35 s)", ["", *names]
        )
        for length, figures in found["outage"].items():
            table.add_row(f"away for {length}, publishing QoS 1", *(_number(figures[c][0]) for c in names))
            table.add_row(f"away for {length}, nothing to publish", *(_number(figures[c][1]) for c in names))
        console.print(table)
    if "rp2040" in found:
        _show_chip(console, found["rp2040"])
    for name in missing:
        console.print(f"{name}: not measured, its source is not in --peers DIR (docs/benchmarks.md)")
    for what, why in _failures(found).items():
        console.print(f"{what}: {why}", markup=False)
    table = _table("goals", ["", "wanted", "measured", ""])
    for goal in _goals(found):
        verdict = "-" if goal.met is None else "yes" if goal.met else "NO"
        table.add_row(goal.what, goal.wanted, _number(goal.measured), verdict)
    console.print(table)


CHIP_ROWS = {
    "received": "QoS 0 received in a burst, µs",
    "published": "QoS 0 published in a burst, µs",
    "received_alone": "received one at a time, with a turn of the scheduler, µs",
    "published_alone": "published one at a time, with a turn, µs",
    "turn": "of which the turn, µs",
    "received_heap": "heap per message received alone, bytes",
    "published_heap": "heap per message published, bytes",
    "idle_garbage": "idle: garbage, bytes per second",
    "idle_cpu": "idle: CPU, %",
    "kept": "RAM kept by import and construct, bytes (1)",
    "kept_connected": "RAM kept once connected, bytes (1)",
}


def _show_chip(console: Console, costs: dict[str, dict[str, float | None]]) -> None:
    floors = costs["floors"]
    clients = [name for name in costs if name != "floors"]
    table = _table("emulated RP2040 at 125 MHz, topic and payload 20 B", ["", *clients])
    for key, title in CHIP_ROWS.items():
        values = [costs[client][key] for client in clients]
        if key == "idle_cpu":
            values = [None if value is None else value * 100 for value in values]
        table.add_row(title, *map(_number, values))
    console.print(table)
    console.print(
        f"without a client: a turn of the scheduler {floors['turn']:.0f} µs, a Python callback "
        f"{floors['callback']:.0f} µs, a call into C {floors['call']:.0f} µs. In bursts the stream is in C and in "
        "memory, and costs next to nothing;\none at a time, the message comes from another task, so that its turn "
        "counts. (1) Coldframe is frozen, without its receive buffer; the peers are loaded from .mpy files."
    )


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table
