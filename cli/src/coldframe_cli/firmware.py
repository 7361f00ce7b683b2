"""Images of the firmware: which are in a folder or a release, and whether a file is what its checksum says.

A folder of images (dist/, or a release's files in one place) has ``coldframe-BOARD-VERSION.json`` for each image, which
names its files, and ``SHA256SUMS`` for all of them. A release on a web server is the same under one address.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CliError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"^([0-9a-f]{64}) [ *](\S+)$")
_DESCRIPTION = re.compile(r"^coldframe-([A-Z0-9_]+)-(\d[0-9A-Za-z.+-]*)\.json$")
_TIMEOUT = 30  # s without a byte from a web server
_MOST = 64 << 20  # bytes of a file that are fetched
FLASHABLE = {"rp2": ".uf2", "esp32": ".bin", "esp8266": ".bin"}  # port -> how its image's name ends

# Where the image for a chip begins in its flash: as esptool's documentation and MicroPython's download pages have it.
ESP_OFFSETS = {"esp32": 0x1000, "esp32s2": 0x1000, "esp32s3": 0, "esp32c3": 0, "esp32c6": 0, "esp8266": 0}


class FirmwareError(CliError):
    """What is wrong with an image, or where it should be; a sentence for the user."""


@dataclass(frozen=True)
class Image:
    """An image that can be flashed. file: its name; sha256: of that file, as its description says."""

    board: str
    version: str
    title: str
    port: str
    chip: str
    file: str
    sha256: str
    size: int
    flash_size: int

    @property
    def offset(self) -> int:
        """Where in the flash it begins, in bytes (chips of Espressif only)."""
        return ESP_OFFSETS[self.chip]


class Folder:
    """Images in a folder of this computer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise FirmwareError(f"{path}: no such folder; expected one with images, such as dist/")

    def names(self) -> list[str]:
        """The files in it."""
        return sorted(entry.name for entry in self.path.iterdir() if entry.is_file())

    def read(self, name: str) -> bytes:
        """A file's content. Raises FirmwareError."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise FirmwareError(f"{self.path / name}: {error.strerror or error}") from None

    def __str__(self) -> str:
        return str(self.path)


class Release:
    """Images under an address of a web server, which also has their SHA256SUMS."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def names(self) -> list[str]:
        """The files that SHA256SUMS names."""
        return sorted(sums(self))

    def read(self, name: str) -> bytes:
        """A file's content. Raises FirmwareError."""
        address = f"{self.url}/{name}"
        try:
            with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
                data: bytes = answer.read(_MOST + 1)
        except urllib.error.HTTPError as error:
            raise FirmwareError(f"{address}: the server says {error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise FirmwareError(f"{address}: {reason}") from None
        if len(data) > _MOST:
            raise FirmwareError(f"{address}: expected at most {_MOST >> 20} MB")
        return data

    def __str__(self) -> str:
        return self.url


Source = Folder | Release


def source(text: str) -> Source:
    """The folder or web address that a person named. Raises FirmwareError."""
    if re.match(r"https?://", text):
        return Release(text)
    return Folder(Path(text).expanduser())


def sums(where: Source) -> dict[str, str]:
    """SHA256SUMS: name -> sha256 in hex. Raises FirmwareError."""
    text = where.read(SUMS).decode("utf-8", "replace")
    found = {match[2]: match[1] for line in text.splitlines() if (match := _LINE.match(line))}
    if not found:
        raise FirmwareError(f"{where}/{SUMS}: expected lines of a sha256 and a file's name")
    return found


def images(where: Source, *, filesystem: bool = False) -> list[Image]:
    """All images that can be flashed, sorted by board and, within it, newest version first.

    filesystem: those that also bring a file system, and replace all files on the board.
    """
    found = []
    for name in where.names():
        match = _DESCRIPTION.match(name)
        if not match:
            continue
        facts = _facts(where, name)
        image = _image(facts, filesystem)
        if image and (image.board, image.version) == match.groups():
            found.append(image)
    found.sort(key=lambda image: _order(image.version), reverse=True)
    return sorted(found, key=lambda image: image.board)


def pick(
    where: Source,
    *,
    board: str | None = None,
    chips: Iterable[str] = (),
    version: str | None = None,
    filesystem: bool = False,
) -> Image:
    """The image for a board, or for the chip that was found; of several versions the newest.

    board: its name, such as "RPI_PICO", in any case of letters. chips: those that may have been found.

    Raises:
        FirmwareError: there is none, or several boards fit; with what there is.
    """
    there = images(where, filesystem=filesystem)
    if not there:
        raise FirmwareError(f"{where}: expected images and their .json files, found none that can be flashed")
    boards = sorted({image.board for image in there})
    wanted = there
    if board is not None:
        wanted = [image for image in there if image.board == board.upper()]
        if not wanted:
            raise FirmwareError(f"{where}: no image for {board}; there are {', '.join(boards)}")
    chips = list(chips)
    if chips:
        fitting = [image for image in wanted if image.chip in chips]
        if not fitting:
            what = (
                f"the image of {board} is for {wanted[0].chip}" if board else f"there are {', '.join(boards)}"
            )
            raise FirmwareError(f"{where}: no image for the chip that was found ({', '.join(chips)}); {what}")
        wanted = fitting
    if version is not None:
        versions = sorted({image.version for image in wanted})
        wanted = [image for image in wanted if image.version == version.removeprefix("v")]
        if not wanted:
            raise FirmwareError(f"{where}: no version {version}; there are {', '.join(versions)}")
    fitting_boards = sorted({image.board for image in wanted})
    if len(fitting_boards) > 1:
        raise FirmwareError(f"several boards fit: say which one: {', '.join(fitting_boards)}")
    return wanted[0]


def load(where: Source, image: Image) -> bytes:
    """The bytes of an image, which are what both its description and SHA256SUMS say. Raises FirmwareError."""
    listed = sums(where).get(image.file)
    if listed is None:
        raise FirmwareError(f"{where}/{SUMS}: expected a line for {image.file}, found none")
    data = where.read(image.file)
    got = hashlib.sha256(data).hexdigest()
    for expected, said_by in ((listed, SUMS), (image.sha256, "its .json")):
        if got != expected:
            raise FirmwareError(
                f"{where}/{image.file}: damaged or exchanged; {said_by} says sha256 {expected}, the file has {got}"
            )
    return data


def _facts(where: Source, name: str) -> dict[str, Any]:
    try:
        facts = json.loads(where.read(name))
    except ValueError as error:
        raise FirmwareError(f"{where}/{name}: not JSON: {error}") from None
    if not isinstance(facts, dict):
        raise FirmwareError(f"{where}/{name}: expected an object {{...}}")
    return facts


def _image(facts: dict[str, Any], filesystem: bool) -> Image | None:
    port = facts.get("port")
    title = str(facts.get("title", ""))
    end = FLASHABLE.get(port) if isinstance(port, str) else None
    if end is None or "not for flashing" in title:
        return None
    board, version = str(facts.get("board")), str(facts.get("version"))
    name = f"coldframe-{board}-{version}{'-with-filesystem' if filesystem else ''}{end}"
    file = facts.get("files", {}).get(name)
    if not file:
        return None
    return Image(
        board=board,
        version=version,
        title=title,
        port=str(port),
        chip=_chip(board, str(port)),
        file=name,
        sha256=str(file["sha256"]),
        size=int(file["bytes"]),
        flash_size=int(facts.get("flash", {}).get("size", 0)),
    )


def _chip(board: str, port: str) -> str:
    # The port names the chip but for the esp32 port, whose boards have it in their names as MicroPython's do.
    if port == "rp2":
        return "rp2350" if "PICO2" in board else "rp2040"
    if port == "esp32":
        match = re.search(r"(?:^|_)(?:ESP32_?)?([CSHP]\d)(?:_|$)", board)
        return "esp32" + (match[1].lower() if match else "")
    return port


def _order(version: str) -> tuple[tuple[int, ...], bool, str]:
    # 1.10 after 1.9; a version with something behind its numbers (1.0.0-rc1) before the one without.
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = match[0] if match else "0"
    rest = version[len(numbers) :]
    return tuple(int(n) for n in numbers.split(".")), not rest.startswith("-"), rest
