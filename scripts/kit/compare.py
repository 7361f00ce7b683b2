"""Compare two builds of one image byte by byte, and say where the first difference lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kit import uf2
from kit.elf import SHT_NOBITS, Elf, Section
from kit.ui import UserError

_TEXT = (".json", ".map")
_SHOWN = 16


@dataclass(frozen=True)
class Difference:
    """The first difference between two files of one name."""

    name: str
    where: str  # section, symbol, address or line
    detail: str  # the bytes or lines of both, or what else is wrong

    def __str__(self) -> str:
        return f"{self.name}: {self.where}\n{self.detail}"


def folders(first: Path, second: Path, prefix: str) -> list[Difference]:
    """Compare all files of two folders whose names start with `prefix`.

    Args:
        first: one folder.
        second: the other.
        prefix: "coldframe-BOARD-VERSION".

    Returns:
        One difference per file that differs or is there only once, in the order of names; empty
        when both are the same.
    """
    names = {p.name for folder in (first, second) for p in folder.iterdir() if p.name.startswith(prefix)}
    if not names:
        raise UserError(f"no file {prefix}* in either build", where=f"{first}, {second}")
    found = []
    for name in sorted(names):
        if not (first / name).exists() or not (second / name).exists():
            which = "first" if (first / name).exists() else "second"
            found.append(Difference(name, f"only the {which} build made it", "  (nothing to compare)"))
        elif (difference := files(first / name, second / name)) is not None:
            found.append(difference)
    return found


def files(first: Path, second: Path) -> Difference | None:
    """The first difference of two files, or None. The ELF beside an image helps to name the place."""
    a, b = first.read_bytes(), second.read_bytes()
    if a == b:
        return None
    if first.suffix in _TEXT:
        return _text(first.name, a, b)
    offset = _first(a, b)
    elf = _elf_beside(first)
    if a[:4] == b[:4] == b"\x7fELF":
        return _elfs(first.name, Elf(first), Elf(second), elf)
    if first.suffix == ".uf2":
        return _uf2(first.name, a, b, elf)
    return Difference(first.name, f"offset {offset:#x}", _bytes(a, b, offset))


def _first(a: bytes, b: bytes) -> int:
    """Offset of the first byte that differs; the shorter length when one is the other's beginning."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:  # the first difference lies in [low, high)
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _count(a: bytes, b: bytes) -> int:
    return sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))


def _bytes(a: bytes, b: bytes, offset: int) -> str:
    lines = []
    for label, data in (("first ", a), ("second", b)):
        part = data[offset : offset + _SHOWN]
        plain = "".join(chr(c) if 32 <= c < 127 else "." for c in part)
        lines.append(
            f"  {label}  {part.hex(' '):<{_SHOWN * 3}} {plain}" if part else f"  {label}  (ends here)"
        )
    if len(a) != len(b):
        lines.append(f"  lengths {len(a):,} and {len(b):,} bytes")
    lines.append(f"  {_count(a, b):,} bytes differ in all")
    return "\n".join(lines)


def _text(name: str, a: bytes, b: bytes) -> Difference:
    lines_a = a.decode("utf-8", "replace").splitlines()
    lines_b = b.decode("utf-8", "replace").splitlines()
    for number, (x, y) in enumerate(zip(lines_a, lines_b, strict=False), start=1):
        if x != y:
            return Difference(name, f"line {number}", f"  first   {x.strip()}\n  second  {y.strip()}")
    counts = f"  {len(lines_a)} and {len(lines_b)} lines"
    return Difference(name, f"line {min(len(lines_a), len(lines_b)) + 1}", counts)


def _elf_beside(image: Path) -> Elf | None:
    stem = image.name.removesuffix(".uf2").removesuffix("-with-filesystem")
    path = image.with_name(stem + ".elf")
    return Elf(path) if path.exists() else None


def _elfs(name: str, a: Elf, b: Elf, symbols: Elf | None) -> Difference:
    """The first difference of two programs: by symbol where something moved, else by section and byte."""
    moved = _moved(a, b)
    if moved is not None:
        return Difference(name, *moved)
    for x, y in zip(a.sections, b.sections, strict=False):
        part_a, part_b = (elf.data[s.offset : s.offset + s.size] for elf, s in ((a, x), (b, y)))
        if x.name != y.name or (x.kind != SHT_NOBITS and part_a != part_b):
            offset = _first(part_a, part_b)
            where = f"offset {x.offset + offset:#x}, section {x.name} + {offset:#x}"
            # A stripped program has no symbols; those of the .elf beside it fit.
            if x.loaded:
                where += f" ({_symbol(a if a.symbols() or symbols is None else symbols, x.address + offset)})"
            return Difference(name, where, _bytes(part_a, part_b, offset))
    offset = _first(a.data, b.data)
    return Difference(name, f"offset {offset:#x} (headers)", _bytes(a.data, b.data, offset))


def _moved(a: Elf, b: Elf) -> tuple[str, str] | None:
    """Where the layout of two programs begins to differ: the first symbol of another size or name."""
    for x, y in zip(a.symbols(), b.symbols(), strict=False):
        if (x.name, x.size) != (y.name, y.size):
            lines = [
                f"  {label}  {s.name} at {s.address:#x}, {s.size} bytes"
                for label, s in (("first ", x), ("second", y))
            ]
            return f"symbol {x.name}", "\n".join(lines)
    return None


def _symbol(elf: Elf, address: int) -> str:
    symbol = elf.symbol_at(address)
    return f"address {address:#x}" + (f", {symbol.name} + {address - symbol.address:#x}" if symbol else "")


def _uf2(name: str, a: bytes, b: bytes, elf: Elf | None) -> Difference:
    blocks_a, blocks_b = uf2.read(a, name), uf2.read(b, name)
    for x, y in zip(blocks_a, blocks_b, strict=False):
        if x.address != y.address or x.family != y.family or x.flags != y.flags:
            where = f"block for address {x.address:#x}"
            lines = [
                f"  {label}  {z.address:#x} family {z.family:#x}"
                for label, z in (("first ", x), ("second", y))
            ]
            return Difference(name, where, "\n".join(lines))
        if x.payload != y.payload:
            offset = _first(x.payload, y.payload)
            # Shown from the first difference to the block's end, counted over the whole file.
            detail = _bytes(x.payload, y.payload, offset).rpartition("\n")[0]
            count = f"\n  {_count(a, b):,} bytes differ in all"
            return Difference(name, _place(elf, x.address + offset), detail + count)
    return Difference(name, "number of blocks", f"  {len(blocks_a)} and {len(blocks_b)} blocks")


def _place(elf: Elf | None, address: int) -> str:
    section = _loaded_from(elf, address) if elf else None
    if elf is None or section is None:
        return f"flash address {address:#x} (file system or no section)"
    return f"flash {address:#x}, section {section.name} ({_symbol(elf, address)})"


def _loaded_from(elf: Elf, address: int) -> Section | None:
    for section in elf.sections:
        if section.loaded and section.address <= address < section.address + section.size:
            return section
    return None
