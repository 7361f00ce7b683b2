"""The description of a board: boards/BOARD/board.toml, read and checked.

`load("RPI_PICO")` gives a `Board`. Whatever is wrong in the file ends in one UserError that names
the file, the key, and where a key is not known the one that was probably meant.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.ui import UserError, nearest

PROJECT = Path(__file__).resolve().parents[2]

TIERS = ("core", "full")
IMAGES = ("uf2", "bin", "elf")
# What a pin is for, and what is printed beside it where that is not the chip's own number.
PIN_NAMES = (
    "led",
    "led_active_low",
    "button",
    "uart",
    "i2c",
    "spi",
    "neopixel",
    "vsys",
    *(f"D{n}" for n in range(17)),
)
FEATURES = (
    "network",  # has the network module
    "wifi",  # … by a radio
    "tls",  # has the ssl and tls modules
    "serial",  # can carry MQTT over a serial line
    "usb",  # has a USB device port of its own
    "bluetooth",
    "rtc_memory",  # has memory that survives a reset
    "deepsleep",
    "ota",  # two firmware slots with roll-back
    "simulated",  # runs as a process on a PC
)

_TOP: dict[str, type] = {
    "name": str,
    "port": str,
    "tier": str,
    "release": bool,
    "title": str,
    "image": str,
    "sources": list,
    "flash": dict,
    "pins": dict,
    "features": dict,
    "build": dict,
}
_REQUIRED = ("name", "port", "tier", "title", "image", "sources")
_FLASH = ("size", "app_offset", "app_size", "fs_offset", "fs_size", "block", "page")
_TYPE_NAMES = {str: "a string", bool: "true or false", int: "a whole number", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Flash:
    """Where things lie in the board's flash memory. All numbers are bytes from its start."""

    size: int
    app_offset: int
    app_size: int
    fs_offset: int
    fs_size: int
    block: int = 4096  # erase unit, also the file system's block
    page: int = 256  # program unit


@dataclass(frozen=True)
class Board:
    """One board, as boards/NAME/board.toml says."""

    name: str
    port: str
    tier: str
    title: str
    image: str
    sources: tuple[str, ...]
    path: Path  # the board's folder
    release: bool = False
    flash: Flash | None = None
    pins: dict[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)  # [build]: what the port's recipe understands

    @property
    def file(self) -> Path:
        """The board.toml itself."""
        return self.path / "board.toml"


def names(project: Path = PROJECT) -> list[str]:
    """All boards of the project, sorted."""
    return sorted(p.parent.name for p in (project / "boards").glob("*/board.toml"))


def load(name: str, project: Path = PROJECT) -> Board:
    """Read and check one board.

    Args:
        name: the folder's name under boards/.
        project: the Coldframe tree to look in.

    Returns:
        The board; the keys of its [build] table are checked against the port's recipe.

    Raises:
        UserError: no such board, or anything wrong in its board.toml.
    """
    known = names(project)
    if name not in known:
        close = nearest(name.upper(), known)
        hint = f"did you mean {close}?" if close else None
        raise UserError(f"unknown board {name!r}", expected="one of " + ", ".join(known), hint=hint)
    path = project / "boards" / name
    file = path / "board.toml"
    shown = file.relative_to(project)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not valid TOML: {error}", where=shown) from None
    return _check(data, path, shown)


def _check(data: dict[str, Any], path: Path, shown: Path) -> Board:
    _keys(data, tuple(_TOP), str(shown))
    for key in _REQUIRED:
        if key not in data:
            raise UserError(f"key {key!r} is missing", where=shown, expected=_TYPE_NAMES[_TOP[key]])
    for key, value in data.items():
        _typed(value, _TOP[key], f"{shown}: {key}")
    if data["name"] != path.name:
        raise UserError(
            f"name is {data['name']!r}", where=shown, expected=f"the folder's name, {path.name!r}"
        )
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", data["name"]):
        raise UserError(
            f"got {data['name']!r}", where=f"{shown}: name", expected="capitals, digits and _ only"
        )
    _one_of(data["tier"], TIERS, f"{shown}: tier")
    _one_of(data["image"], IMAGES, f"{shown}: image")
    for item in data["sources"]:
        _typed(item, str, f"{shown}: sources")
    return Board(
        name=data["name"],
        port=data["port"],
        tier=data["tier"],
        title=data["title"],
        image=data["image"],
        sources=tuple(data["sources"]),
        path=path,
        release=data.get("release", False),
        flash=_flash(data["flash"], shown) if "flash" in data else None,
        pins=_pins(data.get("pins", {}), shown),
        features=_features(data.get("features", {}), shown),
        options=_options(data, shown),
    )


def _keys(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            close = nearest(key, known)
            expected = f"{close!r} (the nearest known key)" if close else "one of " + ", ".join(known)
            raise UserError(f"unknown key {key!r}", where=where, expected=expected)


def _typed(value: Any, kind: type, where: str) -> None:
    # bool is an int to Python, but not to whoever wrote "size = true".
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"got {value!r}", where=where, expected=_TYPE_NAMES[kind])


def _one_of(value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise UserError(f"got {value!r}", where=where, expected="one of " + ", ".join(known))


def _flash(table: dict[str, Any], shown: Path) -> Flash:
    where = f"{shown}: [flash]"
    _keys(table, _FLASH, where)
    for key in _FLASH[:5]:
        if key not in table:
            raise UserError(f"key {key!r} is missing", where=where, expected="bytes, a whole number")
    for key, value in table.items():
        _typed(value, int, f"{shown}: flash.{key}")
        if value < 0:
            raise UserError(f"got {value}", where=f"{shown}: flash.{key}", expected="0 or more")
    flash = Flash(**table)
    for key, value in (("block", flash.block), ("page", flash.page)):
        if value == 0 or value & (value - 1):
            raise UserError(f"got {value}", where=f"{shown}: flash.{key}", expected="a power of two")
    for key in ("fs_offset", "fs_size", "size"):
        if getattr(flash, key) % flash.block:
            raise UserError(
                f"got {getattr(flash, key):#x}",
                where=f"{shown}: flash.{key}",
                expected=f"a multiple of the block, {flash.block}",
            )
    for key, end in (("app", flash.app_offset + flash.app_size), ("fs", flash.fs_offset + flash.fs_size)):
        if end > flash.size:
            raise UserError(
                f"ends at {end:#x}",
                where=f"{shown}: flash.{key}_size",
                expected=f"at most the flash size, {flash.size:#x}",
            )
    apart = (
        flash.app_offset + flash.app_size <= flash.fs_offset
        or flash.fs_offset + flash.fs_size <= flash.app_offset
    )
    if flash.fs_size and flash.app_size and not apart:
        raise UserError(
            "the application and the file system overlap", where=where, expected="ranges that do not"
        )
    return flash


def _pins(table: dict[str, Any], shown: Path) -> dict[str, Any]:
    _keys(table, PIN_NAMES, f"{shown}: [pins]")
    for key, value in table.items():
        where = f"{shown}: pins.{key}"
        if isinstance(value, dict):
            for name, item in value.items():
                if not isinstance(item, int | str):
                    raise UserError(f"got {item!r}", where=f"{where}.{name}", expected="a pin number or name")
        elif not isinstance(value, int | str):
            raise UserError(
                f"got {value!r}", where=where, expected="a pin number or name, or a table of them"
            )
    return table


def _features(table: dict[str, Any], shown: Path) -> tuple[str, ...]:
    _keys(table, FEATURES, f"{shown}: [features]")
    for key, value in table.items():
        _typed(value, bool, f"{shown}: features.{key}")
    return tuple(name for name in FEATURES if table.get(name))


def _options(data: dict[str, Any], shown: Path) -> dict[str, Any]:
    from kit.ports import base  # not at the top: the recipes import this module

    known = base.recipe(data["port"], where=f"{shown}: port").OPTIONS
    table = data.get("build", {})
    _keys(table, tuple(known), f"{shown}: [build]")
    for key, value in table.items():
        _typed(value, known[key], f"{shown}: build.{key}")
    return table
