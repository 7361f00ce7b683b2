#!/usr/bin/env python3
"""Remote administration beside mqboard: the same broker, the same MicroPython, the same delay.

    python3 bench/remote.py [--peers DIR] [--json FILE] [--only PART...] [--delay MS] [--host-delay MS]

Three rows: `coldframe` (ours at both ends), `mqboard` (mqboard, and mqrepl on mqtt_async on the board), `mixed`
(mqboard, and our board with remote.insecure). The last two need mqboard's sources in DIR; docs/benchmarks.md says
where to get them. Build the images first: scripts/build.py UNIX UNIX32.

Parts: put, get (kB/s for files of several sizes), eval (round trip), heap (what a transfer takes on the board, 32-bit
image), cuts (transfers and programs while one in twenty loses its connection: what is lost). Without --only all of
them, in some three minutes.

--delay: round trip of the board's way to the broker in ms (default 20), --host-delay: that of the PC's (default 0).
Times are of one command, connected before; ours within an open session, whose opening is told apart. Figures are
medians.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(Path(__file__).resolve().parent), str(ROOT / "tests")]

from host.proxy import Proxy  # noqa: E402
from kit import images, ui  # noqa: E402
from kit.ui import UserError  # noqa: E402
from mqtt.broker import Mosquitto  # noqa: E402
from remoting import boards, hosts  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

PARTS = ("put", "get", "eval", "heap", "cuts")
SIZES = (2_000, 20_000, 50_000, 90_000, 200_000, 1_000_000)  # bytes
ROWS = ("coldframe", "mqboard", "mixed")
GOAL = 3.0  # times mqboard's put rate
HEAP_SIZE = 40_000  # bytes of the file of the part heap
TRIALS = 100  # of the part cuts; a twentieth of them loses a connection
NAME = "bench.bin"


def note(text: str) -> None:
    """Say what is going on, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass
class Bench:
    """What all parts need."""

    peers: Path | None
    python: Path
    delay: float  # ms, round trip
    host_delay: float
    rounds: int
    buffer: int | None
    rows: list[str]

    @contextlib.contextmanager
    def pair(self, row: str, image: str = "UNIX", *, watch: bool = False) -> Iterator[Any]:
        """A board and its host, for a row: yields (host, proxy of the board, proxy of the host)."""
        path = images.path(image)
        with contextlib.ExitStack() as stack:
            broker = stack.enter_context(Mosquitto())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldframe-bench-")))
            ways = []
            for delay in (self.delay, self.host_delay):
                way = Proxy(broker.port)
                stack.callback(way.close)
                way.delay = delay / 2000 or None
                ways.append(way)
            port, host_port = (way.port for way in ways)
            if row == "mqboard":
                assert self.peers
                stack.enter_context(boards.Peer(path, folder, port, self.peers, watch=watch))
            else:
                stack.enter_context(boards.Ours(path, folder, port, watch=watch, buffer=self.buffer))
            if row == "coldframe":
                host = stack.enter_context(hosts.closing(hosts.Ours(host_port)))
            else:
                assert self.peers
                topic = boards.PEER if row == "mqboard" else boards.BASE
                made = hosts.Mqboard(self.peers / "mqboard", self.python, host_port, topic)
                host = stack.enter_context(hosts.closing(made))
            yield host, *ways

    # The parts.

    def files(self, ways: Sequence[str]) -> dict[str, Any]:
        """Part -> size -> row -> median kB/s, or the text of why there is none."""
        found: dict[str, Any] = {way: {size: {} for size in SIZES} for way in ways}
        for row in self.rows:
            note(f"files, {row}")
            with self.pair(row) as (host, *_), tempfile.TemporaryDirectory() as folder:
                for size in SIZES:
                    rates = self._sizes(host, Path(folder), size)
                    for way in ways:
                        found[way][size][row] = rates[way]
        return found

    def _sizes(self, host: Any, folder: Path, size: int) -> dict[str, float | str]:
        there, back = folder / "there", folder / "back"
        rates: dict[str, list[float]] = {"put": [], "get": []}
        failed: dict[str, str] = {}
        for _ in range(self.rounds if size <= 200_000 else 1):
            there.write_bytes(os.urandom(size))
            try:
                rates["put"].append(size / host.put(there, NAME) / 1000)
            except hosts.Failed as error:
                failed["put"] = str(error).split("MQRepl")[-1][:60]
                failed["get"] = "not there"
                break
            try:
                seconds = host.get(NAME, back)
                if back.read_bytes() != there.read_bytes():
                    raise hosts.Failed("what came back is another file")
                rates["get"].append(size / seconds / 1000)
            except hosts.Failed as error:
                failed["get"] = str(error)[:60]
        return {way: failed.get(way) or statistics.median(rates[way]) for way in rates}

    def evals(self) -> dict[str, float]:
        """Row -> median ms; "opening": of a session, ms."""
        found = {}
        for row in self.rows:
            note(f"eval, {row}")
            with self.pair(row) as (host, *_):
                found[row] = statistics.median(host.eval("6*7")[0] for _ in range(20)) * 1000
                if row == "coldframe":
                    found["opening"] = host.opening * 1000
        return found

    def heap(self) -> dict[str, dict[str, int]]:
        """Row -> what -> bytes of heap: the most at any time beyond what was in use before."""
        found: dict[str, dict[str, int]] = {}
        for row in self.rows:
            if row == "mixed":
                continue  # its board is ours
            note(f"heap, {row}")
            with self.pair(row, "UNIX32", watch=True) as (host, *_), tempfile.TemporaryDirectory() as folder:
                there = Path(folder, "there")
                there.write_bytes(os.urandom(HEAP_SIZE))
                doing: tuple[tuple[str, Callable[[], object]], ...] = (
                    ("put", lambda host=host, there=there: host.put(there, NAME)),
                    ("get", lambda host=host, there=there: host.get(NAME, there)),
                )
                figures = {"before": host.heap("forget")}
                for what, do in doing:
                    start = host.heap("forget")
                    do()
                    figures[what] = host.heap("most") - start
                found[row] = figures
        return found

    def cuts(self) -> dict[str, dict[str, float]]:
        """Row -> counts: of trials, of connections cut, of those that failed, were wrong or were done twice."""
        return {row: self._cuts(row) for row in self.rows}

    def _cuts(self, row: str) -> dict[str, float]:
        note(f"cuts, {row}")
        chance = random.Random(5)
        count = {"trials": 0, "cut": 0, "failed": 0, "wrong": 0, "twice": 0}
        with self.pair(row) as (host, board, pc), tempfile.TemporaryDirectory() as folder:
            there, back = Path(folder, "there"), Path(folder, "back")
            host.eval("globals().__setitem__('ran', 0)")
            ran = 0
            connections = board.accepted + pc.accepted
            start = time.monotonic()
            for trial in range(TRIALS):
                count["trials"] += 1
                # Half of the cuts hit the board, half the PC, somewhere within the command.
                if trial % 20 == 10:
                    way = board if trial % 40 == 10 else pc
                    way.truncate(chance.choice(("up", "down")), chance.randrange(20, 12_000))
                there.write_bytes(os.urandom(20_000))
                try:
                    if trial % 2:
                        ran += 1
                        host.eval("globals().__setitem__('ran', ran + 1)")
                    else:
                        host.put(there, NAME)
                        host.get(NAME, back)
                        count["wrong"] += back.read_bytes() != there.read_bytes()
                except hosts.Failed as error:
                    note(f"  {trial}: {str(error)[:100]}")
                    count["failed"] += 1
            try:
                count["twice"] = int(host.eval("ran")[1]) - ran
            except hosts.Failed:
                count["failed"] += 1
            count["cut"] = board.accepted + pc.accepted - connections
            count["seconds"] = round(time.monotonic() - start, 1)
        return count


def show(found: dict[str, Any], bench: Bench) -> None:
    """Print the tables, and the goals beside the results."""
    console = Console()

    def table(title: str, first: str, rows: Iterator[list[str]], columns: Sequence[str] = bench.rows) -> None:
        made = Table(title=title, title_justify="left")
        made.add_column(first)
        for column in columns:
            made.add_column(column, justify="right", overflow="fold", max_width=34)
        for row in rows:
            made.add_row(*row)
        console.print(made)

    where = f"{bench.delay:g} ms to the board, {bench.host_delay:g} ms to the PC"
    for part in ("put", "get"):
        if part in found:
            cells = (
                [f"{int(size) // 1000} KB", *(_cell(rates[row]) for row in bench.rows)]
                for size, rates in found[part].items()
            )
            table(f"{part}, kB/s ({where})", "file", cells)
    if "eval" in found:
        table(f"eval, ms ({where})", "", iter([["6*7", *(f"{found['eval'][r]:.0f}" for r in bench.rows)]]))
        if "opening" in found["eval"]:
            console.print(f"opening a session: {found['eval']['opening']:.0f} ms")
    if "heap" in found:
        heap = found["heap"]
        cells = ([what, *(str(heap[row][what]) for row in heap)] for what in ("before", "put", "get"))
        table("heap on the 32-bit image, B: in use before, and most beyond that", "", cells, list(heap))
    if "cuts" in found:
        cells = (
            [what, *(f"{found['cuts'][row][what]:g}" for row in bench.rows)]
            for what in found["cuts"][bench.rows[0]]
        )
        table(f"{TRIALS} commands, 5 % with a connection cut", "", cells)
    for goal in goals(found):
        mark = (
            "[green]met[/]"
            if goal["met"]
            else "[yellow]missed[/]"
            if goal["met"] is False
            else "not measured"
        )
        console.print(f"goal: {goal['what']}: {goal['measured']}: {mark}")


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.0f}"


def goals(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The project's goals beside what was measured."""
    made = []
    for size, rates in found.get("put", {}).items():
        ours, theirs = rates.get("coldframe", "not measured"), rates.get("mqboard")
        what = f"put of {int(size) // 1000} KB at least {GOAL:g} times mqboard's rate"
        if theirs is None:
            made.append({"what": what, "measured": "mqboard is missing", "met": None})
        elif isinstance(theirs, str):
            made.append(
                {"what": what, "measured": f"mqboard fails: {theirs}", "met": not isinstance(ours, str)}
            )
        else:
            ratio = 0.0 if isinstance(ours, str) else ours / theirs
            made.append({"what": what, "measured": f"{ratio:.1f} times", "met": ratio >= GOAL})
    if "cuts" in found and "coldframe" in found["cuts"]:
        count = found["cuts"]["coldframe"]
        lost = count["failed"] + count["wrong"] + abs(count["twice"])
        what = "nothing lost with 5 % of the connections cut"
        made.append({"what": what, "measured": f"{lost:g} lost", "met": not lost})
    return made


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, metavar="DIR", help="folder with mqboard's sources")
    parser.add_argument("--python", type=Path, metavar="FILE", help="a Python with click and paho-mqtt 1.6")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="measure only these")
    parser.add_argument("--delay", type=float, default=20, metavar="MS", help="round trip, board to broker")
    parser.add_argument("--host-delay", type=float, default=0, metavar="MS", help="round trip, PC to broker")
    parser.add_argument("--rounds", type=int, default=3, help="of each file (default 3)")
    parser.add_argument("--buffer", type=int, metavar="B", help="mqtt.buffer of our board (default: its own)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    args = parser.parse_args(argv)
    for image in ["UNIX"] + (["UNIX32"] if "heap" in args.only else []):
        if not images.path(image).is_file():
            raise UserError("no such image", where=images.path(image), hint=f"scripts/build.py {image}")
    python = args.python or Path(sys.executable)
    if args.peers:
        if not (args.peers / "mqboard" / "engine.py").is_file():
            raise UserError(
                "no mqboard there", where=args.peers, expected="mqboard/engine.py, see docs/benchmarks.md"
            )
        own = args.peers / "mqboard" / "venv" / "bin" / "python"
        python = args.python or (own if own.exists() else python)
    rows = [row for row in ROWS if row in args.rows and (row == "coldframe" or args.peers)]
    bench = Bench(args.peers, python, args.delay, args.host_delay, args.rounds, args.buffer, rows)
    start = time.monotonic()
    found: dict[str, Any] = {}
    if ways := [part for part in ("put", "get") if part in args.only]:
        found.update(bench.files(ways))
    for part, do in (("eval", bench.evals), ("heap", bench.heap), ("cuts", bench.cuts)):
        if part in args.only:
            found[part] = do()
    show(found, bench)
    print(f"{time.monotonic() - start:.0f} s in all")
    if args.json:
        args.json.write_text(json.dumps({**found, "goals": goals(found)}, indent=1) + "\n")


if __name__ == "__main__":
    ui.main(main)
