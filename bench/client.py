#!/usr/bin/env python3
"""The MQTT client beside its peers and a plain socket, in one run, with the project's goals beside the results.

    python3 bench/client.py [--peers DIR] [--json FILE] [--only PART...] [--rounds N]

Parts: speed (messages per second and round trip, unix image), heap (bytes per message, 32-bit unix image, collector
off), idle (garbage and CPU while connected), outage (time until back in use), rp2040 (emulated chip: exact). Without
--only all of them, in some five minutes; build the images first: scripts/build.py UNIX UNIX32 RPI_PICO.

On the unix image, clients take turns and figures are medians; goals are ratios within a round, as the machine is
never quiet: compare columns, not machines. mosquitto runs with TCP_NODELAY. "memory" is a server that floods without
parsing. A peer's row needs its source in DIR; docs/benchmarks.md says where to get them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(Path(__file__).resolve().parent)]

from kit import images, ui  # noqa: E402
from kit.ui import UserError  # noqa: E402
from mqtt import quiet, rp2040, speed, table  # noqa: E402

OURS = ["coldframe", "coldframe-5"]
# Peer -> the file that must be in --peers DIR.
PEERS = {
    "mqtt_async": "mqtt_async.py",
    "mqtt_as": "mqtt_as/__init__.py",
    "simple": "umqtt/simple.py",
    "robust": "umqtt/robust.py",
}
PARTS = ("speed", "heap", "idle", "outage", "rp2040")
OUTAGES = (3.0, 6.0, 62.0)  # seconds


def note(text: str) -> None:
    """Say what is going on, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measure(args: argparse.Namespace, peers: list[str]) -> dict[str, Any]:
    """Run the parts that were asked for; returns part -> figures, as they go into the JSON file."""
    found: dict[str, Any] = {}
    with_peers = args.peers if peers else None
    small = [name for name in peers if name != "robust"]  # robust is simple, but for outages
    if "speed" in args.only:
        bench = speed.Bench(images.path("UNIX", ""), with_peers, note)
        found["speed"] = bench.run(["raw", *OURS, *peers], args.rounds)
        found["speed_failures"] = {f"{c} {k}": why for (c, k), why in bench.broken.items()}
    if "heap" in args.only:
        note("heap per message")
        found["heap"] = quiet.heap(images.path("UNIX32", ""), OURS + small, with_peers)
    if "idle" in args.only:
        note("idle")
        clients = OURS + [name for name in small if name != "simple"]
        found["idle"] = quiet.idle(images.path("UNIX", ""), clients, with_peers)
    # Waiting and counting cycles do not disturb each other: the emulator has a process of its own.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as emulator:
        if "rp2040" in args.only:
            note("emulated RP2040")
            cycles = emulator.submit(chip, images.path("RPI_PICO", ".uf2"), with_peers)
        if "outage" in args.only:
            found["outage"] = outages(with_peers, peers)
        if "rp2040" in args.only:
            found["rp2040"] = cycles.result()
    return found


def outages(peers: Path | None, names: list[str]) -> dict[str, Any]:
    """Length of the outage -> client -> (publishing, nothing to publish) seconds until back in use."""
    clients = OURS + [name for name in names if name != "simple"]
    with quiet.Outage(images.path("UNIX", ""), clients, peers) as test:
        return {f"{seconds:g} s": test.run(seconds, note) for seconds in OUTAGES}


def chip(image: Path, peers: Path | None) -> dict[str, Any]:
    """Client -> cost on the emulated RP2040; "floors": what is paid there without any client."""

    async def run() -> dict[str, Any]:
        async with rp2040.Board(image, peers) as board:
            costs = {client: asdict(await board.cost(client)) for client in OURS + board.peers}
            return {**costs, "floors": await board.floors()}

    return asyncio.run(run())


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, metavar="DIR", help="folder with the peers' sources")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these")
    parser.add_argument("--rounds", type=int, default=5, help="of the speed part (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    args = parser.parse_args(argv)
    needed = {"speed": "UNIX", "heap": "UNIX32", "idle": "UNIX", "outage": "UNIX", "rp2040": "RPI_PICO"}
    for part in args.only:
        board = needed[part]
        image = images.path(board, ".uf2" if board == "RPI_PICO" else "")
        if not image.is_file():
            raise UserError("no such image", where=image, hint=f"build it: scripts/build.py {board}")
    if args.peers and not args.peers.is_dir():
        raise UserError("no such folder", where=args.peers, expected="the peers' sources")
    peers = [name for name, file in PEERS.items() if args.peers and (args.peers / file).is_file()]
    start = time.monotonic()
    found = measure(args, peers)
    found["missing_peers"] = [name for name in PEERS if name not in peers]
    table.show(found, ["raw", *OURS, *PEERS])
    print(f"{time.monotonic() - start:.0f} s in all")
    if args.json:
        args.json.write_text(json.dumps({**found, "goals": table.goals(found)}, indent=1) + "\n")


if __name__ == "__main__":
    ui.main(main)
