"""Is an image in dist/ still the one that this working tree would build?

The demo and the tests ask, so that a second run does not build again. Releases do not: build.py
itself always builds in a clean folder.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

# Everything that decides the bytes of an image.
_INPUTS = (
    "boards", "cmodules", "modules", "ports", "web", "examples",
    "manifest.py", "sources.toml", "Dockerfile", "scripts/build.py", "scripts/apt-install.sh", "scripts/kit",
)  # fmt: skip


def inputs_key(root: Path) -> str:
    """Return the sha256 (hex) over the commit and the content of every file that goes into an image."""
    digest = hashlib.sha256()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    digest.update(head.stdout.encode())
    for name in _INPUTS:
        path = root / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def stale(root: Path, boards: list[str], dist: Path) -> list[str]:
    """Return those of *boards* whose image in *dist* is missing, damaged or of another state of the tree."""
    key = inputs_key(root)
    return [board for board in boards if not _is_fresh(board, key, dist)]


def mark(key: str, boards: list[str], dist: Path) -> None:
    """Remember that *boards* in *dist* were built from the state of the tree that `inputs_key` called *key*."""
    for board in boards:
        files = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(dist.glob(f"coldframe-{board}-[0-9]*"))
        }
        (dist / f".{board}.built").write_text(json.dumps({"inputs": key, "files": files}))


def _is_fresh(board: str, key: str, dist: Path) -> bool:
    try:
        built = json.loads((dist / f".{board}.built").read_text())
        files = built["files"]
        return (
            bool(files)
            and built["inputs"] == key
            and all(
                hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest
                for name, digest in files.items()
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
