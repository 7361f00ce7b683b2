"""Line and branch coverage of the plain C cores (packet codec, ring log): make coverage

Compiles the cores with gcc's counters, runs the generators of tests/fuzz and the cases of tests/fuzz/cases.c
and reports per file what was reached. What cannot be reached stands in tests/fuzz/unreachable.toml with the
reason; anything else that is missed makes the exit status 1, and so does an entry there that no longer fits.

Arguments: --json FILE writes the figures; --corpus FOLDER adds inputs that libFuzzer has found
(FOLDER/decode ...), which the check itself never needs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from kit import gcov, ui


def main(argv: list[str]) -> int:
    """Return 0 when every line and branch of the cores is covered or named, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into FILE")
    parser.add_argument(
        "--corpus", type=Path, metavar="FOLDER", help="inputs of libFuzzer, to be run as well"
    )
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="coldframe-coverage-") as folder:
        report = gcov.measure(Path(folder), options.corpus)
    if options.json:
        options.json.write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    print(report.table())
    for problem in report.problems:
        print(problem)
    return 1 if report.problems else 0


if __name__ == "__main__":
    ui.main(main)
