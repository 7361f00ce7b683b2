"""The drive as which an RP2040 or RP2350 appears while it waits for a program: finding it, copying a UF2 file to it.

The boot ROM's drive holds INFO_UF2.TXT, which says what chip it is, and takes a file of 512-byte blocks
(github.com/microsoft/uf2; RP2040 datasheet, 2.8.4). When the last block has come, the chip restarts by itself.
"""

from __future__ import annotations

import os
import re
import string
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import CliError

INFO = "INFO_UF2.TXT"
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_HEADER = struct.Struct("<8I")
_BLOCK = 512
# Family of a UF2 file -> the Board-ID that the boot ROM writes into INFO_UF2.TXT, the chip's name.
_FAMILIES = {
    0xE48BFF56: ("RPI-RP2", "rp2040"),
    0xE48BFF59: ("RP2350", "rp2350"),
    0xE48BFF57: ("RP2350", "rp2350"),
}
_LABELS = ("RPI-RP2", "RP2350")
_PIECE = 64 * 1024


class DriveError(CliError):
    """What is wrong with a drive or a UF2 file; a sentence for the user."""


@dataclass(frozen=True)
class Drive:
    """A boot drive. board_id: as its INFO_UF2.TXT has it."""

    path: Path
    board_id: str

    @property
    def chip(self) -> str:
        """ "rp2040" or "rp2350", "" if it is something else."""
        return next((chip for board_id, chip in _FAMILIES.values() if board_id == self.board_id), "")


def find(places: list[Path] | None = None) -> list[Drive]:
    """The boot drives that are mounted now. places: folders to look at instead of all mounted file systems."""
    found = []
    for place in _mounted() if places is None else places:
        drive = at(place)
        if drive is not None and drive not in found:
            found.append(drive)
    return found


def at(path: Path) -> Drive | None:
    """The boot drive that is mounted at a folder; None if there is none."""
    try:
        text = (path / INFO).read_bytes()[:2000].decode("ascii", "replace")
    except OSError:
        return None
    match = re.search(r"^Board-ID:\s*(\S+)", text, re.M)
    return Drive(path, match[1]) if match else None


def unmounted() -> list[Path]:
    """Boot drives that Linux sees and has not mounted, as names of devices: a system without a desktop does not."""
    mounted = set()
    with suppress(OSError):
        mounted = {line.split()[0] for line in Path("/proc/self/mounts").read_text().splitlines()}
    found = []
    for label in _LABELS:
        link = Path("/dev/disk/by-label") / label
        if link.exists() and str(link.resolve()) not in mounted:
            found.append(link.resolve())
    return found


def family(data: bytes, name: object = "the file") -> int:
    """The family of chips that a UF2 file is for, after a look at every block. Raises DriveError."""
    if not data or len(data) % _BLOCK:
        raise DriveError(f"{name}: not a UF2 file: expected a multiple of {_BLOCK} bytes, got {len(data)}")
    total = len(data) // _BLOCK
    found = 0
    for number in range(total):
        magic0, magic1, flags, _, size, index, count, kind = _HEADER.unpack_from(data, number * _BLOCK)
        end = struct.unpack_from("<I", data, (number + 1) * _BLOCK - 4)[0]
        if (magic0, magic1, end) != (*_MAGIC, _MAGIC_END) or size > 476:
            raise DriveError(f"{name}: not a UF2 file: block {number} has none of its marks")
        if (index, count) != (number, total):
            raise DriveError(f"{name}: incomplete: block {number} of {total} says {index} of {count}")
        if flags & 0x2000:
            found = kind
    return found


def check(data: bytes, drive: Drive, name: object = "the file") -> None:
    """Check that a UF2 file is whole and for the chip behind a drive. Raises DriveError."""
    kind = family(data, name)
    if kind not in _FAMILIES:
        raise DriveError(
            f"{name}: for another family of chips ({kind:#010x}); expected one for the RP2040 or RP2350"
        )
    board_id, chip = _FAMILIES[kind]
    if board_id != drive.board_id:
        raise DriveError(
            f"{name}: for the {chip}, but {drive.path} is a board that calls itself {drive.board_id}"
        )


def copy(data: bytes, drive: Drive, name: str, progress: Callable[[int], None] | None = None) -> None:
    """Write a UF2 file to a boot drive. progress: called with the number of bytes of each piece.

    A drive that goes away with the last piece is as it should be: the chip has what it needs and restarts.

    Raises:
        DriveError: it cannot be written, or went away too early.
    """
    path = drive.path / name
    done = 0
    try:
        with path.open("wb", buffering=0) as file:
            while done < len(data):
                n = file.write(data[done : done + _PIECE]) or 0
                done += n
                # To the drive, not just into the computer's memory: so the bar tells the truth.
                os.fsync(file.fileno())
                if progress:
                    progress(n)
    except OSError as error:
        last_piece = len(data) - done <= _PIECE
        if not (last_piece and at(drive.path) is None):
            raise DriveError(f"{path}: {error.strerror or error} after {done} of {len(data)} bytes") from None
        if progress:
            progress(len(data) - done)


def wait(timeout: float, places: list[Path] | None = None) -> Drive | None:
    """Wait until a boot drive is there; None if none comes within so many seconds."""
    end = time.monotonic() + timeout
    while True:
        drives = find(places)
        if drives:
            return drives[0]
        if time.monotonic() > end:
            return None
        time.sleep(0.2)


def wait_gone(drive: Drive, timeout: float) -> bool:
    """Wait until a drive has gone, which is how a board shows that it has taken its program."""
    end = time.monotonic() + timeout
    while at(drive.path) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _mounted() -> Iterator[Path]:
    if sys.platform == "win32":
        yield from (Path(f"{letter}:\\") for letter in string.ascii_uppercase[3:])
    elif sys.platform == "darwin":
        with suppress(OSError):
            yield from Path("/Volumes").iterdir()
    else:
        with suppress(OSError):
            for line in Path("/proc/self/mounts").read_text().splitlines():
                _, where, kind = line.split()[:3]
                if kind in ("vfat", "msdos", "fuseblk"):
                    yield Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), where))
