"""The verbs ls, stat, mkdir, rm and mv (docs/remote-protocol.md). Nothing here holds more than a few names in RAM."""

import asyncio
import json
import os

from micropython import const

from . import paths
from .command import RemoteError

_BATCH = const(16)  # names that rm holds at a time


async def ls(cmd):
    """List a folder, or one file: lines ["name", size or null for a folder, sha256 if asked for]."""
    args = cmd.args
    args.setdefault("path", "/")
    path = paths.clean(args)
    size = paths.look(path)
    if size is not None:
        await _line(cmd, path, path[path.rfind("/") + 1 :], size)
        return {"count": 1}
    deep = args.get("recursive")
    count = skipped = 0
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = os.ilistdir(paths.join(path, below[:-1]) if below else path)
        except OSError:
            if not below:
                raise
            continue  # somebody has just deleted it
        while True:
            try:
                entry = next(entries)
            except StopIteration:
                break
            except UnicodeError:
                skipped += 1
                continue
            name = below + entry[0]
            full = paths.join(path, name)
            if paths.is_folder(entry):
                size = None
                if deep:
                    waiting.append(name + "/")
            else:
                try:
                    size = entry[3] if len(entry) > 3 else os.stat(full)[6]
                except OSError:
                    continue
            await _line(cmd, full, name, size)
            count += 1
    return {"count": count, "skipped": skipped} if skipped else {"count": count}


async def _line(cmd, path, name, size):
    row = [name, size]
    if cmd.args.get("sha") and size is not None:
        row.append(await _digest(cmd, path))
    await cmd.write(json.dumps(row))
    await cmd.write("\n")


async def _digest(cmd, path):
    # None for what this host may not know: a password could be guessed from it.
    if paths.hidden(cmd, path):
        return None
    from .content import digest

    try:
        return await digest(path)
    except OSError as e:
        if e.errno == 2:
            return None  # deleted meanwhile
        raise


async def stat(cmd):
    """Tell what a name stands for: its size in bytes (None: a folder), and what is free there."""
    path = paths.clean(cmd.args)
    size = paths.look(path)
    result = {"size": size, "dir": size is None, "free": paths.free(path)}
    if cmd.args.get("sha"):
        result["sha256"] = None if size is None else await _digest(cmd, path)
    return result


async def mkdir(cmd):
    """Make a folder; with "parents" also those that it is in, and then it is no mistake if it is there."""
    path = paths.clean(cmd.args)
    parents = cmd.args.get("parents")
    at = 0
    while parents and at >= 0:
        at = path.find("/", at + 1)
        part = path if at < 0 else path[:at]
        try:
            os.mkdir(part)
        except OSError as e:
            if e.errno != 17 and part != "/":
                raise
            paths.folder(part)
    if not parents:
        paths.folder(paths.parent(path))
        _vacant(path)
        os.mkdir(path)


def _vacant(path):
    try:
        os.stat(path)
    except OSError:
        return
    raise RemoteError("exists", "%s: there is something of that name" % path)


async def rm(cmd):
    """Delete a file or an empty folder; with "recursive" a folder with all that is in it."""
    path = paths.clean(cmd.args)
    if path == "/":
        raise RemoteError("denied", "rm: expected something below /")
    if paths.look(path) is not None:
        os.remove(path)
        return {"removed": 1}
    if not cmd.args.get("recursive"):
        for _ in os.ilistdir(path):
            raise RemoteError("notempty", "%s: the folder is not empty" % path)
        os.rmdir(path)
        return {"removed": 1}
    removed = 0
    nest = [path]
    while nest:
        top = nest[-1]
        names = []
        inner = None
        # Some names at a time: a file system need not like changes while it is being read.
        for entry in os.ilistdir(top):
            if paths.is_folder(entry):
                inner = entry[0]
                break
            names.append(entry[0])
            if len(names) == _BATCH:
                break
        for name in names:
            os.remove(paths.join(top, name))
        removed += len(names)
        if inner:
            nest.append(paths.join(top, inner))
        elif not names:
            os.rmdir(nest.pop())
            removed += 1
        await asyncio.sleep_ms(0)
    return {"removed": removed}


async def mv(cmd):
    """Give a file or folder another name. A file takes the place of a file that has it, at once or not at all."""
    path = paths.clean(cmd.args)
    to = paths.clean(cmd.args, "to")
    if path == "/" or to == "/":
        raise RemoteError("denied", "mv: expected something below /")
    size = paths.look(path)
    if path == to:
        return
    if to.startswith(path + "/"):
        raise RemoteError("args", "to: expected something outside %s" % path)
    paths.folder(paths.parent(to))
    try:
        there = paths.look(to)
    except RemoteError:
        there = -1
    if there is None or size is None and there >= 0:
        raise RemoteError("exists", "%s: there is something of that name" % to)
    os.rename(path, to)
