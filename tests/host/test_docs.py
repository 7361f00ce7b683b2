"""The generated documentation is what the code says, and what a page points to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from kit.ui import UserError  # noqa: E402

import docs  # noqa: E402


def test_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/docs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_check_notices_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "config.md"
    page.write_text(docs.config_page(docs.read_keys()).replace("1883", "1884"))
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(docs, "pages", lambda: {page: docs.config_page(docs.read_keys())})
    assert docs.run(["--check"]) == 1
    assert docs.run([]) == 0
    assert docs.run(["--check"]) == 0


def test_every_key_is_on_the_page() -> None:
    text = (ROOT / "docs/config.md").read_text()
    for key in docs.read_keys():
        assert f"| `{key.path}` |" in text


def test_a_row_without_a_comment_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "configkeys.py"
    table.write_text('KEYS = (\n    ("a", "int", 1, ()),\n)\n')
    with pytest.raises(UserError, match="no comment above the row of a"):
        docs.read_keys(table)


def test_keys_are_used_by_the_code() -> None:
    """A key in the table that nothing reads would be a promise that is not kept."""
    modules = ROOT / "modules/coldframe"
    code = "".join(
        path.read_text()
        for path in modules.rglob("*.py")
        if path.name != "configkeys.py" and not path.name.startswith("codec_py")
    )
    for key in docs.read_keys():
        name = key.path.rsplit(".", 1)[-1]
        if name == "$schema":  # which is not for the device
            continue
        assert f'"{key.path}"' in code or f'"{name}"' in code, key.path


def test_links_lead_somewhere() -> None:
    pages = [
        *ROOT.glob("*.md"),
        *(page for folder in ("docs", "boards", "cli", "examples") for page in (ROOT / folder).rglob("*.md")),
    ]
    assert len(pages) > 10
    dead = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert not dead


def test_every_released_board_says_how_to_flash_it() -> None:
    from kit import board

    listed = (ROOT / "docs/boards.md").read_text()
    for name in board.names():
        if board.load(name).release:
            assert (ROOT / "boards" / name / "deploy.md").is_file(), name
            assert f"(../boards/{name}/deploy.md)" in listed, name
