"""Fuzz the plain C cores (packet codec, ring log) with libFuzzer, AddressSanitizer and UBSan: make fuzz

    scripts/fuzz.py                        two CPU minutes over all targets
    scripts/fuzz.py decode --minutes 10    ten CPU minutes for one target
    scripts/fuzz.py --mutants              take every bounds check out, one by one: each must be found
    scripts/fuzz.py decode --again FILE    one input again, as libFuzzer has left it

New inputs are kept in build/fuzz/corpus/TARGET and used again; what was found is in build/fuzz.
docs/fuzzing.md explains the rest. The exit status is 1 when something was found (with --mutants: was missed).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

from kit import fuzzing, host, ui
from kit.ui import UserError

WORK = fuzzing.ROOT / "build" / "fuzz"
# Each target's share of the time.
SHARES = {"decode": 0.5, "encode": 0.2, "props": 0.1, "topic": 0.05, "ringlog": 0.15}


def main(argv: list[str]) -> int:
    """Return the exit status: 0 when all is as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="scripts/fuzz.py"
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(fuzzing.TARGETS)}; all")
    parser.add_argument("--minutes", type=float, default=2.0, help="CPU time of all targets together (2)")
    parser.add_argument("--seed", type=int, default=20261121, help="where libFuzzer's random numbers begin")
    parser.add_argument("--mutants", action="store_true", help="take the bounds checks out one by one")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run one input of one target again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into FILE")
    options = parser.parse_args(argv)
    targets = options.targets or list(fuzzing.TARGETS)
    for target in targets:
        if target not in fuzzing.TARGETS:
            raise UserError(f"no target {target!r}", where="TARGET", expected=", ".join(fuzzing.TARGETS))
    host.ensure({"clang": "clang libclang-rt-dev llvm"}, "fuzzing")
    WORK.mkdir(parents=True, exist_ok=True)
    programs = fuzzing.build_libfuzzer(WORK)
    if options.again:
        if len(targets) != 1:
            raise UserError(
                "--again runs one target", where="--again", expected="scripts/fuzz.py TARGET --again FILE"
            )
        return subprocess.run([programs[targets[0]], options.again]).returncode
    corpora = fuzzing.make_corpus(fuzzing.build_seeds(WORK), WORK / "corpus")
    rows = _mutants(programs, corpora) if options.mutants else _campaign(options, targets, programs, corpora)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 1 if any(row["wrong"] for row in rows) else 0


def _campaign(
    options: argparse.Namespace, targets: list[str], programs: dict[str, Path], corpora: dict[str, Path]
) -> list[dict]:
    """Fuzz the targets one after the other and print a row each."""
    rows = []
    print(f"{'target':8} {'CPU s':>8} {'inputs':>12} {'edges':>12} {'corpus':>7}  found")
    for target in targets:
        seconds = 60 * options.minutes * SHARES[target] / sum(SHARES[name] for name in targets)
        run = fuzzing.fuzz(
            programs[target], target, corpora[target], seconds, seed=options.seed, artifacts=WORK, keep=True
        )
        edges = f"{run.edges} / {run.edges_total}"
        found = f"{run.what} {' '.join(run.inputs)}" if run.finding else "nothing"
        print(
            f"{target:8} {run.cpu_seconds:8} {run.executions:12,} {edges:>12} {run.corpus:7}  {found}",
            flush=True,
        )
        rows.append({**run.as_dict(), "wrong": bool(run.finding)})
    return rows


def _mutants(programs: dict[str, Path], corpora: dict[str, Path]) -> list[dict]:
    """Take the bounds checks out one by one and print what found that."""
    rows = []
    for core in fuzzing.CORES:
        for number in fuzzing.checks(core):
            began = time.monotonic()
            run = fuzzing.find_missing(programs, corpora, core, number, 60)
            row = {"core": core, "check": number, "seconds": round(time.monotonic() - began, 1)}
            row |= {"target": run.target, "inputs": run.executions, "what": run.what} if run else {}
            rows.append({**row, "wrong": run is None})
            said = f"{run.target}, after {run.executions:,} inputs: {run.what}" if run else "NOT FOUND"
            print(f"{core} {number}: {said}", flush=True)
    return rows


if __name__ == "__main__":
    ui.main(main)
