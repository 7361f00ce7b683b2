"""Read what the size report and the comparison need from an ELF file: sections and symbols.

A reader of our own, because the container of a port has only that port's binutils, and `size` adds
up sections in ways that differ between targets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kit.ui import UserError

SHF_WRITE, SHF_ALLOC = 1, 2
SHT_SYMTAB, SHT_NOBITS = 2, 8


@dataclass(frozen=True)
class Section:
    """One section header."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    entry: int

    @property
    def loaded(self) -> bool:
        """True when the section takes memory on the target."""
        return bool(self.flags & SHF_ALLOC)


@dataclass(frozen=True)
class Symbol:
    """One entry of the symbol table."""

    name: str
    address: int
    size: int


class Elf:
    """An ELF file, 32 or 64 bits, either byte order.

    Args:
        path: the file.

    Raises:
        UserError: it is not an ELF file, or ends too early.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        if self.data[:4] != b"\x7fELF" or len(self.data) < 52:
            raise UserError("not an ELF file", where=path)
        self._wide = self.data[4] == 2
        self._order = "<" if self.data[5] == 1 else ">"
        try:
            self.sections = self._read_sections()
        except struct.error:
            raise UserError("the ELF file is cut short", where=path) from None

    def _unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + layout, self.data, offset)

    def _read_sections(self) -> list[Section]:
        if self._wide:
            (table,) = self._unpack("Q", 40)
            each, count, names = self._unpack("HHH", 58)
            layout = "IIQQQQIIQQ"
        else:
            (table,) = self._unpack("I", 32)
            each, count, names = self._unpack("HHH", 46)
            layout = "IIIIIIIIII"
        raw = [self._unpack(layout, table + i * each) for i in range(count)]
        strings = raw[names][4] if raw else 0
        return [Section(self._string(strings + r[0]), r[1], r[2], r[3], r[4], r[5], r[6], r[9]) for r in raw]

    def _string(self, offset: int) -> str:
        return self.data[offset : self.data.index(b"\0", offset)].decode("utf-8", "replace")

    @cache  # noqa: B019
    def symbols(self) -> list[Symbol]:
        """All named symbols, in the order of their addresses; empty for a stripped file."""
        found = []
        for section in self.sections:
            if section.kind != SHT_SYMTAB:
                continue
            strings = self.sections[section.link].offset
            layout, each = ("IBBHQQ", 24) if self._wide else ("IIIBBH", 16)
            for offset in range(section.offset, section.offset + section.size, each):
                entry = self._unpack(layout, offset)
                name, value, size = (entry[0], entry[4], entry[5]) if self._wide else entry[:3]
                if name:
                    found.append(Symbol(self._string(strings + name), value, size))
        return sorted(found, key=lambda s: (s.address, s.name))

    def sizes(self, ram: tuple[tuple[int, int], ...] = ()) -> dict[str, int]:
        """Bytes on the target by kind.

        Args:
            ram: address ranges (start, end) of the target's RAM. Where they are given they decide
                what is data, because linker scripts of microcontrollers mark code that runs from
                RAM as read-only and vector tables as not loaded. Without them the flags decide.

        Returns:
            text (code and constants), data (what is copied to RAM at the start), bss (RAM that is
            cleared at the start or left as it is).
        """
        sums = {"text": 0, "data": 0, "bss": 0}
        for section in self.sections:
            if kind := self._kind(section, ram):
                sums[kind] += section.size
        return sums

    @staticmethod
    def _kind(section: Section, ram: tuple[tuple[int, int], ...]) -> str | None:
        empty = section.kind == SHT_NOBITS
        if any(start <= section.address < end for start, end in ram):
            # What is set aside for heap and stack is a minimum that the linker checks, not a use.
            return None if section.name.startswith((".heap", ".stack")) else "bss" if empty else "data"
        if not section.loaded:
            return None
        return "bss" if empty else "data" if section.flags & SHF_WRITE else "text"

    def section_sizes(self, ram: tuple[tuple[int, int], ...] = ()) -> dict[str, int]:
        """Name → bytes of every section that takes memory on the target, in the file's order."""
        return {s.name: s.size for s in self.sections if s.size and self._kind(s, ram)}

    def section_at(self, offset: int) -> Section | None:
        """The section whose contents lie at an offset of the file."""
        for section in self.sections:
            if section.kind != SHT_NOBITS and section.offset <= offset < section.offset + section.size:
                return section
        return None

    def symbol_at(self, address: int) -> Symbol | None:
        """The symbol that covers an address, or the nearest one before it."""
        best = None
        for symbol in self.symbols():
            if symbol.address > address:
                break
            if symbol.name[0] != "$":  # ARM's mapping symbols only say what kind of bytes follow
                best = symbol
        return best
