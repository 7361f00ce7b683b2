"""A configuration as it is shown to somebody far away: no password in it, and what comes back with the same gaps.

Which texts are passwords the table says (configkeys). What is inside a component's own part nobody can know: it is
shown as it is.
"""

import json

from coldframe.config import is_section, row
from coldframe.configkeys import KEYS
from coldframe.secrets import url_password

HIDDEN = "*****"


def pieces(value, path=""):
    """Yield JSON of a part of a configuration in short texts, with HIDDEN in the place of each password.

    value: as the file has it. path: of the value, with [] for an item of a list; "" for the whole. A key that the table
    does not know may be a misspelt password: what it holds is hidden, too.
    """
    kind = _kind(path)
    if value is None or isinstance(value, bool):
        yield json.dumps(value)
    elif kind == "*" or kind == "?":
        yield json.dumps(HIDDEN)
    elif kind != "section":
        spot = _spot(value, path) if kind == "@" else None
        yield from _plain_pieces(value[: spot[0]] + HIDDEN + value[spot[1] :] if spot else value)
    elif isinstance(value, dict):
        mark = "{"
        for key in value:
            yield mark + json.dumps(key) + ": "
            yield from pieces(value[key], path + "." + key if path else key)
            mark = ", "
        yield "}" if value else "{}"
    elif isinstance(value, list):
        mark = "["
        for item in value:
            yield mark
            yield from pieces(item, path + "[]")
            mark = ", "
        yield "]" if value else "[]"
    else:
        yield json.dumps(HIDDEN)  # something else where an object belongs


def _plain_pieces(value):
    # The user's own part: a component at a time, or it would need a large block of memory.
    if isinstance(value, dict):
        mark = "{"
        for key in value:
            yield mark + json.dumps(key) + ": "
            yield json.dumps(value[key])
            mark = ", "
        yield "}" if value else "{}"
    else:
        yield json.dumps(value)


def _kind(path):
    # What is at a path: "section" (more keys, or a list of such), "*" and "@" as in the table, "" (to be shown), "?".
    if not path:
        return "section"
    found = row(path)
    if found:
        return "section" if found[1] in ("dict", "list") else found[1][-1] if found[1][-1] in "*@" else ""
    if is_section(path) or path.endswith("[]") and is_section(path[:-2]):
        return "section"
    while path:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
        found = row(path)
        if found:  # an item of a list of texts or numbers, or a part of what is the user's own
            return "?" if found[1] in ("dict", "list") else ""
    return "?"


def _spot(value, path):
    # Where the password is in a value, None if it has none.
    found = row(path) if isinstance(value, str) and value else None
    kind = found[1][-1] if found else ""
    if kind == "*":
        return 0, len(value)
    if kind == "@":
        return url_password(value)


def filled(new, old, prefix, errors):
    """Put the stored passwords into the gaps of a configuration, or a part of one, that was shown and has come back.

    new: dict, changed in place. old: what is stored. Items of a list go by the key that must be given (ssid, host,
    name). errors: list to which a text is added for each gap for which there is no password.
    """
    for key in new:
        value = new[key]
        path = prefix + key
        before = old.get(key) if isinstance(old, dict) else None
        if isinstance(value, dict):
            filled(value, before, path + ".", errors)
        elif isinstance(value, list):
            name = _name(path)
            for n, item in enumerate(value):
                if isinstance(item, dict):
                    filled(item, _same(item, before, name, n), path + "[].", errors)
        else:
            spot = _spot(value, path)
            if spot and value[spot[0] : spot[1]] == HIDDEN:
                place = _spot(before, path)
                if place is None:
                    errors.append(
                        "%s: expected a password, there is none stored that %s could stand for"
                        % (path, HIDDEN)
                    )
                else:
                    new[key] = value[: spot[0]] + before[place[0] : place[1]] + value[spot[1] :]


def _name(path):
    # The key by which the items of a list are told apart.
    path += "[]."
    for found in KEYS:
        if found[0].startswith(path) and "!" in found[1] and "*" not in found[1]:
            return found[0][len(path) :]


def _same(item, before, name, n):
    # The stored item that an item stands for: the one of the same name, and of several such the one at its place.
    if not isinstance(before, list):
        return None
    at = before[n] if n < len(before) else None
    if name is None:
        return at
    wanted = _plain(item, name)
    if isinstance(at, dict) and _plain(at, name) == wanted:
        return at
    for other in before:
        if isinstance(other, dict) and _plain(other, name) == wanted:
            return other


def _plain(item, name):
    # A name may be a URL with a password in it.
    text = item.get(name)
    spot = url_password(text) if isinstance(text, str) else None
    return text[: spot[0]] + text[spot[1] :] if spot else text
