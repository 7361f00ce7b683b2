"""File-system images and the folder that stands for a board's flash; no board is booted here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from emulator.flash import Folder, board_of, layout_of
from kit import fsimage
from kit.ui import UserError

FILES = {"config.json": b"{}", "lib/a/b.py": bytes(range(256)) * 40, "lib/empty/": b"", "x": b""}


def test_image_holds_the_files_and_is_the_same_every_time():
    image = fsimage.make_image(FILES, 4096, 64)
    assert len(image) == 4096 * 64
    assert fsimage.read_image(image) == FILES
    assert fsimage.make_image(dict(reversed(FILES.items())), 4096, 64) == image


def test_empty_image():
    assert fsimage.read_image(fsimage.make_image({}, 4096, 16)) == {}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"big": bytes(70_000)}, r"big: the files do not fit .*1 files, 70,000 bytes.* less than 65,536"),
        ({"n" * 256: b""}, "file name too long"),
        ({"a": b"", "a/b": b""}, "a/b: cannot store"),
    ],
)
def test_what_cannot_be_stored_is_refused(files, message):
    with pytest.raises(UserError, match=message):
        fsimage.make_image(files, 4096, 16)


@pytest.mark.parametrize("image", [b"\xff" * 65536, bytes(65536), os.urandom(65536)])
def test_what_is_no_file_system_is_refused(image):
    with pytest.raises(UserError, match="no readable file system"):
        fsimage.read_image(image)


def test_folder_takes_over_what_changed_and_nothing_else(tmp_path: Path):
    for name in ("same", "grows", "goes", "dir/deep/goes"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    os.utime(tmp_path / "same", (1, 1))
    os.chmod(tmp_path / "grows", 0o600)
    folder = Folder(tmp_path)
    assert folder.load() == {n: n.encode() for n in ("same", "grows", "goes", "dir/deep/goes")}
    now = {
        "same": b"same",
        "grows": b"grows and grows",
        "new/file": b"n",
        "goes/now": b"a folder",
        "void/": b"",
    }
    changed = ["dir/deep/goes", "goes", "goes/now", "grows", "new/file", "void/"]
    assert folder.store(now) == changed
    assert Folder(tmp_path).load() == now
    assert (tmp_path / "same").stat().st_mtime == 1
    assert (tmp_path / "grows").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "dir").exists()
    assert folder.store(now) == []


def test_folder_keeps_the_old_file_when_the_new_one_cannot_be_written(tmp_path: Path, monkeypatch):
    (tmp_path / "data").write_bytes(b"old")
    folder = Folder(tmp_path)
    folder.load()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="data: No space left on device"):
        folder.store({"data": b"new"})
    monkeypatch.undo()
    assert (tmp_path / "data").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    assert folder.store({"data": b"new"}) == ["data"], "it is tried again"


def test_board_is_told_from_the_image(tmp_path: Path):
    assert board_of(tmp_path / "firmware.uf2") == "RPI_PICO"
    assert board_of(tmp_path / "coldframe-RPI_PICO_W-1.2.3.uf2") == "RPI_PICO_W"
    (tmp_path / "mine.json").write_text('{"board": "MY_BOARD"}')
    assert board_of(tmp_path / "mine.uf2") == "MY_BOARD"
    assert board_of(tmp_path / "mine-with-filesystem.uf2") == "MY_BOARD"


def test_layout_is_the_boards():
    layout = layout_of("RPI_PICO")
    assert (layout.fs_offset, layout.fs_size) == (0xA0000, 352 * 4096)
    with pytest.raises(UserError, match="cannot be emulated"):
        layout_of("UNIX")
