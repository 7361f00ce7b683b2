"""Changing /config.json: merge, check, encrypt, write at once or not at all."""

import json

from . import store
from .config import row
from .configkeys import KEYS
from .configload import LIMIT, parse, raw, stem

_WIDTH = 100  # characters of a line; what fits in one stays in one


def save(changes, path):
    # See config.save().
    errors = []
    try:
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
        base = base_of(path)[0]
        known = passwords(base)
        write(path, _merged(base, changes), known, errors)
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
    whole = True
    for name in (path, stem(path) + ".bak"):
        try:
            text = raw(name)
        except ValueError:
            whole = False
            continue
        if text is not None:
            data = parse(text, name, [], [])
            if data is not None:
                return data, whole
            whole = False
        elif whole:
            break
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
    from .configscan import scan
    from .configseal import clean, sealed

    _secrets(data, "", lambda value, kind: sealed(value, kind, known))
    text = (_text(data, "", 0) + "\n").encode()
    try:
        scan(text)  # what cannot be read again is not written
    except ValueError as e:
        errors.append("expected what JSON can hold: %s" % e)
        return
    if len(text) > LIMIT:
        errors.append("%s: expected at most %d bytes, got %d" % (path, LIMIT, len(text)))
        return
    try:
        if store.read(path) == text:
            return
        clean(path)
        store.write(path, text)
    except OSError as e:
        why = "the flash is full" if e.args[0] == 28 else "error %s" % e.args[0]
        errors.append("%s: cannot be written (%s); it is as it was" % (path, why))


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


def _text(value, prefix, indent):
    # JSON for people: the keys in the order of the table, what is short in one line.
    if isinstance(value, dict):
        parts = [
            json.dumps(key) + ": " + _text(value[key], prefix + key + ".", indent + 2)
            for key in _ordered(value, prefix)
        ]
        marks = "{}"
    elif isinstance(value, (list, tuple)):
        parts = [_text(item, prefix[:-1] + "[].", indent + 2) for item in value]
        marks = "[]"
    else:
        return json.dumps(value)
    line = marks[0] + ", ".join(parts) + marks[1]
    if (not parts or indent) and "\n" not in line and len(line) + indent <= _WIDTH:
        return line
    gap = "\n" + " " * (indent + 2)
    return marks[0] + gap + ("," + gap).join(parts) + "\n" + " " * indent + marks[1]


def _ordered(data, prefix):
    keys = []
    for found in KEYS:
        if found[0].startswith(prefix):
            key = found[0][len(prefix) :].split(".")[0].split("[")[0]
            if key in data and key not in keys:
                keys.append(key)
    return keys + sorted(key for key in data if key not in keys)
