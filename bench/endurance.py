#!/usr/bin/env python3
"""Three days of a node in a quarter of an hour, through faults, with its heap hour by hour.

    nice .venv/bin/python bench/endurance.py [--hours 72] [--speed 300] [--seed 1] [--heap 256k] [--csv FILE]

The simulated board runs with its time sped up, beside a real mosquitto, through hours without access point or broker,
restarts of the broker, new addresses, dead links, jumps of the clock and slow actions (tests/host/endurance.py has the
plan). It prints what happens, and at the end the heap that was free after a collection, in each emulated hour the
least. The exit status is 0 when no QoS 1 message was lost, no reading of a schedule left out, the heap did not shrink,
and the board was never reset.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from host.endurance import Endurance, Result  # noqa: E402


def main(argv: Sequence[str]) -> int:
    """Return 0 when all went well."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=72, help="of the board's time")
    parser.add_argument("--speed", type=float, default=300, help="times as fast as the wall")
    parser.add_argument("--seed", type=int, default=1, help="of the plan of faults")
    parser.add_argument("--heap", default="256k", help="heap of the board: bytes, or with k")
    parser.add_argument("--csv", type=Path, help="where the looks at the heap go")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="coldframe-endurance-") as folder:
        run = Endurance(
            Path(folder), speed=args.speed, heap=args.heap, say=lambda line: print(line, flush=True)
        )
        try:
            result = run.run(args.hours, args.seed)
        finally:
            run.close()
    show(result)
    if args.csv:
        with args.csv.open("w", newline="") as file:
            csv.writer(file).writerows([("hours", "free"), *result.heap])
    return 1 if result.problems else 0


def show(result: Result) -> None:
    """Print the heap hour by hour, the figures and what went wrong."""
    hours: dict[int, int] = {}
    for at, free in result.heap:
        hours[int(at)] = min(free, hours.get(int(at), free))
    if hours:
        least, most = min(hours.values()), max(hours.values())
        print("\nhour   least free after a collection (bytes)")
        for hour, free in sorted(hours.items()):
            print(f"{hour:4d} {free:8d}  {'#' * (1 + round(40 * (free - least) / max(1, most - least)))}")
    print(f"\n{result.hours:g} h in {result.wall:.0f} s of the wall")
    for name, figure in result.figures.items():
        print(f"{name}: {figure}")
    for problem in result.problems:
        print(f"PROBLEM: {problem}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
