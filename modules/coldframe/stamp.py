"""A number that changes when the user puts something new on the flash: his programs, components or configuration.

A device that runs at a reduced level tries everything again after that. Imported only then.
"""

import hashlib
import os

_DEPTH = 4  # folders in folders that are looked into
_OURS = ("params.json", "crash.json", "wake.json")  # written by the device itself


def stamp(root=""):
    """Two bytes that depend on the names and contents of all .py, .mpy and .json files below root."""
    sum = hashlib.sha256()  # the one that every port has
    _folder(root, sum, _DEPTH)
    return sum.digest()[:2]


def _folder(path, sum, depth):
    try:
        found = sorted((e[0], e[1]) for e in os.ilistdir(path))
    except OSError:
        return
    part = bytearray(256)
    for name, kind in found:
        full = path + name
        if kind & 0x4000:
            if depth:
                _folder(full + "/", sum, depth - 1)
        elif name.endswith((".py", ".mpy", ".json")) and name not in _OURS:
            sum.update(full.encode())
            try:
                with open(full, "rb") as f:
                    while True:
                        n = f.readinto(part)
                        if not n:
                            break
                        sum.update(memoryview(part)[:n])
            except OSError:
                pass
