"""Each statement that binds a client has its test or a reason, and docs/conformance.md says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kit import conformance
from kit.ui import UserError

STATEMENTS = '"MQTT-1.1.1-1" = {{ binds = "{binds}", says = "a"{more} }}'
HEAD = 'standard = "MQTT"\ncount = 1\n[statements]\n'


@pytest.fixture
def project(tmp_path: Path):
    """Makes a project with one statement in each list, and one test."""

    def make(binds: str = "client", more: str = "", test: str = "") -> Path:
        folder = tmp_path / "tests/conformance"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in conformance.LISTS.values():
            (folder / name).write_text(HEAD + STATEMENTS.format(binds=binds, more=more) + "\n")
        (folder / "test_it.py").write_text(test)
        return tmp_path

    return make


def test_every_statement_is_proven_or_has_a_reason() -> None:
    assert conformance.problems() == []


def test_the_page_is_current() -> None:
    page = conformance.ROOT / "docs/conformance.md"
    assert page.read_text() == conformance.page(), "run: python3 scripts/docs.py"


@pytest.mark.parametrize(("version", "count"), [("3", 141), ("5", 251)])
def test_the_lists_are_complete(version: str, count: int) -> None:
    """As many as the standards' Appendix B has, and numbered without a gap within each section."""
    statements = conformance.read_lists()[version].statements
    assert len(statements) == count
    last: dict[str, int] = {}
    for name in statements:
        section, number = name.rsplit("-", 1)
        # Section 2.2.1 of MQTT 5 begins with number 2.
        first = 2 if (version, section) == ("5", "MQTT-2.2.1") else 1
        assert int(number) == last.get(section, first - 1) + 1, name
        last[section] = int(number)


def test_marks_of_both_kinds_are_found(project) -> None:
    test = (
        '@pytest.mark.mqtt("3:MQTT-1.1.1-1")\ndef test_host():\n    pass\n\n'
        "def test_device():\n    # covers 5:MQTT-1.1.1-1\n    pass\n"
    )
    root = project(test=test)
    assert conformance.problems(root) == []
    found = conformance.collect(root)[0]
    assert found["3"].statements["MQTT-1.1.1-1"].tests == ["tests/conformance/test_it.py::test_host"]
    assert found["5"].statements["MQTT-1.1.1-1"].tests == ["tests/conformance/test_it.py::test_device"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "has neither a test nor a reason"),
        ({"binds": "both"}, "has neither a test nor a reason"),
        ({"more": ', tests = ["tests/conformance/test_it.py::test_gone"]'}, "there is no test"),
        ({"test": "def test_x():\n    # covers 3:MQTT-1.1.1-2\n    pass\n"}, "which MQTT does not have"),
        (
            {"more": ', reason = "r"', "test": "def test_x():\n    # covers 3:MQTT-1.1.1-1\n    pass\n"},
            "has a test and a reason",
        ),
    ],
)
def test_what_is_wrong_is_noticed(project, settings, problem) -> None:
    assert any(problem in found for found in conformance.problems(project(**settings)))


def test_a_statement_that_is_missing_is_noticed(project) -> None:
    root = project("server")
    path = root / "tests/conformance" / conformance.LISTS["5"]
    path.write_text(path.read_text().replace("count = 1", "count = 2"))
    assert conformance.problems(root) == ["MQTT has 2 statements, 1 are listed"]


@pytest.mark.parametrize(
    "test",
    [
        "def test_x():\n    # covers 4:MQTT-1.1.1-1\n    pass\n",
        "def test_x():\n    # covers 3:MQTT-1.1.1\n    pass\n",
        "# covers 3:MQTT-1.1.1-1\ndef helper():\n    pass\n",
    ],
    ids=["version", "number", "outside of a test"],
)
def test_a_mark_that_says_nothing_is_refused(project, test) -> None:
    with pytest.raises(UserError):
        conformance.problems(project(test=test))


def test_a_line_with_other_keys_is_refused(project) -> None:
    with pytest.raises(UserError, match="wrong keys"):
        conformance.problems(project(more=", because = 1"))
