"""The flash of the simulated board: a folder of the host, or a littlefs in a file for tests of power cuts."""

import os

import _simboard
import vfs
from micropython import const

_BLOCK = const(4096)


def _hold(thing, *names):
    # On a board these are C, and no Ctrl-C gets in between.
    for name in names:
        setattr(thing, name, _simboard.held(getattr(thing, name)))


class Folder:
    """A host folder as the board's file system. It has the size of a board's, and no path leaves it."""

    def __init__(self, path, size):
        # The process works in the folder, and all paths given to the host's file system are relative to it: a
        # VfsPosix with a root of its own cannot rename (it puts both names into one buffer).
        self._fs = vfs.VfsPosix()
        self._fs.chdir(path)
        self._size = size
        self._cwd = "/"
        _hold(self, "chdir", "open", "mkdir", "remove", "rename", "rmdir", "stat", "statvfs")

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def _absolute(self, path):
        parts = []
        for part in (path if path.startswith("/") else self._cwd + "/" + path).split("/"):
            if part == "..":
                if parts:
                    parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    def _full(self, path):
        return "." + self._absolute(path)

    def chdir(self, path):
        path = self._absolute(path)
        if not self._fs.stat("." + path)[0] & 0x4000:
            raise OSError(20)
        self._cwd = path

    def getcwd(self):
        return self._cwd

    def open(self, path, mode):
        if ("w" in mode or "a" in mode or "+" in mode) and self.free() <= 0:
            raise OSError(28)
        return self._fs.open(self._full(path), mode)

    def ilistdir(self, path):
        for entry in self._fs.ilistdir(self._full(path)):
            yield entry

    def mkdir(self, path):
        self._fs.mkdir(self._full(path))

    def remove(self, path):
        self._fs.remove(self._full(path))

    def rename(self, old, new):
        self._fs.rename(self._full(old), self._full(new))

    def rmdir(self, path):
        self._fs.rmdir(self._full(path))

    def stat(self, path):
        return self._fs.stat(self._full(path))

    def free(self):
        """Blocks left."""
        return self._size // _BLOCK - self._used("./")

    def _used(self, path):
        blocks = 0
        for entry in self._fs.ilistdir(path):
            name = path + entry[0]
            if entry[1] & 0x4000:
                blocks += 1 + self._used(name + "/")
            else:
                blocks += (self._fs.stat(name)[6] + _BLOCK - 1) // _BLOCK
        return blocks

    def statvfs(self, path):
        blocks = self._size // _BLOCK
        free = max(0, self.free())
        return (_BLOCK, _BLOCK, blocks, free, free, 0, 0, 0, 0, 255)


class Chip:
    """A flash chip in a host file. cut: the power goes at the so-many-th erase or write, which is left half done."""

    def __init__(self, host, name, size, cut=0):
        try:
            self._file = host.open(name, "r+b")
        except OSError:
            self._file = host.open(name, "w+b")
            blank = b"\xff" * _BLOCK
            for _ in range(size // _BLOCK):
                self._file.write(blank)
        self._blocks = self._file.seek(0, 2) // _BLOCK
        self._cut = cut
        self.writes = 0
        _hold(self, "readblocks", "writeblocks", "ioctl")

    def readblocks(self, block, buf, offset=0):
        self._file.seek(block * _BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        if self._last():
            buf = memoryview(buf)[: len(buf) // 2]
        self._file.seek(block * _BLOCK + offset)
        self._file.write(buf)
        self._done()

    def _erase(self, block):
        self._file.seek(block * _BLOCK)
        self._file.write(b"\xff" * (_BLOCK // 2 if self._last() else _BLOCK))
        self._done()

    def _last(self):
        self.writes += 1
        return self.writes == self._cut

    def _done(self):
        _simboard.show("flash.writes", self.writes)
        if self.writes == self._cut:
            print("simulated board: power cut at flash write %d" % self.writes)
            _simboard.cut()

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return _BLOCK
        if op == 6:
            self._erase(arg)
        return 0


def mount_folder(path, size):
    """Make a host folder the board's "/"."""
    _mount(Folder(path, size))


def mount_chip(host, name, size, cut):
    """Make a littlefs in a host file the board's "/"; formats a new one."""
    chip = Chip(host, name, size, cut)
    try:
        fs = vfs.VfsLfs2(chip, progsize=256)
    except OSError:
        vfs.VfsLfs2.mkfs(chip, progsize=256)
        fs = vfs.VfsLfs2(chip, progsize=256)
    _mount(fs)


def _mount(fs):
    vfs.umount("/")
    vfs.mount(fs, "/")
    os.chdir("/")
