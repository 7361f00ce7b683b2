"""Reading /config.json, without ever refusing to go on."""

import gc
import json
import sys

from . import config, store
from .configcheck import check

LIMIT = 16384  # bytes; a larger file would not fit in the RAM of the smallest board beside anything else


def load(path, good):
    # See config.load().
    errors = []
    base = stem(path)
    more = ()
    if store.exists(_wifi(path)):
        more = _called("configwifi", "take_in", path, _wifi(path), good, errors)
    data = read(base + ".bak", errors) if good else None
    if data is None:
        count = len(errors)
        data = read(path, errors)
        if data is None and len(errors) > count:
            _called("configmask", "keep_broken", path, errors)
            if store.exists(base + ".bak"):
                data = read(base + ".bak", errors)
                if data is not None:
                    errors[count] += "; using %s.bak" % base
            else:
                data = _somehow(path, errors, count)
    try:
        data = check(data or {}, errors)
        if more:
            _add(data, more)
    except MemoryError:
        data = {}
        errors.append("%s: too large for the memory, nothing of it is used" % path)
    return config.Config(data), errors


def _add(data, more):
    # Networks of wifi.json that are not in what was read.
    if not isinstance(data.get("wifi"), dict):
        data["wifi"] = {}
    names = [network["ssid"] for network in more]
    known = [network for network in data["wifi"].get("networks", ()) if network["ssid"] not in names]
    data["wifi"]["networks"] = known + more


def keep_good(path):
    # See config.keep_good().
    good = stem(path) + ".bak"
    if store.same(path, good) or not store.exists(path):
        return
    if config._loaded:
        if config._loaded != (path, digest(path)):
            return  # changed since: nobody knows yet whether the device lives with it
    elif parse(raw(path), path, [], []) is None:
        return
    store.copy(path, good)


def stem(path):
    """The path without its .json."""
    return path[:-5] if path.endswith(".json") else path


def _wifi(path):
    return path[: path.rfind("/") + 1] + "wifi.json"


def _called(module, function, *args):
    # A module that is rarely needed.
    full = "coldframe." + module
    __import__(full)
    return getattr(sys.modules[full], function)(*args)


def read(path, errors):
    """The object in a file; None if there is no file or, with an error added, if it cannot be used.

    Passwords that are readable in the file are encrypted there.
    """
    try:
        text = raw(path)
        if text is None:
            return None
        plain = []
        data = parse(text, path, errors, plain)
        if data is not None:
            if plain:
                _called("configseal", "seal", path, text, plain, errors)
            config._loaded = (path, digest(path))
        return data
    except ValueError as e:
        errors.append(str(e))
    except MemoryError:
        errors.append("%s: too large for the memory" % path)
    except OSError as e:
        errors.append("%s: cannot be read (error %s)" % (path, e.args[0]))


def raw(path):
    """The bytes of a file, without the mark that editors on Windows put before them; None if there is no such file.

    Raises ValueError for a file that is too large, OSError.
    """
    text = store.read(path, LIMIT)
    return text[3:] if text and text[:3] == b"\xef\xbb\xbf" else text


def digest(path):
    """What tells one content of a file from another, in a few bytes. Raises OSError."""
    import hashlib

    found = hashlib.sha256()
    part = bytearray(128)
    with open(path, "rb") as f:
        while True:
            count = f.readinto(part)
            if not count:
                return found.digest()[:8]
            found.update(memoryview(part)[:count])


def parse(text, path, errors, plain):
    """The object in JSON text; None, with an error added, if there is none.

    plain: list, to which (path, start, end) of each text is added that is, or may hold, a readable password.
    """
    from .configscan import scan

    def found(where, start, end):
        row = config.row(where)
        if row and (
            row[1][-1] == "*"
            and end - start > 2
            or row[1][-1] == "@"
            and (b"@" in text[start:end] or b"\\" in text[start:end])
        ):
            plain.append((where, start, end))

    try:
        twice = []
        scan(text, found, twice)
        gc.collect()  # what stays should not lie between what goes
        data = json.loads(text)
    except ValueError as e:
        errors.append("%s: not JSON, %s" % (path, e))
        return None
    if not isinstance(data, dict):
        from .configcheck import show

        errors.append("%s: expected a JSON object {...}, got %s" % (path, show(data)))
        return None
    errors.extend("%s: %s" % (path, e) for e in twice[:3])
    return data


def _somehow(path, errors, count):
    # Nothing else is left: what MicroPython's own, much more forgiving parser makes of the file.
    try:
        data = json.loads(raw(path))
    except (ValueError, MemoryError, OSError, RuntimeError):
        return None
    if isinstance(data, dict):
        errors[count] += "; read as well as possible"
        return data
