"""UF2 files: the format that an RP2040 or RP2350 in its boot mode accepts as a dropped file.

A file is a row of 512-byte blocks, each with 256 bytes of payload, its target address, its own number
and the number of all blocks. The boot ROM waits for every number, so when data is added to a file the
blocks of the whole file are numbered anew.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from kit.ui import UserError

MAGIC = (0x0A324655, 0x9E5D5157)
MAGIC_END = 0x0AB16F30
FLAG_NOT_MAIN_FLASH = 0x00000001
FLAG_FAMILY = 0x00002000
PAYLOAD = 256
BLOCK = 512
XIP_BASE = 0x10000000  # where the RP2 chips map their flash
_HEADER = struct.Struct("<8I")


@dataclass(frozen=True)
class Block:
    """One block: where its payload goes and for which family of chips it is."""

    address: int
    payload: bytes
    family: int
    flags: int = FLAG_FAMILY


def read(data: bytes, name: object = "UF2 file") -> list[Block]:
    """All blocks of a UF2 file.

    Raises:
        UserError: a block is damaged, missing or out of order.
    """
    if not data or len(data) % BLOCK:
        raise UserError(f"{len(data)} bytes long", where=name, expected=f"a multiple of {BLOCK}")
    blocks = []
    count = len(data) // BLOCK
    for number in range(count):
        raw = data[number * BLOCK : (number + 1) * BLOCK]
        magic0, magic1, flags, address, size, index, total, family = _HEADER.unpack_from(raw)
        if (magic0, magic1) != MAGIC or struct.unpack_from("<I", raw, BLOCK - 4)[0] != MAGIC_END:
            raise UserError(f"block {number} has wrong magic numbers", where=name, expected="a UF2 block")
        if index != number or total != count or size > 476:
            raise UserError(
                f"block {number} says {index} of {total}", where=name, expected=f"{number} of {count}"
            )
        blocks.append(Block(address, raw[32 : 32 + size], family, flags))
    return blocks


def write(blocks: Iterable[Block]) -> bytes:
    """A UF2 file of these blocks, numbered over the whole file."""
    listed = list(blocks)
    out = bytearray()
    for number, block in enumerate(listed):
        header = _HEADER.pack(
            *MAGIC, block.flags, block.address, len(block.payload), number, len(listed), block.family
        )
        out += (header + block.payload).ljust(BLOCK - 4, b"\0") + struct.pack("<I", MAGIC_END)
    return bytes(out)


def blocks_of(data: bytes, address: int, family: int) -> list[Block]:
    """Cut data into blocks; the last one is filled up with 0xFF, as erased flash is."""
    return [
        Block(address + i, data[i : i + PAYLOAD].ljust(PAYLOAD, b"\xff"), family)
        for i in range(0, len(data), PAYLOAD)
    ]


def with_data(image: bytes, data: bytes, offset: int, name: object = "UF2 file") -> bytes:
    """A copy of an image that also writes `data` at `offset` bytes into the flash.

    Args:
        image: a UF2 file of one family of chips.
        data: what to add.
        offset: bytes from the flash's start, a multiple of the page.
        name: the image's name, for messages.

    Raises:
        UserError: the image already has blocks in that range.
    """
    blocks = read(image, name)
    start, end = XIP_BASE + offset, XIP_BASE + offset + len(data)
    for block in blocks:
        if start < block.address + len(block.payload) and block.address < end:
            raise UserError(
                f"the program reaches {block.address - XIP_BASE:#x}",
                where=name,
                expected=f"below {offset:#x}",
            )
    return write([*blocks, *blocks_of(data, start, blocks[-1].family)])


def contents(image: bytes, name: object = "UF2 file") -> dict[int, bytes]:
    """Address → bytes, adjoining blocks joined."""
    found: dict[int, bytearray] = {}
    run, end = 0, -1
    for block in sorted(read(image, name), key=lambda b: b.address):
        if block.address != end:
            run = block.address
            found[run] = bytearray()
        found[run] += block.payload
        end = block.address + len(block.payload)
    return {address: bytes(data) for address, data in found.items()}
