"""What is frozen: every module named, none forgotten, the order ours and not the file system's."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import board as boards

ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """Runs manifest files as MicroPython's tools do and notes what they freeze, in order."""

    def __init__(self) -> None:
        self.frozen: list[str] = []
        self.unlisted: list[str] = []  # folders that are frozen whole, in whatever order
        self.upstream: list[str] = []  # what lies in trees that are not ours

    def run(self, path: Path, **options: object) -> None:
        chosen = dict(options)

        class Options:
            def defaults(self, **values: object) -> None:
                for name, value in values.items():
                    setattr(self, name, chosen.get(name, value))

        def include(name: str, **options: object) -> None:
            if name.startswith("$("):
                self.upstream.append(name)
            else:
                self.run((path.parent / name).resolve(), **options)

        def listed(base: str, package: str, files: object) -> None:
            if files is None or isinstance(files, str):
                self.unlisted.append(f"{path}: {package or base}")
                return
            for file in files:
                target = f"{package}/{file}" if package else file
                if base.startswith("$("):
                    self.upstream.append(f"{base}/{target}")
                else:
                    assert (path.parent / base / target).is_file(), (
                        f"{path} names {target}, which does not exist"
                    )
                    self.frozen.append(target)

        def package(name: str, files: object = None, base_path: str = ".", opt: int | None = None) -> None:
            listed(base_path, name, files)

        def module(name: str, base_path: str = ".", opt: int | None = None) -> None:
            listed(base_path, "", [name])

        def freeze(base: str, files: object = None, opt: int | None = None) -> None:
            listed(base, "", files)

        scope = dict(include=include, package=package, module=module, freeze=freeze, options=Options())
        exec(compile(path.read_text(), str(path), "exec"), scope)


@pytest.mark.parametrize("name", boards.names(ROOT))
def test_each_board_names_all_its_files(name: str) -> None:
    recorder = Recorder()
    recorder.run(ROOT / "boards" / name / "manifest.py")
    assert recorder.unlisted == []
    assert len(set(recorder.frozen)) == len(recorder.frozen), "frozen twice"


def test_no_module_is_forgotten() -> None:
    recorder = Recorder()
    for hal in (ROOT / "modules" / "coldframe" / "hal").glob("*.py"):
        if hal.stem not in ("__init__", "dog", "more", "words"):
            recorder.run(ROOT / "manifest.py", tier="full", hal=hal.stem, ssl=True)
    have = {str(p.relative_to(ROOT / "modules")) for p in (ROOT / "modules").rglob("*.py")}
    assert have - set(recorder.frozen) == set()


def test_core_tier_is_a_part_of_the_full_tier() -> None:
    core, full = Recorder(), Recorder()
    core.run(ROOT / "manifest.py", tier="core")
    full.run(ROOT / "manifest.py", tier="full")
    assert set(core.frozen) < set(full.frozen)


@pytest.mark.parametrize("name", boards.names(ROOT))
def test_ssl_is_frozen_where_there_is_tls(name: str) -> None:
    board = boards.load(name, ROOT)
    recorder = Recorder()
    recorder.run(board.path / "manifest.py")
    if "ssl.py" in recorder.frozen:
        assert "tls" in board.features
    elif board.tier == "full":
        assert "tls" not in board.features
