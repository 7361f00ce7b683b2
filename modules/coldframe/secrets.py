"""Passwords on the flash: encrypted with a key that only this chip can make.

A sealed text is ``enc:`` and, in base64 (RFC 4648 section 5, so that it can stand in a URL):

    1 byte    version, 1
    12 bytes  salt, random, another one for each text
    16 n      AES-128 in CBC mode of the text in UTF-8, padded as PKCS #7 (RFC 5652 section 6.3)
    16 bytes  the first half of HMAC-SHA256 (RFC 2104) over all that is before it

    root = HMAC(unique id of the chip, "coldframe 1" + salt)
    key, initial vector = the halves of HMAC(root, "text");   key of the last 16 bytes = HMAC(root, "proof")

Whoever can run code on the chip can undo it, and so can whoever has both the file and the chip's number. See
docs/config.md for what it is good for.
"""

import hashlib
import os
from binascii import a2b_base64, b2a_base64

from . import hal

try:
    from cryptolib import aes
except ImportError:  # an image without TLS
    aes = None

MARK = "enc:"
_SHORTEST = 60  # characters of base64 for one block; no Wi-Fi password behind a mark is as long


def can():
    """Whether this image and this chip can encrypt: there is AES, and a number to make a key from."""
    return aes is not None and any(hal.unique_id())


def is_sealed(text):
    """Whether a text looks like what encrypt() makes. A password that only begins with the mark does not."""
    return (
        isinstance(text, str)
        and text.startswith(MARK)
        and len(text) >= len(MARK) + _SHORTEST
        and all(c.isdigit() or c.isalpha() or c in "-_=" for c in text[len(MARK) :])
    )


def encrypt(text):
    """Seal a text. Returns ``enc:…``; the text itself where the image has no AES."""
    if not can():
        return text
    data = text.encode()
    pad = 16 - len(data) % 16
    head = b"\x01" + os.urandom(12)
    key, vector, proof = _keys(head[1:])
    head += aes(key, 2, vector).encrypt(data + bytes([pad]) * pad)
    sealed = b2a_base64(head + hmac(proof, head)[:16]).decode().strip()
    return MARK + sealed.replace("+", "-").replace("/", "_")


def decrypt(text):
    """Open what encrypt() made. Returns the text, None if it was sealed on another chip or is damaged."""
    try:
        data = a2b_base64(text[len(MARK) :].replace("-", "+").replace("_", "/"))
        if not can() or data[0] != 1 or len(data) < 45 or len(data) % 16 != 13:
            return None
        key, vector, proof = _keys(data[1:13])
        wrong = 0
        for a, b in zip(hmac(proof, data[:-16])[:16], data[-16:]):
            wrong |= a ^ b
        if wrong:
            return None
        plain = aes(key, 2, vector).decrypt(data[13:-16])
        return str(plain[: -plain[-1]], "utf-8")
    except (ValueError, IndexError):
        return None


def url_password(text):
    """Where the password in a URL is: (start, end), None if it has none."""
    start = text.find("://") + 3
    if start < 3:
        start = 0
    end = text.rfind("@")
    colon = text.find(":", start)
    return (colon + 1, end) if start <= colon < end else None


def _keys(salt):
    root = hmac(hal.unique_id(), b"coldframe 1" + salt)
    both = hmac(root, b"text")
    return both[:16], both[16:], hmac(root, b"proof")


def hmac(key, data):
    """HMAC-SHA256 (RFC 2104). key, data: bytes. Returns 32 bytes."""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key += bytes(64 - len(key))
    inner = hashlib.sha256(bytes(x ^ 0x36 for x in key))
    inner.update(data)
    outer = hashlib.sha256(bytes(x ^ 0x5C for x in key))
    outer.update(inner.digest())
    return outer.digest()
