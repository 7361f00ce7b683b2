"""The images in dist/, built once more under other conditions, are the same bytes.

dist/ was built by the Dockerfile in an ordinary folder; the second build has another folder, user, locale, time
zone, umask, clock and order of files (scripts/reproduce.py).
"""

import subprocess
import sys

import pytest
from kit import images


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("board", ["UNIX", "RPI_PICO"])
def test_second_build_is_identical(board):
    command = [
        sys.executable,
        str(images.ROOT / "scripts" / "reproduce.py"),
        board,
        "--against",
        str(images.DIST),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{board}: reproducible" in done.stdout
