"""Files to and from a device: with a window, from where it stopped, and compared by sha256 at the end."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import platformdirs

from . import protocol
from .errors import BrokerError, CliError, DeviceError, SessionLost, Timeout
from .session import Session

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are done, and how many there are (None: not known)."""

Waiting = Callable[[str], None]
"""Called with what is wrong, each time that the transfer has to begin anew because of it."""

PATIENCE = 60.0  # s without a byte of progress until a transfer is given up
_SILENCE = 10.0  # s of silence after which the device is greeted anew
_AT_ONCE = 64 * 1024  # bytes; what is smaller is begun again, which costs less than asking where to go on
_FORGET = 30 * 86400.0  # s after which a transfer that was given up is not gone on with any more
_CHANGED = 3  # attempts at a file that changes while it is read
_BUSY = 2.0  # s between attempts while another transfer to the same file ends


def sha256(file: BinaryIO) -> str:
    """The sha256 of a file from its beginning, in hex; it stays open."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def put(
    session: Session,
    source: Path | bytes,
    path: str,
    *,
    progress: Progress | None = None,
    resume: bool = True,
    patience: float = PATIENCE,
    waiting: Waiting | None = None,
) -> dict:
    """Write a file on the device. There is either the old file or the whole new one at ``path``, at any time.

    Goes on where it stopped after cut connections and restarts of the device; with ``resume``, also where an
    earlier call for the same content was given up.

    Args: source: a file here, or the content; patience: s without progress until it is given up;
            waiting: is told why it takes longer.
    Returns {"size", "sha256", "seconds", "resumed": bytes that were there already}.
    Raises DeviceError, Timeout, SessionLost; CliError if the source cannot be read.
    """
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    except OSError as error:
        raise CliError(f"{source}: {error.strerror}") from None
    with file:
        return _Put(session, file, path, progress, resume, patience, waiting).run()


class _Transfer:
    """Tries again until it is done, or nothing has moved for ``patience`` s."""

    def __init__(
        self,
        session: Session,
        path: str,
        progress: Progress | None,
        patience: float,
        waiting: Waiting | None,
    ) -> None:
        self.session = session
        self.path = path
        self.progress = progress
        self.patience = patience
        self.begun = self.moved = time.monotonic()
        self.waiting = waiting
        self.silence = min(_SILENCE, patience)
        self.done = 0

    def run(self) -> dict:
        attempt = 0
        while True:
            try:
                result = self.attempt(attempt)
            except (SessionLost, Timeout, BrokerError) as error:
                if self.left <= 0:
                    raise
                if self.waiting:
                    self.waiting(error.text)
                self.session.reopened += 1
                self.session.open(self.left)
            except DeviceError as error:
                # "gone": the device did not hear us for long. "cancelled" is no reason to go on: somebody wants it.
                if error.code not in ("gone", "busy") or self.left <= 0:
                    raise
                if self.waiting:
                    self.waiting(error.text)
                if error.code == "busy":
                    time.sleep(_BUSY)
            except KeyboardInterrupt:
                with contextlib.suppress(CliError):
                    self.session.cancel()
                raise
            else:
                if result is not None:
                    return {**result, "seconds": round(time.monotonic() - self.begun, 3)}
            attempt += 1

    @property
    def left(self) -> float:
        return self.moved + self.patience - time.monotonic()

    def at(self, done: int, total: int | None) -> None:
        if done > self.done:
            self.moved = time.monotonic()
        self.done = done
        if self.progress:
            self.progress(done, total)

    def attempt(self, number: int) -> dict | None:
        raise NotImplementedError


class _Put(_Transfer):
    def __init__(self, session, file: BinaryIO, path: str, progress, resume: bool, patience, waiting) -> None:
        super().__init__(session, path, progress, patience, waiting)
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        self.sha256 = sha256(file)
        self.resumed = 0
        self.mark = _mark(session.base, path, self.sha256) if resume and self.size >= _AT_ONCE else None
        # To ask the device where to go on costs a round trip: only where there was an attempt before.
        self.resume = self.mark is not None and self.mark.exists()

    def run(self) -> dict:
        if self.mark and not self.resume:
            with contextlib.suppress(OSError):
                self.mark.parent.mkdir(parents=True, exist_ok=True)
                self.mark.touch()
        result = super().run()
        if self.mark:
            with contextlib.suppress(OSError):
                self.mark.unlink()
        return result

    def attempt(self, number: int) -> dict | None:
        resume = number > 0 or self.resume
        args = {"path": self.path, "size": self.size, "sha256": self.sha256, "resume": resume}
        command = self.session.start("put", args, more=True, timeout=self.silence)
        at = 0
        if resume:
            reply = command.next(self.silence)
            if reply is None:
                raise Timeout(f"{self.session.base}: no answer to `put` for {self.silence:g} s")
            at = int(command.json(reply).get("at", 0))
            if number == 0:
                self.resumed = at
        self.at(at, self.size)
        piece = command.piece
        count = max(1, -(-(self.size - at) // piece))

        def read(n: int) -> bytes:
            self.file.seek(at + (n - 1) * piece)
            return self.file.read(piece)

        result = None
        for reply in command.push(read, count, lambda n: self.at(min(self.size, at + n * piece), self.size)):
            if reply.last:
                result = command.json(reply)
        if result is None:
            result = command.finish()
        self.at(self.size, self.size)
        return {"size": self.size, "sha256": self.sha256, **result, "resumed": self.resumed}


def _mark(base: str, path: str, sha: str) -> Path:
    # An empty file that is there from the beginning of a put to its end, to be found if it has had none.
    folder = Path(platformdirs.user_cache_dir("coldframe")) / "unfinished"
    with contextlib.suppress(OSError):
        for old in folder.iterdir():
            if old.stat().st_mtime < time.time() - _FORGET:
                old.unlink()
    name = hashlib.sha256("\0".join((base, path, sha)).encode("utf-8", "surrogateescape")).hexdigest()
    return folder / name[:32]


def get(
    session: Session,
    path: str,
    sink: BinaryIO,
    *,
    at: int = 0,
    size: int | None = None,
    progress: Progress | None = None,
    patience: float = PATIENCE,
    waiting: Waiting | None = None,
) -> dict:
    """Read a file of the device into ``sink``, which can be read, written and moved about in.

    Args: at: bytes of it that ``sink`` has already; size: how large it is, if known, for ``progress``.
    Returns {"size", "sha256", "seconds", "resumed"}; raises as ``put``, and DeviceError "hash" if what came is
    not what the device has.
    """
    return _Get(session, path, sink, at, size, progress, patience, waiting).run()


def get_file(
    session: Session,
    path: str,
    target: Path,
    *,
    size: int | None = None,
    progress: Progress | None = None,
    resume: bool = True,
    patience: float = PATIENCE,
    waiting: Waiting | None = None,
) -> dict:
    """Read a file of the device into the file ``target``, by way of ``target`` + ".part": that one stays if it is
    given up, and the next call goes on from there. Returns and raises as ``get``.
    """
    part = target.with_name(target.name + ".part")
    try:
        if not resume:
            part.unlink(missing_ok=True)
        with part.open("a+b") as sink:
            there = sink.seek(0, os.SEEK_END)
            if size is not None and there > size:
                there = 0
        with part.open("r+b") as sink:
            result = get(
                session,
                path,
                sink,
                at=there,
                size=size,
                progress=progress,
                patience=patience,
                waiting=waiting,
            )
        os.replace(part, target)
    except OSError as error:
        raise CliError(f"{error.filename or target}: {error.strerror}") from None
    except DeviceError:
        if part.exists() and part.stat().st_size == 0:
            part.unlink()
        raise
    return result


class _Gap(Exception):
    pass


class _Get(_Transfer):
    def __init__(
        self, session, path, sink: BinaryIO, at: int, size: int | None, progress, patience, waiting
    ) -> None:
        super().__init__(session, path, progress, patience, waiting)
        self.sink = sink
        self.total = size
        self.resumed = at
        self.hash = hashlib.sha256()
        self.mismatches = 0
        sink.seek(0)
        left = at
        while left and (data := sink.read(min(left, 1 << 20))):
            self.hash.update(data)
            left -= len(data)
        self.count = at - left
        sink.seek(self.count)

    def attempt(self, number: int) -> dict | None:
        begun_at = self.count
        command = self.session.start("get", {"path": self.path, "offset": begun_at}, timeout=self.silence)
        self.at(self.count, self.total)

        def on_data(data: bytes) -> None:
            self.sink.write(data)
            self.hash.update(data)
            self.count += len(data)
            self.at(self.count, self.total)

        def on_lost(_count: int) -> None:
            raise _Gap

        try:
            result = command.finish(on_data, on_lost)
        except _Gap:
            # Some of it was lost for good: again from the last byte that is in order.
            self.session.drain(command)
            return None
        except DeviceError as error:
            if error.code == "args" and begun_at:  # the file is shorter now than what we have of it
                self._again()
                return None
            raise
        if result.get("sha256") != self.hash.hexdigest() or result.get("size") != self.count:
            self.mismatches += 1
            if self.mismatches >= _CHANGED:
                raise DeviceError(
                    "hash", f"{self.path}: what came is not what the device has; is it being written to?"
                )
            self._again()
            return None
        self.sink.flush()
        return {"size": self.count, "sha256": self.hash.hexdigest(), "resumed": self.resumed}

    def _again(self) -> None:
        self.resumed = self.count = self.done = 0
        self.sink.seek(0)
        self.sink.truncate()
        self.hash = hashlib.sha256()


def listing(session: Session, path: str = "/", *, recursive: bool = False, sha: bool = False) -> list[list]:
    """What is in a folder: [name, size or None for a folder, and with ``sha`` the sha256], sorted by name.

    Names are below ``path``, with slashes where ``recursive``.
    """
    data = bytearray()
    args = {"path": path, "recursive": recursive, "sha": sha}
    told = session.call("ls", args, timeout=60.0, on_data=data.extend, on_lost=_incomplete)
    try:
        rows = sorted(protocol.json_lines(bytes(data)), key=lambda row: row[0])
    except (protocol.BadMessage, LookupError, TypeError):
        raise DeviceError("error", f"{path}: expected a list of names from the device") from None
    if len(rows) < told.get("count", 0):  # what was lost at the very end leaves no gap
        raise SessionLost(f"{path}: {len(rows)} of {told['count']} names have come; try again")
    return rows


def _incomplete(count: int) -> None:
    raise SessionLost(f"{count} messages of the answer were lost; try again")
