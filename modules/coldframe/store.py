"""Files that survive a power cut: every write is whole or has not happened.

A new content goes to ``PATH.tmp``, is flushed, and takes the place of the old file by one rename, which the
file systems of the supported boards (LittleFS, and POSIX for the simulated board) do at once or not at all.
"""

import os


def read(path, limit=0):
    """Return the bytes of a file, or None if there is no such file.

    limit: largest size accepted in bytes, 0 = any. Raises ValueError for a larger file (nothing is read then),
    OSError if the file is there and cannot be read.
    """
    try:
        size = os.stat(path)[6]
    except OSError:
        return None
    if limit and size > limit:
        raise ValueError("%s: expected at most %d bytes, got %d" % (path, limit, size))
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    """Replace the content of a file, or make it, atomically.

    data: str, bytes-like, or a function that is given the open file and writes to it (so that a large content
    need not be in RAM at once). Raises OSError (28 = flash full); the old content is whole then.
    """
    tmp = path + ".tmp"
    try:
        with open(tmp, "wb") as f:
            if callable(data):
                data(f)
            else:
                f.write(data)
            f.flush()
        sync = getattr(os, "sync", None)
        if sync:
            sync()  # the content must be on the flash before the name is
        os.rename(tmp, path)
    except BaseException:
        remove(tmp)
        raise


def remove(path):
    """Delete a file. Returns False if there was none."""
    try:
        os.remove(path)
        return True
    except OSError:
        return False


def exists(path):
    """Tell whether there is a file or folder of that name."""
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def same(a, b):
    """Tell whether two files are both there and hold the same bytes (256 of each in RAM at a time)."""
    try:
        if os.stat(a)[6] != os.stat(b)[6]:
            return False
        with open(a, "rb") as fa, open(b, "rb") as fb:
            while True:
                x = fa.read(256)
                if x != fb.read(256):
                    return False
                if not x:
                    return True
    except OSError:
        return False


def copy(source, target):
    """Make target a copy of source, atomically. Raises OSError."""

    def feed(f):
        with open(source, "rb") as g:
            while True:
                part = g.read(256)
                if not part:
                    return
                f.write(part)

    write(target, feed)
