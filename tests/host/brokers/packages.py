"""Puts brokers from package registries into the cache, in exactly the versions that scripts/NAME/ names."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

from kit import host
from kit.sources import cache_folder

_SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def python(name: str) -> Path:
    """The interpreter of an environment that has what scripts/NAME/requirements.txt lists."""
    wanted = _SCRIPTS / name / "requirements.txt"

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=True, symlinks=True)
        pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run([*map(str, pip), "install", "--no-deps", "--requirement", str(wanted)], folder)

    return _installed(name, [wanted], install) / "bin" / "python"


def node(name: str) -> Path:
    """A folder with the files of scripts/NAME/ and the packages that its package-lock.json lists."""
    files = sorted(path for path in (_SCRIPTS / name).iterdir() if path.is_file())

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        npm = host.find("npm")
        assert npm, "npm is not installed: sudo apt-get install npm"
        # Nothing is compiled or run: the one binary part comes ready-made in its package.
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    return _installed(name, files, install)


def _installed(name: str, files: list[Path], install: Callable[[Path], None]) -> Path:
    """The folder in the cache that install() has filled for exactly these files."""
    key = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
    parent = cache_folder() / "brokers"
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"{name}-{key}"
    done = folder / ".installed"
    with (parent / f"{name}.lock").open("w") as lock:  # several test processes may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            for old in parent.glob(f"{name}-*"):
                shutil.rmtree(old)
            folder.mkdir()
            install(folder)
            done.touch()
    return folder


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{command[0]} could not install {folder.name}:\n{done.stdout[-2000:]}"
