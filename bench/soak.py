#!/usr/bin/env python3
"""Hours of MQTT traffic through faults, with the heap of the node over time.

    .venv/bin/python bench/soak.py [--minutes 60] [--csv FILE] [--board UNIX32] [--heap 128k] [--version 4|5]

A node on the 32-bit unix image, whose heap is like a microcontroller's, and a paho client send each other
numbered messages through mosquitto, QoS 1 and QoS 2 both ways, in rounds. Between node and broker is a proxy
that cuts, stalls, truncates, delays, slows and takes away the network by a seeded plan; now and then the broker
is restarted. At the end of each round nothing may be missing, and nothing of QoS 2 may have come twice. Every
few seconds the node collects its garbage and says how much of its heap is in use: that is what the graph shows.
The exit status is 0 when nothing was lost or doubled.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from host.brokers import Mosquitto  # noqa: E402
from host.mqttnode import image  # noqa: E402
from host.traffic import Traffic, plan  # noqa: E402

_ROUND = 600  # messages of each QoS and way: half a minute of them
_FAULTS = 4  # in a round
_DEADLINE = 300.0  # s, for a round


def main(argv: Sequence[str]) -> int:
    """Return 0 when nothing was lost or doubled."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--csv", type=Path, help="where the figures go, a line every few seconds")
    parser.add_argument("--board", default="UNIX32", help="UNIX32 or UNIX")
    parser.add_argument("--heap", default="128k", help="heap of the node: bytes, or with k")
    parser.add_argument("--rate", type=float, default=20, help="messages/s of each QoS and way")
    parser.add_argument("--version", type=int, default=4, help="of MQTT: 4 is 3.1.1, or 5")
    parser.add_argument("--qos", default="12", help="the QoS to be sent, as digits")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="coldframe-soak-") as folder:
        return _soak(args, Path(folder))


def _soak(args: argparse.Namespace, folder: Path) -> int:
    qos = [int(digit) for digit in args.qos]
    broker = Mosquitto(folder / "broker", queue=0).start()
    traffic = None
    rows: list[dict[str, float]] = []
    failed = 0
    begun = time.monotonic()
    try:
        traffic = Traffic(
            broker,
            _ROUND,
            qos,
            tasks=4,
            rate=args.rate,
            every=1.0,
            command=[image(args.board), "-X", f"heapsize={args.heap}"],
            **({} if args.version == 4 else {"version": args.version}),
        )
        while (time.monotonic() - begun) < 60 * args.minutes:
            seed = args.seed * 1000 + traffic.round
            try:
                traffic.run(plan(seed, _FAULTS), _DEADLINE, say=lambda _: None)
            except AssertionError as error:
                print(f"round {traffic.round}: {error}")
                failed += 1
                break
            rows += [_row(traffic.round, state) for state in traffic.states]
            traffic.states[:-1] = []  # nor shall this script grow
            del traffic.node.lines[:]
            lost = sum(traffic.lost(q) for q in qos)
            # Of those that came twice although their QoS is 2: not what mosquitto publishes anew after its restart.
            doubled = len(traffic.blame("node")) + len(traffic.blame("peer")) if not lost else 0
            failed += lost + doubled
            last = rows[-1]
            print(
                f"{(time.monotonic() - begun) / 60:6.1f} min  round {traffic.round}: {lost} lost, {doubled} of QoS 2 "
                f"doubled, {last['connections']:.0f} connections, heap {last['heap']:.0f} B",
                flush=True,
            )
            if args.csv:
                _write(args.csv, rows)
    finally:
        if traffic is not None:
            traffic.close()
        broker.close()
    total = traffic.round * _ROUND * len(qos) * 2
    print(
        f"\n{total} messages in {traffic.round} rounds through {traffic.round * _FAULTS} faults: "
        f"{failed} lost or doubled. Heap in use after a collection:\n"
    )
    print(graph([(row["minutes"], row["heap"]) for row in rows], rows[0]["heap"] + rows[0]["free"]))
    return 1 if failed else 0


def _row(turn: int, state: dict) -> dict[str, float]:
    return {
        "minutes": round(state["ms"] / 60000, 3),
        "round": turn,
        "heap": state["heap"],
        "free": state["free"],
        "connections": state["connections"],
    }


def _write(path: Path, rows: list[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def graph(points: Sequence[tuple[float, float]], whole: float, width: int = 72, height: int = 14) -> str:
    """Draw a curve as text: a column shows the least and the most of its time.

    Args:
        points: (minutes, bytes), in order of time.
        whole: bytes, the upper end of the scale.
    """
    end = points[-1][0] or 1.0
    columns: list[list[float]] = [[] for _ in range(width)]
    for minutes, heap in points:
        columns[min(int(minutes / end * width), width - 1)].append(heap)
    lines = []
    for row in range(height, 0, -1):
        low, high = whole * (row - 1) / height, whole * row / height
        marks = ("#" if c and min(c) < high and max(c) >= low else " " for c in columns)
        lines.append(f"{high / 1024:7.1f} KB |{''.join(marks)}")
    lines.append(" " * 11 + "+" + "-" * width)
    lines.append(" " * 11 + f"0{f'{end:.0f} min':>{width}}")
    lines.append("")
    lines.append("   minutes      least     median       most (bytes)")
    parts = 6
    for part in range(parts):
        here = [heap for minutes, heap in points if min(int(minutes / end * parts), parts - 1) == part]
        if here:
            span = f"{end * part / parts:.1f}-{end * (part + 1) / parts:.1f}"
            lines.append(f"{span:>10} {min(here):>10.0f} {median(here):>10.0f} {max(here):>10.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
