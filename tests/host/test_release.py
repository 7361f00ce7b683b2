"""scripts/release.py: what may be released, and the workflows that do it."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import release
from kit import board as boards
from kit import facts as kit_facts
from kit.ui import UserError

ROOT = Path(__file__).resolve().parents[2]
NOW = kit_facts.version(ROOT)
TAG = f"v{NOW}"
COMMIT = "c" * 40


def make_image(dist: Path, name: str, **changes: object) -> Path:
    """Write an image and its description as build.py would; *changes* replace keys of the description."""
    image = dist / f"coldframe-{name}-{NOW}.uf2"
    image.write_bytes(name.encode())
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    facts = {"board": name, "locked": True, "unlocked": [], "commit": COMMIT}
    facts |= {"files": {image.name: {"bytes": image.stat().st_size, "sha256": digest}}} | changes
    path = dist / f"coldframe-{name}-{NOW}.json"
    path.write_text(json.dumps(facts))
    return image


def test_a_complete_folder_may_be_released(tmp_path):
    make_image(tmp_path, "A")
    make_image(tmp_path, "B")
    release.check(tmp_path, TAG, ["A", "B"], COMMIT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"locked": False, "unlocked": ["gcc moved on"]},
            "not built from exactly the pinned inputs .gcc moved on.",
        ),
        ({"commit": "d" * 40}, "was built from commit d"),
    ],
)
def test_an_image_of_other_inputs_is_refused(tmp_path, changes, message):
    make_image(tmp_path, "A", **changes)
    with pytest.raises(UserError, match=message):
        release.check(tmp_path, TAG, ["A"], COMMIT)


def test_boards_of_different_commits_are_refused(tmp_path):
    make_image(tmp_path, "A")
    make_image(tmp_path, "B", commit="d" * 40)
    with pytest.raises(UserError, match="was built from commit d"):
        release.check(tmp_path, TAG, ["A", "B"], None)


def test_a_missing_board_is_named(tmp_path):
    make_image(tmp_path, "A")
    with pytest.raises(UserError, match="B is missing"):
        release.check(tmp_path, TAG, ["A", "B"], COMMIT)


def test_a_changed_file_is_refused(tmp_path):
    make_image(tmp_path, "A").write_bytes(b"something else")
    with pytest.raises(UserError, match="is not the file that was built"):
        release.check(tmp_path, TAG, ["A"], COMMIT)


def test_the_tag_must_be_the_version(tmp_path):
    with pytest.raises(UserError, match=f"the tag is 'v9.9.9'.*'{TAG}'"):
        release.check(tmp_path, "v9.9.9", [], COMMIT)


def test_notes_are_the_section_of_the_version():
    text = "# Changelog\n\n## 2.0.0, unreleased\nnew\n\n## 1.0.0\nold\n"
    assert release.notes(text, "2.0.0") == "new\n"
    assert release.notes(text, "1.0.0") == "old\n"
    with pytest.raises(UserError, match="no section for 3.0.0"):
        release.notes(text, "3.0.0")


def test_the_changelog_has_a_section_for_this_version():
    assert release.notes((ROOT / "CHANGELOG.md").read_text(), NOW)


def workflows() -> list[Path]:
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", workflows(), ids=lambda p: p.name)
def test_workflows_pin_actions_and_start_without_permissions(path):
    text = path.read_text()
    assert re.search(r"^permissions: \{\}$", text, re.M), "no 'permissions: {}' at the top level"
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert uses
    for action, comment in uses:
        local = action.startswith("./") and (ROOT / action).is_file()
        pinned = re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v[\d.]+", comment)
        assert local or pinned, action


def test_the_build_workflow_has_every_released_board():
    text = (ROOT / ".github" / "workflows" / "build.yml").read_text()
    listed = re.findall(r"^ {10}- ([A-Z0-9_]+)$", text, re.M)
    assert sorted(listed) == [name for name in boards.names() if boards.load(name).release]
