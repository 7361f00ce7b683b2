"""The table of MQTT's normative statements and the tests that prove them: docs/conformance.md.

tests/conformance/mqtt311.toml and mqtt5.toml have a line for each statement. Tests name the statements that
they prove, with the version before the id:

    @pytest.mark.mqtt("3:MQTT-3.1.2-23", "5:MQTT-3.1.2-20")    # a test on the host
    def test_keep_alive(...):

    def test_topic_names():                                    # a test on the device; comments cost no memory there
        # covers 3:MQTT-3.3.2-2 5:MQTT-3.3.2-2

scripts/docs.py writes the page; problems() is what tests/conformance/test_table.py wants to be empty.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kit.ui import UserError

ROOT = Path(__file__).resolve().parents[2]
LISTS = {"3": "mqtt311.toml", "5": "mqtt5.toml"}
BINDS = ("client", "server", "both")
_KEYS = {"binds", "says", "reason", "tests", "note"}
_ID = re.compile(r"MQTT-(\d+)\.(\d+)\.(\d+)-(\d+)")
_COVERS = re.compile(r"^\s*#\s*covers((?:\s+[^\s:]+:MQTT-[\w.-]+)+)\s*$")

HEAD = """\
# Conformance: MQTT 3.1.1 and MQTT 5.0

<!-- Written by scripts/docs.py from tests/conformance/*.toml and the marks in the tests: change those, then run it. -->

Both standards number what an implementation must do, in their Appendix B. Here is each of these statements in our own
words, with the tests that prove it for Coldframe's codec and client. What the standard says exactly is in the standard.

A test under `tests/device/` runs on the simulated board in 64 and 32 bits, on the emulated RP2040, and in QEMU with the
instruction sets of the ESP8266 and the ESP32-C3; those named `codec` are run with the codec in C and with the one in
Python. A test under `tests/conformance/` runs the client on the simulated board against a broker that the test plays
itself, packet by packet, so that it sees each byte that the client sends.

"""


@dataclass
class Statement:
    """One numbered statement of a standard.

    Args:
        id: such as MQTT-3.1.2-4.
        binds: "client", "server" or "both".
        says: what it asks for, in our words.
        reason: why no test proves it; empty where one has to.
        tests: "tests/…/test_x.py::test_y", sorted when all are known.
        note: where the client is more patient than the statement, and for whose sake; empty where it is not.
    """

    id: str
    binds: str
    says: str
    reason: str = ""
    tests: list[str] = field(default_factory=list)
    note: str = ""


@dataclass
class Standard:
    """A version of MQTT: its name, how many statements its Appendix B has, and those we have listed."""

    name: str
    count: int
    statements: dict[str, Statement]


@dataclass(frozen=True)
class Mark:
    """A test that names a statement: where, which version ("3" or "5"), which statement."""

    test: str
    version: str
    id: str


def read_list(path: Path) -> Standard:
    """Read one of the lists.

    Raises:
        UserError: it is not TOML, or a line has not the keys that it should have.
    """
    try:
        data = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise UserError("not valid TOML", where=path, hint=str(error)) from None
    statements = {}
    for name, row in data["statements"].items():
        if set(row) - _KEYS or not {"binds", "says"} <= set(row) or row["binds"] not in BINDS:
            what = f"binds (one of {', '.join(BINDS)}), says, and perhaps reason, tests and note"
            raise UserError(f"the line of {name} has the wrong keys", where=path, expected=what)
        statements[name] = Statement(
            name,
            row["binds"],
            row["says"],
            row.get("reason", ""),
            list(row.get("tests", ())),
            row.get("note", ""),
        )
    return Standard(data["standard"], data["count"], statements)


def read_lists(root: Path = ROOT) -> dict[str, Standard]:
    """Both lists, keyed by the version that marks use."""
    return {version: read_list(root / "tests/conformance" / name) for version, name in LISTS.items()}


def test_files(root: Path = ROOT) -> list[Path]:
    """All files with tests, sorted."""
    return sorted((root / "tests").rglob("test_*.py"))


def tests_in(path: Path, root: Path = ROOT) -> list[str]:
    """The names of all tests in a file, as tests/…/test_x.py::test_y."""
    return [name for name, _ in _functions(path, root)]


def marks_in(path: Path, root: Path = ROOT) -> list[Mark]:
    """The marks in one file of tests, pytest's and those in comments.

    Raises:
        UserError: a mark is not VERSION:MQTT-…, or a comment that is one stands outside of a test.
    """
    lines = path.read_text().splitlines()
    inside: set[int] = set()
    found = []
    for name, function in _functions(path, root):
        words = list(_decorated(function))
        for number in range(function.lineno, (function.end_lineno or function.lineno) + 1):
            inside.add(number)
            if covers := _COVERS.match(lines[number - 1]):
                words += covers[1].split()
        for word in words:
            version, _, statement = word.partition(":")
            if version not in LISTS or not _ID.fullmatch(statement):
                raise UserError(
                    f"{name} has the mark {word!r}", where=path, expected="3:MQTT-a.b.c-d or 5:MQTT-a.b.c-d"
                )
            found.append(Mark(name, version, statement))
    for number, line in enumerate(lines, 1):
        if number not in inside and _COVERS.match(line):
            raise UserError(f"line {number} says what is covered, but stands in no test", where=path)
    return found


def collect(root: Path = ROOT) -> tuple[dict[str, Standard], list[str]]:
    """The lists with the tests of each statement filled in, and what is wrong, a sentence each."""
    standards = read_lists(root)
    wrong = []
    known: set[str] = set()
    for path in test_files(root):
        known.update(tests_in(path, root))
        for mark in marks_in(path, root):
            statement = standards[mark.version].statements.get(mark.id)
            if statement is None:
                wrong.append(
                    f"{mark.test} names {mark.id}, which {standards[mark.version].name} does not have"
                )
            elif mark.test not in statement.tests:
                statement.tests.append(mark.test)
    for standard in standards.values():
        statements = standard.statements.values()
        if len(statements) != standard.count:
            wrong.append(f"{standard.name} has {standard.count} statements, {len(statements)} are listed")
        if list(standard.statements) != sorted(standard.statements, key=_number):
            wrong.append(f"the statements of {standard.name} are not in the order of their numbers")
        for statement in statements:
            wrong += _problems(standard, statement, known)
    return standards, wrong


def problems(root: Path = ROOT) -> list[str]:
    """What is wrong with lists and marks; empty when all is well."""
    return collect(root)[1]


def page(root: Path = ROOT) -> str:
    """The text of docs/conformance.md."""
    standards, _ = collect(root)
    parts = [HEAD, _summary(standards.values())]
    for standard in standards.values():
        parts.append(
            f"\n## {standard.name}\n\n| statement | binds | what it asks for | tests |\n|---|---|---|---|\n"
        )
        parts += [_row(s) for s in standard.statements.values() if s.tests or s.binds != "server"]
        parts.append(f"\n### Statements of {standard.name} that bind only servers\n\n")
        parts += [
            f"* {s.id}: {s.says}.\n"
            for s in standard.statements.values()
            if not s.tests and s.binds == "server"
        ]
    return "".join(parts)


def _problems(standard: Standard, statement: Statement, known: set[str]) -> list[str]:
    what = f"{standard.name}, {statement.id}"
    wrong = [f"{what}: there is no test {test}" for test in statement.tests if test not in known]
    if not _ID.fullmatch(statement.id):
        wrong.append(f"{what}: that is no id of a statement")
    if statement.binds != "server" and not statement.tests and not statement.reason:
        wrong.append(f"{what} binds a client, but has neither a test nor a reason")
    if statement.tests and statement.reason:
        wrong.append(f"{what} has a test and a reason why it has none")
    return wrong


def _summary(standards: Iterable[Standard]) -> str:
    rows = [
        "| standard | statements | bind a client | with tests | do not apply | bind only servers |\n",
        "|---|--:|--:|--:|--:|--:|\n",
    ]
    for standard in standards:
        every = standard.statements.values()
        ours = [s for s in every if s.binds != "server"]
        tested = sum(bool(s.tests) for s in ours)
        also = sum(bool(s.tests) for s in every) - tested
        rows.append(
            f"| {standard.name} | {len(every)} | {len(ours)} | {tested} | {len(ours) - tested} "
            f"| {len(every) - len(ours)}, of which {also} with tests |\n"
        )
    rows.append(
        "\nTests of a statement that binds only servers show what the client does when a server breaks it, or that it\n"
        "understands a server that keeps it.\n"
    )
    return "".join(rows)


def _row(statement: Statement) -> str:
    proof = "<br>".join(_short(test) for test in sorted(statement.tests)) or f"none: {statement.reason}"
    says = f"{statement.says}. Note: {statement.note}" if statement.note else statement.says
    return f"| {statement.id} | {statement.binds} | {says} | {proof} |\n"


def _short(test: str) -> str:
    path, name = test.split("::")
    return f"[{Path(path).stem.removeprefix('test_')}](../{path}) `{name.removeprefix('test_')}`"


def _functions(path: Path, root: Path) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    tree = ast.parse(path.read_text(), str(path))
    name = path.relative_to(root).as_posix()
    return [
        (f"{name}::{node.name}", node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def _decorated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterable[str]:
    for call in function.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.mqtt":
            for argument in call.args:
                yield str(ast.literal_eval(argument))


def _number(name: str) -> tuple[int, ...]:
    found = _ID.fullmatch(name)
    return tuple(int(part) for part in found.groups()) if found else (0,)
