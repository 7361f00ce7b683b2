"""board.toml: what is wrong is named with its file and key; what is right is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import board as boards
from kit.ports import base
from kit.ui import UserError

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
name = "MY_BOARD"
title = "Mine"
port = "rp2"
tier = "full"
image = "uf2"
sources = ["micropython"]
[flash]
size = 0x200000
app_offset = 0
app_size = 0xA0000
fs_offset = 0xA0000
fs_size = 0x160000
[pins]
led = 25
[features]
serial = true
"""


def load(tmp_path: Path, text: str) -> boards.Board:
    folder = tmp_path / "boards" / "MY_BOARD"
    folder.mkdir(parents=True)
    (folder / "board.toml").write_text(text)
    return boards.load("MY_BOARD", tmp_path)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    board = load(tmp_path, GOOD)
    assert (board.name, board.port, board.image) == ("MY_BOARD", "rp2", "uf2")
    assert board.flash is not None and board.flash.block == 4096 and board.flash.fs_offset == 0xA0000
    assert board.features == ("serial",) and board.pins == {"led": 25} and board.release is False


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'tier = "full"',
            'teir = "full"',
            "board.toml: unknown key 'teir'; expected 'tier' (the nearest known key)",
        ),
        ("fs_offset =", "fs_ofset =", "board.toml: [flash]: unknown key 'fs_ofset'; expected 'fs_offset'"),
        (
            "serial = true",
            "seriall = true",
            "board.toml: [features]: unknown key 'seriall'; expected 'serial'",
        ),
        ("led = 25", "lde = 25", "board.toml: [pins]: unknown key 'lde'; expected 'led'"),
        ("[pins]", "[build]\nbits = 64\n[pins]", "board.toml: [build]: unknown key 'bits'"),
        ('title = "Mine"\n', "", "board.toml: key 'title' is missing; expected a string"),
        ('tier = "full"', 'tier = "best"', "tier: got 'best'; expected one of core, full"),
        ('image = "uf2"', 'image = "hex"', "image: got 'hex'; expected one of uf2, bin, elf"),
        ('port = "rp2"', 'port = "rp3"', "port: unknown port 'rp3'; expected one of "),
        ('name = "MY_BOARD"', 'name = "YOURS"', "name is 'YOURS'; expected the folder's name, 'MY_BOARD'"),
        ("serial = true", 'serial = "yes"', "features.serial: got 'yes'; expected true or false"),
        ("size = 0x200000", "size = true", "flash.size: got True; expected a whole number"),
        ("size = 0x200000", "size = -1", "flash.size: got -1; expected 0 or more"),
        (
            "fs_size = 0x160000",
            "fs_size = 0x160001",
            "fs_size: got 0x160001; expected a multiple of the block",
        ),
        (
            "fs_size = 0x160000",
            "fs_size = 0x170000",
            "fs_size: ends at 0x210000; expected at most the flash size",
        ),
        ("app_size = 0xA0000", "app_size = 0xA1000", "[flash]: the application and the file system overlap"),
        ("led = 25", "led = [25]", "pins.led: got [25]; expected a pin number or name"),
        ('tier = "full"', "tier = full", "not valid TOML"),
        (
            'sources = ["micropython"]',
            'sources = "micropython"',
            "sources: got 'micropython'; expected a list",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(caught.value)
    assert str(caught.value).startswith("boards/MY_BOARD/board.toml")


@pytest.mark.parametrize("name", boards.names(ROOT))
def test_our_boards_are_good_and_complete(name: str) -> None:
    board = boards.load(name, ROOT)
    recipe = base.recipe(board.port)
    assert callable(recipe.build) and "python3" in recipe.PACKAGES
    assert (board.path / "manifest.py").is_file()
    assert board.sources[0] == "micropython"
    if board.release and board.image != "elf":
        assert board.flash is not None


def test_released_boards_have_a_budget() -> None:
    import budgets

    limits = budgets.load(ROOT / "budgets.toml", boards.names(ROOT))
    released = {name for name in boards.names(ROOT) if boards.load(name, ROOT).release}
    assert released - set(limits) == set()
    for name in released:
        board = boards.load(name, ROOT)
        most = {"core": 130_000, "full": 200_000}[board.tier]
        if name == "RPI_PICO":
            most = 285_000  # beyond the design as of today: budgets.toml says why
        assert limits[name]["frozen"] <= most or board.port == "unix"
        if board.flash:
            assert limits[name]["flash"] <= board.flash.app_size
