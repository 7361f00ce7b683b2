"""Changing /config.json: merge, check, encrypt, write at once or not at all."""

import gc
import json
import os

from . import config, store
from .config import row
from .configkeys import KEYS
from .configload import LIMIT, digest, parse, raw, stem
from .configscan import DEPTH

_WIDTH = 100  # bytes of a line; what fits in one stays in one


def save(changes, path, whole=False):
    # See config.save().
    errors = []
    try:
        trial = changes
        if not whole:
            try:
                trial = json.loads(json.dumps(changes))  # a copy: the check takes out what is wrong
            except ValueError:
                return ["expected what JSON can hold"]
        if not isinstance(trial, dict):
            return ["expected an object {...} with the changes"]
        from .configcheck import check

        # The rows of the table are checked one by one, so that what is right in the changes is right in the whole.
        check(trial, errors)
        if errors:
            return errors
        trial = None
        base = base_of(path)[0]
        known = passwords(base)
        changes = changes if whole else _merged(base, changes)
        base = None
        write(path, changes, known, errors)
    except ValueError as e:
        errors.append(str(e))
    except RuntimeError:
        errors.append("expected fewer objects and lists one in another")
    except MemoryError:
        errors.append("%s: too large for the memory" % path)
    except OSError as e:
        errors.append("%s: cannot be read (error %s)" % (path, e.args[0]))
    return errors


def base_of(path):
    """What a file holds, its passwords as they stand there, and whether it is whole.

    If it is not JSON, or too large, what the last good copy holds; if there is none, nothing. Raises OSError.
    """
    gc.collect()
    whole = True
    for name in (path, stem(path) + ".bak"):
        if not store.exists(name):
            if whole:
                break
            continue
        if name == path and digest(path) in ((config._loaded or (0, 0))[1], config._saved):
            with open(path, "rb") as f:
                if f.read(3) != b"\xef\xbb\xbf":
                    f.seek(0)
                return json.load(f), True  # known to be JSON: it need not be in memory in one piece
        try:
            data = parse(raw(name), name, [], [])
        except ValueError:
            data = None
        if data is not None:
            return data, whole
        whole = False
    return {}, whole


def passwords(data):
    """What is encrypted in a configuration: dict of the encrypted texts by password."""
    from .configseal import remember

    known = {}
    _secrets(data, "", lambda value, kind: remember(value, kind, known))
    return known


def write(path, data, known, errors):
    """Make an object the content of a configuration file, its passwords encrypted.

    data: dict, changed in place. known: passwords() of what it was, so that what is the same stays the same. A text is
    added to errors if nothing was written. Raises MemoryError, RuntimeError.
    """
    from .configseal import clean, sealed

    _secrets(data, "", lambda value, kind: sealed(value, kind, known))
    gc.collect()
    # Piece by piece, here and below: the heap of a device that has run for long has no room for all of it in one place.
    try:
        size = 1 + _put(None, data, "", 0)
    except ValueError as e:
        errors.append("expected what JSON can hold: %s" % e)
        return
    if size > LIMIT:
        errors.append("%s: expected at most %d bytes, got %d" % (path, LIMIT, size))
        return

    def feed(f):
        _put(f, data, "", 0)
        f.write("\n")

    try:
        if store.exists(path) and os.stat(path)[6] == size:
            with open(path, "rb") as f:
                same = _Same(f)
                feed(same)
            if same.same:
                return
        clean(path)
        store.write(path, feed)
        config._saved = digest(path)
    except OSError as e:
        why = "the flash is full" if e.args[0] == 28 else "error %s" % e.args[0]
        errors.append("%s: cannot be written (%s); it is as it was" % (path, why))


class _Same:
    # Takes what would be written, and tells whether it is what a file holds.
    def __init__(self, file):
        self._file = file
        self.same = True

    def write(self, text):
        data = text.encode()
        self.same = self.same and self._file.read(len(data)) == data


def _merged(base, changes):
    # JSON Merge Patch, RFC 7396.
    for key in changes:
        value = changes[key]
        if value is None:
            base.pop(key, None)
        elif isinstance(value, dict):
            old = base.get(key)
            base[key] = _merged(old if isinstance(old, dict) else {}, value)
        else:
            # A list of the caller's is still his: passwords are encrypted in place.
            base[key] = json.loads(json.dumps(value)) if isinstance(value, (list, tuple)) else value
    return base


def _secrets(data, prefix, function):
    # Call function(value, kind) for every text that is or may hold a password; what it returns takes its place.
    for key in data:
        value = data[key]
        path = prefix + key
        if isinstance(value, dict):
            _secrets(value, path + ".", function)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    _secrets(item, path + "[].", function)
        elif isinstance(value, str) and value:
            found = row(path)
            if found and found[1][-1] in "*@":
                data[key] = function(value, found[1]) or value


def _put(f, value, prefix, indent, flat=False):
    # Write JSON for people to a file: the keys in the order of the table, what is short in one line. Returns its size
    # in bytes; f None: only that. flat: all in one line.
    if not isinstance(value, (dict, list, tuple)):
        if isinstance(value, float) and value - value != 0:
            raise ValueError("%s is no number" % value)
        return _word(f, _quoted(value) if isinstance(value, str) else json.dumps(value))
    if indent > 2 * DEPTH:
        raise ValueError("more than %d objects or lists one in another" % DEPTH)
    named = isinstance(value, dict)
    if not flat:
        # Not the outermost, unless it is empty.
        flat = not value or indent and indent + _put(None, value, prefix, indent, True) <= _WIDTH
    gap = "" if flat else "\n" + " " * (indent + 2)
    size = _word(f, "{" if named else "[")
    mark = ""
    inner = prefix[:-1] + "[]."
    for item in _ordered(value, prefix) if named else value:
        size += _word(f, mark + gap)
        mark = ", " if flat else ","
        if named:
            size += _word(f, _quoted(item) + ": ")
            inner = prefix + item + "."
            item = value[item]
        size += _put(f, item, inner, indent + 2, flat)
    if not flat:
        size += _word(f, gap[:-2])
    return size + _word(f, "}" if named else "]")


def _quoted(text):
    # JSON of a text. A file that had halves of characters, which only "\\ud800" can say, keeps them.
    quoted = json.dumps(text)
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        quoted = "".join("\\u%04x" % ord(c) if 0xD800 <= ord(c) <= 0xDFFF else c for c in quoted)
    return quoted


def _word(f, text):
    if f and text:
        f.write(text)
    return len(text.encode())


def _ordered(data, prefix):
    keys = []
    for found in KEYS:
        if found[0].startswith(prefix):
            key = found[0][len(prefix) :].split(".")[0].split("[")[0]
            if key in data and key not in keys:
                keys.append(key)
    return keys + sorted(key for key in data if key not in keys)
