"""The runner of the device tests: it must see every way in which a script can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from device import conftest as runner
from device import targets
from kit import images
from kit.ui import UserError

QEMU = [target for target in targets.TARGETS if isinstance(target, targets.Qemu)]
GOOD = """\
def test_a():
    pass
"""


def script(folder: Path, text: str, *, end: str = "minitest.run(globals())\n") -> Path:
    path = folder / "test_made.py"
    path.write_text("import minitest\n" + text + end)
    return path


def run(target: targets.Target, tmp_path: Path, text: str, **how: str) -> targets.Outcome:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return target.run(script(tmp_path, text, **how), scratch)


@pytest.fixture(params=QEMU, ids=lambda target: target.name)
def machine(request: pytest.FixtureRequest) -> targets.Target:
    return request.param


def test_output_is_taken_apart() -> None:
    report = runner.read(
        "noise\nok test_a\nskip test_b: not here\nFAIL test_c: E: x\nTraceback\n  line\n"
        "MEASURE heap_bytes 12\nok test_d\nMEASURE rate 1.5\n2 passed, 1 failed\n"
    )
    assert report.passed == ["test_a", "test_d"]
    assert report.skipped == {"test_b": "not here"}
    assert report.failed == {"test_c": "FAIL test_c: E: x\nTraceback\n  line"}
    assert report.measured == {"heap_bytes": 12, "rate": 1.5}
    assert report.complete


@pytest.mark.parametrize(
    ("output", "end", "expected"),
    [
        ("ok test_a\n", targets.ENDED, "did not reach its last line"),
        ("ok test_a\n2 passed, 0 failed\n", targets.ENDED, "did not reach its last line"),  # a line was lost
        ("ok test_a\n1 passed, 0 failed\n", "exit status 3", "exit status 3"),
        ("0 passed, 0 failed\n", targets.ENDED, "no test"),
        ("FAIL test_a: E: boom\n0 passed, 1 failed\n", targets.ENDED, "boom"),
    ],
)
def test_what_counts_as_a_failure(output: str, end: str, expected: str) -> None:
    with pytest.raises(runner.DeviceError, match=expected):
        runner.judge(runner.read(output), targets.Outcome(output, end))


def test_only_skips_is_a_skip() -> None:
    output = "skip test_a: no pins\n0 passed, 0 failed\n"
    with pytest.raises(pytest.skip.Exception, match="no pins"):
        runner.judge(runner.read(output), targets.Outcome(output, targets.ENDED))


def test_figures_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DIST", tmp_path)
    runner.store("A", {"x": 1})
    runner.store("B", {"x": 2})
    runner.store("A", {"y": 3})
    runner.store("C", {})
    assert json.loads((tmp_path / "measurements.json").read_text()) == {"A": {"x": 1, "y": 3}, "B": {"x": 2}}
    assert [path.name for path in tmp_path.iterdir()] == ["measurements.json"]


def test_missing_image_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DIST", tmp_path)
    with pytest.raises(UserError, match="no such image") as caught:
        run(QEMU[0], tmp_path, GOOD)
    assert "scripts/build.py QEMU_LX106" in str(caught.value)


def test_syntax_error_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mpy-cross") as caught:
        run(QEMU[0], tmp_path, "def test_a(:\n")
    assert "line 2" in str(caught.value)


def test_a_good_script(machine: targets.Target, tmp_path: Path) -> None:
    outcome = run(machine, tmp_path, GOOD)
    assert outcome == targets.Outcome("ok test_a\n1 passed, 0 failed\n", targets.ENDED)


def test_guest_exceptions_and_statuses(machine: targets.Target, tmp_path: Path) -> None:
    outcome = run(machine, tmp_path, "def broken():\n    missing\nbroken()\n")
    assert outcome.end == targets.QEMU_ENDS[1]
    assert "test_made.py" in outcome.output and "line 3, in broken" in outcome.output
    assert "NameError: name 'missing' isn't defined" in outcome.output


@pytest.mark.parametrize("status", [0, 7])
def test_exit_status(machine: targets.Target, tmp_path: Path, status: int) -> None:
    outcome = run(machine, tmp_path, f"import sys\nsys.exit({status})\n", end="")
    assert outcome.end == (f"exit status {status}" if status else targets.ENDED)


def test_crash_of_the_cpu_is_reported(machine: targets.Target, tmp_path: Path) -> None:
    outcome = run(machine, tmp_path, "import machine\nmachine.mem32[0x10] = machine.mem32[0x10]\n")
    assert outcome.end == targets.QEMU_ENDS[99]
    assert "fatal: CPU exception" in outcome.output and "address 00000010" in outcome.output


def test_missing_file_is_reported(machine: targets.Qemu, tmp_path: Path) -> None:
    args = machine.arguments(machine.image().resolve(), ["nothing.mpy"])
    outcome = machine.command(args, tmp_path, targets.QEMU_ENDS)
    assert (outcome.output, outcome.end) == ("cannot read nothing.mpy\n", targets.QEMU_ENDS[97])


def test_endless_script_is_stopped(
    machine: targets.Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "deadline", 2)
    outcome = run(machine, tmp_path, "print('begun')\nwhile True:\n    pass\n")
    assert outcome.end == "no end within 2 s, stopped"
    assert outcome.output == "begun\n"


def test_waiting_takes_no_time_and_runs_are_alike(machine: targets.Target, tmp_path: Path) -> None:
    text = (
        "import asyncio, os, random, time\n"
        "print(sum(range(1000)), time.ticks_us(), os.urandom(4), random.getrandbits(30))\n"
        "time.sleep(100)\n"
        "async def main():\n    await asyncio.sleep(400)\n"
        "asyncio.run(main())\n"
        "print(time.ticks_ms() // 1000)\n"
    )
    outcomes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        outcomes.append(run(machine, tmp_path / name, text))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].end == targets.ENDED
    assert 500 <= int(outcomes[0].output.splitlines()[1]) < 510  # seconds, in far less than the deadline


def test_reset_keeps_the_flash_and_nothing_else(machine: targets.Target, tmp_path: Path) -> None:
    outcome = run(
        machine,
        tmp_path,
        "import machine, os\n"
        "cause = machine.reset_cause()\n"
        "print(cause, sorted(os.listdir('/')))\n"
        "open('/boot%d' % cause, 'w').close()\n"
        "if cause == machine.PWRON_RESET:\n    machine.reset()\n"
        "if cause == machine.SOFT_RESET:\n    machine.deepsleep(1000)\n",
        end="",
    )
    assert outcome.end == targets.ENDED
    assert outcome.output.splitlines() == ["0 []", "4 ['boot0']", "5 ['boot0', 'boot4']"]
