"""docs/config.schema.json and the validator on the device give the same verdict on good and bad settings."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host.simboards import DEADLINE, image
from jsonschema import Draft202012Validator
from kit.simboard import SimBoard

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import docs  # noqa: E402

MAIN = """
import json
from coldframe import config, log
log.console(None)
with open("/cases") as f:
    for line in f:
        errors = []
        config.check(json.loads(line), errors)
        print("VERDICT", json.dumps(errors))
print("END")
"""

FOREIGN: list[Any] = [
    "",
    "text",
    0,
    1,
    -1,
    2.5,
    1e9,
    True,
    False,
    [],
    {},
    [1],
    ["text"],
    {"a": 1},
    [{}],
    "a\0b",
]


def nested(path: str, value: Any) -> dict[str, Any]:
    """The configuration with one value at a path; the needed keys of a list's item are there."""
    keys = {key.path for key in docs.read_keys() if "!" in key.kind}
    parts = path.split(".")
    for n in range(len(parts) - 1, -1, -1):
        name = parts[n]
        above = ".".join(parts[: n + 1])
        if name.endswith("[]"):
            for key in keys:
                if key.rsplit(".", 1)[0] == above:
                    value.setdefault(key.rsplit(".", 1)[1], "needed")
            value = {name[:-2]: [value]}
        else:
            value = {name: value}
    return value


def values(key: docs.Key) -> Iterator[Any]:
    """What lies at the edges of what a key may be, and beyond them."""
    yield from (None, key.default, *FOREIGN)
    limits = key.limits
    if limits and isinstance(limits[0], str):
        for word in limits:
            yield from (word, word.lower(), word.capitalize(), word + "x", " " + word)
    elif limits and key.kind.rstrip("!*@") in ("str", "strs"):
        for size in (limits[0] - 1, *limits, limits[1] + 1):
            yield "x" * max(size, 0)
            yield ["x" * max(size, 0)]
            yield "mqtt://u:" + "x" * max(size - 12, 0) + "@hh"
    elif limits:
        for edge in limits:
            for step in (-1, 0, 1):
                yield from (edge + step, float(edge + step), edge + step + 0.5, [edge + step])


def cases() -> list[Any]:
    """Every key at its edges, keys that do not exist, the examples."""
    found: list[Any] = [{}, {"elephant": 1}, {"mqtt.port": 1}, {"mqtt": None}, {"mqtt": {"[]": 1}}]
    for key in docs.read_keys():
        found += [nested(key.path, value) for value in values(key)]
        found += [nested(key.path + "x", 1)]
    found += [json.loads(path.read_text()) for path in (ROOT / "examples").rglob("config.json")]
    good: dict[str, Any] = {
        "wifi": {"networks": [{"ssid": "a"}, {"ssid": "b", "password": "p"}]},
        "mqtt": {"host": "h", "tls": {"ca": "/ca.der"}, "fallback": [{"host": "i", "tls": {}}]},
        "components": {"_order": ["x"], "x": {"package": "p", "constructor_args": [1, None, {"a": {}}]}},
    }
    found.append(good)
    dice = random.Random(4)
    for _ in range(200):
        found.append({key: mutated(value, dice) for key, value in good.items()})
    return [json.loads(json.dumps(case)) for case in found]


def mutated(value: Any, dice: random.Random) -> Any:
    """A copy of a value in which something may be another thing."""
    if dice.random() < 0.08:
        return dice.choice([None, *FOREIGN])
    if isinstance(value, dict):
        return {k + ("x" if dice.random() < 0.03 else ""): mutated(v, dice) for k, v in value.items()}
    if isinstance(value, list):
        return [mutated(v, dice) for v in value if dice.random() > 0.05]
    return value


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json.loads((ROOT / "docs/config.schema.json").read_text()))


def test_schema_and_device_agree(tmp_path: Path) -> None:
    validator = Draft202012Validator(json.loads((ROOT / "docs/config.schema.json").read_text()))
    tried = cases()
    with SimBoard(image(), tmp_path, options=("--exit",)) as board:
        board.put("main.py", MAIN)
        board.put("cases", "".join(json.dumps(case) + "\n" for case in tried))
        board.start()
        board.wait_for("\nEND", DEADLINE)
        verdicts = [
            json.loads(line[8:]) for line in board.console.splitlines() if line.startswith("VERDICT ")
        ]
    assert len(verdicts) == len(tried)
    different = []
    good = 0
    for case, errors in zip(tried, verdicts, strict=True):
        valid = validator.is_valid(case)
        good += valid
        if valid == bool(errors):
            different.append((case, errors, [e.message for e in validator.iter_errors(case)]))
    assert not different, "\n".join(map(str, different[:20]))
    assert good > 300 and len(tried) - good > 300


@pytest.mark.parametrize("value", ["enc:" + "A" * 60, "enc:" + "A" * 99 + "=="])
def test_the_schema_takes_encrypted_passwords(value: str) -> None:
    validator = Draft202012Validator(json.loads((ROOT / "docs/config.schema.json").read_text()))
    assert validator.is_valid({"wifi": {"networks": [{"ssid": "a", "password": value}]}})
    assert validator.is_valid({"mqtt": {"password": value, "host": f"mqtt://u:{value}@{'h' * 250}"}})
    assert not validator.is_valid({"wifi": {"networks": [{"ssid": value}]}})
