"""scripts/reproduce.py: does it find what makes a build irreproducible, and does it name the place?

The pipeline (copy, vary, build twice, compare) runs for real on a tiny tree whose scripts/build.py
compiles one C file; each case lets one property of the machine leak into the program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import reproduce
from kit import compare, report, uf2
from kit.ui import UserError

BUILD = """
import locale, os, pathlib, subprocess, sys, time
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
work = pathlib.Path(sys.argv[sys.argv.index("--work") + 1])
work.mkdir(parents=True)
LEAKS = {
    "nothing": lambda: "",
    "path": os.getcwd,
    "user": lambda: str(os.getuid()),
    "locale": lambda: os.environ["LC_ALL"],
    "zone": lambda: time.strftime("%H%M", time.localtime(0)),
    "clock": lambda: time.strftime("%Y-%m", time.gmtime()),
    "umask": lambda: oct(os.stat(work).st_mode),
    "order": lambda: ",".join(os.listdir("many")),
    "random": lambda: os.urandom(8).hex(),
}
leak = LEAKS[pathlib.Path("LEAK").read_text()]()
source = 'const char before[64] = {1}, leaked[256] = "%s";\\nint main(int n, char **v) { return leaked[n]; }\\n'
(work / "x.c").write_text(source % leak)
subprocess.run(["gcc", "-Wl,--build-id=none", "-o", "prog", "x.c"], cwd=work, check=True)
out.mkdir(mode=0o755)
stem = "coldframe-TINY-9.9.9"
(out / (stem + ".elf")).write_bytes((work / "prog").read_bytes())
(out / (stem + ".json")).write_text("{}")
out.chmod(0o755)
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A Coldframe tree with one board, whose build compiles one file."""
    project = tmp_path / "tiny"
    (project / "scripts").mkdir(parents=True)
    (project / "scripts" / "build.py").write_text(BUILD)
    (project / "modules" / "coldframe").mkdir(parents=True)
    (project / "modules" / "coldframe" / "version.py").write_text('__version__ = "9.9.9"\n')
    (project / "many").mkdir()
    for name in ("one", "two", "three", "four", "five"):
        (project / "many" / name).write_text(name)
    return project


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that another user can reach (pytest's own cannot be)."""
    path = Path("/tmp") / f"coldframe-reproduce-{os.getpid()}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


def compare_with_leak(
    tiny: Path, folder: Path, leak: str
) -> tuple[list[compare.Difference], reproduce.Conditions]:
    (tiny / "LEAK").write_text(leak)
    return reproduce.reproduce("TINY", folder, project=tiny, staged=False)


def test_a_clean_build_is_found_the_same(tiny: Path, folder: Path) -> None:
    found, second = compare_with_leak(tiny, folder, "nothing")
    assert found == []
    assert {"folder", "locale", "time zone", "umask", "directory order"} <= set(second.varied)


@pytest.mark.parametrize("leak", ["path", "locale", "zone", "umask", "order", "random"])
def test_a_leak_is_found_and_its_place_is_named(tiny: Path, folder: Path, leak: str) -> None:
    found, _ = compare_with_leak(tiny, folder, leak)
    assert [d.name for d in found] == ["coldframe-TINY-9.9.9.elf"]
    assert "section .rodata" in found[0].where
    assert ", leaked + 0x" in found[0].where
    assert "bytes differ in all" in found[0].detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build as another user")
def test_the_user_is_varied(tiny: Path, folder: Path) -> None:
    found, second = compare_with_leak(tiny, folder, "user")
    assert "user" in second.varied
    assert str(reproduce.OTHER_UID) in found[0].detail


def test_the_clock_is_varied_or_it_is_said(tiny: Path, folder: Path) -> None:
    found, second = compare_with_leak(tiny, folder, "clock")
    if "clock" in second.varied:
        assert ", leaked + 0x" in found[0].where
    else:
        assert found == [] and second.same == ["clock (faketime is not installed)"]


def test_a_failed_build_ends_it_with_the_builds_own_status(
    tiny: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        compare_with_leak(tiny, folder, "a leak that does not exist")
    assert capfd.readouterr().err.endswith("that was the first build of TINY\n")


def test_against_refuses_files_of_another_commit(tiny: Path, folder: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "coldframe-TINY-9.9.9.json").write_text(
        json.dumps({"format": report.FORMAT, "board": "TINY", "commit": "a" * 40})
    )
    with pytest.raises(UserError, match="the files are of commit aaaa"):
        reproduce.reproduce("TINY", folder, project=tiny, staged=False, against=dist)


def elf(path: Path, text: str) -> Path:
    source = path.with_suffix(".c")
    source.write_text(f'const char name[32] = "{text}";\nint main(void) {{ return name[0]; }}\n')
    subprocess.run(["gcc", "-Wl,--build-id=none", "-o", path, source], check=True)
    return path


def test_a_difference_in_a_uf2_is_named_by_flash_address_and_symbol(tmp_path: Path) -> None:
    from kit.elf import Elf

    for which, text in (("a", "Nov 21"), ("b", "Nov 22")):
        (tmp_path / which).mkdir()
        program = Elf(elf(tmp_path / which / "x.elf", text))
        section = next(s for s in program.sections if s.name == ".rodata")
        data = program.data[section.offset : section.offset + section.size]
        image = uf2.write(uf2.blocks_of(data, section.address, 0xE48BFF56))
        (tmp_path / which / "x.uf2").write_bytes(image)
    found = compare.files(tmp_path / "a" / "x.uf2", tmp_path / "b" / "x.uf2")
    assert found is not None
    assert "section .rodata" in found.where and ", name + 0x5)" in found.where
    assert "1 bytes differ" in found.detail


def test_a_difference_in_a_map_is_named_by_its_line(tmp_path: Path) -> None:
    for which, text in (("a", "one\n two /tmp/x\n"), ("b", "one\n two /home/y\n")):
        (tmp_path / which).mkdir()
        (tmp_path / which / "x.map").write_text(text)
    found = compare.files(tmp_path / "a" / "x.map", tmp_path / "b" / "x.map")
    assert found is not None and found.where == "line 2"
    assert "/tmp/x" in found.detail and "/home/y" in found.detail


def test_a_file_that_only_one_build_made_is_a_difference(tmp_path: Path) -> None:
    for which in ("a", "b"):
        (tmp_path / which).mkdir()
        (tmp_path / which / "c-X.elf").write_text("same")
    (tmp_path / "b" / "c-X.map").write_text("only here")
    found = compare.folders(tmp_path / "a", tmp_path / "b", "c-X")
    assert [(d.name, d.where) for d in found] == [("c-X.map", "only the second build made it")]


def test_one_file_being_the_beginning_of_the_other_is_a_difference(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678")
    (tmp_path / "b").write_bytes(b"1234567890")
    found = compare.files(tmp_path / "a", tmp_path / "b")
    assert found is not None and found.where == "offset 0x8" and "ends here" in found.detail


def test_a_function_that_grew_is_named_rather_than_all_that_moved(tmp_path: Path) -> None:
    for which, more in (("a", ""), ("b", "n *= 3; n ^= 5;")):
        (tmp_path / which).mkdir()
        source = tmp_path / which / "x.c"
        source.write_text(
            f"int grew(int n) {{ {more} return n; }}\nint main(int n, char **v) {{ return grew(n); }}\n"
        )
        subprocess.run(["gcc", "-Wl,--build-id=none", "-o", source.with_suffix(".elf"), source], check=True)
    found = compare.files(tmp_path / "a" / "x.elf", tmp_path / "b" / "x.elf")
    assert found is not None and found.where == "symbol grew"
    assert " bytes\n  second  grew at 0x" in found.detail
