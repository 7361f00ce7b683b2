#!/usr/bin/env python3
"""What a log record costs: coldframe.log beside micropython-lib's logging, in one run on the emulated RP2040.

    python3 bench/log.py [--image IMAGE.uf2] [--peers DIR] [--json FILE]

DIR holds logging.py of micropython-lib (python-stdlib/logging); without it our own figures are measured alone. The
times are cycles of the emulator's model of the Cortex-M0+ at 125 MHz (no flash cache misses), the same in every
run. Both write into RAM or nowhere: no console. The ring is full all the time. "heap" is what one call allocates,
"kept" what is left of it after a collection.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

OURS = """
from coldframe import log
log.console(None)
log.setLevel("INFO")
logger = log.getLogger("bench")
for i in range(200):
    logger.info("a line that is there before, number %d", i)
"""
# The ring as it is when the older half is full of what must not go, and DEBUG comes in: each line moves that half.
PRESSED = (
    OURS
    + """
for i in range(200):
    logger.warning("a warning that is there before, number %d", i)
log.setLevel("DEBUG")
for i in range(200):
    logger.debug("a line that is there before, number %d", i)
"""
)
THEIRS = """
import logging
class Sink:
    def write(self, text):
        pass
logging.basicConfig(level=logging.INFO, stream=Sink())
logger = logging.getLogger("bench")
"""
ERROR = """
try:
    [][1]
except IndexError as e:
    error = e
"""


@dataclass(frozen=True)
class Case:
    """One line of the table: what is done, the code, what precedes it; goal in µs if there is one."""

    name: str
    code: str
    ours: str = OURS
    theirs: str | None = THEIRS
    goal: float | None = None


CASES = (
    Case("ready text of 20 characters", "logger.info('connected to broker.')", goal=35),
    Case("text with two arguments", "logger.info('%d networks, best %s', 3, 'Farm')", goal=120),
    Case("below the level", "logger.debug('connected to broker.')", goal=30),
    Case("exception with its traceback", "logger.exception('sensor', exc_info=error)", OURS + ERROR, THEIRS + ERROR),
    Case("ready text at DEBUG, half of the ring protected", "logger.debug('connected to broker.')", PRESSED, None),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One measurement: microseconds, bytes allocated and bytes kept of one call."""

    case: str
    who: str
    microseconds: float
    heap: float
    kept: float
    goal: float | None


KEPT = """
import gc
def _kept():
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(40):
        {code}
    gc.collect()
    return gc.mem_alloc() - before
_kept()
print(_kept() / 40)
"""


async def measure_all(image: Path, peers: Path | None) -> list[Result]:
    """All cases."""
    from emulator import Emulator
    from emulator.measure import measure

    files = {"main.py": b""}  # the program is in charge and ends: no node beside
    if peers:
        files["logging.py"] = (peers / "logging.py").read_bytes()
    results = []
    async with Emulator(image, files=files, pace=False) as board:
        for case in CASES:
            for who, setup in (("coldframe", case.ours), ("micropython-lib", case.theirs)):
                if setup is None or (who == "micropython-lib" and not peers):
                    continue
                cost = await measure(board, case.code, setup, runs=40, rounds=2)
                kept = float((await board.exec(KEPT.format(code=case.code))).split()[-1])
                results.append(Result(case.name, who, cost.microseconds, cost.heap, kept, case.goal))
    return results


def show(results: list[Result]) -> None:
    """Print the table."""
    table = Table(title="One record, emulated RP2040 at 125 MHz")
    table.add_column("what")
    for column in ("µs", "goal", "heap B", "kept B", "µs, micropython-lib", "heap B", "kept B", "ratio"):
        table.add_column(column, justify="right")
    by_case = {(r.case, r.who): r for r in results}
    for case in CASES:
        ours, theirs = by_case[case.name, "coldframe"], by_case.get((case.name, "micropython-lib"))
        row = [
            f"{ours.microseconds:.1f}",
            f"{case.goal:g}" if case.goal else "",
            f"{ours.heap:.0f}",
            f"{ours.kept:.0f}",
        ]
        if theirs:
            row += [f"{theirs.microseconds:.1f}", f"{theirs.heap:.0f}", f"{theirs.kept:.0f}"]
            row.append(f"{theirs.microseconds / max(ours.microseconds, 1e-9):.1f}")
        table.add_row(case.name, *row)
    Console(width=140).print(table)


def main() -> None:
    from kit import images
    from kit.ui import UserError

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--image", type=Path, help="RP2040 image; the one in dist/ if not given")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="folder with micropython-lib's logging.py")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    args = parser.parse_args()
    try:
        image = args.image or images.path("RPI_PICO", ".uf2")
    except UserError as error:
        sys.exit(f"error: {error}")
    if not image.is_file():
        sys.exit(f"error: no image: {image}; build it: scripts/build.py RPI_PICO")
    if args.peers and not (args.peers / "logging.py").is_file():
        sys.exit(f"error: --peers: expected logging.py in {args.peers}, it is not there")
    results = asyncio.run(measure_all(image, args.peers))
    show(results)
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
