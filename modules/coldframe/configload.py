"""Reading /config.json and checking it against the table in configkeys, without ever refusing to go on."""

import json

from . import store
from .config import Config, is_section
from .config import row as find
from .configkeys import KEYS

_ERRORS = 8  # texts of errors that are kept: they stay in RAM, and all of them go into SYSINFO
_DEPTH = 16  # objects and lists one in another, in what is the user's own: the checks call themselves
_LIMIT = 16384  # bytes; a larger file would not fit in the RAM of the smallest board beside anything else


def load(path):
    # See config.load().
    errors = []
    data = _parse(path, errors)
    if data is None:
        stem = path[:-5] if path.endswith(".json") else path
        if errors:
            try:
                if not store.same(path, stem + ".broken"):
                    store.copy(path, stem + ".broken")
            except OSError as e:
                errors.append("%s.broken: cannot keep the broken file (error %s)" % (stem, e.args[0]))
            data = _parse(stem + ".bak", errors)
            if data is not None:
                errors[0] += "; using %s.bak" % stem
    return Config(check(data, errors) if data else {}), errors


def keep_good(path):
    # See config.keep_good().
    stem = path[:-5] if path.endswith(".json") else path
    if store.exists(path) and not store.same(path, stem + ".bak") and _parse(path, []) is not None:
        store.copy(path, stem + ".bak")


def _parse(path, errors):
    # The object in a file; None if there is no file or, with an error added, if it cannot be used.
    try:
        text = store.read(path, _LIMIT)
        if text is None:
            return None
        if text[:3] == b"\xef\xbb\xbf":
            text = text[3:]  # editors on Windows put it there
        try:
            data = json.loads(text)
        except ValueError:
            raise ValueError("%s: expected JSON, got something else%s" % (path, _where(text)))
        if not isinstance(data, dict):
            raise ValueError("%s: expected a JSON object {...}, got %s" % (path, _show(data)))
        return data
    except ValueError as e:
        errors.append(str(e))
    except MemoryError:
        errors.append("%s: too large for the memory" % path)
    except OSError as e:
        errors.append("%s: cannot be read (error %s)" % (path, e.args[0]))


def _where(text):
    # MicroPython's parser does not say where it stopped; the usual slips can be found without it.
    try:
        str(text, "utf-8")
    except ValueError:
        return " (it is not UTF-8 text)"
    # In the bytes: to find a character of a str, MicroPython counts from its beginning.
    depth = 0
    inside = False
    line = 1
    last = i = 0
    while i < len(text):
        c = text[i]
        if c == 0x0A:
            line += 1
            if inside:
                return " (a text is not closed before the end of line %d)" % (line - 1)
        if inside:
            if c == 0x5C:  # a backslash
                i += 1
            elif c == 0x22:  # a quotation mark
                inside = False
        elif c == 0x22:
            if last == 0x22:
                return " (a comma is missing before line %d, or in it)" % line
            inside = True
            last = c
        elif c not in b" \t\r\n":
            if c in b"}]" and last == 0x2C:  # a comma
                return " (a comma too many before line %d, or in it)" % line
            if c in b"{[":
                depth += 1
            elif c in b"}]":
                depth -= 1
            elif c in b"'/#":
                return " (unexpected %s in line %d)" % (chr(c), line)
            last = c
        i += 1
    if depth:
        return " (%d closing bracket(s) %s)" % (abs(depth), "missing" if depth > 0 else "too many")
    return ""


def check(data, errors):
    # See config.check().
    _check(data, "", errors)
    return data


def _tell(errors, text):
    if len(errors) < _ERRORS:
        errors.append(text if len(text) <= 200 else text[:197] + "...")
    elif len(errors) == _ERRORS:
        errors.append("and more errors, which are not shown")


def _check(data, prefix, errors):
    # One object: prefix is its path with a dot at the end ("" for the root, "wifi.networks[]." for an item).
    for key in list(data):
        value = data[key]
        path = prefix + key
        # A dot in a key would pass for a path: such a key is in no row.
        row = None if "." in key else find(path)
        if "." in key:
            _tell(errors, '%s: expected sections one in another, such as {"mqtt": {"port": 1883}}' % path)
        elif row is None and not is_section(path):
            near = _nearest(path) if len(errors) < _ERRORS else None
            _tell(errors, "%s: unknown key%s" % (path, ", did you mean %s?" % near if near else ""))
        elif value is None:
            pass  # null = the default
        elif row is None or row[1] == "dict":
            if isinstance(value, dict):
                _check(value, path + ".", errors)
                continue
            _tell(errors, "%s: expected an object {...}, got %s" % (path, _kind(value)))
        elif row[1] == "list":
            if isinstance(value, list):
                data[key] = _items(value, path, errors)
                continue
            _tell(errors, "%s: expected a list [...], got %s" % (path, _kind(value)))
        elif row[1].rstrip("!*@") in ("strs", "ints", "nums") and isinstance(value, list):
            for n, item in enumerate(value):
                wrong, value[n] = _value(item, row, -1)
                if wrong:
                    _tell_wrong(errors, "%s[%d]" % (path, n), wrong, item, row)
                    break
            else:
                continue
        else:
            wrong, data[key] = _value(value, row)
            if not wrong:
                continue
            _tell_wrong(errors, path, wrong, value, row)
        del data[key]


def _tell_wrong(errors, path, wrong, value, row):
    # Errors are logged and published: what stands for a password must not be in them.
    secret = "*" in row[1] or isinstance(value, str) and "@" in value  # of a URL
    _tell(errors, "%s: expected %s, got %s" % (path, wrong, "something else" if secret else _show(value)))


def _items(values, path, errors):
    # The good items of a list; an error for each of the others.
    good = []
    for n, item in enumerate(values):
        found = []
        name = "%s[%d]" % (path, n)
        good_item = isinstance(item, dict)
        if good_item:
            _check(item, path + "[].", found)
            for row in KEYS:
                key = row[0].rsplit(".", 1)[-1]
                if row[0] == path + "[]." + key and "!" in row[1] and item.get(key) is None:
                    if not any(e.startswith(row[0] + ":") for e in found):
                        _tell(found, "%s: expected a value, got nothing" % row[0])
            # Not with a default in place of one wrong value: a network without its password is another network.
            good_item = all(": unknown key" in e for e in found)
            for e in found:
                _tell(errors, e.replace(path + "[]", name))
        else:
            _tell(errors, "%s: expected an object {...}, got %s" % (name, _kind(item)))
        if good_item:
            good.append(item)
    return good


def _value(value, row, end=None):
    # (what was expected, None if the value is right; the value as it is used). end: -1 for an item of a list of such.
    kind = row[1].rstrip("!*@")[:end]
    low, high = (row[3] + (None, None))[:2]
    wrong = None
    if kind == "any" or kind == "free" and isinstance(value, dict):
        if not _is_free(value, 0):
            wrong = "texts without NUL and half characters, numbers that are numbers"
    elif kind in ("strs", "ints", "nums"):
        wrong = "a list [...]"
    elif kind == "free":
        wrong = "an object {...}"
    elif kind == "bool":
        if not isinstance(value, bool):
            wrong = "true or false"
    elif kind == "str":
        if not isinstance(value, str) or not _is_text(value):
            wrong = "a text"
        elif isinstance(low, str):
            for word in row[3]:
                if word.lower() == value.lower():
                    return None, word
            wrong = "one of " + ", ".join(row[3])
        elif low is not None and not low <= len(value.encode()) <= high:
            wrong = "%d characters" % low if low == high else "%d to %d bytes" % (low, high)
    else:
        whole = kind == "int"
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and -1e18 < value < 1e18
        if good and whole and value == int(value):
            value = int(value)  # 1e3 is a whole number too
        elif whole:
            good = False
        if not good or low is not None and not low <= value <= high:
            wrong = ("a whole number" if whole else "a number") if low is None else "%s to %s" % (low, high)
    return wrong, value


def _is_free(value, depth):
    # Whether a value that the table says nothing of can be written as JSON again, and sent.
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    if isinstance(value, (dict, list)):
        if depth > _DEPTH:
            return False
        if isinstance(value, list):
            return all(_is_free(item, depth + 1) for item in value)
        return all(_is_text(key) and _is_free(item, depth + 1) for key, item in value.items())
    return True


def _is_text(text):
    # Whether an MQTT packet may hold it: no NUL, and no half of a surrogate pair, which JSON can write down.
    return all(c != "\0" and not 0xD800 <= ord(c) <= 0xDFFF for c in text)


def _show(value):
    # A value as the user wrote it, cut where it is long. Not what is inside an object or a list: that may be a
    # password in the wrong place, and may be nested deeper than the stack is.
    if isinstance(value, dict):
        return "an object {...}"
    if isinstance(value, list):
        return "a list [...]"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _kind(value):
    # The same in the place of an object or a list, where even a text may be a password.
    return "a text" if isinstance(value, str) else _show(value)


def _nearest(path):
    # The known path that a misspelt one most likely means, or None.
    best = None
    least = max(2, len(path) // 3) + 1
    for row in KEYS:
        end = len(row[0])
        while end > 0:  # a section can be misspelt as well as a key
            name = row[0][:end]
            if abs(len(name) - len(path)) < least and not name.endswith("[]"):
                d = _distance(path, name, least)
                if d < least:
                    least = d
                    best = name
            end = row[0].rfind(".", 0, end)
    return best


def _distance(a, b, limit):
    # How many letters must be changed, put in or taken out to make one of the other (Levenshtein); limit if not fewer.
    before = list(range(len(b) + 1))
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            row.append(min(before[j] + (x != y), before[j + 1] + 1, row[j] + 1))
        before = row
        if min(row) >= limit:
            return limit
    return before[-1]
