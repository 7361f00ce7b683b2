"""The images in dist/ as they were built: the report is true, nothing of the machine is in them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit import board as boards
from kit import images, uf2
from kit.elf import Elf

BOARDS = ["RPI_PICO", "UNIX", "UNIX32", "QEMU_LX106", "QEMU_RV32"]


def report(board: str) -> dict[str, Any]:
    path = images.path(board, ".json")
    assert path.exists(), f"no image of {board}: python3 scripts/build.py {board}"
    return json.loads(path.read_text())


@pytest.mark.parametrize("board", BOARDS)
def test_the_report_lists_every_file_with_its_size_and_sum(board: str) -> None:
    found = report(board)
    have = {p.name for p in images.DIST.glob(f"{images.path(board).name}*")} - {
        images.path(board, ".json").name
    }
    assert set(found["files"]) == have
    for name, entry in found["files"].items():
        data = (images.DIST / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"]), name


@pytest.mark.parametrize("board", BOARDS)
def test_the_report_names_what_the_image_is_made_of(board: str) -> None:
    found = report(board)
    described = boards.load(board)
    assert found["micropython"] == "1.26.1"
    assert set(found["upstream"]) == set(described.sources)
    assert all(len(s) == 64 for source in found["upstream"].values() for s in source["files"].values())
    assert found["locked"] is (found["unlocked"] == [])
    assert "python3" in found["toolchain"] and len(found["toolchain"]) >= 4
    assert {"boot.py", "main.py", "coldframe/__init__.py", "coldframe_build.py"} <= set(found["frozen"])


@pytest.mark.parametrize("board", BOARDS)
def test_sizes_are_those_of_the_elf(board: str) -> None:
    found = report(board)["size"]
    assert found["static_ram"] == found["data"] + found["bss"]
    assert sum(found["sections"].values()) == found["text"] + found["data"] + found["bss"]
    elf = Elf(images.path(board, ".elf"))
    names = {s.name: s.size for s in elf.sections}
    assert found["sections"][".bss"] == names[".bss"]
    assert 20_000 < found["frozen"] < found["text"] + found["data"]


@pytest.mark.parametrize("board", BOARDS)
def test_no_folder_of_the_machine_that_built_it_is_in_any_file(board: str) -> None:
    for name in [*report(board)["files"], images.path(board, ".json").name]:
        data = (images.DIST / name).read_bytes()
        for place in (
            str(images.ROOT).encode(),
            b"/home/",
            f"{Path.home()}/".encode(),
            b"/src/micropython/",
            b"/coldframe/build/",
            b"/usr/src/coldframe",
        ):
            assert place not in data, f"{name} has {place!r} at {data.index(place):#x}"


def test_the_folders_sums_are_right() -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=images.DIST, capture_output=True
    )
    assert done.returncode == 0, done.stdout
    listed = {line.split("  ")[1] for line in (images.DIST / "SHA256SUMS").read_text().splitlines()}
    assert listed == {p.name for p in images.DIST.glob("coldframe-*")}


def test_the_pico_image_fits_and_says_how_much_is_left() -> None:
    flash = report("RPI_PICO")["flash"]
    program = uf2.contents(images.path("RPI_PICO", ".uf2").read_bytes())
    assert list(program) == [uf2.XIP_BASE]
    assert 0 <= len(program[uf2.XIP_BASE]) - flash["used"] < uf2.PAYLOAD
    assert flash["free"] == flash["app_size"] - flash["used"] > 0
    assert flash["fs_offset"] == 0xA0000, "as upstream's image: a file system made by either is kept"


def test_the_pico_image_with_file_system_holds_a_config_that_is_json() -> None:
    from kit import fsimage

    plain = uf2.contents(images.path("RPI_PICO", ".uf2").read_bytes())
    filled = uf2.contents(images.path("RPI_PICO", "-with-filesystem.uf2").read_bytes())
    flash = boards.load("RPI_PICO").flash
    assert flash is not None
    assert set(filled) == {uf2.XIP_BASE, uf2.XIP_BASE + flash.fs_offset}
    assert filled[uf2.XIP_BASE] == plain[uf2.XIP_BASE]
    start = filled[uf2.XIP_BASE + flash.fs_offset]
    # Behind what is written lies whatever the flash held before: it must not matter.
    for rest in (b"\xff", b"\x5a"):
        files = fsimage.read_image(start.ljust(flash.fs_size, rest))
        assert list(files) == ["config.json"] or list(files) == ["/config.json"]
        assert "mqtt" in json.loads(next(iter(files.values())))


def test_the_unix_image_needs_no_library() -> None:
    image = Elf(images.path("UNIX"))
    assert ".interp" not in {section.name for section in image.sections}, "it is linked statically"
    assert image.symbols() == [], "symbols are in the .elf beside it"
