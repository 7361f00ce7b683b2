"""UF2 files: the format of the RP2040's boot loader (blocks of 512 bytes, 256 of them payload)."""

from __future__ import annotations

import struct
from pathlib import Path

from kit.ui import UserError

BLOCK = 512
MAGIC = (0x0A324655, 0x9E5D5157)
MAGIC_END = 0x0AB16F30
NOT_MAIN_FLASH = 0x00000001
HAS_FAMILY = 0x00002000
RP2040 = 0xE48BFF56
# Families that people are likely to have at hand by mistake, and the RP2040's own.
FAMILIES = {
    0xE48BFF57: "any RP2 chip",
    0xE48BFF59: "RP2350, Arm",
    0xE48BFF5A: "RP2350, RISC-V",
    0x1C5F21B0: "ESP32",
    0xC47E5767: "ESP32-S3",
    0xD42BA06C: "ESP32-C3",
    0x7EAB61ED: "ESP8266",
    0x57755A57: "STM32F4",
}
FLASH_BASE = 0x10000000
FLASH_SIZE = 16 << 20


def read(path: Path) -> list[tuple[int, bytes]]:
    """Read an RP2040 firmware.

    Args:
        path: the .uf2 file.

    Returns:
        (offset in the flash, bytes) of each block, in the file's order.

    Raises:
        UserError: not there, not UF2, damaged, or for another chip.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            error.strerror or str(error), where=path, expected="a firmware file (.uf2)"
        ) from error
    if len(data) < BLOCK or struct.unpack_from("<II", data) != MAGIC:
        raise UserError("not a UF2 file", where=path, expected="a file that starts with the UF2 block header")
    if len(data) % BLOCK:
        raise UserError(
            f"{len(data)} bytes long, cut short?", where=path, expected=f"whole UF2 blocks of {BLOCK} bytes"
        )
    blocks: list[tuple[int, bytes]] = []
    numbers: set[int] = set()
    total = 0
    for at in range(0, len(data), BLOCK):
        where = f"{path}: block {at // BLOCK}"
        first, second, flags, address, size, number, count, family = struct.unpack_from("<8I", data, at)
        (end,) = struct.unpack_from("<I", data, at + BLOCK - 4)
        if (first, second) != MAGIC or end != MAGIC_END or size > BLOCK - 36:
            raise UserError("damaged UF2 block", where=where, expected="the UF2 magic numbers")
        if flags & NOT_MAIN_FLASH:
            continue
        if not flags & HAS_FAMILY or family != RP2040:
            found = FAMILIES.get(family, "unknown chip") if flags & HAS_FAMILY else "no family"
            raise UserError(
                f"firmware for another chip: family {family:#010x} ({found})",
                where=where,
                expected=f"family {RP2040:#010x} (RP2040)",
            )
        offset = address - FLASH_BASE
        if not 0 <= offset <= FLASH_SIZE - size:
            raise UserError(
                f"address {address:#010x}", where=where, expected="one in the flash (from 0x10000000)"
            )
        blocks.append((offset, data[at + 32 : at + 32 + size]))
        numbers.add(number)
        total = max(total, count)
    if len(numbers) < total:
        raise UserError(f"{total - len(numbers)} of {total} blocks are missing", where=path, expected="all")
    return blocks
