"""coldframe flash: the firmware onto a board that hangs on this computer."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .. import bootdrive, context, firmware, ports, tools
from ..bootdrive import Drive
from ..errors import FAILED, CliError
from ..firmware import Image, Source
from ..options import App
from ..output import size
from ..ports import Port

_DRIVE_TIMEOUT = 30.0  # s until a board that was asked to appears as a drive
_GONE_TIMEOUT = 20.0  # s until the drive of a board that has its program has gone
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")
_FAMILIES = {"rp2": "rp2", "esp32": "esp", "esp8266": "esp"}


def register(app: App) -> None:
    app.command()(flash)


def flash(
    board: Annotated[
        str | None,
        typer.Argument(
            metavar="BOARD", help="The board, such as RPI_PICO; found out if only one can be meant."
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DIR|URL|FILE",
            help="Folder or web address with the images, their .json and SHA256SUMS, or one image in such a "
            "folder; dist/ here unless told. (env: COLDFRAME_IMAGES)",
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--image-version", metavar="X.Y.Z", help="That version; else the newest.")
    ] = None,
    filesystem: Annotated[
        bool,
        typer.Option(
            "--with-filesystem", help="The image that also brings files. It REPLACES those on the board."
        ),
    ] = False,
    port: Annotated[
        str | None, typer.Option(metavar="PORT", help="The board's serial port: /dev/ttyUSB0, COM3, ...")
    ] = None,
    drive: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The drive as which a Pico appears while BOOTSEL is held; with --port: will appear.",
        ),
    ] = None,
    erase: Annotated[
        bool,
        typer.Option("--erase", help="ESP: erase the flash first, all files with it; for the first time."),
    ] = False,
    baud: Annotated[int, typer.Option(min=9600, metavar="N", help="ESP: speed of the serial port.")] = 460800,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "-n", help="Find the board, check the image, and say what would be done."),
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Show which images there are.")] = False,
) -> None:
    """Flash the firmware onto a board at this computer.

    A Raspberry Pi Pico: a copy to its boot drive (a board that runs MicroPython is sent there). ESP boards: with
    esptool (pipx inject coldframe esptool). The image's sha256 is compared with its .json and SHA256SUMS first.
    Files on the board are kept, but for --erase and --with-filesystem.
    """
    where, only = _source(images)
    if listing:
        _list(where)
        return
    known = _known(where, board, version, filesystem, only)
    want = _FAMILIES[known.port] if known else None
    if port and drive and bootdrive.at(drive) is None:
        # A board that runs at this port, and will be that drive.
        _to_drive(where, _pico(where, known, version, filesystem), _boot(Port(port), dry_run, drive), dry_run)
        return
    target = _target(port, drive, want)
    if isinstance(target, Drive):
        image = known or firmware.pick(
            where, board=board, chips=[target.chip], version=version, filesystem=filesystem
        )
        _to_drive(where, image, target, dry_run)
    elif (known and known.port == "rp2") or (known is None and target.kind == "rp2"):
        _to_drive(where, _pico(where, known, version, filesystem), _boot(target, dry_run), dry_run)
    else:
        chip = known.chip if known else tools.esp_chip(target.name)
        image = known or firmware.pick(where, chips=[chip], version=version)
        _to_esp(where, image, target, baud, erase, dry_run)


def _pico(where: Source, known: Image | None, version: str | None, filesystem: bool) -> Image:
    return known or firmware.pick(where, chips=["rp2040"], version=version, filesystem=filesystem)


def _source(text: str | None) -> tuple[Source, str | None]:
    # Where the images are, and the name of the file that was named.
    text = text or os.environ.get("COLDFRAME_IMAGES")
    if not text:
        if not Path("dist", firmware.SUMS).is_file():
            raise CliError(
                "no images: say with --from DIR, or --from URL, where they are (there is no dist/ here)"
            )
        text = "dist"
    path = Path(text).expanduser()
    if path.is_file():
        return firmware.Folder(path.parent), path.name
    return firmware.source(text), None


def _known(
    where: Source, board: str | None, version: str | None, filesystem: bool, only: str | None
) -> Image | None:
    # The image, as far as it is known before anybody has looked which board is there.
    if only is not None:
        there = firmware.images(where) + firmware.images(where, filesystem=True)
        image = next((image for image in there if image.file == only), None)
        if image is None:
            raise CliError(f"{where}/{only}: expected a released image, with its .json beside it")
        return image
    if board is not None:
        return firmware.pick(where, board=board, version=version, filesystem=filesystem)
    return None


def _target(port: str | None, drive: Path | None, want: str | None) -> Port | Drive:
    if drive is not None:
        found = bootdrive.at(drive)
        if found is None:
            raise CliError(f"{drive}: expected a boot drive, with a file {bootdrive.INFO} on it")
        return found
    if port is not None:
        return next((p for p in _ports() if p.name == port), Port(port))
    drives = bootdrive.find()
    if not drives and want in (None, "rp2") and (hidden := bootdrive.unmounted()):
        raise CliError(
            f"{hidden[0]} is a boot drive that is not mounted; mount it (udisksctl mount -b {hidden[0]}) and try again"
        )
    return ports.choose([] if drives else _ports(), drives, want)


def _ports() -> list[Port]:
    try:
        return ports.serial_ports()
    except tools.ToolError:
        return []  # without pyserial only what is named can be found


def _boot(port: Port, dry_run: bool, place: Path | None = None) -> Drive | None:
    # Have a board that is running appear as a drive, anywhere or at this place.
    out = context.current().out
    if dry_run:
        out.text("would run: " + shlex.join(["mpremote", "connect", port.name, "resume", "bootloader"]))
        return None
    out.note(f"sending the board at {port.name} into its boot mode")
    try:
        tools.to_bootloader(port.name)
    except tools.ToolError as error:
        raise CliError(f"{error}\nHold BOOTSEL while you plug the board in, and try again", FAILED) from None
    drive = bootdrive.wait(_DRIVE_TIMEOUT, [place] if place else None)
    if drive is None:
        hidden = bootdrive.unmounted()
        more = f"; mount it: udisksctl mount -b {hidden[0]}" if hidden else ""
        raise CliError(f"no boot drive within {_DRIVE_TIMEOUT:g} s{more}", FAILED)
    return drive


def _to_drive(where: Source, image: Image, drive: Drive | None, dry_run: bool) -> None:
    out = context.current().out
    data = firmware.load(where, image)
    if drive is not None:
        bootdrive.check(data, drive, image.file)
    _say(image, str(drive.path) if drive else "its boot drive")
    if dry_run or drive is None:
        out.text(f"would copy {where}/{image.file} to {drive.path if drive else 'the drive'}")
        _done(image, str(drive.path) if drive else None, dry_run=True)
        return
    with out.progress() as progress:
        bar = progress.add_task(image.file, total=len(data))
        bootdrive.copy(data, drive, image.file, lambda n: progress.advance(bar, n))
    if not bootdrive.wait_gone(drive, _GONE_TIMEOUT):
        raise CliError(
            f"{drive.path} is still there {_GONE_TIMEOUT:g} s after the last byte: the board has not taken the image. "
            "Plug it in again with BOOTSEL held, and try once more",
            FAILED,
        )
    _done(image, str(drive.path))


def _to_esp(where: Source, image: Image, port: Port, baud: int, erase: bool, dry_run: bool) -> None:
    if image.port not in ("esp32", "esp8266"):
        raise CliError(f"{image.file} is for a board of another kind; expected one with a drive (--drive)")
    out = context.current().out
    data = firmware.load(where, image)
    _say(image, port.name)
    with tempfile.TemporaryDirectory(prefix="coldframe-") as folder:
        file = Path(folder) / image.file
        file.write_bytes(data)  # what was checked is what is flashed, wherever it came from
        steps = [tools.esp_erase(image.chip, port.name)] if erase else []
        steps.append(tools.esp_write(image.chip, port.name, baud, image.offset, file))
        if dry_run:
            for step in steps:
                shown = [f"{where}/{image.file}" if part == str(file) else part for part in step]
                out.text("would run: " + shlex.join(["esptool", *shown]))
            _done(image, port.name, dry_run=True)
            return
        tools.need("esptool")
        with out.progress() as progress:
            bar = progress.add_task(image.file, total=len(data))

            def show(percent: float) -> None:
                progress.update(bar, completed=percent * len(data) // 100)

            for step in steps:
                tools.run("esptool", step, timeout=600, show=_percent(show))
    _done(image, port.name)


def _percent(show: Callable[[float], None]) -> Callable[[str], None]:
    def line(text: str) -> None:
        if match := _PERCENT.search(text):
            show(float(match[1]))

    return line


def _say(image: Image, where: str) -> None:
    out = context.current().out
    out.note(f"{image.board} {image.version}, {size(image.size)}: its sha256 is right")
    out.note(f"onto {where}")


def _done(image: Image, where: str | None, *, dry_run: bool = False) -> None:
    out = context.current().out
    out.value(
        {
            "ok": True,
            "board": image.board,
            "version": image.version,
            "file": image.file,
            "sha256": image.sha256,
            "to": where,
            "dry_run": dry_run,
        }
    )
    if not dry_run:
        out.text(f"done: the board starts with Coldframe {image.version}", style="green")
        out.note("next: `coldframe provision`, or join its own Wi-Fi (docs/setup.md)")


def _list(where: Source) -> None:
    out = context.current().out
    found = firmware.images(where)
    whole = {(image.board, image.version) for image in firmware.images(where, filesystem=True)}
    for image in found:
        out.value(
            {"board": image.board, "version": image.version, "file": image.file, "sha256": image.sha256}
        )
    out.table(
        ("BOARD", "VERSION", "CHIP", "SIZE", "WITH FILES", "TITLE"),
        (
            (
                image.board,
                image.version,
                image.chip,
                size(image.size),
                "yes" if (image.board, image.version) in whole else "",
                image.title,
            )
            for image in found
        ),
        right=("SIZE",),
    )
    if not found:
        raise CliError(f"{where}: no images that can be flashed")
