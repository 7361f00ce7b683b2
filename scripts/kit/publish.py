"""Put finished files into dist/, all or none.

The files are first written completely into a hidden folder beside their destination, flushed to the
disk, and only then moved into place, with Ctrl-C held back for the moment that takes. A full disk, an
interrupt or a cut of power before that leaves dist/ as it was.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import diagnose
from kit.report import sha256
from kit.ui import UserError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"^([0-9a-f]{64}) [ *](\S+)$")


def check(out: Path) -> None:
    """Find out before a build, not after it, that its files cannot be put into `out`. Changes nothing.

    Raises:
        UserError: `out`, or the folder in which it is to be made, is no folder or cannot be written.
    """
    there = _existing(out)
    if not there.is_dir() or not os.access(there, os.W_OK):
        what = "cannot be written" if there.is_dir() else "is not a folder"
        raise UserError(what, where=there, expected="a folder for the images", hint="see --out")


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A hidden folder on the disk of `out`, in which the files are prepared; removed afterwards."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=out))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise diagnose.disk_full(_existing(out)) from error
        raise UserError(
            error.strerror or str(error), where=out, expected="a folder that can be made and written"
        ) from error
    try:
        yield folder
    except OSError as error:
        raise _translate(error, out) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _translate(error: OSError, where: Path) -> Exception:
    return diagnose.disk_full(where) if error.errno in (errno.ENOSPC, errno.EDQUOT) else error


def place(staged: Path, out: Path, stem: str) -> list[Path]:
    """Move all files of a staging folder into `out` and bring SHA256SUMS up to date.

    Args:
        staged: folder with the finished files.
        out: the destination, usually dist/.
        stem: "coldframe-BOARD-VERSION": files of an earlier build of that name which this build no
            longer makes are removed, so that no old file passes for a new one.

    Returns:
        The files at their new place, sorted.
    """
    names = sorted(path.name for path in staged.iterdir())
    for name in names:
        _flush(staged / name)
    sums = {name: sha256(staged / name) for name in names}
    with _locked(out), _uninterrupted():
        gone = _earlier(out, stem) - set(names)
        kept = {
            name: digest
            for name, digest in _read_sums(out).items()
            if name not in gone and (out / name).exists()
        }
        text = "".join(f"{digest}  {name}\n" for name, digest in sorted({**kept, **sums}.items()))
        new_sums = staged / SUMS
        new_sums.write_text(text)
        new_sums.chmod(0o644)
        _flush(new_sums)
        # From here on nothing needs space any more: only names change.
        for name in names:
            os.replace(staged / name, out / name)
        for name in gone:
            (out / name).unlink(missing_ok=True)
        os.replace(new_sums, out / SUMS)
    return [out / name for name in names]


def _earlier(out: Path, stem: str) -> set[str]:
    """The files of the build that is there now, as its .json lists them."""
    try:
        listed = set(json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in listed if name.startswith(stem) and "/" not in name}


def _read_sums(out: Path) -> dict[str, str]:
    try:
        lines = (out / SUMS).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {found[2]: found[1] for line in lines if (found := _LINE.match(line))}


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one build at a time change `folder`; two boards may be built at once."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back; they take effect at the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
