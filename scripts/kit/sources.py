"""The upstream sources of an image: what sources.toml pins, and what the cache holds of it.

`load()` gives the sources that are in the cache; `ensure()` fetches what is missing first. Every file
is compared with its sha256 again whenever it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kit.ui import UserError, nearest

PROJECT = Path(__file__).resolve().parents[2]
CACHE_ENV = "COLDFRAME_CACHE"

_HEX64 = re.compile(r"[0-9a-f]{64}")
# What each kind of origin needs, beside "kind".
_KINDS: dict[str, dict[str, type]] = {
    "release": {"url": str, "sha256": str, "version": str},
    "debian-source": {"package": str, "version": str, "suites": list, "files": list},
    "debian-binary": {"package": str, "version": str, "suites": list, "files": list, "inside": str},
    "within": {"source": str, "path": str},
    "git": {"url": str, "tag": str, "commit": str, "version": str},
    "crate": {"package": str, "version": str, "sha256": str},
}


def cache_folder(cache: Path | str | None = None) -> Path:
    """Return the cache: the argument, else $COLDFRAME_CACHE, else ~/.cache/coldframe."""
    given = cache or os.environ.get(CACHE_ENV)
    return Path(given).expanduser().resolve() if given else Path.home() / ".cache" / "coldframe"


@dataclass(frozen=True)
class Pin:
    """One source as sources.toml describes it."""

    name: str
    title: str
    version: str
    default: bool
    origins: tuple[dict[str, Any], ...]

    def key(self) -> str:
        """A digest of the description: a cached copy made for another one is not used."""
        return hashlib.sha256(json.dumps([self.version, self.origins], sort_keys=True).encode()).hexdigest()[
            :16
        ]


@dataclass(frozen=True)
class Pins:
    """All of sources.toml."""

    sources: dict[str, Pin]
    base: dict[str, str]  # image, digest, suite

    def __getitem__(self, name: str) -> Pin:
        if name not in self.sources:
            close = nearest(name, list(self.sources))
            hint = f"did you mean {close}?" if close else None
            raise UserError(
                f"unknown source {name!r}", expected="one of " + ", ".join(self.sources), hint=hint
            )
        return self.sources[name]


def pins(file: Path = PROJECT / "sources.toml") -> Pins:
    """Read and check sources.toml.

    Raises:
        UserError: the first thing wrong in it, with the key.
    """
    shown = file.name
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            "the file is missing", where=file, expected="the pins of the upstream sources"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not valid TOML: {error}", where=shown) from None
    base = data.get("base", {})
    for key in ("image", "digest", "suite"):
        if not isinstance(base.get(key), str):
            raise UserError(f"key {key!r} is missing", where=f"{shown}: [base]", expected="a string")
    found = {}
    for name, entry in data.get("source", {}).items():
        where = f"{shown}: source.{name}"
        for key in ("title", "version"):
            if not isinstance(entry.get(key), str):
                raise UserError(f"key {key!r} is missing", where=where, expected="a string")
        for number, origin in enumerate(entry.get("origin", ()), 1):
            _check_origin(origin, f"{where}, origin {number}")
        if not entry.get("origin"):
            raise UserError(
                "it has no origin", where=where, expected=f"at least one [[source.{name}.origin]]"
            )
        found[name] = Pin(
            name, entry["title"], entry["version"], entry.get("default", True), tuple(entry["origin"])
        )
    for name, pin in found.items():
        for origin in pin.origins:
            if origin["kind"] == "within" and origin["source"] not in found:
                raise UserError(f"unknown source {origin['source']!r}", where=f"{shown}: source.{name}")
    return Pins(found, base)


def _check_origin(origin: dict[str, Any], where: str) -> None:
    kind = origin.get("kind")
    if kind not in _KINDS:
        raise UserError(f"kind is {kind!r}", where=where, expected="one of " + ", ".join(_KINDS))
    for key, wanted in _KINDS[kind].items():
        if not isinstance(origin.get(key), wanted) or not origin[key]:
            raise UserError(
                f"key {key!r} is missing", where=where, expected="text" if wanted is str else "a list"
            )
    for key in origin:
        if key != "kind" and key not in _KINDS[kind]:
            raise UserError(f"unknown key {key!r}", where=where, expected="one of " + ", ".join(_KINDS[kind]))
    hashes = [("sha256", origin.get("sha256"))] if "sha256" in _KINDS[kind] else []
    for file in origin.get("files", ()):
        if set(file) != {"role", "name", "sha256"}:
            raise UserError(
                f"a file has the keys {sorted(file)}", where=where, expected="role, name and sha256"
            )
        hashes.append((f"sha256 of {file['name']}", file["sha256"]))
    for what, value in hashes:
        if not _HEX64.fullmatch(str(value)):
            raise UserError(f"{what} is {value!r}", where=where, expected="64 hexadecimal digits")
    if kind == "git" and not re.fullmatch("[0-9a-f]{40}", origin["commit"]):
        raise UserError(f"commit is {origin['commit']!r}", where=where, expected="40 hexadecimal digits")


class Sources:
    """The sources in a cache. Made by `load`."""

    def __init__(self, cache: Path, pinned: Pins) -> None:
        self.cache = cache
        self.folder = cache / "sources"
        self.pins = pinned
        self.lock = read_lock(self.folder)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that are not (or no longer as pinned) in the cache."""
        return [name for name in names if self._entry(name) is None]

    def require(self, names: Iterable[str]) -> None:
        """Make sure that all of `names` are in the cache.

        Raises:
            UserError: naming what is missing and the command that fetches it.
        """
        missing = self.missing(names)
        if missing:
            raise UserError(
                f"not in the cache: {', '.join(missing)}",
                where=self.folder,
                expected="sources fetched beforehand; building never reaches the network",
                hint="python3 scripts/sources.py " + " ".join(missing),
            )

    def unpack(self, name: str, into: Path) -> Path:
        """Unpack a source: its tree (without the archive's top folder) is then in `into`.

        Args:
            name: the source.
            into: a folder that does not exist yet or is empty.

        Returns:
            `into`.

        Raises:
            UserError: the source is not in the cache, or a file of it is damaged.
        """
        self.require([name])
        entry = self.lock[name]
        file = next(f for f in entry["files"] if f["role"] in ("orig", "deb", "release", "tree"))
        path = self.folder / file["path"]
        check_sha256(path, file["sha256"], where=name)
        if into.exists() and any(into.iterdir()):
            raise UserError(f"{into} is not empty", where=f"unpacking {name}", expected="a new folder")
        into.mkdir(parents=True, exist_ok=True)
        inside = PurePosixPath(entry.get("inside", ""))
        with _open_archive(path) as archive:
            # A .deb holds a whole file system, all other archives one top folder.
            skip = len(inside.parts) if file["role"] == "deb" else 1 + len(inside.parts)
            count = _extract(archive, inside.parts, skip, into)
        if count == 0:
            raise UserError(
                f"nothing found under {inside or 'the top folder'}", where=path, expected=f"{name}"
            )
        return into

    def record(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what an image's .json says about the sources it is made of."""
        names = list(names)
        self.require(names)
        return {
            name: {
                "version": self.lock[name]["version"],
                "origin": self.lock[name]["origin"],
                "locked": self.lock[name]["locked"],
                **({"inside": self.lock[name]["inside"]} if self.lock[name].get("inside") else {}),
                "files": {_plain(f["path"]): f["sha256"] for f in self.lock[name]["files"]},
            }
            for name in names
        }

    def locked(self, names: Iterable[str]) -> bool:
        """True when each of `names` is exactly what sources.toml pins."""
        names = list(names)
        self.require(names)
        return all(self.lock[name]["locked"] for name in names)

    def stage(self, names: Iterable[str], into: Path) -> None:
        """Copy what `names` need to another cache folder `into` (made by this), and nothing else."""
        names = list(names)
        self.require(names)
        target = into / "sources"
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            for file in self.lock[name]["files"]:
                destination = target / file["path"]
                if not destination.exists():
                    _link_or_copy(self.folder / file["path"], destination)
        write_lock(target, {name: self.lock[name] for name in names})

    def _entry(self, name: str) -> dict[str, Any] | None:
        pin = self.pins[name]
        entry = self.lock.get(name)
        if entry is None or (entry["origin"] != "folder" and entry["pinned"].get("key") != pin.key()):
            return None
        if not all((self.folder / file["path"]).is_file() for file in entry["files"]):
            return None
        return entry


def load(cache: Path | str | None = None, project: Path = PROJECT) -> Sources:
    """Return the sources that are in the cache (see `cache_folder`); fetches nothing."""
    return Sources(cache_folder(cache), pins(project / "sources.toml"))


def ensure(
    names: Iterable[str], *, cache: Path | str | None = None, locked: bool = False, offline: bool = False
) -> Sources:
    """Fetch those of `names` that are not in the cache, and return the sources.

    Args:
        names: the sources.
        cache: see `cache_folder`.
        locked: insist on exactly what is pinned.
        offline: do not reach the network.

    Raises:
        UserError: a source cannot be had, differs from its pin, or (`locked`) is not as pinned.
    """
    from kit import sources_fetch  # it imports this module

    return sources_fetch.fetch(list(names), cache=cache_folder(cache), locked=locked, offline=offline)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, where: object) -> None:
    """Compare a file with its sha256.

    Raises:
        UserError: showing both, when they differ.
    """
    got = sha256_of(path)
    if got != expected:
        raise UserError(
            f"sha256 of {path.name} is {got}", where=where, expected=expected, hint=f"the file is {path}"
        )


def read_lock(folder: Path) -> dict[str, Any]:
    """Return the content of lock.json; {} where there is none or it cannot be read."""
    try:
        data = json.loads((folder / "lock.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        # Only says what is in the folder, so it can be made again: the files are found by their hashes.
        return {}
    return data if isinstance(data, dict) else {}


def write_lock(folder: Path, lock: dict[str, Any]) -> None:
    """Write lock.json in one step."""
    temp = folder / f".lock.json.{os.getpid()}"
    temp.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n")
    temp.replace(folder / "lock.json")


def _plain(path: str) -> str:
    return re.sub(r"^[0-9a-f]{16}-", "", path)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def _open_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar archive of any compression, also the one inside a .deb, for reading in one pass."""
    if path.name.endswith(".deb"):
        with _deb_data(path) as data, tarfile.open(fileobj=data, mode="r:*") as archive:
            yield archive
    else:
        with tarfile.open(path, mode="r:*") as archive:
            yield archive


@contextmanager
def _deb_data(path: Path) -> Iterator[io.BytesIO]:
    """Find data.tar.* in a .deb, which is an ar archive."""
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise UserError("not a Debian package", where=path, expected="an ar archive")
        while len(header := file.read(60)) == 60:
            size = int(header[48:58])
            if header.startswith(b"data.tar"):
                yield io.BytesIO(file.read(size))
                return
            file.seek(size + size % 2, os.SEEK_CUR)
    raise UserError("no data.tar in it", where=path, expected="a Debian package")


def _extract(archive: tarfile.TarFile, inside: tuple[str, ...], skip: int, into: Path) -> int:
    """Extract the members below `inside` without their first `skip` path parts; return how many.

    Owners are not kept, and no member can land outside `into`.
    """
    count = 0
    # We look at each member ourselves, just below; older Pythons have no filters to ask for.
    archive.extraction_filter = lambda member, path: member  # type: ignore[method-assign,assignment]
    for member in archive:
        parts = PurePosixPath(member.name).parts
        lead = parts[skip - len(inside) : skip]
        if len(parts) <= skip or lead != inside or ".." in parts or member.name.startswith("/"):
            continue
        name = PurePosixPath(*parts[skip:])
        if member.isdev():
            continue
        target = into / name
        if member.islnk():  # a hard link: its target is given from the archive's top
            linked = PurePosixPath(member.linkname).parts
            shutil.copyfile(into / PurePosixPath(*linked[skip:]), target)
            continue
        if member.issym():
            landing = os.path.normpath(os.path.join(*name.parent.parts or (".",), member.linkname))
            if member.linkname.startswith("/") or landing.startswith(".."):
                continue  # leads out of the tree; in a .deb: into another package
        member.name = str(name)
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        member.uid = member.gid = os.geteuid()
        member.uname = member.gname = ""
        archive.extract(member, into, set_attrs=True)
        count += 1
    return count
