"""Checking the object of a configuration against the table in configkeys."""

import json

from .config import is_section
from .config import row as find
from .configkeys import KEYS

_ERRORS = 8  # texts of errors that are kept: they stay in RAM, and all of them go into SYSINFO
_DEPTH = 20  # objects and lists one in another, in what is the user's own: the checks call themselves


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
        if not isinstance(key, str):  # json.loads() takes anything for a key
            _tell(errors, "%s%r: expected a key in quotation marks" % (prefix, key))
            del data[key]
            continue
        path = prefix + key
        # A dot in a key would pass for a path: such a key is in no row.
        row = None if "." in key or "[" in key else find(path)
        if row and row[1][-1] in "*@":
            value = _opened(value, row, path, errors)
            if value is None:
                del data[key]
                continue
        if "." in key or "[" in key:
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


def _opened(value, row, path, errors):
    # What is sealed in a value, None (with an error added) if this chip cannot open it; other values as they are.
    if not isinstance(value, str) or "enc:" not in value:
        return value
    from .secrets import decrypt, is_sealed, url_password

    start, end = 0, len(value)
    if row[1][-1] == "@":
        start, end = url_password(value) or (0, 0)
    text = value[start:end]
    if not is_sealed(text):
        return value
    text = decrypt(text)
    if text is None:
        _tell(
            errors,
            "%s: expected a password that was encrypted on this chip, got another; write it again" % path,
        )
        return None
    return value[:start] + text + value[end:]


def _tell_wrong(errors, path, wrong, value, row):
    # Errors are logged and published: what stands for a password must not be in them.
    secret = "*" in row[1] or isinstance(value, str) and "@" in value  # of a URL
    _tell(errors, "%s: expected %s, got %s" % (path, wrong, "something else" if secret else show(value)))


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
            wrong = "whole characters and numbers that are numbers in it"
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
        return _is_whole(value)
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    if isinstance(value, (dict, list)):
        if depth > _DEPTH:
            return False
        if isinstance(value, list):
            return all(_is_free(item, depth + 1) for item in value)
        return all(_is_whole(key) and _is_free(item, depth + 1) for key, item in value.items())
    return True


def _is_text(text):
    # Whether an MQTT packet may hold it: no NUL, and no half of a surrogate pair, which JSON can write down.
    return "\0" not in text and _is_whole(text)


def _is_whole(text):
    return not any(0xD800 <= ord(c) <= 0xDFFF for c in text)


def show(value):
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
    return "a text" if isinstance(value, str) else show(value)


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
