"""The images that the tests built, against budgets.toml: flash, static RAM, frozen code, heap after boot.

The heap figures are those that tests/device wrote to dist/measurements.json in the same run.
"""

import budgets
import pytest
from kit import board as boards
from kit import images

BUILT = sorted(path.name.split("-")[1] for path in images.DIST.glob("coldframe-*.json"))


def test_every_board_that_is_built_has_limits():
    limits = budgets.load(images.ROOT / "budgets.toml", boards.names())
    assert BUILT
    assert [name for name in BUILT if name not in limits] == []


@pytest.mark.parametrize("name", BUILT)
def test_within_budget(name, capsys):
    status = budgets.run([name, "--all"])
    shown = capsys.readouterr()
    print(shown.out)
    assert status == 0, shown.out + shown.err


def test_a_limit_that_is_exceeded_fails_and_says_by_how_much(tmp_path, capsys):
    tight = tmp_path / "budgets.toml"
    tight.write_text("[UNIX]\nfrozen = 1000\n")
    assert budgets.run(["UNIX", "--budgets", str(tight)]) == 1
    assert "bytes too much (limit 1,000)" in capsys.readouterr().err
