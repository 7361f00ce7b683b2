"""The verb get: a file to the host, from any place of it on (docs/remote-protocol.md)."""

from . import paths
from .command import RemoteError
from .content import digest


async def get(cmd):
    """Send a file from "offset" on. The result tells size and sha256 of the whole, for the host to compare.

    What is added to the file meanwhile, as to a log, is no part of it.
    """
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
    left = size - offset
    buf = memoryview(bytearray(min(cmd.chunk, left)))
    with open(path, "rb") as f:
        f.seek(offset)
        while left:
            n = f.readinto(buf if left >= len(buf) else buf[:left])
            if not n:
                break
            left -= n
            await cmd.send(buf[:n])
    buf = None
    # Read once more: if anybody has changed it meanwhile, the host has parts of both and must see that.
    return {"size": size, "sha256": await digest(path, size)}
