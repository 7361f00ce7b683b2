"""Build firmware images: scripts/build.py BOARD...

Every image is built in a clean folder, without network, from the pinned sources. Without --native this
happens in the container that the Dockerfile describes; with it, or inside that container, right here.
The results go to dist/: the image, an .elf and a .map for debugging, a .json that says what is in the
image, and for some boards a second image whose file system already holds a config.json.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kit import board as boards
from kit import builder, diagnose, facts, publish, ui
from kit.board import PROJECT, Board
from kit.ui import UserError


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/build.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "boards", nargs="+", metavar="BOARD", help="a folder under boards/; see docs/boards.md"
    )
    parser.add_argument(
        "--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N", help="compilers at once"
    )
    parser.add_argument("--out", type=Path, default=PROJECT / "dist", metavar="DIR", help="default: dist/")
    parser.add_argument("--work", type=Path, default=PROJECT / "build", metavar="DIR", help="default: build/")
    parser.add_argument("--cache", type=Path, default=None, metavar="DIR", help="default: ~/.cache/coldframe")
    parser.add_argument(
        "--native", action="store_true", help="with this machine's own tools, not in the container"
    )
    parser.add_argument(
        "--locked", action="store_true", help="refuse inputs that are not exactly the pinned ones"
    )
    parser.add_argument("--fresh", action="store_true", help="also build mpy-cross anew")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error(f"--jobs: got {args.jobs}, expected 1 or more")
    return args


def cache_dir(chosen: Path | None) -> Path:
    """The cache folder: as chosen, or COLDFRAME_CACHE, or ~/.cache/coldframe."""
    return chosen or Path(os.environ.get("COLDFRAME_CACHE") or Path.home() / ".cache" / "coldframe")


def build_here(args: argparse.Namespace, chosen: list[Board]) -> list[Path]:
    """Build with the tools of the machine (or container) we run in."""
    from kit import sources as kit_sources

    cache = cache_dir(args.cache)
    found = kit_sources.load(cache)
    made: list[Path] = []
    for board in chosen:
        made += builder.build_board(
            board,
            sources=found,
            out=args.out.resolve(),
            work=args.work.resolve(),
            jobs=args.jobs,
            locked=args.locked,
            mpy_cross_cache=None if args.fresh else cache,
        )
    return made


def build_in_container(args: argparse.Namespace, chosen: list[Board]) -> list[Path]:
    """Hand the build to the container; the sources are fetched into the cache before."""
    from kit import engine

    return engine.build(
        [board.name for board in chosen],
        out=args.out.resolve(),
        cache=cache_dir(args.cache),
        jobs=args.jobs,
        locked=args.locked,
    )


def run(argv: Sequence[str]) -> int:
    """The command: see the module's text."""
    args = parse(argv)
    began = time.monotonic()
    chosen = [boards.load(name) for name in dict.fromkeys(args.boards)]
    publish.check(args.out)
    builder: Callable[[argparse.Namespace, list[Board]], list[Path]]
    builder = build_here if args.native or facts.in_container() else build_in_container
    try:
        made = builder(args, chosen)
    except OSError as error:
        import errno

        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise diagnose.disk_full(Path(error.filename or args.work).resolve()) from None
        if error.errno in (errno.EACCES, errno.EROFS):
            raise UserError("cannot be written", where=error.filename, hint="see --work and --out") from None
        raise
    for path in made:
        if path.suffix not in (".map", ".elf"):
            print(f"{path}  {ui.size(path.stat().st_size)}")
    ui.say(f"done in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    ui.main(run)
