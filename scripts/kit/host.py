"""Programs that the host needs from its own distribution: found, or installed with a word about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.ui import UserError

# Debian puts servers and QEMU where an ordinary user's PATH does not always look.
_EXTRA_PATH = ("/usr/sbin", "/sbin", "/usr/local/sbin")
# Asked by Debian's packages whether the service that they bring may be started; 101 means that it may not.
_POLICY = Path("/usr/sbin/policy-rc.d")


def find(program: str) -> str | None:
    """Return the full path of *program*, looking also in the sbin folders; None if it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_EXTRA_PATH])
    return shutil.which(program, path=path)


def ensure(programs: dict[str, str], why: str) -> dict[str, str]:
    """Make sure that programs are installed, through apt where this user may.

    :param programs: program name -> Debian package that has it, or several with a space between.
    :param why: what they are needed for, for the message ("the demo").
    :returns: program name -> full path.
    :raises UserError: when one is missing and cannot be installed by this user.
    """
    wanted = [packages for program, packages in programs.items() if find(program) is None]
    missing = sorted({package for packages in wanted for package in packages.split()})
    if missing:
        command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
        if os.geteuid() != 0 or find("apt-get") is None:
            raise UserError(
                f"{', '.join(missing)} not installed",
                where=f"needed for {why}",
                expected="these Debian packages on this machine",
                hint="sudo " + " ".join(command),
            )
        print(f"Installing {', '.join(missing)} with apt (needed for {why}) ...", file=sys.stderr, flush=True)
        _apt(["apt-get", "update"], strict=False)
        with _no_services():
            _apt(command, strict=True)
    found = {program: find(program) for program in programs}
    for program, path in found.items():
        if path is None:
            raise UserError(
                f"{program} is not there although its package was installed",
                where=f"package {programs[program]}",
                expected=f"a program {program} in PATH",
            )
    return {program: str(path) for program, path in found.items()}


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages such as a broker's from starting their service while they are installed.

    What needs the program starts one of its own; a service would only hold the usual port.
    """
    made = not _POLICY.exists()
    if made:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if made:
            _POLICY.unlink(missing_ok=True)


def _apt(command: list[str], *, strict: bool) -> None:
    """Run apt without questions; its output is shown only when it fails."""
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if strict and done.returncode != 0:
        last = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise UserError(f"'{' '.join(command)}' failed", where="apt", expected="exit status 0", hint=last)
