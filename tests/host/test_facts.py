"""What identifies a build: version, commit and epoch, from git or from the environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from kit import facts
from kit.ui import UserError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with a version, not under git, and an environment that says nothing."""
    for name in ("COLDFRAME_COMMIT", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "modules" / "coldframe" / "version.py"
    file.parent.mkdir(parents=True)
    file.write_text('__version__ = "1.2.3"\n')
    return tmp_path


def commit(project: Path) -> str:
    git = ["git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    dates = {
        "GIT_AUTHOR_DATE": "1700000000 +0000",
        "GIT_COMMITTER_DATE": "1700000000 +0000",
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True, env=dates)
    return subprocess.run([*git, "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()


def test_without_git_the_commit_is_unknown_and_the_epoch_fixed(project: Path) -> None:
    assert facts.identity(project) == facts.Identity("1.2.3", "unknown", facts.NO_HISTORY)


def test_commit_and_epoch_come_from_git(project: Path) -> None:
    head = commit(project)
    assert facts.identity(project) == facts.Identity("1.2.3", head, 1700000000)


def test_a_tree_that_differs_from_its_commit_says_so(project: Path) -> None:
    head = commit(project)
    (project / "new.py").write_text("")
    assert facts.identity(project).commit == head + "-dirty"


def test_the_environment_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(project)
    monkeypatch.setenv("COLDFRAME_COMMIT", "a" * 40)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    assert facts.identity(project) == facts.Identity("1.2.3", "a" * 40, 1234567890)


def test_an_epoch_that_is_no_number_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UserError, match="SOURCE_DATE_EPOCH: got 'yesterday'; expected seconds since 1970"):
        facts.identity(project)


def test_a_missing_version_is_an_error(project: Path) -> None:
    (project / "modules" / "coldframe" / "version.py").write_text("VERSION = 1\n")
    with pytest.raises(UserError, match="no version found"):
        facts.identity(project)
