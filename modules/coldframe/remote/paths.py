"""Names of files as a host sends them: made absolute, and refused if they are not plain."""

import os

from micropython import const

from .command import RemoteError

_LONGEST = const(255)  # bytes of a path, and of each name in it (littlefs)
_FOLDER = const(0x4000)
# What holds passwords and keys, also with something behind it (config.bak, config.json.tmp).
_SECRET = ("/config.", "/wifi.", "/setup.")


def clean(args, name="path"):
    """The path of args[name], absolute: "a//b/" is "/a/b", whatever the current folder is. Raises RemoteError."""
    path = args.get(name)
    if not isinstance(path, str) or not path:
        raise RemoteError("args", "%s: expected the name of a file or folder" % name)
    for c in path:
        c = ord(c)
        # Halves of a character are what MicroPython makes of "\ud83d\ude00" in JSON.
        if c < 32 or c == 127 or 0xD800 <= c <= 0xDFFF:
            raise RemoteError("name", "%s: expected characters of UTF-8 and no control characters" % name)
    parts = []
    for part in path.split("/"):
        if part == "..":
            raise RemoteError("name", "%s: expected no .. in it" % name)
        if part and part != ".":
            parts.append(part)
    path = "/" + "/".join(parts)
    if len(path.encode()) > _LONGEST:
        raise RemoteError("name", "%s: expected at most %d bytes" % (name, _LONGEST))
    return path


def parent(path):
    """The folder that a path of clean() is in."""
    return path[: path.rfind("/")] or "/"


def join(folder, name):
    """The path of what a folder holds."""
    return folder + name if folder[-1] == "/" else folder + "/" + name


def look(path):
    """Returns the size of a file in bytes, None for a folder. Raises RemoteError if there is nothing there."""
    try:
        found = os.stat(path)
    except OSError as e:
        if e.errno == 2:
            raise RemoteError("missing", "%s: no such file or folder" % path)
        raise
    return None if found[0] & _FOLDER else found[6]


def folder(path):
    """Raises RemoteError unless there is a folder of that name."""
    if look(path) is not None:
        raise RemoteError("notdir", "%s: expected a folder" % path)


def is_folder(entry):
    """Whether an entry of os.ilistdir() is a folder."""
    return entry[1] & _FOLDER


def hidden(cmd, path):
    """Whether the content of a file is not for the host of this command, which may only read."""
    if cmd.session.role == "admin":
        return False
    path = path.lower()  # a card with FAT knows no difference
    c = cmd.node.config
    secret = [c["mqtt.tls.key"]]
    for broker in c["mqtt.fallback"] or ():
        secret.append((broker.get("tls") or {}).get("key"))
    for name in secret:
        if name and path.startswith(
            "/" + "/".join([p for p in name.lower().split("/") if p not in ("", ".")])
        ):
            return True
    return path.startswith(_SECRET)


def free(path):
    """Bytes that are free where a path is."""
    s = os.statvfs(path)
    return s[1] * s[4]
