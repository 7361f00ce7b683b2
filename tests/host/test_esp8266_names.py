"""What upstream's ESP8266 port leaves out of MicroPython must not be used: no emulated machine here leaves it out, too.

The list: ports/esp8266/mpconfigport.h of MicroPython 1.26.1, the lines that switch something off.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MODULES = Path(__file__).resolve().parents[2] / "modules"
METHODS = {"partition", "rpartition", "center", "splitlines"}
FUNCTIONS = {"compile", "execfile", "complex", "NotImplemented", "__file__"}
MEMBERS = {
    "binascii": {"crc32"},
    "math": {
        "inf",
        "nan",
        "tau",
        "factorial",
        "isclose",
        "gamma",
        "lgamma",
        "erf",
        "erfc",
        "expm1",
        "sinh",
        "cosh",
        "tanh",
    },
    "random": {"randrange", "randint", "choice", "random", "uniform"},
    "sys": {"ps1", "ps2"},
}


def used(tree: ast.AST) -> list[str]:
    """Name what a program uses of all that, outside try: it has another way there."""
    found: list[str] = []
    if isinstance(tree, ast.Try):
        rest: list[ast.stmt] = [*tree.orelse, *tree.finalbody]
        for handler in tree.handlers:
            rest += handler.body
        return [name for part in rest for name in used(part)]
    if isinstance(tree, ast.Attribute):
        if tree.attr in METHODS:
            found.append(f"line {tree.lineno}: {tree.attr}")
        elif isinstance(tree.value, ast.Name) and tree.attr in MEMBERS.get(tree.value.id, ()):
            found.append(f"line {tree.lineno}: {tree.value.id}.{tree.attr}")
    elif isinstance(tree, ast.ImportFrom):
        names = MEMBERS.get(tree.module or "", set())
        found += [f"line {tree.lineno}: {tree.module}.{a.name}" for a in tree.names if a.name in names]
    elif isinstance(tree, ast.Name) and tree.id in FUNCTIONS and isinstance(tree.ctx, ast.Load):
        found.append(f"line {tree.lineno}: {tree.id}")
    for part in ast.iter_child_nodes(tree):
        found += used(part)
    return found


@pytest.mark.parametrize("path", sorted(MODULES.rglob("*.py")), ids=lambda p: str(p.relative_to(MODULES)))
def test_nothing_is_used_that_the_esp8266_has_not(path: Path) -> None:
    assert used(ast.parse(path.read_text())) == []


def test_the_search_finds_what_it_looks_for() -> None:
    text = "import binascii\nfrom random import choice\nx = binascii.crc32(b'')\ny = 'a'.partition(x)\ncompile(y)\n"
    assert len(used(ast.parse(text))) == 4
    assert used(ast.parse("try:\n    execfile\nexcept NameError:\n    pass\n")) == []
