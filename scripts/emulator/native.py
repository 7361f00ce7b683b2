"""The emulator package's compiled core, compiled for this very Python: nearly three times faster.

rp2040py's wheels are built for Python's stable interface, in which each call between the compiled
parts goes by way of a look-up by name. The package carries the C files, so where there is a C
compiler they are compiled once more without that restriction, into the cache folder; where there
is none, the wheel's own are used. The machine code does the same either way, cycle for cycle.

COLDFRAME_EMULATOR=wheel keeps to the wheel's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from kit import ui

_PACKAGE = "rp2040py.native"
_FLAGS = ("-O2", "-DNDEBUG", "-fno-strict-aliasing", "-fwrapv", "-shared", "-fPIC", "-w")


class _Finder:
    """Finds the parts of rp2040py.native in the cache folder instead of the wheel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, part = name.rpartition(".")
        file = self.folder / (part + _suffix())
        if package != _PACKAGE or not file.is_file():
            return None
        loader = importlib.machinery.ExtensionFileLoader(name, str(file))
        return importlib.util.spec_from_file_location(name, file, loader=loader)


def install() -> Path | None:
    """Use the faster core in this process, compiling it first if need be.

    To be called before anything of rp2040py is imported; later it does nothing.

    Returns:
        The folder it is in, or None when the wheel's own is used.
    """
    if _PACKAGE in sys.modules:
        return next((f.folder for f in sys.meta_path if isinstance(f, _Finder)), None)
    if os.environ.get("COLDFRAME_EMULATOR") == "wheel":
        return None
    folder = _compiled()
    if folder is not None:
        sys.meta_path.insert(0, _Finder(folder))  # type: ignore[arg-type]
    return folder


def _compiled() -> Path | None:
    found = importlib.util.find_spec("rp2040py")  # finds the top package without importing it
    if found is None or not found.submodule_search_locations:
        return None
    sources = sorted((Path(found.submodule_search_locations[0]) / "native").glob("_*.c"))
    compiler = shutil.which("cc") or shutil.which("gcc")
    include = Path(sysconfig.get_path("include"))
    if not sources:
        return None
    key = hashlib.sha256(" ".join((_suffix(), sys.version, *_FLAGS)).encode())
    for source in sources:
        key.update(source.read_bytes())
    base = Path(os.environ.get("COLDFRAME_CACHE") or Path.home() / ".cache" / "coldframe") / "emulator"
    folder = base / key.hexdigest()[:16]
    if folder.is_dir():
        return folder
    if compiler is None or not (include / "Python.h").is_file():
        return None
    try:
        base.mkdir(parents=True, exist_ok=True)
        with (base / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may start at once
            if not folder.is_dir():
                ui.say("Compiling the emulator's core for this Python (once; some 20 seconds) ...")
                _compile(compiler, include, sources, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        last = output.strip().splitlines()[-1]
        ui.warn(f"the emulator's core could not be compiled, so it runs slower: {last}")
        return None
    return folder


def _compile(compiler: str, include: Path, sources: list[Path], folder: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix="compile-", dir=folder.parent))
    try:
        running: list[tuple[subprocess.Popen[str], list[str]]] = []
        # the largest first, so that the last to end is a small one; two at a time
        for source in sorted(sources, key=lambda path: -path.stat().st_size):
            target = work / (source.stem + _suffix())
            command = [compiler, *_FLAGS, f"-I{include}", str(source), "-o", str(target)]
            if len(running) == 2:
                _wait(*running.pop(0))
            running.append((subprocess.Popen(command, stderr=subprocess.PIPE, text=True), command))
        for process in running:
            _wait(*process)
        work.rename(folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(work)


def _wait(process: subprocess.Popen[str], command: list[str]) -> None:
    error = process.communicate()[1]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=error or "compiler failed")


def _suffix() -> str:
    return str(sysconfig.get_config_var("EXT_SUFFIX"))
