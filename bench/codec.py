#!/usr/bin/env python3
"""What an MQTT packet costs: the C codec by itself, called from MicroPython, and the Python codec, in one run.

    python3 bench/codec.py [--only rp2040|unix] [--rp2040 IMAGE.uf2] [--unix IMAGE] [--json FILE]

On the emulated RP2040 the figures are cycles of its model of the Cortex-M0+ (no flash cache misses), the same in
every run; 125 are a microsecond. "C core" calls the C function in the released image directly and counts from its
first instruction to its return; the worst of the four alignments that a packet can have. "C" and "Python" are what
a program pays that asks for the fields named; reading from the stream into the buffer is in it, and the loop around
it is not. Heap is what one packet allocates, with the collector off.

On the unix image the times are wall-clock ones, the best of some rounds: compare columns, not machines.
Images that are not named are taken from dist/; build them with scripts/build.py RPI_PICO UNIX. The .elf beside the
RP2040 image gives the addresses of the functions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

TOPIC = b"air/temp"
LONG_TOPIC = b"greenhouse/air/humid"
DATA = b"21.5 degrees celsius"  # 20 bytes
# A topic alias, a message expiry interval, a user property.
PROPS = b"\x23\x00\x01\x02\x00\x00\x00\x3c\x26\x00\x04unit\x00\x01C"
KB = bytes(range(256)) * 4


@dataclass(frozen=True)
class Case:
    """One line of the table.

    name: what is done. version: 4 is MQTT 3.1.1. data: the packet to decode, or b"" for an encoder.
    code: what the program does with it, for {codec} imported as c and a decoder d that has the packet, or the
    encoder's call. core: an encoder's C function and its arguments; "topic" stands for the address of TOPIC.
    """

    name: str
    code: str
    data: bytes = b""
    version: int = 4
    core: tuple[str | int, ...] = ()


def publish(topic: bytes, payload: bytes, qos: int = 0, props: bytes | None = None) -> bytes:
    """A PUBLISH as a broker sends it; props: of MQTT 5."""
    body = len(topic).to_bytes(2, "big") + topic + (b"\x00\x07" if qos else b"")
    if props is not None:
        body += bytes((len(props),)) + props
    body += payload
    length = bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 127 | 128, len(body) >> 7))
    return bytes((0x30 | qos << 1,)) + length + body


MESSAGE = "d.topic; d.payload"
CASES = (
    Case("PUBLISH QoS 0, 20 B: topic, payload", MESSAGE, publish(TOPIC, DATA)),
    Case("... payload as bytes", "d.topic; d.payload_bytes", publish(TOPIC, DATA)),
    Case("... topic of 20 B", MESSAGE, publish(LONG_TOPIC, DATA)),
    Case("PUBLISH QoS 1, 20 B: and id", MESSAGE + "; d.id", publish(TOPIC, DATA, 1)),
    Case("PUBLISH QoS 2, 20 B: and id", MESSAGE + "; d.id", publish(TOPIC, DATA, 2)),
    Case("PUBLISH QoS 0, 1 KB: topic, payload", MESSAGE, publish(TOPIC, KB)),
    Case("PUBACK: id", "d.id", b"\x40\x02\x00\x07"),
    Case("CONNACK: code, session", "d.code; d.session", b"\x20\x02\x01\x00"),
    Case("SUBACK: id, code", "d.id; d.code", b"\x90\x03\x00\x07\x01"),
    Case("PINGRESP", "pass", b"\xd0\x00"),
    Case("v5 PUBLISH QoS 0, 20 B, no property", MESSAGE, publish(TOPIC, DATA, 0, b""), 5),
    Case("v5 PUBLISH QoS 0, 20 B, 3 properties", MESSAGE, publish(TOPIC, DATA, 0, PROPS), 5),
    Case("v5 ... and one property asked for", MESSAGE + "; d.prop(2)", publish(TOPIC, DATA, 0, PROPS), 5),
    Case("v5 PUBACK: id, code", "d.id; d.code", b"\x40\x02\x00\x07", 5),
    Case(
        "encode PUBLISH QoS 0: header",
        "c.publish(buf, TOPIC, 20)",
        core=("mqtt_encode_publish", "buf", 64, "topic", len(TOPIC), 20, 0, 0, 0, 0),
    ),
    Case(
        "encode PUBLISH QoS 1: header",
        "c.publish(buf, TOPIC, 20, 1, False, False, 7)",
        core=("mqtt_encode_publish", "buf", 64, "topic", len(TOPIC), 20, 2, 7, 0, 0),
    ),
    Case("encode PUBLISH QoS 0: header, payload", "c.publish(buf, TOPIC, DATA)"),
    Case("encode PUBACK", "c.ack(buf, 4, 7)", core=("mqtt_encode_ack", "buf", 64, 4, 7, 0, 0, 0)),
    Case("match a filter of 3 levels", "c.match('greenhouse/+/humid', LONG)"),
)
DELIVER = "messages given to a callback (each)"
CODECS = {"C": "mqttpacket", "Python": "coldframe.codec_py"}

# The decoder's buffer holds `times` packets; each time it is empty it is filled again.
SETUP = """
import io
try:
    from coldframe import codec_py
except ImportError:
    codec_py = None
import {codec} as c
TOPIC = {topic!r}
LONG = {long!r}
DATA = {payload!r}
buf = bytearray(64)
d = c.Decoder(bytearray({size}), 0, {version})
s = io.BytesIO({data!r} * {times})
"""
NEXT = "if not d.next():\n    s.seek(0)\n    d.fill(s)\n    d.next()\n"
CALLBACK = "s.seek(0)\nd.fill(s)\nd.next(take)\n"
TIMES = 20  # packets in the buffer, but
MOST = 4200  # bytes of it


@dataclass(frozen=True)
class Result:
    """One measurement of one case: what one packet costs. cycles: only on the RP2040; heap: bytes."""

    target: str
    case: str
    codec: str  # "core", "C" or "Python"
    cycles: float | None
    microseconds: float
    heap: float


def setup(case: Case, codec: str, times: int) -> str:
    """The program before the loop; see SETUP."""
    return SETUP.format(
        codec=codec,
        topic=TOPIC.decode(),
        long=LONG_TOPIC.decode(),
        payload=DATA,
        size=max(16, len(case.data) * times),
        version=case.version,
        data=case.data,
        times=times,
    )


def program(case: Case, codec: str) -> tuple[str, str]:
    """The code to measure, and what comes before it."""
    if not case.data:
        return case.code, setup(case, codec, 1)
    times = min(TIMES, MOST // len(case.data))
    return NEXT + case.code, setup(case, codec, times)


# ---- the emulated RP2040


def core_cycles(board: Any, elf: Path, cases: Sequence[Case] = CASES) -> dict[str, int]:
    """Cycles of the C functions by themselves, called in the image; the worst alignment of each packet.

    Args:
        board: an Emulator that has booted and waits at its prompt.
        elf: of the same build.

    Raises:
        EmulatorError: a function is missing, or has not done what it should.
    """
    from emulator.console import EmulatorError
    from emulator.native_call import NativeCalls

    found: dict[str, int] = {}
    with NativeCalls(board, elf) as calls:
        decoder, space, topic, buf = calls.room(96), calls.room(8), calls.room(32), calls.room(1200)
        calls.write(topic, TOPIC)
        for case in cases:
            if case.core:
                places = {"buf": buf, "topic": topic}
                args = [places.get(arg, 0) if isinstance(arg, str) else arg for arg in case.core[1:]]
                size, found[case.name] = calls.call(str(case.core[0]), *args)
                if size < 4:
                    raise EmulatorError(f"{case.name}: the encoder returned {size}")
            elif case.data:
                found[case.name] = 0
                for offset in range(4):
                    calls.call("mqtt_decoder_init", decoder, buf + offset, 1150, 0, case.version)
                    at, _ = calls.call("mqtt_decoder_space", decoder, space)
                    calls.write(at, case.data)
                    calls.call("mqtt_decoder_filled", decoder, len(case.data))
                    kind, cycles = calls.call("mqtt_decoder_next", decoder)
                    if kind != case.data[0] >> 4:
                        raise EmulatorError(f"{case.name}: the decoder returned {kind}")
                    found[case.name] = max(found[case.name], cycles)
    return found


async def python_cost(board: Any, case: Case, codec: str) -> Result:
    """One case on the emulated RP2040, called from Python; codec is "C" or "Python"."""
    from emulator.measure import measure

    code, before = program(case, CODECS[codec])
    cost = await measure(board, code, before, runs=60, rounds=2)
    return Result("rp2040", case.name, codec, cost.cycles, cost.microseconds, cost.heap)


async def callback_cost(board: Any, codec: str) -> Result:
    """What a message costs that next() gives to a callback."""
    from emulator.measure import measure

    case = Case(DELIVER, "", publish(TOPIC, DATA))
    before = setup(case, CODECS[codec], TIMES) + "take = lambda topic, payload, retain: None\n"
    cost = await measure(board, CALLBACK, before, runs=6, rounds=2)
    return Result("rp2040", DELIVER, codec, cost.cycles / TIMES, cost.microseconds / TIMES, cost.heap / TIMES)


async def measure_rp2040(image: Path, elf: Path) -> list[Result]:
    """All cases on the emulated RP2040."""
    from emulator import Emulator
    from emulator.measure import MHZ

    results = []
    async with Emulator(image) as board:
        await board.exec("pass")  # its program is stopped
        for name, cycles in core_cycles(board, elf).items():
            results.append(Result("rp2040", name, "core", cycles, cycles / MHZ, 0))
        for codec in CODECS:
            results += [await python_cost(board, case, codec) for case in CASES]
            results.append(await callback_cost(board, codec))
    return results


# ---- the unix image

# The loop's own cost is measured and taken off.
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


def unix_once(image: Path, code: str, before: str) -> tuple[float, float]:
    """Run one loop on the unix image; returns microseconds and heap bytes of one turn."""
    loop = UNIX_LOOP.format(body=textwrap.indent(code.strip(), " " * 8), runs=2000, rounds=15)
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(before + "\n" + loop)
        script.flush()
        done = subprocess.run(
            [image, "-X", "heapsize=16m", script.name], capture_output=True, text=True, timeout=120
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
            code, before = program(case, module)
            base_time, base_heap = unix_once(image, "pass", before)
            micros, heap = unix_once(image, code, before)
            results.append(Result("unix", case.name, codec, None, micros - base_time, heap - base_heap))
    return results


# ---- the table


def show(results: list[Result]) -> None:
    """Print one table per target."""
    titles = {"rp2040": "emulated RP2040, cycles (125 are 1 µs)", "unix": "unix image (this machine), µs"}
    for target in dict.fromkeys(result.target for result in results):
        cycles = target == "rp2040"
        table = Table(title=titles[target])
        table.add_column("one packet")
        for column in (*(["C core"] if cycles else []), "C", "Python", "ratio", "C heap B", "Python heap B"):
            table.add_column(column, justify="right")
        found = {(r.case, r.codec): r for r in results if r.target == target}
        for name in dict.fromkeys(r.case for r in results if r.target == target and r.codec != "core"):
            core, c, python = (found.get((name, codec)) for codec in ("core", *CODECS))
            assert c is not None and python is not None
            cost = [
                f"{r.cycles:,.0f}" if r.cycles is not None else f"{r.microseconds:.3f}" for r in (c, python)
            ]
            first = [f"{core.cycles:,.0f}" if core and core.cycles else "–"] if cycles else []
            ratio = f"{python.microseconds / max(c.microseconds, 1e-9):.1f}"
            table.add_row(name, *first, *cost, ratio, f"{c.heap:.0f}", f"{python.heap:.0f}")
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
    results: list[Result] = []
    for target, image in (("rp2040", args.rp2040), ("unix", args.unix)):
        if args.only not in (None, target):
            continue
        if image is None or not image.is_file():
            board = "UNIX" if target == "unix" else "RPI_PICO"
            sys.exit(
                f"error: no image for {target}: {image or 'nothing in dist/'}; run scripts/build.py {board}"
            )
        if target == "unix":
            results += measure_unix(image.resolve())
        else:
            results += asyncio.run(measure_rp2040(image.resolve(), image.resolve().with_suffix(".elf")))
    show(results)
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
