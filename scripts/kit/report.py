"""The .json beside an image: what it was made from, how big it is, and its checksums.

It holds nothing that differs between two builds of the same commit: no time of building, no folder,
no user, no machine.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit import facts
from kit.board import Board
from kit.elf import Elf
from kit.ports.base import Artifacts
from kit.ui import UserError

FORMAT = 1


def sha256(path: Path) -> str:
    """The file's SHA-256, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sizes(artifacts: Artifacts) -> dict[str, Any]:
    """Bytes of text, data, bss, static RAM, frozen code and each section, from the ELF."""
    elf = Elf(artifacts.elf)
    found: dict[str, Any] = dict(elf.sizes(artifacts.ram))
    found["static_ram"] = found["data"] + found["bss"]
    if artifacts.frozen is not None:
        frozen = Elf(artifacts.frozen).sizes()
        found["frozen"] = frozen["text"] + frozen["data"]
    found["sections"] = elf.section_sizes(artifacts.ram)
    return found


def flash(board: Board, artifacts: Artifacts) -> dict[str, int] | None:
    """How the flash is used, in bytes, or None for a board without flash.

    Raises:
        UserError: the program does not fit its region. The rp2 port's linker does not notice when
            the program runs into the file system, so this is where it is found out.
    """
    if board.flash is None or artifacts.flash_used is None:
        return None
    room, used = board.flash.app_size, artifacts.flash_used
    if used > room:
        raise UserError(
            f"the program takes {used:,} bytes of flash, {used - room:,} too many",
            where=board.name,
            expected=f"at most {room:,} (flash.app_size in board.toml)",
        )
    return {
        "size": board.flash.size,
        "app_size": room,
        "used": used,
        "free": room - used,
        "fs_offset": board.flash.fs_offset,
        "fs_size": board.flash.fs_size,
    }


def make(
    board: Board,
    identity: facts.Identity,
    micropython: str,
    upstream: dict[str, Any],
    unlocked: list[str],
    packages: tuple[str, ...],
    artifacts: Artifacts,
    frozen_files: list[str],
    patches: list[Path],
) -> dict[str, Any]:
    """Everything of the report but the files (see `with_files`).

    Args:
        board: the board.
        identity: version, commit and epoch.
        micropython: version of MicroPython.
        upstream: what kit.sources recorded about each source.
        unlocked: why the image is not made from exactly the pinned inputs; empty when it is.
        packages: the Debian packages of the toolchain.
        artifacts: what was built.
        frozen_files: the modules frozen into the image.
        patches: our patches to the upstream tree.
    """
    return {
        "format": FORMAT,
        "board": board.name,
        "title": board.title,
        "port": board.port,
        "tier": board.tier,
        "version": identity.version,
        "commit": identity.commit,
        "epoch": identity.epoch,
        "date": datetime.fromtimestamp(identity.epoch, UTC).isoformat().replace("+00:00", "Z"),
        "micropython": micropython,
        "upstream": upstream,
        "patches": {path.name: sha256(path) for path in patches},
        "toolchain": facts.toolchain(packages),
        "locked": not unlocked,
        "unlocked": unlocked,
        "size": sizes(artifacts),
        "flash": flash(board, artifacts),
        "frozen": frozen_files,
    }


def with_files(report: dict[str, Any], files: list[Path]) -> str:
    """The report as text, with bytes and SHA-256 of each file in it."""
    listed = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(files)}
    return json.dumps({**report, "files": listed}, indent=2) + "\n"


def load(path: Path) -> dict[str, Any]:
    """Read a report back.

    Raises:
        UserError: it is not one.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=path, expected="the .json of an image") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or "board" not in data:
        raise UserError(
            "is not the .json of an image", where=path, expected=f'an object with "format": {FORMAT}'
        )
    return data
