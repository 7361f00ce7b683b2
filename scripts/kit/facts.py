"""What identifies a build: version, commit, epoch, and the tools it is made with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kit.ui import UserError

# The epoch of a tree without any history: 2026-01-01. The FAT and RTC code of the ports want a year ≥ 2000.
NO_HISTORY = 1767225600
UNLOCKED = Path("/etc/coldframe/unlocked")
PACKAGES = Path("/etc/coldframe/packages")


@dataclass(frozen=True)
class Identity:
    """Which state of the Coldframe tree a build is made from."""

    version: str
    commit: str  # 40 hex digits, "-dirty" behind them when files differ from the commit; or "unknown"
    epoch: int  # seconds since 1970, the commit's time


def in_container() -> bool:
    """True inside an image made from our Dockerfile."""
    return os.environ.get("COLDFRAME_CONTAINER") == "1"


def version(project: Path) -> str:
    """Coldframe's version, from modules/coldframe/version.py."""
    file = project / "modules" / "coldframe" / "version.py"
    found = re.search(r'^__version__ = "([^"]+)"', file.read_text(encoding="utf-8"), re.M)
    if not found:
        raise UserError("no version found", where=file, expected='a line __version__ = "1.2.3"')
    return found[1]


def identity(project: Path) -> Identity:
    """Version, commit and epoch: from git, or from COLDFRAME_COMMIT and SOURCE_DATE_EPOCH.

    Raises:
        UserError: SOURCE_DATE_EPOCH is not a number.
    """
    commit = os.environ.get("COLDFRAME_COMMIT") or _commit(project) or "unknown"
    stamp = (
        os.environ.get("SOURCE_DATE_EPOCH") or _git(project, "log", "-1", "--format=%ct") or str(NO_HISTORY)
    )
    if not stamp.isdigit():
        raise UserError(f"got {stamp!r}", where="SOURCE_DATE_EPOCH", expected="seconds since 1970")
    return Identity(version(project), commit, int(stamp))


def _commit(project: Path) -> str | None:
    commit = _git(project, "rev-parse", "HEAD")
    if commit and _git(project, "status", "--porcelain", "--untracked-files=normal"):
        commit += "-dirty"
    return commit


def _git(project: Path, *args: str) -> str | None:
    if not (project / ".git").exists() or not shutil.which("git"):
        return None
    # The tree may belong to another user (a folder mounted into a container); that is fine for reading.
    cmd = ["git", "-c", "safe.directory=*", "-C", str(project), *args]
    done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or None if done.returncode == 0 else None


def micropython_version(tree: Path) -> str:
    """MicroPython's version as its own headers say, e.g. "1.26.1"."""
    text = (tree / "py" / "mpconfig.h").read_text(encoding="utf-8")
    parts = [
        re.search(rf"#define MICROPY_VERSION_{name}\s+(\d+)", text) for name in ("MAJOR", "MINOR", "MICRO")
    ]
    if not all(parts):
        raise UserError(
            "no version found", where=tree / "py" / "mpconfig.h", expected="MICROPY_VERSION_MAJOR …"
        )
    return ".".join(p[1] for p in parts if p)


def toolchain(packages: tuple[str, ...]) -> dict[str, str]:
    """Debian package → version, of those of `packages` that are installed where we run."""
    if PACKAGES.exists():
        lines = PACKAGES.read_text().splitlines()
        have = dict(re.split(r"[=\s]+", line.strip(), maxsplit=1) for line in lines if line.strip())
    elif shutil.which("dpkg-query"):
        cmd = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n"]
        done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        have = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.count(" ") == 1)
    else:
        have = {}
    return {name: have[name] for name in sorted(packages) if name in have}


def unlocked_tools() -> list[str]:
    """Why the tools are not exactly the pinned ones; empty when they are."""
    if not in_container():
        return ["built with --native: the tools are those of the machine"]
    if not UNLOCKED.exists():
        return ["the environment does not say whether its packages match the pins"]
    return [line.strip() for line in UNLOCKED.read_text().splitlines() if line.strip()]
