"""Check a folder of images before it is released, and write its checksums and its notes.

    scripts/release.py --tag v1.0.0 --dist DIR [--notes FILE]

Refuses: a tag that is not the version of the tree, an image that was not built from exactly the pinned
inputs or of another version or commit, a file that is not what its .json says, a released board that
is missing. Writes SHA256SUMS into the folder, and the version's section of CHANGELOG.md as notes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from kit import board as boards
from kit import facts as tree
from kit import ui
from kit.publish import SUMS
from kit.report import sha256
from kit.ui import UserError

ROOT = Path(__file__).resolve().parent.parent


def check(dist: Path, tag: str, expected: list[str], commit: str | None, root: Path = ROOT) -> None:
    """Check that *dist* holds what may be released under *tag*.

    Args:
        dist: the folder with the images and their .json files.
        tag: the git tag, "v" and the version.
        expected: the boards that a release has.
        commit: the commit that the images must be built from; None: any, the same for all.
        root: the Coldframe tree.

    Raises:
        UserError: with the first thing that is wrong.
    """
    now = tree.version(root)
    if tag != f"v{now}":
        raise UserError(
            f"the tag is {tag!r}", where="release", expected=f"'v{now}', the version of this tree"
        )
    if not dist.is_dir():
        raise UserError("no such folder", where=dist, expected="a folder of images, made by scripts/build.py")
    commits = {commit} if commit else set()
    for name in expected:
        path = dist / f"coldframe-{name}-{now}.json"
        if not path.is_file():
            raise UserError(f"{name} is missing", where=dist, expected=path.name)
        facts = _read(path)
        if not facts.get("locked"):
            reasons = "; ".join(facts.get("unlocked", [])) or "no reason recorded"
            raise UserError(
                f"{name} was not built from exactly the pinned inputs ({reasons})",
                where=path.name,
                expected="locked: true",
                hint=f"scripts/build.py {name} --locked",
            )
        commits.add(facts.get("commit"))
        if len(commits) > 1:
            raise UserError(
                f"{name} was built from commit {facts.get('commit')}",
                where=path.name,
                expected="the commit that is released, the same for all boards",
            )
        _verify(dist, facts, path)


def notes(text: str, now: str) -> str:
    """Return the section of version *now* from the changelog *text*.

    Raises:
        UserError: there is none.
    """
    found = re.search(rf"^## {re.escape(now)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not found or not found[1].strip():
        raise UserError(
            f"no section for {now}", where="CHANGELOG.md", expected=f'a heading "## {now}" and text'
        )
    return found[1].strip() + "\n"


def _verify(dist: Path, facts: dict[str, Any], path: Path) -> None:
    """Check that every file of an image is there and is the one that its description names."""
    for name, expected in facts.get("files", {}).items():
        file = dist / name
        found = sha256(file) if file.is_file() else "no such file"
        if found != expected["sha256"]:
            raise UserError(
                "is not the file that was built",
                where=file,
                expected=f"{expected['sha256']} ({path.name}), got {found}",
            )


def _write_sums(dist: Path) -> None:
    """Write the checksums of all files: the boards were built apart, each with sums of its own."""
    files = sorted(file for file in dist.iterdir() if file.name.startswith("coldframe-"))
    (dist / SUMS).write_text("".join(f"{sha256(file)}  {file.name}\n" for file in files))


def _read(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"not valid JSON: {error}", where=path) from None
    if not isinstance(facts, dict):
        raise UserError("holds no object", where=path, expected="the description of an image")
    return facts


def _head(root: Path) -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() or None


def main(argv: list[str]) -> int:
    """Return 0 when the folder may be released."""
    parser = argparse.ArgumentParser(prog="scripts/release.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tag", required=True, help="the git tag, such as v1.0.0")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--notes", type=Path, default=None, metavar="FILE", help="where the notes go")
    arguments = parser.parse_args(argv)
    expected = [name for name in boards.names() if boards.load(name).release]
    check(arguments.dist, arguments.tag, expected, os.environ.get("GITHUB_SHA") or _head(ROOT))
    text = notes((ROOT / "CHANGELOG.md").read_text(), tree.version(ROOT))
    _write_sums(arguments.dist)
    if arguments.notes:
        arguments.notes.write_text(text)
    ui.say(f"{len(expected)} boards are ready for {arguments.tag}")
    return 0


if __name__ == "__main__":
    ui.main(main)
