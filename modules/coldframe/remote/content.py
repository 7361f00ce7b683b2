"""The sha256 of a file, while the node goes on with its work."""

import asyncio
import hashlib

from micropython import const

from .. import small

_STEP = const(8192)  # bytes after which others have their turn


async def digest(path, most=None):
    """SHA-256 of what a file holds on the flash, or of its first bytes, in hexadecimal. Raises OSError."""
    h = hashlib.sha256()
    buf = bytearray(256 if small else 1024)
    left = _STEP
    with open(path, "rb") as f:
        while True:
            n = f.readinto(buf)
            if most is not None:
                n = min(n, most)
                most -= n
            if not n:
                return h.digest().hex()
            h.update(buf if n == len(buf) else memoryview(buf)[:n])
            left -= n
            if left <= 0:
                left = _STEP
                await asyncio.sleep_ms(0)
