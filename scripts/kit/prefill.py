"""The second image of a board: the program and a file system that already holds a few files.

What is put there lies in boards/BOARD/files/, usually a config.json to be edited. The file system is
made by MicroPython's own littlefs (mklittlefs.c), so that nothing but a C compiler is needed.
"""

from __future__ import annotations

from pathlib import Path

from kit import uf2
from kit.board import Board
from kit.ports.base import Context
from kit.ui import UserError

TOOL = Path(__file__).with_name("mklittlefs.c")


def files(board: Board) -> dict[str, Path]:
    """Path on the device → file, of what the board's image is pre-filled with; sorted, may be empty."""
    root = board.path / "files"
    return {str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_file()}


def file_system(ctx: Context, content: dict[str, Path]) -> bytes:
    """A littlefs image with these files, for the board's file system region.

    Args:
        ctx: the build's context.
        content: path on the device → file.

    Returns:
        The first part of the region, as far as it is used.

    Raises:
        UserError: the files do not fit.
    """
    flash = ctx.board.flash
    if flash is None:
        raise UserError("the board has no [flash]", where=ctx.board.file, expected="fs_offset and fs_size")
    littlefs = ctx.tree / "lib" / "littlefs"
    tool, image = ctx.build / "mklittlefs", ctx.build / "filesystem.img"
    ctx.run(
        ["gcc", "-O1", "-Wall", "-DLFS2_NO_DEBUG", "-DLFS2_MULTIVERSION", f"-I{littlefs}", "-o", tool, TOOL]
        + [littlefs / name for name in ("lfs2.c", "lfs2_util.c")]
    )
    numbers = [str(flash.block), str(flash.fs_size // flash.block), str(flash.page)]
    ctx.run([tool, image, *numbers, *(f"{name}={path}" for name, path in content.items())])
    return image.read_bytes()


def uf2_image(ctx: Context, image: Path) -> bytes | None:
    """The board's UF2 image with its file system filled, or None when there is nothing to put there."""
    content = files(ctx.board)
    if ctx.board.flash is None or not content:
        return None
    return uf2.with_data(image.read_bytes(), file_system(ctx, content), ctx.board.flash.fs_offset, image.name)
