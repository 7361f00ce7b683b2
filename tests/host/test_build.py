"""scripts/build.py: what it makes, and what it says and leaves behind when something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tinytree
from kit import board as boards
from kit import builder, publish
from kit.ui import UserError

ROOT = Path(__file__).resolve().parents[2]
STEM = "coldframe-TINY-9.9.9"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Coldframe tree with the board TINY."""
    return tinytree.make(tmp_path)


def build_tiny(project: Path, out: Path, **options: object) -> list[Path]:
    return builder.build_board(
        boards.load("TINY", project),
        sources=tinytree.Sources(project, locked=bool(options.pop("pinned", True))),
        out=out,
        work=project.parent / "work",
        project=project,
        **options,  # type: ignore[arg-type]
    )


def command(project: Path, out: Path, work: Path) -> tuple[list[str], dict[str, str]]:
    path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "tests")])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return [sys.executable, "-c", tinytree.DRIVER, str(project), str(out), str(work)], env


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


# What a good build makes


def test_a_build_makes_image_elf_map_report_and_sums(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    made = build_tiny(project, out)
    assert [p.name for p in made] == [STEM, STEM + ".elf", STEM + ".json", STEM + ".map"]
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in made}
    assert os.access(out / STEM, os.X_OK)
    assert subprocess.run([out / STEM]).returncode == 0
    assert sorted(p.name for p in out.iterdir()) == sorted([*sums, "SHA256SUMS"])


def test_the_report_says_what_is_in_the_image(project: Path, tmp_path: Path) -> None:
    build_tiny(project, tmp_path / "dist")
    report = json.loads((tmp_path / "dist" / f"{STEM}.json").read_text())
    assert report["board"] == "TINY" and report["version"] == "9.9.9"
    assert report["micropython"] == "1.26.1"
    assert report["upstream"] == {"micropython": {"version": "1.26.1"}}
    assert report["locked"] is False and "--native" in report["unlocked"][0]
    assert report["frozen"] == ["boot.py", "coldframe_build.py"]
    assert report["size"]["frozen"] >= 1000
    assert report["size"]["bss"] >= 400 and report["size"]["data"] >= 4
    assert report["size"]["static_ram"] == report["size"]["data"] + report["size"]["bss"]
    assert (
        report["files"][STEM]["sha256"] == hashlib.sha256((tmp_path / "dist" / STEM).read_bytes()).hexdigest()
    )


def test_no_folder_of_this_machine_is_in_the_results(project: Path, tmp_path: Path) -> None:
    build_tiny(project, tmp_path / "dist")
    leaks = [n for n, data in contents(tmp_path / "dist").items() if str(tmp_path).encode() in data]
    assert leaks == []


def test_version_commit_and_pins_are_frozen_into_the_image(project: Path, tmp_path: Path) -> None:
    (project / "boards" / "TINY" / "board.toml").write_text(
        tinytree.BOARD.replace("[build]", "[pins]\nled = 25\n[features]\nserial = true\n[build]")
    )
    os.environ["COLDFRAME_COMMIT"], os.environ["SOURCE_DATE_EPOCH"] = "c" * 40, "1700000000"
    try:
        build_tiny(project, tmp_path / "dist")
    finally:
        del os.environ["COLDFRAME_COMMIT"], os.environ["SOURCE_DATE_EPOCH"]
    scope: dict[str, object] = {}
    exec((tmp_path / "work" / "TINY" / "gen" / "coldframe_build.py").read_text(), scope)
    assert (scope["BOARD"], scope["VERSION"], scope["COMMIT"]) == ("TINY", "9.9.9", "c" * 40)
    assert (scope["EPOCH"], scope["PINS"], scope["FEATURES"]) == (1700000000, {"led": 25}, ("serial",))


def test_sums_are_kept_right_when_boards_are_added_and_files_go(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    out.mkdir()
    (out / "coldframe-OTHER-1.0.bin").write_text("other")
    (out / ".OTHER.built").write_text("a note of the tests")
    digest = hashlib.sha256(b"other").hexdigest()
    gone = f"{'0' * 64}  coldframe-GONE-1.0.bin\n"
    (out / "SHA256SUMS").write_text(f"{digest}  coldframe-OTHER-1.0.bin\n{gone}")
    (out / f"{STEM}-with-filesystem.uf2").write_text("of an earlier build that still made one")
    (out / f"{STEM}.json").write_text(json.dumps({"files": {f"{STEM}-with-filesystem.uf2": {}}}))
    (out / f"{STEM}-rc1.uf2").write_text("of another version, though its name begins in the same way")
    build_tiny(project, out)
    check = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out)
    assert check.returncode == 0
    lines = (out / "SHA256SUMS").read_text()
    assert "coldframe-OTHER-1.0.bin" in lines and "GONE" not in lines
    assert not (out / f"{STEM}-with-filesystem.uf2").exists()
    assert (out / ".OTHER.built").exists() and (out / f"{STEM}-rc1.uf2").exists()


def test_mpy_cross_is_kept_for_the_same_tree_and_made_anew_for_another(project: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    build_tiny(project, tmp_path / "dist", mpy_cross_cache=cache)
    kept = list(cache.rglob("mpy-cross/*/mpy-cross"))
    assert len(kept) == 1
    build_tiny(project, tmp_path / "dist", mpy_cross_cache=cache)
    assert "mpy-cross -j" not in (tmp_path / "work" / "TINY" / "build.log").read_text()
    (project.parent / "upstream" / "mpy-cross" / "main.c").write_text("int main(void) { return 1; }\n")
    build_tiny(project, tmp_path / "dist", mpy_cross_cache=cache)
    assert len(list(cache.rglob("mpy-cross/*/mpy-cross"))) == 2


# Bad input


def test_an_unknown_board_is_one_error_with_the_nearest_name() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "build.py", "RPI_PICOW", "--native"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown board 'RPI_PICOW'; expected one of ")
    assert "did you mean RPI_PICO" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_an_out_that_is_a_file_is_one_error_before_anything_is_built(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    cmd, env = command(project, tmp_path / "file" / "dist", tmp_path / "work")
    done = subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'file'}: is not a folder; expected a folder")
    assert not (tmp_path / "work").exists()


def test_a_broken_c_file_gives_the_compilers_first_error(project: Path, tmp_path: Path) -> None:
    (project / "prog.c").write_text(
        "int main(void) {\n    return first_mistake;\n}\nint f(void) { return second; }\n"
    )
    with pytest.raises(UserError) as caught:
        build_tiny(project, tmp_path / "dist")
    text = str(caught.value)
    assert "prog.c:2:12: error: 'first_mistake' undeclared" in text.replace("‘", "'").replace("’", "'")
    assert "return first_mistake;" in text, "the source line explains it"
    assert "second" not in text and "make" not in text.lower()
    assert "build.log" in text
    assert list((tmp_path / "dist").iterdir() if (tmp_path / "dist").exists() else []) == []


def test_a_listed_module_that_does_not_exist_is_named(project: Path, tmp_path: Path) -> None:
    (project / "modules" / "boot.py").unlink()
    with pytest.raises(UserError, match=r"the list of frozen files is wrong: .*boot\.py"):
        build_tiny(project, tmp_path / "dist")


def test_a_module_frozen_twice_is_named(project: Path, tmp_path: Path) -> None:
    manifest = project / "boards" / "TINY" / "manifest.py"
    manifest.write_text(manifest.read_text() * 2)
    with pytest.raises(UserError, match=r"frozen twice: boot\.py"):
        build_tiny(project, tmp_path / "dist")


def test_a_missing_source_says_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "build.py", "UNIX", "--native", "--cache", tmp_path / "empty"]
        + ["--work", tmp_path / "work", "--out", tmp_path / "dist"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "not in the cache: micropython" in errors[0]
    assert "scripts/sources.py" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "dist").exists()


def test_locked_refuses_what_is_not_pinned(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.facts.unlocked_tools", lambda: [])
    build_tiny(project, tmp_path / "dist", locked=True)
    report = json.loads((tmp_path / "dist" / f"{STEM}.json").read_text())
    assert report["locked"] is True and report["unlocked"] == []
    before = contents(tmp_path / "dist")
    with pytest.raises(UserError, match="source micropython is not the pinned one"):
        build_tiny(project, tmp_path / "dist", locked=True, pinned=False)
    assert contents(tmp_path / "dist") == before


def test_a_path_with_a_space_is_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="space or a special character"):
        builder.build_board(
            boards.load("TINY", project),
            sources=tinytree.Sources(project),
            out=tmp_path / "dist",
            work=tmp_path / "my work",
            project=project,
        )


def test_a_program_too_big_for_its_flash_is_refused(project: Path, tmp_path: Path) -> None:
    flash = (
        "[flash]\nsize = 65536\napp_offset = 0\napp_size = 4096\nfs_offset = 4096\nfs_size = 4096\n[build]"
    )
    file = project / "boards" / "TINY" / "board.toml"
    file.write_text(tinytree.BOARD.replace("[build]", flash))
    with pytest.raises(UserError, match=r"bytes of flash, [\d,]+ too many; expected at most 4,096"):
        build_tiny(project, tmp_path / "dist")


def test_a_patch_is_applied_and_needs_a_reason(project: Path, tmp_path: Path) -> None:
    patches = project / "ports" / "unix" / "patches"
    patches.mkdir(parents=True)
    hunk = "--- a/py/mpconfig.h\n+++ b/py/mpconfig.h\n@@ -4 +4 @@\n"
    hunk += "-#define MICROPY_VERSION_MICRO 1\n+#define MICROPY_VERSION_MICRO 99\n"
    (patches / "1.patch").write_text(hunk)
    with pytest.raises(UserError, match="the patch gives no reason"):
        build_tiny(project, tmp_path / "dist")
    (patches / "1.patch").write_text("Tests want to see that a patch has an effect.\n\n" + hunk)
    build_tiny(project, tmp_path / "dist")
    assert (
        "#define MICROPY_VERSION_MICRO 99"
        in (tmp_path / "work" / "TINY" / "src" / "micropython" / "py" / "mpconfig.h").read_text()
    )
    report = json.loads((tmp_path / "dist" / f"{STEM}.json").read_text())
    assert list(report["patches"]) == ["1.patch"]


# Interrupts and full disks


def wait_for(path: Path, seconds: float = 30) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)
    return path.read_text().strip()


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_leaves_dist_alone_and_can_be_repeated(
    project: Path, tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    out, work = tmp_path / "dist", tmp_path / "work"
    build_tiny(project, out)
    before = contents(out)
    makefile = project.parent / "upstream" / "ports" / "unix" / "Makefile"
    good = makefile.read_text()
    # A compiler that takes for ever, and says when it has begun.
    makefile.write_text(
        good.replace('\techo "CC prog.c"\n', f"\tsh -c 'echo $$$$ > {tmp_path}/pid; exec sleep 600'\n")
    )
    (project / "prog.c").write_text(tinytree.PROG + "int more[1000] = {1};\n")
    cmd, env = command(project, out, work)
    process = subprocess.Popen(cmd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    compiler = int(wait_for(tmp_path / "pid"))
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    assert process.returncode == status
    assert "interrupted; nothing was left in dist/" in said and "Traceback" not in said
    assert contents(out) == before
    with pytest.raises(ProcessLookupError):
        os.kill(compiler, 0)
    makefile.write_text(good)
    again = subprocess.run(cmd, env=env, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert contents(out) != before


def test_an_interrupt_while_files_are_moved_takes_effect_afterwards(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "dist"
    build_tiny(project, out)
    (project / "prog.c").write_text(tinytree.PROG + "int more[1000] = {1};\n")
    really = os.replace
    moved = []

    def replace(source: Path, target: Path) -> None:
        if not moved:
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        moved.append(target)
        really(source, target)

    monkeypatch.setattr(publish.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        build_tiny(project, out)
    monkeypatch.undo()
    assert len(moved) == 5
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out).returncode == 0
    assert b"more" in (out / f"{STEM}.elf").read_bytes()
    assert not [p for p in out.iterdir() if p.name.startswith(".new-")]


def small_disk(folder: Path, kibibytes: int, cmd: list[str], after: str) -> list[str]:
    """A command line that mounts a small disk on `folder`, runs `cmd` there and then `after`."""
    script = f'mount -t tmpfs -o size={kibibytes}k none "{folder}" || exit 99; "$@"; status=$?; {after}; exit $status'
    private = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    return [*private, "sh", "-c", script, "sh", *cmd]


def can_mount() -> bool:
    done = subprocess.run(small_disk(Path("/mnt"), 64, ["true"], "true"), capture_output=True)
    return done.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this user cannot mount a small disk")
@pytest.mark.parametrize("full", ["dist", "work"])
def test_a_full_disk_is_one_error_and_leaves_nothing(project: Path, tmp_path: Path, full: str) -> None:
    out, work = tmp_path / "dist", tmp_path / "work"
    (tmp_path / full).mkdir()
    # 1 MB of data that no linker can leave out.
    (project / "prog.c").write_text(tinytree.PROG + "char big[1000000] = {1};\n")
    cmd, env = command(project, out, work)
    cmd = small_disk(tmp_path / full, 600, cmd, f'ls -A "{out}"')
    done = subprocess.run(cmd, env=env, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "the disk is full" in errors[0] and str(tmp_path / full) in errors[0]
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() == "", "dist/ is as it was: empty"


def test_two_builds_in_one_folder_do_not_mix(project: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / ".TINY.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another build of TINY is running there"):
            build_tiny(project, tmp_path / "dist")
    build_tiny(project, tmp_path / "dist")
