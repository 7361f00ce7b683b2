"""The verb get: a file to the host, from any place of it on (docs/remote-protocol.md)."""

import os

from . import paths
from .command import RemoteError
from .content import digest


async def get(cmd):
    """Send a file from "offset" on. The result tells size and sha256 of the whole, for the host to compare."""
    path = paths.clean(cmd.args)
    offset = cmd.args.get("offset", 0)
    if not isinstance(offset, int) or offset < 0:
        raise RemoteError("args", "offset: expected a number of bytes")
    if paths.hidden(cmd, path):
        raise RemoteError("denied", "%s: expected a key with the role admin" % path)
    size = paths.look(path)
    if size is None:
        raise RemoteError("isdir", "%s: expected a file" % path)
    if offset > size:
        raise RemoteError("args", "offset: expected at most %d, which is the size" % size)
    buf = bytearray(min(cmd.chunk, max(1, size - offset)))
    view = memoryview(buf)
    with open(path, "rb") as f:
        f.seek(offset)
        while True:
            n = f.readinto(buf)
            if not n:
                break
            await cmd.send(view[:n])
    buf = view = None
    # Read once more: if anybody has changed it meanwhile, the host has parts of both and must see that.
    sha = await digest(path)
    return {"size": os.stat(path)[6], "sha256": sha}
