#!/usr/bin/env python3
"""What a packet costs: the C codec called from MicroPython, beside the Python codec, in one run.

    python3 bench/codec.py [--unix IMAGE] [--rp2040 IMAGE.uf2] [--json FILE]

On the unix image the times are wall-clock ones, the best of some rounds: compare columns, not
machines. On the emulated RP2040 they are cycles of its model of the Cortex-M0+ at 125 MHz (no flash
cache misses), the same in every run. Heap is what one packet allocates, with the collector off.
Images that are not named are taken from dist/; build them with scripts/build.py UNIX RPI_PICO.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

# {codec} is mqttpacket or codec_py. TOPIC and DATA are 20 bytes each.
SETUP = """
import io
try:
    from coldframe import codec_py
except ImportError:
    codec_py = None
import {codec} as c
TOPIC = "greenhouse/air/humid"
DATA = b"21.5 degrees celsius"
buf = bytearray(128)
whole = bytearray(46 * 22)
def feed(n, times):
    global d, s
    d = c.Decoder(whole)
    s = io.BytesIO(bytes(buf[:n]) * times)
"""

NEXT = """
if not d.next():
    s.seek(0)
    d.fill(s)
    d.next()
"""


@dataclass(frozen=True)
class Case:
    """One line of the table: what is done, and the code."""

    name: str
    code: str
    setup: str = ""


CASES = (
    Case(
        "decode PUBLISH: topic, payload", NEXT + "d.topic; d.payload", "feed(c.publish(buf, TOPIC, DATA), 20)"
    ),
    Case(
        "decode PUBLISH: payload as bytes",
        NEXT + "d.topic; d.payload_bytes",
        "feed(c.publish(buf, TOPIC, DATA), 20)",
    ),
    Case(
        "decode PUBLISH QoS 1: topic, payload, id",
        NEXT + "d.topic; d.payload; d.id",
        "feed(c.publish(buf, TOPIC, DATA, 1, False, False, 7), 20)",
    ),
    Case("decode PUBACK: id", NEXT + "d.id", "feed(c.ack(buf, c.PUBACK, 7), 100)"),
    Case("encode PUBLISH: header", "publish(buf, TOPIC, 20)", "publish = c.publish"),
    Case("encode PUBLISH: header and payload", "publish(buf, TOPIC, DATA)", "publish = c.publish"),
    Case(
        "encode PUBLISH QoS 1: header", "publish(buf, TOPIC, 20, 1, False, False, 7)", "publish = c.publish"
    ),
    Case("encode PUBACK", "ack(buf, 4, 7)", "ack = c.ack"),
    Case("match a filter of 3 levels", "match('greenhouse/+/humid', TOPIC)", "match = c.match"),
)
CODECS = {"C": "mqttpacket", "Python": "coldframe.codec_py"}

# For the unix image. The loop's own cost is measured and taken off.
UNIX_LOOP = """
def measured(n):
    import gc, time
    gc.collect(); gc.disable()
    before = gc.mem_alloc()
    start = time.ticks_us()
    for _ in range(n):
{body}
    end = time.ticks_us()
    heap = gc.mem_alloc() - before
    gc.enable()
    return time.ticks_diff(end, start), heap
best = min(measured({runs}) for _ in range({rounds}))
print("RESULT", best[0] / {runs}, best[1] / {runs})
"""


@dataclass(frozen=True)
class Result:
    """One measurement: microseconds and bytes of heap for one packet."""

    target: str
    case: str
    codec: str
    microseconds: float
    heap: float


def unix_once(image: Path, code: str, setup: str) -> tuple[float, float]:
    """Run one loop on the unix image; returns microseconds and heap bytes of one turn."""
    loop = UNIX_LOOP.format(body=textwrap.indent(code.strip(), " " * 8), runs=2000, rounds=15)
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(setup + "\n" + loop)
        script.flush()
        done = subprocess.run(
            [image, "-X", "heapsize=8m", script.name], capture_output=True, text=True, timeout=120
        )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            micros, heap = line.split()[1:]
            return float(micros), float(heap)
    sys.exit(f"error: {image} did not run the benchmark:\n{done.stdout}{done.stderr}")


def measure_unix(image: Path) -> list[Result]:
    """All cases on the unix image."""
    results = []
    for case in CASES:
        for codec, module in CODECS.items():
            setup = SETUP.format(codec=module) + case.setup
            base_time, base_heap = unix_once(image, "pass", setup)
            micros, heap = unix_once(image, case.code, setup)
            results.append(Result("unix", case.name, codec, micros - base_time, heap - base_heap))
    return results


async def measure_rp2040(image: Path) -> list[Result]:
    """All cases on the emulated RP2040."""
    from emulator import Emulator
    from emulator.measure import measure

    results = []
    async with Emulator(image) as board:
        for case in CASES:
            for codec, module in CODECS.items():
                setup = SETUP.format(codec=module) + case.setup
                cost = await measure(board, case.code, setup, runs=60, rounds=2)
                results.append(Result("rp2040", case.name, codec, cost.microseconds, cost.heap))
    return results


def show(results: list[Result]) -> None:
    """Print one table per target."""
    titles = {"unix": "unix image (this machine)", "rp2040": "emulated RP2040, 125 MHz"}
    for target in dict.fromkeys(result.target for result in results):
        table = Table(title=titles[target])
        table.add_column("one packet, topic 20 B, payload 20 B")
        for column in ("C µs", "Python µs", "ratio", "C heap B", "Python heap B"):
            table.add_column(column, justify="right")
        by_case = {(r.case, r.codec): r for r in results if r.target == target}
        for case in CASES:
            c, python = by_case[case.name, "C"], by_case[case.name, "Python"]
            digits = 3 if target == "unix" else 1
            table.add_row(
                case.name,
                f"{c.microseconds:.{digits}f}",
                f"{python.microseconds:.{digits}f}",
                f"{python.microseconds / max(c.microseconds, 1e-9):.1f}",
                f"{c.heap:.0f}",
                f"{python.heap:.0f}",
            )
        Console(width=120).print(table)


def newest(pattern: str) -> Path | None:
    """The one image in dist/ of that name, the newest if there are several."""
    found = [
        path
        for path in (ROOT / "dist").glob(pattern)
        if path.suffix in (".uf2", "") or path.suffix[1:].isdigit()
    ]
    found = [path for path in found if "with-filesystem" not in path.name]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--unix", type=Path, default=newest("coldframe-UNIX-*"), help="unix image")
    parser.add_argument(
        "--rp2040", type=Path, default=newest("coldframe-RPI_PICO-*.uf2"), help="RP2040 image"
    )
    parser.add_argument("--only", choices=("unix", "rp2040"), help="measure one target only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    args = parser.parse_args()
    images = {"unix": args.unix, "rp2040": args.rp2040}
    results: list[Result] = []
    for target, image in images.items():
        if args.only not in (None, target):
            continue
        if image is None or not image.is_file():
            board = "UNIX" if target == "unix" else "RPI_PICO"
            sys.exit(
                f"error: no image for {target}: {image or 'nothing in dist/'}; run scripts/build.py {board}"
            )
        results += (
            measure_unix(image.resolve())
            if target == "unix"
            else asyncio.run(measure_rp2040(image.resolve()))
        )
    show(results)
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
