"""The plain C cores under AddressSanitizer and UBSan: fuzzed, and the proof that a missing check is found.

libFuzzer runs each target for a bounded CPU time where clang has it; without it, our own generator of
inputs (tests/fuzz/driver.c), which always runs a little, takes its place. docs/fuzzing.md has the rest.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from kit import fuzzing

# CPU seconds of libFuzzer per target, two minutes together; COLDFRAME_FUZZ multiplies them.
SECONDS = {"decode": 60, "encode": 25, "props": 10, "topic": 5, "ringlog": 20}
# Inputs of our own generator where there is no libFuzzer, and how many where there is.
COUNTS = {"decode": 150_000, "encode": 200_000, "props": 300_000, "topic": 300_000, "ringlog": 60_000}
FEW = 20
FACTOR = float(os.environ.get("COLDFRAME_FUZZ", "1"))
# CPU seconds that libFuzzer has to find one missing check. Nearly all are found in less than one, but it is a search
# by chance: what it has not found by then, our own generator must, whose inputs are always the same.
DEADLINE = 20

HAS_LIBFUZZER = fuzzing.libfuzzer() is not None
needs_libfuzzer = pytest.mark.skipif(
    not HAS_LIBFUZZER,
    reason="clang with libFuzzer is not here (Debian: clang libclang-rt-dev); only our own generator runs",
)
# Their time is CPU time: on a busy machine it takes longer than other tests may.
patient = pytest.mark.timeout(3000)
MUTANTS = [(core, number) for core in fuzzing.CORES for number in fuzzing.checks(core)]
IDS = [f"{core}-{number}" for core, number in MUTANTS]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own driver, compiled with the sanitizers."""
    return fuzzing.build_driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The libFuzzer programs by target."""
    return fuzzing.build_libfuzzer(tmp_path_factory.mktemp("libfuzzer"))


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The inputs that libFuzzer starts from by target: packets of our own encoders."""
    folder = tmp_path_factory.mktemp("corpus")
    return fuzzing.make_corpus(fuzzing.build_seeds(folder), folder)


@needs_libfuzzer
@patient
@pytest.mark.parametrize("target", SECONDS)
def test_libfuzzer_finds_nothing(programs: dict[str, Path], corpora: dict[str, Path], target: str) -> None:
    run = fuzzing.fuzz(programs[target], target, corpora[target], SECONDS[target] * FACTOR)
    assert not run.finding, f"{run.what}\n{run.inputs}\n{run.finding[-4000:]}"
    assert run.executions > 1000 and run.edges > 0, run
    print(f"{run.executions} inputs, {run.edges} of {run.edges_total} edges, {run.cpu_seconds} s")


@pytest.mark.parametrize("target", COUNTS)
def test_generated_inputs_find_nothing(driver: Path, target: str) -> None:
    count = int(COUNTS[target] * FACTOR) // (FEW if HAS_LIBFUZZER else 1)
    done = fuzzing.drive(driver, target, count)
    assert done.returncode == 0, done.stderr[-4000:]
    result = re.fullmatch(r"(\d+) inputs, (\d+) good\n", done.stdout)
    assert result and int(result[1]) == count, done.stdout
    assert int(result[2]) > count / 50, f"hardly any input came to something: {done.stdout}"


def test_cases(driver: Path) -> None:
    done = fuzzing.drive_cases(driver)
    assert done.returncode == 0, done.stderr[-4000:]


@needs_libfuzzer
@patient
@pytest.mark.parametrize(("core", "number"), MUTANTS, ids=IDS)
def test_libfuzzer_finds_a_missing_check(
    programs: dict[str, Path], corpora: dict[str, Path], driver: Path, core: str, number: int
) -> None:
    """With one bounds check taken out, the targets that find nothing otherwise must find that."""
    run = fuzzing.find_missing(programs, corpora, core, number, DEADLINE)
    found = run.finding if run else _found_by_driver(driver, core, number)
    assert found, f"check {number} of {core} was taken out: nothing was found in {DEADLINE} CPU seconds"
    assert re.search(r"CHECK failed|AddressSanitizer|runtime error|deadly signal", found), found


@pytest.mark.skipif(HAS_LIBFUZZER, reason="libFuzzer looks for the missing checks")
@pytest.mark.parametrize(("core", "number"), MUTANTS, ids=IDS)
def test_the_driver_finds_a_missing_check(driver: Path, core: str, number: int) -> None:
    found = _found_by_driver(driver, core, number)
    assert found, f"check {number} of {core} was taken out, and nothing was found"
    assert re.search(r"CHECK failed|AddressSanitizer|runtime error", found), found[-2000:]


def _found_by_driver(driver: Path, core: str, number: int) -> str:
    # A few inputs find most, so that the wrong target costs little.
    for share, target in [(share, target) for share in (20, 1) for target in fuzzing.targets_of(core)]:
        done = fuzzing.drive(driver, target, COUNTS[target] // share, drop=number)
        if done.returncode != 0:
            return done.stderr
    return ""


@pytest.mark.parametrize("core", fuzzing.CORES)
def test_checks_are_numbered_once(core: str) -> None:
    numbers = fuzzing.checks(core)
    assert numbers == list(range(1, len(numbers) + 1)), numbers
