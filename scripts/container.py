#!/usr/bin/env python3
"""The build environment: docker, podman or buildah, whichever works here.

    python3 scripts/container.py env rp2                       make the environment of a port
    python3 scripts/container.py run rp2 -- arm-none-eabi-gcc --version
    python3 scripts/container.py build RPI_PICO --out dist     build boards by the Dockerfile
    python3 scripts/container.py clean --old                   remove images that are no longer used

COLDFRAME_ENGINE=docker|podman|buildah chooses; where none works, root gets buildah installed with apt.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from kit import engine, ui


def main(argv: list[str]) -> int:
    """Return 0, or the exit status of the command that was run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", metavar="DIR", help="default: $COLDFRAME_CACHE or ~/.cache/coldframe")
    commands = parser.add_subparsers(dest="command", required=True, metavar="env|run|build|clean")

    env = commands.add_parser("env", help="make the environment of a port and say what it is")
    env.add_argument("port", help="a stage of the Dockerfile: rp2, esp8266, esp32, unix, qemu")
    env.add_argument("--rebuild", action="store_true", help="make it anew")

    run = commands.add_parser("run", help="run a command in it; the project is there, read-only")
    run.add_argument("port")
    run.add_argument("--no-network", action="store_true", help="without network")
    run.add_argument(
        "--rw", action="append", default=[], metavar="DIR", help="a folder it may write to (default: none)"
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command")

    build = commands.add_parser("build", help="build boards by executing the Dockerfile")
    build.add_argument("board", nargs="+")
    build.add_argument(
        "--out", type=Path, default=engine.PROJECT / "dist", metavar="DIR", help="default: dist/"
    )
    build.add_argument(
        "--locked", action="store_true", help="refuse inputs that are not exactly the pinned ones"
    )
    build.add_argument(
        "--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N", help="compilers at once"
    )

    clean = commands.add_parser("clean", help="remove all images")
    clean.add_argument("--old", action="store_true", help="only those of an earlier Dockerfile")
    args = parser.parse_args(argv)

    if args.command == "env":
        place = engine.environment(args.port, cache=args.cache, rebuild=args.rebuild)
        state = f"{len(place.unlocked)} packages not as pinned" if place.unlocked else "packages as pinned"
        print(f"{place.image}  {engine.find(args.cache).name}; base {place.base}; {state}")
        for note in place.unlocked:
            print(f"  {note}")
        return 0
    if args.command == "run":
        words = args.words[1:] if args.words[:1] == ["--"] else args.words
        if not words:
            raise ui.UserError("no command given", expected="container.py run PORT -- COMMAND …")
        return engine.run(
            args.port, words, network=not args.no_network, rw=args.rw, cache=args.cache, cwd=_here()
        )
    if args.command == "build":
        for path in engine.build(
            args.board, out=args.out.resolve(), cache=args.cache, jobs=args.jobs, locked=args.locked
        ):
            print(path)
        return 0
    if args.old:
        for image in engine.outdated(cache=args.cache):
            engine.find(args.cache).remove(image)
            print(f"removed {image}")
        return 0
    engine.find(args.cache).clean()
    return 0


def _here() -> Path:
    """Where the command starts: our folder, if it is in the project; else the project."""
    here = Path.cwd().resolve()
    return here if here.is_relative_to(engine.PROJECT) else engine.PROJECT


if __name__ == "__main__":
    ui.main(main)
