"""littlefs images of a board's flash: made from files on the host, and read back.

The format is the one MicroPython mounts (littlefs 2.0, 256-byte programs), so an image made here
can be put at a board's file-system offset, by an emulator or inside a firmware file. The same
files give the same bytes every time. Images of littlefs 2.1 are read as well: that is what a board
turns its file system into with its first write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit.ui import UserError

# What MicroPython's ports mount with (VfsLfs2(bdev, progsize=256)); the lowest on-disk version, which
# every MicroPython mounts.
PROG_SIZE = 256
DISK_VERSION = 0x0002_0000
NAME_MAX = 255
_NO_SPACE = -28


def make_image(files: Mapping[str, bytes], block_size: int, block_count: int) -> bytes:
    """Return a littlefs image that holds *files*.

    Args:
        files: path (with "/" between folders) -> content. Folders are made as needed; a path that
            ends in "/" makes an empty folder (its content is ignored).
        block_size: bytes per erasable block.
        block_count: blocks of the file system.

    Returns:
        block_size * block_count bytes.

    Raises:
        UserError: when the files do not fit, or a name cannot be stored.
    """
    lfs = _littlefs()
    context = lfs.UserContext(block_size * block_count)
    fs = lfs.LittleFS(
        context=context,
        block_size=block_size,
        block_count=block_count,
        prog_size=PROG_SIZE,
        disk_version=DISK_VERSION,
        name_max=NAME_MAX,
    )
    made: set[str] = set()
    for name in sorted(files):
        path = name.strip("/")
        folder = path if name.endswith("/") else path.rpartition("/")[0]
        for part in filter(None, path.split("/")):
            if len(part.encode()) > NAME_MAX:
                raise UserError("file name too long", where=name, expected=f"at most {NAME_MAX} bytes a name")
        try:
            if folder and folder not in made:
                fs.makedirs(folder, exist_ok=True)
                made.add(folder)
            if not name.endswith("/"):
                with fs.open(path, "wb") as file:
                    file.write(bytes(files[name]))
        except lfs.LittleFSError as error:
            if error.code != _NO_SPACE:
                raise UserError(f"cannot store this file in the image ({error})", where=name) from error
            need, have = sum(len(data) for data in files.values()), block_size * block_count
            raise UserError(
                f"the files do not fit on the flash ({len(files)} files, {need:,} bytes)",
                where=name,
                expected=f"less than {have:,} bytes in all, littlefs' own blocks included",
            ) from error
    fs.unmount()
    return bytes(context.buffer)


def read_image(image: bytes | bytearray | memoryview, block_size: int = 4096) -> dict[str, bytes]:
    """Return the files of a littlefs image: path without leading "/" -> content.

    Empty folders appear as a path that ends in "/", with empty content.

    Args:
        image: the whole file system, a multiple of *block_size* bytes.
        block_size: bytes per erasable block.

    Raises:
        UserError: when there is no mountable file system in it.
    """
    lfs = _littlefs()
    context = lfs.UserContext(len(image))
    context.buffer = bytearray(image)
    fs = lfs.LittleFS(
        context=context,
        block_size=block_size,
        block_count=len(image) // block_size,
        prog_size=PROG_SIZE,
        name_max=NAME_MAX,
        mount=False,
    )
    files: dict[str, bytes] = {}
    try:
        fs.mount()
        for top, folders, names in fs.walk("/"):
            prefix = top.strip("/") + "/" if top.strip("/") else ""
            if prefix and not folders and not names:
                files[prefix] = b""
            for name in names:
                with fs.open(prefix + name, "rb") as file:
                    files[prefix + name] = file.read()
    except lfs.LittleFSError as error:
        raise UserError(
            f"no readable file system in this flash image ({error})", expected="littlefs 2"
        ) from error
    return dict(sorted(files.items()))


def _littlefs() -> Any:
    """The littlefs package, imported late: only the host environment has it."""
    try:
        import littlefs
        from littlefs.errors import LittleFSError
    except ImportError as error:
        raise UserError(
            "the Python package littlefs-python is not installed",
            expected="the project's environment",
            hint="scripts/setup.sh, then run the command with .venv/bin/python",
        ) from error
    littlefs.LittleFSError = LittleFSError
    return littlefs
