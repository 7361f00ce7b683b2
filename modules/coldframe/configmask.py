"""Keeping a broken file for the user to look at, with its passwords made unreadable. Needed when a file is broken."""

from . import store
from .configkeys import KEYS
from .configload import raw, stem

_STAR = 0x2A


def keep_broken(path, errors, everything=False):
    """Make PATH.broken (without its .json) a copy of a broken file. A text is added to errors if that fails."""
    name = stem(path) + ".broken"
    try:
        text = bytearray(raw(path) or b"")
        mask(text, everything)
        if store.read(name) != text:
            store.write(name, text)
    except (ValueError, MemoryError):
        pass  # too large, which has been said
    except OSError as e:
        errors.append("%s: cannot keep the broken file (error %s)" % (name, e.args[0]))


def mask(text, everything=False):
    """Put stars over the passwords in what may be no JSON at all.

    text: bytearray, changed in place. everything: over what is behind any colon, as in wifi.json.
    """
    names = {b":"} if everything else {row[0].split(".")[-1].encode() for row in KEYS if row[1][-1] == "*"}
    for name in names:
        i = text.find(name)
        while i >= 0:
            _mask_after(text, i if everything else i + len(name))
            i = text.find(name, i + len(name))
    i = text.find(b"://")
    while i >= 0:
        end = i + 3
        while end < len(text) and text[end] not in b"\"' \t\r\n":
            end += 1
        at = end - 1
        while at > i and text[at] != 0x40:
            at -= 1
        colon = text.find(b":", i + 3)
        if i < colon < at:
            text[colon + 1 : at] = b"*" * (at - colon - 1)
        i = text.find(b"://", i + 3)


def _mask_after(text, i):
    # What follows a name: quotation marks, a colon or an equals sign, the value.
    size = len(text)
    while i < size and text[i] in b"\"' \t\r\n":
        i += 1
    if i == size or text[i] not in b":=":
        return
    i += 1
    while i < size and text[i] in b" \t\r\n":
        i += 1
    mark = 0
    if i < size and text[i] in b"\"'":
        mark = text[i]
        i += 1
    while i < size and text[i] not in b"\r\n":
        c = text[i]
        if c == mark:
            n = i + 1
            while n < size and text[n] in b" \t":
                n += 1
            if n == size or text[n] in b",}]\r\n":  # else it is a part of the password
                return
        elif not mark and c in b",}]":
            return
        text[i] = _STAR
        i += 1
