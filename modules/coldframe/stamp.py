"""A number that changes when the user puts something new on the flash: his programs, components or configuration.

A device that runs at a reduced level tries everything again after that. Imported only then.
"""

import binascii
import os

_DEPTH = 4  # folders in folders that are looked into
_OURS = ("params.json", "crash.json", "wake.json")  # written by the device itself


def stamp(root=""):
    """Two bytes that depend on the names and contents of all .py, .mpy and .json files below root."""
    return (_folder(root, 0, _DEPTH) & 0xFFFF).to_bytes(2, "little")


def _folder(path, crc, depth):
    try:
        found = sorted((e[0], e[1]) for e in os.ilistdir(path))
    except OSError:
        return crc
    part = bytearray(256)
    for name, kind in found:
        full = path + name
        if kind & 0x4000:
            if depth:
                crc = _folder(full + "/", crc, depth - 1)
        elif name.endswith((".py", ".mpy", ".json")) and name not in _OURS:
            crc = binascii.crc32(full, crc)
            try:
                with open(full, "rb") as f:
                    while True:
                        n = f.readinto(part)
                        if not n:
                            break
                        crc = binascii.crc32(memoryview(part)[:n], crc)
            except OSError:
                pass
    return crc
