"""The lx106's software arithmetic, compared with the arithmetic of the machine that runs the tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LX106 = HERE.parents[1] / "ports" / "qemu" / "lx106"
CASES = 500_000  # of each kind: about three seconds


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """softfp_check.c linked with the helpers, undefined behaviour trapped."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.fail("no C compiler on this machine: apt-get install gcc libc6-dev")
    target = tmp_path_factory.mktemp("softfp") / "softfp_check"
    command = [compiler, "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    command += ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-DCOLDFRAME_HOST_TEST", f"-I{LX106}"]
    files = [HERE / "softfp_check.c", LX106 / "intmath.c", LX106 / "softfp.c"]
    done = subprocess.run([*command, "-o", target, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("seed", [1, 20261121])
def test_same_as_the_fpu(program: Path, seed: int) -> None:
    done = subprocess.run([program, str(seed), str(CASES)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    compared = int(done.stdout.split()[-2])
    assert compared > 20 * CASES
