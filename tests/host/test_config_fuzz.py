"""Any bytes at all in /config.json and /wifi.json: the node is always made, and save() always repairs it."""

from __future__ import annotations

import base64
import json
import random
import re
from pathlib import Path
from typing import Any

from host.simboards import image
from kit.simboard import SimBoard

CASES = 1200
SEED = 20261121
DEPTH = 20  # of modules/coldframe/configscan.py
LONG = 40  # characters of a number there

MAIN = """
import binascii, gc, json, os
import coldframe
from coldframe import Node, config, log, store
log.console(None)
log.console = lambda *args: None  # Node sets it from the configuration
def clean():
    for name in ("config.json", "config.bak", "config.broken", "wifi.json", "wifi.broken"):
        store.remove("/" + name)
with open("/cases") as f:
    number = 0
    for line in f:
        text, wifi = (binascii.a2b_base64(part) for part in line.split(" "))
        clean()
        store.write("/config.json", text)
        if wifi:
            store.write("/wifi.json", wifi)
        try:
            node = Node()
            errors = node.errors
            # What is wrong must be sayable: it goes out as JSON over MQTT.
            json.loads(json.dumps(errors))
            first = node.config.given("wifi.networks") and list(node.config["wifi.networks"])
            saved = config.save({"name": "repaired"})
            after = Node()
            print("CASE", number, json.dumps([errors, saved, after.name]))
        except Exception as e:
            print("RAISED", number, repr(e), line)
            import sys
            sys.print_exception(e)
        number += 1
clean()
print("END")
"""

GOOD = {
    "name": "shed",
    "wifi": {"networks": [{"ssid": "A", "password": 'pä"ss'}, {"ssid": "B"}], "country": "NO"},
    "mqtt": {"host": "mqtt://u:p@h", "port": 1883, "password": "x", "tls": {}, "fallback": [{"host": "i"}]},
    "log": {"level": "INFO"},
    "components": {"a": {"b": [1, 2.5, None, True]}},
}
PIECES = [
    *(b"{ } [ ] , : \" \\ \\u \\ud800 \\u0000 null true NaN - -0 0 1e999 1e5 .5 :// @ ' /* enc:".split()),
    *(b'"password": "wifi": "networks":'.split()),
    *(b"\0", b"\xef\xbb\xbf", b"\xff", b"\n", b"\xc3", b"\xed\xa0\x80", b" " * 9000),
    *(b"9" * 41, b"1" * 400, b"[" * 30, b'{"a":' * 30, b"[" * 3000, b'"enc:' + b"A" * 60 + b'"'),
]


def case(dice: random.Random, good: Any = GOOD) -> bytes:
    """JSON text in which a few bytes or values may be others."""
    value = spoilt(good, dice, dice.choice([0, 0, 0.02, 0.1]))
    text = bytearray(
        json.dumps(value, indent=dice.choice([None, 1]), ensure_ascii=dice.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )
    )
    for _ in range(dice.choice([0, 0, 1, 1, 2, 5, 20])):
        at = dice.randrange(len(text) + 1)
        match dice.randrange(5):
            case 0:
                text[at:at] = dice.choice(PIECES)
            case 1:
                del text[at : at + dice.choice([1, 1, 3, 20])]
            case 2:
                text[at : at + 1] = bytes([dice.randrange(256)])
            case 3:
                text[at:at] = text[dice.randrange(len(text) + 1) :][: dice.randrange(60)]
            case 4:
                text[at : at + 1] = dice.choice(PIECES)
    return bytes(text[: dice.randrange(len(text))] if dice.random() < 0.05 else text)


def spoilt(value: Any, dice: random.Random, chance: float) -> Any:
    """A copy of a value in which some are others, or are called something else."""
    if dice.random() < chance:
        deep: Any = "x"
        for _ in range(dice.choice([1, 10, 25])):
            deep = dice.choice([[deep], {"a": deep}])
        return dice.choice(
            [None, 0, -1, 1e30, 10**30, "", "\0", "\ud800", "x" * 300, [], {}, True, [[1]], deep]
        )
    if isinstance(value, dict):
        return {
            dice.choice([k] * 30 + ["", "a.b", "wifi", "[]", "password", "host"]): spoilt(v, dice, chance)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [spoilt(v, dice, chance) for v in value]
    return value


def is_json(data: bytes) -> bool:
    """Whether the host's parser, with our limits, takes it."""

    def no(text: str) -> None:
        raise ValueError(text)

    def depth(value: Any) -> int:
        if isinstance(value, dict | list):
            return 1 + max(
                (depth(v) for v in (value.values() if isinstance(value, dict) else value)), default=0
            )
        return 0

    def numbered(pairs: list[tuple[str, Any]]) -> dict[int, Any]:  # so that a key given twice is there twice
        return {n: value for n, (_, value) in enumerate(pairs)}

    def number(text: str) -> float:
        if len(text) > LONG:
            raise ValueError(text)
        return float(text)

    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
        found = json.loads(
            text, parse_constant=no, parse_int=number, parse_float=number, object_pairs_hook=numbered
        )
        return depth(found) <= DEPTH
    except (ValueError, RecursionError):
        return False


def test_any_bytes(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    tried = []
    for _ in range(CASES):
        wifi = case(dice, {"A": "pass", "B": "", "C": None}) if dice.random() < 0.2 else b""
        tried.append((case(dice), wifi))
    with SimBoard(image(), tmp_path, options=("--exit", "--size", "16384")) as board:
        board.put("main.py", MAIN)
        board.put(
            "cases", b"".join(base64.b64encode(a) + b" " + base64.b64encode(b) + b"\n" for a, b in tried)
        )
        board.start()
        board.wait_for("\nEND", 120)
        console = board.console
    assert "RAISED" not in console, console[console.index("RAISED") :][:3000]
    outcomes = [json.loads(m[1]) for m in re.finditer(r"^CASE \d+ (.*)$", console, re.MULTILINE)]
    assert len(outcomes) == CASES
    taken = 0
    for (text, _), (errors, saved, name) in zip(tried, outcomes, strict=True):
        assert saved == [], (text, saved)
        assert name == "repaired", text
        if len(text) > 16384:
            assert any("at most 16384" in e for e in errors), text
            continue
        refused = any(
            e.startswith(("/config.json: not JSON", "/config.json: expected a JSON")) for e in errors
        )
        taken += not refused
        try:
            text.decode()
        except UnicodeDecodeError:
            continue  # the device looks less closely at UTF-8
        expected = is_json(text) and text.removeprefix(b"\xef\xbb\xbf").strip()[:1] == b"{"
        assert refused != expected, (text, errors)
    assert CASES // 4 < taken < CASES * 3 // 4
