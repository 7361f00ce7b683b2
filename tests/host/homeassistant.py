"""The rules of Home Assistant for MQTT discovery in the device form, as published with version 2026.11, in our words.

Sources: https://www.home-assistant.io/integrations/mqtt/ and the pages of its platforms, and
https://developers.home-assistant.io/docs/core/entity/sensor for units and classes. Only what we use is known here:
whatever else is in a document is an error, so that a key cannot be misspelt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

# The short names of the keys that we use.
SHORT = {
    "avty_t": "availability_topic",
    "cmd_t": "command_topic",
    "cmd_tpl": "command_template",
    "cmps": "components",
    "def_ent_id": "default_entity_id",
    "dev": "device",
    "dev_cla": "device_class",
    "en": "enabled_by_default",
    "ent_cat": "entity_category",
    "exp_aft": "expire_after",
    "ic": "icon",
    "o": "origin",
    "ops": "options",
    "p": "platform",
    "pl_off": "payload_off",
    "pl_on": "payload_on",
    "stat_cla": "state_class",
    "stat_t": "state_topic",
    "stat_val_tpl": "state_value_template",
    "sug_dsp_prc": "suggested_display_precision",
    "uniq_id": "unique_id",
    "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
}
SHORT_DEVICE = {
    "cu": "configuration_url",
    "hw": "hw_version",
    "ids": "identifiers",
    "mdl": "model",
    "mf": "manufacturer",
    "sa": "suggested_area",
    "sn": "serial_number",
    "sw": "sw_version",
}
SHORT_ORIGIN = {"sw": "sw_version", "url": "support_url"}

# Device class -> units that go with it; () = no unit.
SENSOR_CLASSES = {
    "battery": ("%",),
    "data_size": ("bit", "kbit", "B", "kB", "MB", "KiB", "MiB"),
    "distance": ("km", "m", "cm", "mm", "in", "ft", "mi"),
    "duration": ("d", "h", "min", "s", "ms"),
    "enum": (),
    "humidity": ("%",),
    "illuminance": ("lx",),
    "pressure": ("hPa", "kPa", "Pa", "bar", "mbar", "psi"),
    "signal_strength": ("dB", "dBm"),
    "temperature": ("°C", "°F", "K"),
    "timestamp": (),
    "voltage": ("V", "mV", "µV", "kV"),
    "volume_storage": ("L", "mL", "m³", "gal"),
}
BINARY_CLASSES = ("battery", "door", "moisture", "motion", "opening", "problem", "window")
STATE_CLASSES = ("measurement", "total", "total_increasing")


class RuleError(AssertionError):
    """A document that Home Assistant would refuse: the text says where and why."""


def _need(condition: object, where: str, what: str) -> None:
    if not condition:
        raise RuleError(f"{where}: {what}")


def _text(value: Any, where: str) -> None:
    _need(isinstance(value, str) and value, where, f"expected a text, got {value!r}")


def _topic(value: Any, where: str) -> None:
    _text(value, where)
    _need(not set("+#\0") & set(value) and len(value.encode()) <= 65535, where, f"no topic: {value!r}")


def _template(value: Any, where: str) -> None:
    _text(value, where)
    _need(value.count("{{") == value.count("}}") > 0, where, f"no template: {value!r}")


def _bool(value: Any, where: str) -> None:
    _need(isinstance(value, bool), where, f"expected true or false, got {value!r}")


def _number(value: Any, where: str) -> None:
    _need(isinstance(value, int | float) and not isinstance(value, bool), where, f"no number: {value!r}")


def _count(value: Any, where: str) -> None:
    _need(
        isinstance(value, int) and not isinstance(value, bool) and value >= 0, where, f"no count: {value!r}"
    )


def _texts(value: Any, where: str) -> None:
    _need(isinstance(value, list) and value, where, "expected a list with something in it")
    for item in value:
        _text(item, where)


def _entity_id(value: Any, where: str) -> None:
    _need(re.fullmatch(r"[a-z_]+\.[a-z0-9]+(_[a-z0-9]+)*", str(value)), where, f"no entity_id: {value!r}")


def _icon(value: Any, where: str) -> None:
    _need(re.fullmatch(r"[a-z]+:[a-z0-9-]+", str(value)), where, f"no icon: {value!r}")


def _url(value: Any, where: str) -> None:
    _need(re.match(r"https?://[^/ ]+", str(value)), where, f"no URL: {value!r}")


Check = Callable[[Any, str], None]
COMMON: dict[str, Check] = {
    "platform": _text,
    "unique_id": _text,
    "default_entity_id": _entity_id,
    "name": _text,
    "enabled_by_default": _bool,
    "entity_category": _text,
    "icon": _icon,
}
READ: dict[str, Check] = {"state_topic": _topic, "value_template": _template}
COMMAND: dict[str, Check] = {"command_topic": _topic, "command_template": _template}
ON_OFF: dict[str, Check] = {"payload_on": _text, "payload_off": _text}
CLASS: dict[str, Check] = {"device_class": _text}
UNIT: dict[str, Check] = {"unit_of_measurement": _text}
RANGE: dict[str, Check] = {"min": _number, "max": _number, "mode": _text}
# Platform -> (keys that it knows beside the common ones, keys that it needs).
PLATFORMS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "sensor": (
        READ
        | CLASS
        | UNIT
        | {
            "expire_after": _count,
            "state_class": _text,
            "options": _texts,
            "suggested_display_precision": _count,
        },
        ("state_topic",),
    ),
    "binary_sensor": (READ | CLASS | ON_OFF | {"expire_after": _count}, ("state_topic",)),
    "switch": (READ | COMMAND | CLASS | ON_OFF, ("command_topic",)),
    "light": (
        COMMAND | ON_OFF | {"state_topic": _topic, "state_value_template": _template},
        ("command_topic",),
    ),
    "number": (READ | COMMAND | CLASS | UNIT | RANGE | {"step": _number}, ("command_topic",)),
    "select": (READ | COMMAND | {"options": _texts}, ("command_topic", "options")),
    "text": (READ | COMMAND | RANGE, ("command_topic",)),
    "button": (COMMAND | CLASS, ("command_topic",)),
}
DEVICE: dict[str, Check] = {
    "identifiers": _texts,
    "name": _text,
    "manufacturer": _text,
    "model": _text,
    "sw_version": _text,
    "hw_version": _text,
    "serial_number": _text,
    "suggested_area": _text,
    "configuration_url": _url,
}
ORIGIN: dict[str, Check] = {"name": _text, "sw_version": _text, "support_url": _url}


def _long(table: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    found = {names.get(key, key): value for key, value in table.items()}
    _need(len(found) == len(table), "keys", f"one of them twice: {sorted(table)}")
    return found


def _keys(table: dict[str, Any], known: dict[str, Check], where: str) -> None:
    for key, value in table.items():
        _need(key in known, f"{where}.{key}", "unknown key")
        known[key](value, f"{where}.{key}")


def check(topic: str, payload: bytes, prefix: str = "homeassistant") -> dict[str, dict[str, Any]]:
    """Check a document. Returns its entities with the long names of the keys; those to be removed have a platform only.

    Raises:
        RuleError: if Home Assistant would refuse it, or a part of it.
    """
    _need(
        re.fullmatch(re.escape(prefix) + r"/device/([a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config", topic),
        topic,
        "no such topic",
    )

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _need(len({key for key, _ in pairs}) == len(pairs), topic, f"a key twice in {[k for k, _ in pairs]}")
        return dict(pairs)

    document = _long(json.loads(payload.decode(), object_pairs_hook=once), SHORT)
    _need(
        set(document) == {"device", "origin", "availability_topic", "components"},
        topic,
        f"keys {sorted(document)}",
    )
    device = _long(document["device"], SHORT_DEVICE)
    _keys(device, DEVICE, "device")
    _need(device.get("identifiers"), "device", "needs identifiers")
    origin = _long(document["origin"], SHORT_ORIGIN)
    _keys(origin, ORIGIN, "origin")
    _need("name" in origin, "origin", "needs a name")
    _topic(document["availability_topic"], "availability_topic")
    entities = {cid: _long(table, SHORT) for cid, table in document["components"].items()}
    unique: set[str] = set()
    for cid, entity in entities.items():
        _need(" " not in cid, cid, "a space in the id")
        _entity(cid, entity)
        if len(entity) > 1:
            _need(entity["unique_id"] not in unique, cid, "its unique_id is another one's")
            unique.add(entity["unique_id"])
    return entities


def _entity(cid: str, entity: dict[str, Any]) -> None:
    platform = entity.get("platform")
    _need(platform in PLATFORMS, cid, f"no platform {platform!r}")
    assert isinstance(platform, str)
    if len(entity) == 1:
        return  # to be removed
    known, needed = PLATFORMS[platform]
    _keys(entity, COMMON | known, cid)
    for key in ("unique_id", *needed):
        _need(key in entity, cid, f"needs {key}")
    _need(entity["default_entity_id"].split(".")[0] == platform, cid, "default_entity_id of another platform")
    category = entity.get("entity_category")
    _need(category in (None, "config", "diagnostic"), cid, f"entity_category {category!r}")
    if platform in ("sensor", "binary_sensor"):
        _need(category != "config", cid, "is no setting")
    device_class, unit = entity.get("device_class"), entity.get("unit_of_measurement")
    if platform == "sensor":
        _need(entity.get("state_class") in (None, *STATE_CLASSES), cid, "state_class")
        if device_class is not None:
            _need(device_class in SENSOR_CLASSES, cid, f"device_class {device_class!r}")
            _need(unit in (SENSOR_CLASSES[device_class] or (None,)), cid, f"{device_class} in {unit!r}")
        if "options" in entity:
            _need(device_class == "enum" and "state_class" not in entity, cid, "options are for enum")
    elif platform == "binary_sensor":
        _need(device_class in (None, *BINARY_CLASSES), cid, f"device_class {device_class!r}")
    elif platform == "button":
        _need(device_class in (None, "identify", "restart", "update"), cid, f"device_class {device_class!r}")
    elif platform == "number":
        _need(entity.get("min", 1) <= entity.get("max", 100), cid, "min above max")
        _need(entity.get("step", 1) >= 0.001, cid, "step below 0.001")
        _need(entity.get("mode", "auto") in ("auto", "box", "slider"), cid, "mode")
    elif platform == "text":
        _need(0 <= entity.get("min", 0) <= entity.get("max", 255) <= 255, cid, "length")
        _need(entity.get("mode", "text") in ("text", "password"), cid, "mode")
