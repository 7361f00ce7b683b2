"""config.json on the host: reading it, and checking it against the firmware's own schema before it goes anywhere.

The schema is the one in docs/config.schema.json, made from the same table as the check on the device.
"""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from .errors import CliError

LIMIT = 16384  # bytes of a config.json that a device reads


class SettingsError(CliError):
    """A configuration that is wrong; ``texts`` has a line for each mistake."""

    code = "config"

    def __init__(self, texts: list[str]) -> None:
        super().__init__("\n".join(texts))
        self.texts = texts


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of config.json."""
    text = resources.files(__package__).joinpath("config.schema.json").read_text("utf-8")
    return dict(json.loads(text))


def parse(text: str, where: str) -> dict[str, Any]:
    """The object in a config.json. where: for messages. Raises SettingsError."""
    if len(text.encode()) > LIMIT:
        raise SettingsError([f"{where}: expected at most {LIMIT} bytes, got {len(text.encode())}"])
    twice: list[str] = []

    def pairs(rows: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in rows]
        twice.extend(name for name in dict.fromkeys(names) if names.count(name) > 1)
        return dict(rows)

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    try:
        data = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:]
        raise SettingsError(
            [f"{where}: not JSON, line {error.lineno}, column {error.colno}: {what}"]
        ) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError([f"{where}: not JSON: {error}"]) from None
    if not isinstance(data, dict):
        raise SettingsError([f"{where}: expected an object {{...}}, got {_shown(data)}"])
    if twice:
        raise SettingsError([f"{where}: {name!r} is given twice" for name in twice])
    return data


def read(path: Path) -> dict[str, Any]:
    """The object in a file, checked. Raises SettingsError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: expected UTF-8, got byte {error.object[error.start]:#04x}"]) from None
    data = parse(text, str(path))
    if texts := check(data):
        raise SettingsError([f"{path}: {text}" for text in texts])
    return data


def check(data: dict[str, Any]) -> list[str]:
    """What is wrong with a configuration: a line for each mistake, as the device words it; empty if all is well."""
    from jsonschema import Draft202012Validator

    texts = []
    for error in Draft202012Validator(schema()).iter_errors(data):
        texts += _sentences(error)
    return sorted(texts)


def assign(text: str) -> dict[str, Any]:
    """The change that a person writes as PATH=VALUE: ``mqtt.port=8883`` is {"mqtt": {"port": 8883}}.

    A value that is JSON counts as that (8883, true, null, [...], {...}, "8883"), anything else is a text. A key that
    takes only texts may be given a number without quotes: ``wifi.hostname=7``.

    Raises:
        SettingsError: it is not of that form.
    """
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SettingsError([f"{text!r}: expected PATH=VALUE, such as mqtt.port=8883"])
    found = _value(path.strip(), value)
    for key in reversed(keys):
        found = {key: found}
    return dict(found)


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Changes taken into a configuration, as the device does it (JSON Merge Patch, RFC 7396); a new dict."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            old = merged.get(key)
            merged[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The changes that make ``new`` of ``old``: what merge() undoes."""
    changes: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            changes[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            if inner := difference(old[key], value):
                changes[key] = inner
        elif value != old[key] or type(value) is not type(old[key]):
            changes[key] = value
    return changes


def ordered(data: Any, place: dict[str, Any] | None = None) -> Any:
    """The same configuration with its keys in the order of the schema, which is that of docs/config.md."""
    place = schema() if place is None else place
    if isinstance(data, dict):
        inner = place.get("properties", {})
        keys = [key for key in inner if key in data] + sorted(key for key in data if key not in inner)
        return {key: ordered(data[key], inner.get(key, {})) for key in keys}
    if isinstance(data, list):
        return [ordered(value, place.get("items", {})) for value in data]
    return data


def entry(path: str) -> dict[str, Any] | None:
    """The part of the schema that describes a path such as "mqtt.port"; None if there is no such key."""
    place: dict[str, Any] | None = schema()
    for key in path.split("."):
        place = (place or {}).get("properties", {}).get(key)
    return place


def _value(path: str, text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    described = entry(path)
    if (
        described
        and isinstance(found, int | float)
        and not isinstance(found, bool)
        and _only_texts(described)
    ):
        return text
    return found


def _only_texts(described: dict[str, Any]) -> bool:
    kinds = described.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    for branch in described.get("anyOf", []):
        kinds.append(branch.get("type", "string"))
    return set(kinds) <= {"string", "null"}


def _sentences(error: Any) -> list[str]:
    path = _path(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = [key for key in error.instance if key not in known]
        return [_unknown(f"{path}.{key}" if path else key, key, known) for key in unknown]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [f"{path or 'config'}: expected the key {key!r}" for key in missing]
    value = (
        "a password that is not right"
        if "password" in path or path.endswith(".key")
        else _shown(error.instance)
    )
    return [f"{path}: expected {_expected(error)}, got {value}"]


def _unknown(path: str, key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f"{path}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")


def _expected(error: Any) -> str:
    place = error.schema
    if "anyOf" in place:
        branches = [branch for branch in place["anyOf"] if branch.get("type") != "null"]
        place = branches[0]
    if "enum" in place:
        return "one of " + ", ".join(place["enum"])
    kinds = place.get("type", [])
    kind = next((k for k in ([kinds] if isinstance(kinds, str) else kinds) if k != "null"), "")
    if "minimum" in place:
        whole = "" if kind == "number" else "a whole number of "
        return f"{whole}{place['minimum']} to {place['maximum']}"
    if "minLength" in place:
        return f"a text of {place['minLength']} to {place['maxLength']} bytes without NUL"
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "object": "an object {...}",
        "array": "a list [...]",
    }
    return words.get(kind, "a text")


def _path(parts: Any) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", text)
    return text if len(text) <= 60 else text[:57] + "..."
