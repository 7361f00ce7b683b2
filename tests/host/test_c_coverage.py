"""Every line and branch of the plain C cores is reached, or named with the reason in tests/fuzz/unreachable.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import gcov

SOURCE = "int f(int a) {\n    if (a) {\n        return 1;\n    }\n    return 2;\n}\n"
LIST = '[[{kind}]]\nfile = "core.c"\ntext = "{text}"\nreason = "{reason}"\n'


def test_all_that_can_be_reached_is(tmp_path: Path) -> None:
    report = gcov.measure(tmp_path)
    assert not report.problems, "\n".join([report.table(), *report.problems])
    print(report.table())


def judged(folder: Path, entries: str) -> gcov.Report:
    """Evaluate the coverage of SOURCE when f() was only called with 0, with a list of what is unreachable."""
    core, listed = folder / "core.c", folder / "unreachable.toml"
    core.write_text(SOURCE)
    listed.write_text(entries)
    lines = [
        {"line_number": number, "count": count, "branches": branches}
        for number, count, branches in (
            (1, 5, []),
            (2, 5, [{"count": 0}, {"count": 5}]),
            (3, 0, []),
            (5, 5, []),
        )
    ]
    file = {"file": "core.c", "lines": lines}
    return gcov.evaluate([{"current_working_directory": str(folder), "files": [file]}], [core], listed)


def test_what_is_missed_is_named(tmp_path: Path) -> None:
    report = judged(tmp_path, "")
    assert report.problems == [
        "core.c:3: line not covered (1): return 1;",
        "core.c:2: branch not covered (1): if (a) {",
    ]
    assert (report.files[0].lines_hit, report.files[0].branches_hit) == (3, 1)


def test_what_is_listed_is_no_problem(tmp_path: Path) -> None:
    entries = LIST.format(kind="line", text="return 1;", reason="a is 0") + LIST.format(
        kind="branch", text="if (a) {", reason="a is 0"
    )
    report = judged(tmp_path, entries)
    assert not report.problems
    assert (report.files[0].excused_lines, report.files[0].excused_branches) == (1, 1)


@pytest.mark.parametrize(
    ("text", "reason", "problem"),
    [
        ("return 2;", "never", "listed as unreachable, but it is not: line return 2;"),
        ("return 1;", "", "no such file, or no reason"),
    ],
)
def test_a_wrong_entry_is_a_problem(tmp_path: Path, text: str, reason: str, problem: str) -> None:
    report = judged(tmp_path, LIST.format(kind="line", text=text, reason=reason))
    assert any(problem in each for each in report.problems), report.problems
