"""The plain C cores under AddressSanitizer and UBSan: generated and spoilt input, and the proof that it can fail.

tests/fuzz/driver.c makes the input from a seed, so every run is the same; coverage-guided fuzzing
of the same targets is tests/fuzz/libfuzzer.c.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "fuzz"
CODEC = ROOT / "cmodules" / "mqttpacket"
RINGLOG = ROOT / "cmodules" / "ringlog"

# Target -> inputs of one run, a few seconds each; COLDFRAME_FUZZ multiplies them.
COUNTS = {"decode": 300_000, "encode": 300_000, "ringlog": 60_000}
FACTOR = int(os.environ.get("COLDFRAME_FUZZ", "1"))


def checks(folder: Path) -> list[int]:
    """The numbers of the BOUND() checks in a core, which the mutation check takes out one by one."""
    source = "".join(path.read_text() for path in sorted(folder.glob("*.c")))
    return sorted(int(number) for number in re.findall(r"\bBOUND\((\d+),", source))


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fuzz driver, compiled with the sanitizers."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.fail("no C compiler: install gcc (with libasan and libubsan, which come with it on Debian)")
    out = tmp_path_factory.mktemp("fuzz") / "driver"
    command = [
        compiler, "-std=gnu99", "-g", "-O1", "-Wall", "-Wextra", "-Werror",
        "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
        "-include", FUZZ / "drop.h", "-I", CODEC, "-I", RINGLOG,
        FUZZ / "driver.c", FUZZ / "fuzz_codec.c", FUZZ / "fuzz_ringlog.c", *sorted(CODEC.glob("mqttpacket*.c")),
        "-o", out,
    ]  # fmt: skip
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def run(driver: Path, target: str, count: int, seed: int, drop: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `count` inputs of a target; drop: the bounds check to take out, 0 for none."""
    # Without core dumps and symbols a failing mutant ends at once.
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:symbolize=1" if drop == 0 else "symbolize=0"}
    return subprocess.run(
        [driver, target, str(count), str(seed), str(drop)],
        capture_output=True,
        text=True,
        timeout=500,
        env=env,
    )


@pytest.mark.parametrize("target", COUNTS)
def test_nothing_is_found(driver: Path, target: str) -> None:
    count = COUNTS[target] * FACTOR
    done = run(driver, target, count, seed=20261121)
    assert done.returncode == 0, done.stderr[-4000:]
    result = re.fullmatch(r"(\d+) inputs, (\d+) good\n", done.stdout)
    assert result and int(result[1]) == count, done.stdout
    assert int(result[2]) > count / 8, f"hardly any input came to something: {done.stdout}"


MUTANTS = [("mqttpacket", n) for n in checks(CODEC)] + [("ringlog", n) for n in checks(RINGLOG)]


@pytest.mark.parametrize(("core", "number"), MUTANTS, ids=[f"{core}-{number}" for core, number in MUTANTS])
def test_a_missing_check_is_found(driver: Path, core: str, number: int) -> None:
    """With one bounds check taken out, the same inputs that find nothing otherwise must find that."""
    targets = ["ringlog"] if core == "ringlog" else ["decode", "encode"]
    found = ""
    # A few inputs find most, so that the wrong target costs little.
    for share, target in [(share, target) for share in (20, 1) for target in targets]:
        done = run(driver, target, COUNTS[target] // share, seed=20261121, drop=number)
        if done.returncode != 0:
            found = done.stderr
            break
    assert found, f"check {number} of {core} was taken out, and nothing was found"
    assert re.search(r"CHECK failed|AddressSanitizer|runtime error", found), found[-2000:]


def test_checks_are_numbered_once() -> None:
    for folder in (CODEC, RINGLOG):
        numbers = checks(folder)
        assert numbers == list(range(1, len(numbers) + 1)), f"{folder.name}: {numbers}"
