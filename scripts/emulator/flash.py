"""The board's flash and the folder on the host that stands for its file system."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kit import board as boards
from kit import fsimage
from kit.ui import UserError

DEFAULT_BOARD = "RPI_PICO"
_TEMPORARY = ".coldframe-"


def board_of(image: Path) -> str:
    """Name of the board an image is for: from the .json beside it, or its file name.

    Args:
        image: a firmware file.

    Returns:
        The board's name; RPI_PICO for a firmware that is not ours.
    """
    described = image.with_name(image.stem.removesuffix("-with-filesystem") + ".json")
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(described.read_text(encoding="utf-8"))["board"])
    named = re.match(r"coldframe-([A-Z0-9_]+)-\d", image.name)
    return named[1] if named else DEFAULT_BOARD


def layout_of(name: str) -> boards.Flash:
    """Where board *name* has its file system.

    Raises:
        UserError: no such board, or one without a file system on an RP2040's flash.
    """
    board = boards.load(name)
    if board.port != "rp2" or board.flash is None:
        raise UserError(f"{name} cannot be emulated", expected="a board with an RP2040 (port rp2)")
    return board.flash


def make(files: Mapping[str, bytes], layout: boards.Flash) -> bytes:
    """The file system of *layout* with *files* in it (see kit.fsimage.make_image)."""
    return fsimage.make_image(files, layout.block, layout.fs_size // layout.block)


class Folder:
    """A folder whose files are the board's.

    `load` reads them; `store` writes back what the board has changed since, file by file, each
    under a temporary name that is then moved into place. Files that were not changed by the board
    are never touched, so one may be edited meanwhile; the board sees it at its next start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, bytes] = {}

    def load(self) -> dict[str, bytes]:
        """All files of the folder: path relative to it -> content. A missing folder is made.

        Raises:
            UserError: it cannot be read or made.
        """
        files: dict[str, bytes] = {}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for top, folders, names in os.walk(self.path):
                folders.sort()
                relative = Path(top).relative_to(self.path).as_posix()
                prefix = "" if relative == "." else relative + "/"
                kept = [name for name in sorted(names) if not name.startswith(_TEMPORARY)]
                if prefix and not kept and not folders:
                    files[prefix] = b""
                for name in kept:
                    files[prefix + name] = (Path(top) / name).read_bytes()
        except OSError as error:
            raise UserError(
                error.strerror or str(error),
                where=error.filename or self.path,
                expected="a folder with the board's files",
            ) from error
        self._known = dict(files)
        return files

    def store(self, files: Mapping[str, bytes]) -> list[str]:
        """Write what differs from the last `load` or `store`.

        Args:
            files: the board's files now.

        Returns:
            The paths written or removed, sorted.

        Raises:
            UserError: a file cannot be written.
        """
        changed = [name for name, data in files.items() if self._known.get(name) != data]
        gone = [name for name in self._known if name not in files]
        name = ""
        try:
            # first what has gone: a file may have become a folder, or the other way round
            for name in sorted(gone, reverse=True):
                self._remove(name)
            for name in sorted(changed):
                self._write(name, files[name])
        except OSError as error:
            raise UserError(
                error.strerror or str(error), where=self.path / name, expected="a writable place"
            ) from error
        self._known = dict(files)
        return sorted(changed + gone)

    def _target(self, name: str) -> Path:
        # the names come from the guest: none of them may lead out of the folder
        parts = [part for part in name.split("/") if part]
        if not parts or any(part in (".", "..") or "\0" in part or os.sep in part for part in parts):
            raise UserError(f"the board has a file named {name!r}", where=self.path, expected="a plain name")
        return self.path.joinpath(*parts)

    def _write(self, name: str, data: bytes) -> None:
        target = self._target(name)
        if name.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                umask = os.umask(0)
                os.umask(umask)
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~umask)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _remove(self, name: str) -> None:
        target = self._target(name)
        with contextlib.suppress(FileNotFoundError):
            if name.endswith("/"):
                with contextlib.suppress(OSError):  # something of the host's own is in it
                    target.rmdir()
            else:
                target.unlink()
        parent = target.parent
        with contextlib.suppress(OSError):  # folders that are left empty go too
            while parent != self.path:
                parent.rmdir()
                parent = parent.parent
