"""Build what the tests need and run them all: what `make test` and CI do.

Arguments go to pytest: `make test ARGS="tests/host -k config"` runs a part. With `--no-build` the
images in dist/ are taken as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from kit import host, images, ui

# The images that the tests run; the last three are only for tests and are not released.
BOARDS = ["RPI_PICO", "UNIX", "UNIX32", "QEMU_LX106", "QEMU_RV32"]
# Linked and measured, never run. Its vendor SDK is a package of the Rust registry, which cargo fetches.
LINKED = "ESP8266_LINKCHECK"
# The second run comes after the first: it compares what the device tests have measured, and builds once more,
# with both cores to itself.
FIRST = [
    "-n",
    "2",
    "--dist",
    "loadgroup",
    "tests/device",
    "tests/host",
    "tests/conformance",
    "tests/emulator",
    "tests/web",
]
SECOND = ["tests/images"]
PROGRAMS = {
    "mosquitto": "mosquitto",
    "openssl": "openssl",
    "rabbitmqctl": "rabbitmq-server",
    "node": "nodejs",
    "npm": "npm",
    "qemu-system-xtensa": "qemu-system-misc",
    "gcc": "gcc libc6-dev",
    "clang": "clang libclang-rt-dev llvm",  # libFuzzer, its sanitizers, names in its reports
    "make": "make",
    "git": "git",
    "chromium": "chromium",  # for the setup page
    "mount": "mount",
    "ps": "procps",
}


def main(argv: list[str]) -> int:
    """Return the exit status of pytest (0 when every test passed)."""
    if "-h" in argv or "--help" in argv:
        print((__doc__ or "").strip())
        return 0
    build = "--no-build" not in argv
    argv = [argument for argument in argv if argument != "--no-build"]
    host.ensure(PROGRAMS, "the tests")
    host.ensure({"qemu-system-riscv32": _riscv_package()}, "the tests")
    if build:
        images.ensure([*BOARDS, LINKED] if _has_cargo() else BOARDS)
    if argv:
        return _pytest(argv)
    (images.DIST / "measurements.json").unlink(missing_ok=True)
    return max(_pytest(FIRST), _pytest(SECOND))


def _pytest(arguments: list[str]) -> int:
    """Run pytest with *arguments* in the project's folder; returns its exit status."""
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(
        command, cwd=images.ROOT, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    ).returncode


def _has_cargo() -> bool:
    """Tell whether cargo is here and new enough to read the registry over HTTP (1.68), as Debian 12's is not."""
    done = (
        subprocess.run(["cargo", "--version"], capture_output=True, text=True) if host.find("cargo") else None
    )
    found = re.match(r"cargo (\d+)\.(\d+)", done.stdout) if done else None
    if found and (int(found[1]), int(found[2])) >= (1, 68):
        return True
    ui.warn(f"{LINKED} is not built: fetching its SDK needs cargo 1.68 or newer")
    return False


def _riscv_package() -> str:
    """Name the Debian package that has qemu-system-riscv32: newer releases split it from -misc."""
    listed = subprocess.run(["apt-cache", "show", "qemu-system-riscv"], capture_output=True, text=True)
    return (
        "qemu-system-riscv" if listed.returncode == 0 and "Package:" in listed.stdout else "qemu-system-misc"
    )


if __name__ == "__main__":
    ui.main(main)
