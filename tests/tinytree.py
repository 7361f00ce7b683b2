"""A MicroPython tree of a few lines, for tests of scripts/build.py that need no toolchain but gcc and make.

Everything of the build runs for real (workspace, manifest, mpy-cross, the unix recipe, report, dist/);
only the program that is compiled is one C file instead of three hundred.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

MPCONFIG = """
#define MICROPY_VERSION_MAJOR 1
#define MICROPY_VERSION_MINOR 26
#define MICROPY_VERSION_MICRO 1
"""

MPY_CROSS = """
build/mpy-cross: main.c
\tmkdir -p build
\tgcc -o $@ $<
"""

# Understands what ours and the boards' manifests say, and prints it as MicroPython's tool does.
MANIFESTFILE = """
import os, sys

class Options:
    def defaults(self, **values):
        for name, value in values.items():
            setattr(self, name, value)

def run(path):
    def include(name):
        run(os.path.join(os.path.dirname(path), name))
    def module(name, base_path="."):
        full = os.path.join(os.path.dirname(path), base_path, name)
        if not os.path.exists(full):
            sys.exit("Error in manifest file: %s: [Errno 2] No such file: %r" % (path, name))
        print("ManifestOutput(full_path=%r, target_path=%r)" % (full, name))
    exec(open(path).read(), dict(include=include, module=module, options=Options()))

run(sys.argv[-1])
"""

UNIX_MAKEFILE = """
C = $(COLDFRAME_DIR)/prog.c
all: $(BUILD)/$(PROG)
$(BUILD)/frozen_content.o: $(C)
\tmkdir -p $(BUILD)
\techo "MPY boot.py"
\techo 'const char frozen[1000] = {1};' | gcc -x c -c -o $@ -
$(BUILD)/$(PROG): $(BUILD)/frozen_content.o
\techo "CC prog.c"
\tgcc $(CFLAGS_EXTRA) -Wall -Werror -g -c -o $(BUILD)/prog.o $(C)
\techo "LINK $@"
\tgcc $(LDFLAGS_EXTRA) -Wl,-Map=$@.map -o $@ $(BUILD)/prog.o $(BUILD)/frozen_content.o
"""

BOARD = """
name = "TINY"
title = "A board for tests"
port = "unix"
tier = "full"
image = "elf"
sources = ["micropython"]
[build]
bits = 32
"""

PROG = "int counter = 5, zeros[100];\nint main(void) { return zeros[counter]; }\n"


def make(root: Path) -> Path:
    """Write a Coldframe tree with the board TINY and, beside it, the tiny MicroPython tree.

    Args:
        root: an empty folder.

    Returns:
        The Coldframe tree. Its prog.c is what is compiled.
    """
    project, tree = root / "coldframe", root / "upstream"
    files = {
        project / "boards" / "TINY" / "board.toml": BOARD,
        project / "boards" / "TINY" / "manifest.py": 'module("boot.py", base_path="../../modules")\n',
        project / "modules" / "boot.py": "",
        project / "modules" / "coldframe" / "version.py": '__version__ = "9.9.9"\n',
        project / "prog.c": PROG,
        tree / "py" / "mpconfig.h": MPCONFIG,
        tree / "mpy-cross" / "Makefile": MPY_CROSS,
        tree / "mpy-cross" / "main.c": "int main(void) { return 0; }\n",
        tree / "tools" / "manifestfile.py": MANIFESTFILE,
        tree / "ports" / "unix" / "Makefile": UNIX_MAKEFILE,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return project


class Sources:
    """Stands where kit.sources.Sources would: gives the tiny tree.

    Args:
        project: what `make` returned.
        locked: what `locked` says of every source.
    """

    def __init__(self, project: Path, locked: bool = True) -> None:
        self.tree = project.parent / "upstream"
        self.is_locked = locked

    def require(self, names: Sequence[str]) -> None:
        """Everything is there."""

    def unpack(self, name: str, into: Path) -> Path:
        """Copy the tree."""
        shutil.copytree(self.tree, into, dirs_exist_ok=True)
        return into

    def record(self, names: Sequence[str]) -> dict[str, object]:
        """What goes into the .json."""
        return {name: {"version": "1.26.1"} for name in names}

    def locked(self, names: Sequence[str]) -> bool:
        """As was told."""
        return self.is_locked


# Run in a process of its own by tests that interrupt it or fill its disk: argv is PROJECT OUT WORK.
DRIVER = """
import sys
from pathlib import Path
import build, tinytree
from kit import board, builder, ui

def run(argv):
    project, out, work = map(Path, argv)
    tiny = board.load("TINY", project)
    def build_it(args, chosen):
        return builder.build_board(tiny, sources=tinytree.Sources(project), out=out, work=work, project=project)
    build.build_here = build_it
    board.load = lambda name: tiny
    return build.run(["TINY", "--native", "--out", str(out), "--work", str(work)])

ui.main(run)
"""
