"""Write the parts of docs/ that come from the code.

    python3 scripts/docs.py            write them
    python3 scripts/docs.py --check    exit with 1 if one is not what the code says

docs/config.md and docs/config.schema.json are made from modules/coldframe/configkeys.py: its rows, and the comment
above each row. The schema is in the package of the command `coldframe` as well, which checks settings with it.
docs/conformance.md is made from tests/conformance/*.toml and the marks in the tests: see kit/conformance.py.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import configschema, conformance, ui

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
A program changes the file with `coldframe.config.save({"mqtt": {"host": "10.0.0.5"}})`: merged into what is there
(RFC 7396: `None` removes a key, a list replaces a list), checked as a whole, written at once or, if a single value is
wrong or the flash is full, not at all; it returns the list of what was wrong. What runs takes it up after a restart.

## What is read as JSON

The file has to be JSON as RFC 8259 has it, in UTF-8, at most 16,384 bytes long, with at most 20 objects or lists one in
another and no number of more than 40 characters. The mark that editors on Windows put at the beginning is allowed, and
so is `1e3` for a whole number; comments, commas at the end of a list, and `NaN` are not. A key that is given twice is
reported, and the last one counts.

If it is anything else, the error names the line (`/config.json: not JSON, line 4: expected a comma or }, got "`), and
the device starts from `/config.bak`, a copy of the last settings with which it ran for a minute and reached its broker
(if they name one). What is broken stays where it is, and is kept as `/config.broken` with stars over its passwords. On
a device that has no `/config.bak` yet, MicroPython's own parser makes of the file what it can, which is all of it if
only a comma is wrong.

## Passwords

Passwords that you write are encrypted in the file when the device first reads it: the keys marked *password* in the
table, and the password in a URL. The rest of the file stays as you wrote it. `"enc:…"` is a password of this chip:
AES-128 in CBC mode and HMAC-SHA256, the key made from the chip's unique number and a random salt. To change a password,
write the new one in its place. `/config.bak` and `/config.broken` hold no readable password either.

What this is good for: nobody reads a password over your shoulder, in a backup, or in a file that you show or send to
others, and the file is of no use on another board. What it is not good for: whoever can run a program on the device, at
its serial console or through remote admin, can read the passwords, as the device itself can. So can whoever has the
file, knows the chip's number and takes the trouble: the number is no secret, it is in the device's MQTT topics as
`{id}`, and on ESP chips it is the MAC address. Blocks of the flash that are not in use may hold the readable text until
they are used again. Where that matters, use chips that encrypt their flash, keep the file to yourself, and give the
device a broker account and a network of its own.

On another chip, or when it is damaged, an encrypted password is reported (`mqtt.password: expected a password that was
encrypted on this chip, got another; write it again`) and counts as not given; a network is then left out, because
without its password it would be another network of that name. An image without AES (the test images for QEMU), and a
chip without a number, leave passwords as they are and say so in the log.

## /wifi.json

`{"SSID": "password", "another": "…"}`: its networks are taken into `wifi.networks` at the next start, a network that is
there already gets the new password, and the file is deleted; `""` or `null` stands for an open network. One with
mistakes is reported and kept as `/wifi.broken`, with stars over its passwords; what is right in it is taken all the
same. If `/config.json` is broken, its networks are used but `/wifi.json` stays until they can be written.

## The keys

[config.schema.json](config.schema.json) describes the file to editors (JSON Schema, draft 2020-12): with
`"$schema": "config.schema.json"` as its first line and a copy of that file beside it, or with the setting
`json.schemas` of Visual Studio Code, an editor completes the keys, shows what they do and marks what is wrong.

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
    must = ", *password*" if "*" in key.kind else ""
    if "!" in key.kind:
        must += ", needed"
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


def schema_file(keys: Sequence[Key]) -> str:
    """The text of docs/config.schema.json."""
    return json.dumps(configschema.schema(keys), indent=1, ensure_ascii=False) + "\n"


def pages() -> dict[Path, str]:
    """Every generated page with the text that it should have."""
    return {
        ROOT / "docs/config.md": config_page(read_keys()),
        ROOT / "docs/config.schema.json": schema_file(read_keys()),
        ROOT / "cli/src/coldframe_cli/config.schema.json": schema_file(read_keys()),
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
