"""The verb put: a file from the host, which is there as a whole or not at all (docs/remote-protocol.md).

What has come is in NAME.XXXXXXXX.part, with the first 8 digits of the sha256, so that an attempt that was cut off is
gone on with and nothing else is. When all is there its sha256 is made from the flash, and the file gets its name by one
rename.
"""

import asyncio
import os
from asyncio import core

from micropython import const

from .. import clock, store
from . import paths
from .command import RemoteError
from .content import digest

_NUMBERS = const(32767)  # pieces are numbered from 1 to this, and from 1 again
_EVERY = const(8)  # pieces between two acknowledgements
_SYNC = const(32768)  # bytes that a power cut may take back, at most
_SILENCE = const(5000)  # ms without a piece after which the last acknowledgement is said again
_GONE = const(60000)  # ms after which it is over
_QUIET = const(5000)  # ms without a piece after which somebody else may have the file
_AGAIN = const(1000)  # ms after which the host is asked once more to go back
_SUFFIX = const(14)  # characters of .XXXXXXXX.part


class Put:
    # A file that is being written.

    f = None
    got = 0  # number of the last piece in order
    asked = None  # clock.ms() when the host was told that something is missing
    told = 0  # pieces in order since the last acknowledgement
    loose = 0  # bytes since the last flush
    over = False  # it has come to its end, good or bad
    error = None

    def __init__(self, cmd, path, part, size):
        self.cmd = cmd
        self.path = path
        self.part = part
        self.size = size
        self.at = 0
        self.heard = clock.ms()  # the last piece
        self.task = None  # the one that waits in all()

    def piece(self, seq, last, data):
        # Called by the client's reader, for each piece.
        if self.f is None or self.over:
            if last and not self.error:
                self.tell()  # it is all here
            return
        now = self.heard = clock.ms()
        if seq != self.got % _NUMBERS + 1:
            self.odd(0 < (seq - self.got) % _NUMBERS < _NUMBERS // 2, last, now)
            return
        n = len(data)
        if n != self.size - self.at and (last or n > self.size - self.at or not n):
            self.fail(RemoteError("size", "expected %d bytes in all, got %d" % (self.size, self.at + n)))
            return
        try:
            if n and self.f.write(data) != n:
                raise OSError(28)  # ENOSPC
            self.loose += n
            if self.loose >= _SYNC:
                self.loose = 0
                self.f.flush()
        except Exception as e:
            self.fail(e)
            return
        self.at += n
        self.got = seq
        self.asked = None
        self.told += 1
        if last:
            self.over = True
            self.wake()
        if last or self.told >= _EVERY:
            self.tell()

    def odd(self, ahead, last, now):
        # A piece is missing before this one, or it is a repeated one. A number that the host has not heard yet is said
        # twice, for only one that it knows already means that it has to go back there.
        if ahead and self.asked is None:
            if self.told:
                self.tell()
        elif not last and self.asked is not None and now - self.asked < _AGAIN:
            return
        elif not ahead and not last:
            return
        self.asked = now
        self.tell()

    def fail(self, error):
        self.error = error
        self.over = True
        self.wake()

    def tell(self):
        self.told = 0
        cmd = self.cmd
        cmd.session.say(0xFFFF, cmd.ref, b"SEQ %d" % self.got)

    def wake(self):
        # All is here, or has failed. The sleep ends now, in the way that cancel() of asyncio ends one.
        task = self.task
        if task:
            self.task = None
            core._task_queue.remove(task)
            core._task_queue.push(task)

    async def all(self):
        # Wait until all pieces are here. Without wait_for() and Event, which would not fit the smallest heap.
        rest = _SILENCE
        while not self.over:
            self.task = core.cur_task
            try:
                await asyncio.sleep_ms(rest)
            finally:
                self.task = None
            silent = clock.ms() - self.heard
            rest = _SILENCE - silent
            if rest <= 0 and not self.over:
                rest = _SILENCE
                if silent > _GONE:
                    raise RemoteError("gone", "no piece for a minute; %d bytes are kept" % self.at)
                if self.told:
                    self.tell()
                self.tell()
        if self.error:
            raise self.error

    def close(self):
        f = self.f
        self.f = None
        if f:
            f.close()


async def put(cmd):
    """Take a file of "size" bytes with that "sha256"; with "resume" go on where the last attempt has ended."""
    args = cmd.args
    path = paths.clean(args)
    size = args.get("size")
    if not isinstance(size, int) or size < 0:
        raise RemoteError("args", "size: expected a number of bytes")
    sha = args.get("sha256")
    try:
        if len(bytes.fromhex(sha)) != 32 or len(sha) != 64:
            raise ValueError
    except (TypeError, ValueError):
        raise RemoteError("args", "sha256: expected 64 hexadecimal digits")
    sha = sha.lower()
    if path == "/" or args["path"][-1] == "/":
        raise RemoteError("name", "path: expected the name of a file")
    part = "%s.%s.part" % (path, sha[:8])
    if len(part.encode()) > 255:
        raise RemoteError("name", "path: expected at most %d bytes" % (255 - _SUFFIX))
    paths.folder(paths.parent(path))
    if store.exists(path) and paths.look(path) is None:
        raise RemoteError("isdir", "%s: is a folder" % path)
    remote = cmd.node.remote
    resume = args.get("resume")
    await _alone(remote, path, resume and part)
    it = Put(cmd, path, part, size)
    remote.writing = remote.writing + (it,)
    keep = True
    try:
        _tidy(path, part)
        have = _have(part)
        it.at = have if resume and have <= size else 0
        room = paths.free(paths.parent(path)) + (0 if it.at else have)
        if size - it.at > room:
            raise RemoteError("space", "%s: %d bytes to come, %d are free" % (path, size - it.at, room))
        it.f = open(part, "ab" if it.at else "wb")
        cmd.on_data = it.piece
        await cmd.send(b'{"at": %d}' % it.at)
        await it.all()
        it.close()
        if _have(part) != size or await digest(part) != sha:
            raise RemoteError("hash", "%s: what is on the flash has another sha256" % path)
        sync = getattr(os, "sync", None)
        if sync:
            sync()  # the content must be on the flash before the name is
        os.rename(part, path)
        return {"size": size, "sha256": sha}
    except RemoteError as e:
        keep = e.args[0] == "gone"
        raise
    except OSError as e:
        if e.errno != 28:
            raise
        keep = False  # what fills the flash is of no use
        raise RemoteError("space", "%s: the flash was full after %d bytes" % (path, it.at))
    finally:
        try:
            it.close()
        finally:
            if not keep:
                store.remove(part)
            remote.writing = tuple([p for p in remote.writing if p is not it])


async def _alone(remote, path, part):
    # Nobody else writes that file now. A host that has lost its session, and goes on in another, takes its file over.
    for other in remote.writing:
        if other.path == path and (other.part == part or clock.ms() - other.heard > _QUIET):
            other.cmd.end("gone")
            await asyncio.sleep_ms(20)
    for other in remote.writing:
        if other.path == path:
            raise RemoteError("busy", "%s: somebody else is writing it" % path)


def _have(part):
    try:
        return os.stat(part)[6]
    except OSError:
        return 0


def _tidy(path, part):
    # What older attempts with another content have left.
    folder = paths.parent(path)
    name = path[path.rfind("/") + 1 :]
    old = []
    for entry in os.ilistdir(folder):
        n = entry[0]
        if len(n) == len(name) + _SUFFIX and n.startswith(name + ".") and n.endswith(".part"):
            old.append(paths.join(folder, n))
    for n in old:
        if n != part:
            store.remove(n)
