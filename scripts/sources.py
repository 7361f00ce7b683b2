#!/usr/bin/env python3
"""Fetch the upstream sources that sources.toml pins into the cache, and verify them.

python3 scripts/sources.py                       what the usual boards need
python3 scripts/sources.py esp-idf               one source by name
python3 scripts/sources.py --from micropython=DIR   use a folder of yours in its place
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kit import sources, sources_fetch, ui


def main(argv: list[str]) -> int:
    """Return 0 when everything asked for is in the cache."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help="sources to fetch (default: what the usual boards need)")
    parser.add_argument("--all", action="store_true", help="every source in sources.toml")
    parser.add_argument(
        "--locked", action="store_true", help="insist on exactly what is pinned, as releases do"
    )
    parser.add_argument(
        "--refresh", action="store_true", help="look again for pins that could not be had last time"
    )
    parser.add_argument("--offline", action="store_true", help="use the cache alone")
    parser.add_argument("--from", dest="folders", action="append", default=[], metavar="NAME=DIR",
                        help="use the folder DIR as source NAME from now on; NAME= ends that")  # fmt: skip
    parser.add_argument("--origin", action="append", default=[], metavar="NAME=KIND",
                        help="take NAME from this kind of origin only (release, git …)")  # fmt: skip
    parser.add_argument(
        "--cache", metavar="DIR", help="the cache (default: $COLDFRAME_CACHE or ~/.cache/coldframe)"
    )
    args = parser.parse_args(argv)

    folders = {
        name: Path(value) if value else None for name, value in _pairs(args.folders, "--from", "NAME=DIR")
    }
    only = dict(_pairs(args.origin, "--origin", "NAME=KIND"))
    names = list(sources.pins().sources) if args.all else args.name
    found = sources_fetch.fetch(
        names, cache=sources.cache_folder(args.cache), locked=args.locked, offline=args.offline,
        refresh=args.refresh, folders=folders, only=only,
    )  # fmt: skip
    for name in names or [n for n, pin in found.pins.sources.items() if pin.default]:
        entry = found.lock[name]
        state = "as pinned" if entry["locked"] else "NOT as pinned"
        print(f"{name:<20} {entry['version']:<28} {entry['origin']:<14} {state}")
    return 0


def _pairs(given: list[str], option: str, form: str) -> list[tuple[str, str]]:
    for item in given:
        if "=" not in item:
            raise ui.UserError(f"got {item!r}", where=option, expected=form)
    return [(name, value) for name, _, value in (item.partition("=") for item in given)]


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    ui.main(main)
