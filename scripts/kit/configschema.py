"""The JSON Schema of /config.json, from the table of its keys: editors complete, explain and check with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docs import Key

# What the device makes of a password (modules/coldframe/secrets.py).
SEALED = r"enc:[A-Za-z0-9_-]{60,}={0,2}"

HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$comment": "Written by scripts/docs.py from modules/coldframe/configkeys.py, which is to be changed instead.",
    "title": "Coldframe's /config.json",
}


def schema(keys: Sequence[Key]) -> dict[str, Any]:
    """The schema, as draft 2020-12 has it.

    A length is in characters there and in bytes on the device, so that a long text with other letters than English
    ones may pass here and not there; else the two agree, which tests/host/test_config_schema.py checks.
    """
    root = HEAD | _object(nullable=False)
    for key in keys:
        *sections, last = key.path.split(".")
        place = root
        for section in sections:
            place = _enter(place, section)
        needed = "!" in key.kind
        entry = _entry(key)
        if needed:
            place.setdefault("required", []).append(last)
        elif "type" in entry:
            entry["type"] = [entry["type"], "null"]
        elif "anyOf" in entry:
            entry["anyOf"].append({"type": "null"})
        place["properties"][last] = _described(key) | entry
    return root


def _object(nullable: bool = True) -> dict[str, Any]:
    kind = ["object", "null"] if nullable else "object"
    return {"type": kind, "additionalProperties": False, "properties": {}}


def _enter(place: dict[str, Any], section: str) -> dict[str, Any]:
    # The object in which the rows below a section are.
    name = section.removesuffix("[]")
    found: dict[str, Any] = place["properties"].setdefault(name, _object())
    if section.endswith("[]"):
        found = found["items"]
    elif "properties" not in found:  # a row of its own has made it
        found |= {"additionalProperties": False, "properties": {}}
    return found


def _described(key: Key) -> dict[str, Any]:
    text: dict[str, Any] = {"description": key.doc.replace("`", "")}
    text["description"] = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text["description"])
    if key.default is not None:
        text["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    return text


def _entry(key: Key) -> dict[str, Any]:
    kind = key.kind.rstrip("!*@")
    if kind == "any":
        return {}
    if kind in ("free", "dict"):
        return {"type": "object"}
    if kind == "list":
        return {"type": "array", "items": _object(nullable=False)}
    if kind in ("strs", "ints", "nums"):
        return {"type": "array", "items": _value(kind[:-1], key.limits)}
    value = _value(kind, key.limits)
    if "*" in key.kind:
        return {"anyOf": [value, {"type": "string", "pattern": f"^{SEALED}$"}]}
    if "@" in key.kind:
        return {"anyOf": [value, {"type": "string", "pattern": f"{SEALED}@"}]}
    return value


def _value(kind: str, limits: tuple[Any, ...]) -> dict[str, Any]:
    if kind == "bool":
        return {"type": "boolean"}
    if kind == "str":
        if limits and isinstance(limits[0], str):
            return {"anyOf": [{"enum": list(limits)}, {"type": "string", "pattern": _any_case(limits)}]}
        entry: dict[str, Any] = {"type": "string", "pattern": "^[^\\u0000]*$"}
        if limits:
            entry |= {"minLength": limits[0], "maxLength": limits[1]}
        return entry
    entry = {"type": "integer" if kind == "int" else "number"}
    if limits:
        entry |= {"minimum": limits[0], "maximum": limits[1]}
    return entry


def _any_case(words: Sequence[str]) -> str:
    # Editors offer the words of the enum; this takes them in another case as well, as the device does.
    def letter(c: str) -> str:
        return f"[{c.upper()}{c.lower()}]" if c.isalpha() else re.escape(c)

    return "^(" + "|".join("".join(letter(c) for c in word) for word in words) + ")$"
