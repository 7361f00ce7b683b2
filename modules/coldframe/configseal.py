"""Encrypting the passwords in /config.json and beside it. Needed once for each password that a user writes."""

import json

from . import store
from .config import row
from .configload import LIMIT, parse, raw, stem
from .secrets import can, decrypt, encrypt, is_sealed, url_password


def seal(path, text, plain, errors):
    """Put encrypted passwords in the place of readable ones, in the file and in its copies.

    The rest of the text stays as the user wrote it. path: of the file; text: its content; plain: where the texts are,
    as configload.parse() found them. A text for what could not be done is added to errors.
    """
    try:
        spots = _spots(text, plain)
        if not spots:
            return
        if not can():
            from . import log  # a floor above this one; there is no error to report it as

            log.getLogger("config").warning("%s: this image cannot encrypt, passwords stay readable", path)
            return
        pieces = _sealed(text, spots)
        if len(text) + sum(len(new) - (end - start) for start, end, new in pieces) <= LIMIT:
            if path.endswith(".json"):
                clean(path)  # first: once the file itself is done, nobody looks at its copy again
            _write(path, text, pieces)
            return
        why = "encrypted ones would make it longer than %d bytes" % LIMIT
    except MemoryError:
        why = "the memory is too small"
    except OSError as e:
        why = "the flash is full" if e.args[0] == 28 else "it cannot be written (error %s)" % e.args[0]
    errors.append("%s: its passwords stay readable, %s" % (path, why))


def clean(path):
    """Let no readable password be in the last good copy. path: of the configuration. Raises OSError, MemoryError."""
    bak = stem(path) + ".bak"
    plain = []
    try:
        text = raw(bak)
        if text is None or not can():
            return
        good = parse(text, bak, [], plain)
    except ValueError:
        good = None
    if good is None:
        store.remove(bak)  # it is no good copy of anything
        return
    spots = _spots(text, plain)
    if spots:
        _write(bak, text, _sealed(text, spots))


def _spots(text, plain):
    # Which of the texts in a file have a readable password.
    return [
        spot for spot in plain if _readable(json.loads(text[spot[1] : spot[2]]), row(spot[0])[1]) is not None
    ]


def _sealed(text, spots):
    # (start, end, what takes the place of that) for each of them.
    return [
        (start, end, json.dumps(sealed(json.loads(text[start:end]), row(path)[1])).encode())
        for path, start, end in spots
    ]


def _write(path, text, pieces):
    # The text with other pieces in it becomes the content of the file; it is never in memory as a whole.
    def feed(f):
        view = memoryview(text)
        done = 0
        for start, end, new in pieces:
            f.write(view[done:start])
            f.write(new)
            done = end
        f.write(view[done:])

    store.write(path, feed)


def _password(value, kind):
    # Where the password is in a value; (0, 0) if it has none.
    return (url_password(value) or (0, 0)) if kind[-1] == "@" else (0, len(value))


def _readable(value, kind):
    start, end = _password(value, kind)
    return (start, end) if start < end and not is_sealed(value[start:end]) else None


def sealed(value, kind, known=None):
    """A text of the configuration with its password encrypted.

    kind: of its row. known: dict of what was encrypted before, by password; it is used again.
    """
    spot = _readable(value, kind)
    if spot is None:
        return value
    start, end = spot
    password = value[start:end]
    return value[:start] + (known and known.get(password) or encrypt(password)) + value[end:]


def remember(value, kind, known):
    """Add what is encrypted in a text of the configuration to the dict known, by password."""
    start, end = _password(value, kind)
    value = value[start:end]
    if is_sealed(value):
        password = decrypt(value)
        if password is not None:
            known[password] = value
