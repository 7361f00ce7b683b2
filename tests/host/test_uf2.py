"""UF2 files: what is written is what the boot ROM and picotool expect, what is damaged is refused."""

from __future__ import annotations

import struct

import pytest
from kit import uf2
from kit.ui import UserError

RP2040 = 0xE48BFF56


def image(size: int = 1000) -> bytes:
    return uf2.write(uf2.blocks_of(bytes(range(256)) * (size // 256 + 1), uf2.XIP_BASE, RP2040))


def test_blocks_have_the_published_layout() -> None:
    block = uf2.write([uf2.Block(0x10000100, b"\xaa" * 256, RP2040)])
    assert len(block) == 512
    assert struct.unpack("<8I", block[:32]) == (
        0x0A324655, 0x9E5D5157, 0x2000, 0x10000100, 256, 0, 1, 0xE48BFF56,
    )  # fmt: skip
    assert block[32:288] == b"\xaa" * 256 and block[288:508] == bytes(220)
    assert struct.unpack("<I", block[508:])[0] == 0x0AB16F30


def test_added_data_renumbers_the_whole_file() -> None:
    first = image()
    both = uf2.with_data(first, b"x" * 300, 0xA0000)
    blocks = uf2.read(both)
    assert len(blocks) == len(uf2.read(first)) + 2
    numbers = [struct.unpack_from("<2I", both, i * 512 + 20) for i in range(len(blocks))]
    assert numbers == [(i, len(blocks)) for i in range(len(blocks))]
    assert {b.family for b in blocks} == {RP2040}
    found = uf2.contents(both)
    assert found[uf2.XIP_BASE] == uf2.contents(first)[uf2.XIP_BASE]
    assert found[uf2.XIP_BASE + 0xA0000] == b"x" * 300 + b"\xff" * 212


def test_data_that_would_overwrite_the_program_is_refused() -> None:
    with pytest.raises(UserError, match="the program reaches"):
        uf2.with_data(image(1000), b"x" * 256, 512)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d[:-1], "bytes long; expected a multiple of 512"),
        (lambda d: b"X" + d[1:], "block 0 has wrong magic numbers"),
        (lambda d: d[512:], "block 0 says 1 of"),
        (lambda d: d[:512] + d[1024:], "block 0 says 0 of"),
        (lambda d: b"", "0 bytes long"),
    ],
)
def test_a_damaged_file_is_refused(damage, message: str) -> None:
    with pytest.raises(UserError, match=message):
        uf2.read(damage(image()))
