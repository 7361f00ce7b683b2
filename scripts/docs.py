"""Write the parts of docs/ that come from the code.

    python3 scripts/docs.py            write them
    python3 scripts/docs.py --check    exit with 1 if one is not what the code says

docs/config.md is made from modules/coldframe/configkeys.py: its rows, and the comment above each row.
docs/conformance.md is made from tests/conformance/*.toml and the marks in the tests: see kit/conformance.py.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import conformance, ui

ROOT = Path(__file__).resolve().parent.parent
KEYS = ROOT / "modules/coldframe/configkeys.py"

HEAD = """\
# /config.json

<!-- Written by scripts/docs.py from modules/coldframe/configkeys.py: change that file, then run the script. -->

The settings of a device: one JSON object in the file `/config.json` on its flash. Every key is optional. A dot in the
table stands for an object in an object: `mqtt.port` is

```json
{"mqtt": {"port": 1883}}
```

and `wifi.networks[]` is a list, of which the rows below it describe one item. `null` means the default.

Nothing in this file can keep the device from starting. A value that is wrong is reported with its place and what was
expected, for example `mqtt.port: expected 1 to 65535, got "x"`, on the console, in the log and in the `errors` of the
[SYSINFO topic](topics.md); the default is used instead. So is an unknown key, with the known key that is nearest to it.
If the file is not JSON at all, the device uses `/config.bak`, a copy of the last settings with which it ran for
a minute, and keeps the broken file as `/config.broken`. The file may have up to 16 KB.

Where a text may hold `{id}`, that is replaced by the chip's number in hex, `{short}` by the last six digits of it,
and `{name}` by the name of the device.

| key | what | value | default |
|---|---|---|---|
"""


@dataclass
class Key:
    """One row of the table.

    Attributes: path; kind and limits as configkeys.py explains them; default; doc: the comment above the row.
    """

    path: str
    kind: str
    default: object
    limits: tuple
    doc: str


def read_keys(path: Path = KEYS) -> list[Key]:
    """The rows of the table in configkeys.py, in order.

    Raises:
        UserError: if a row is not a row, or has no comment.
    """
    text = path.read_text()
    lines = text.splitlines()
    table = next(
        (
            node.value
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "KEYS"
        ),
        None,
    )
    if not isinstance(table, ast.Tuple):
        raise ui.UserError("no table", where=path, expected="KEYS = ((path, kind, default, limits), ...)")
    keys = []
    for node in table.elts:
        row = ast.literal_eval(node)
        if not (isinstance(row, tuple) and len(row) == 4):
            raise ui.UserError(
                f"wrong row {row!r}", where=f"{path}:{node.lineno}", expected="(path, kind, default, limits)"
            )
        comment: list[str] = []
        number = node.lineno - 2
        while lines[number].strip().startswith("#"):
            comment.insert(0, lines[number].strip().lstrip("# "))
            number -= 1
        if not comment:
            raise ui.UserError(
                f"no comment above the row of {row[0]}",
                where=f"{path}:{node.lineno}",
                expected="what the key does",
            )
        keys.append(Key(*row, doc=" ".join(comment)))
    return keys


def value_text(key: Key) -> str:
    """What a key may be, for people."""
    kind = key.kind.rstrip("!*@")
    must = ", needed" if "!" in key.kind else ""
    limits = key.limits
    if kind in ("strs", "ints", "nums"):
        return "list of: " + value_text(Key(key.path, kind[:-1], None, limits, ""))
    if limits and isinstance(limits[0], str):
        return "one of " + ", ".join(f"`{word}`" for word in limits) + must
    if kind == "list":
        return "list of objects"
    if kind in ("dict", "free"):
        return "object"
    if kind == "any":
        return "anything"
    if kind == "bool":
        return "`true` or `false`"
    if kind == "str":
        if not limits:
            return "text" + must
        low, high = limits
        return f"text, {low} characters{must}" if low == high else f"text, {low} to {high} bytes{must}"
    span = f", {limits[0]} to {limits[1]}" if limits else ""
    return ("whole number" if kind == "int" else "number") + span + must


def config_page(keys: Sequence[Key]) -> str:
    """The text of docs/config.md."""
    rows = []
    for key in keys:
        if key.default is None:
            default = ""
        elif key.default == ():
            default = "`[]`"
        else:
            default = f"`{json.dumps(key.default)}`"
        rows.append(f"| `{key.path}` | {key.doc} | {value_text(key)} | {default} |\n")
    return HEAD + "".join(rows)


def pages() -> dict[Path, str]:
    """Every generated page with the text that it should have."""
    return {
        ROOT / "docs/config.md": config_page(read_keys()),
        ROOT / "docs/conformance.md": conformance.page(),
    }


def run(argv: Sequence[str]) -> int:
    """The command. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the parts of docs/ that come from the code.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a page is not current"
    )
    options = parser.parse_args(argv)
    status = 0
    for path, text in pages().items():
        if path.exists() and path.read_text() == text:
            continue
        if options.check:
            ui.say(f"error: {path.relative_to(ROOT)} is not what the code says; run: python3 scripts/docs.py")
            status = 1
        else:
            path.write_text(text)
            ui.say(f"wrote {path.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    ui.main(run)
