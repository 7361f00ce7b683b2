"""Make or renew .venv, the Python environment in which the host scripts and the tests run.

Needs nothing but Python itself. The environment is made anew when requirements.txt or the
interpreter has changed, and left alone otherwise.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements.txt"


def main() -> int:
    """Return 0 when the environment is there, 2 with a message when it cannot be made."""
    cli = (ROOT / "cli" / "pyproject.toml").read_bytes()
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + cli + sys.version.encode()).hexdigest()
    stamp = VENV / ".coldframe"
    python = VENV / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == key and python.exists():
        return 0
    print("Making .venv (the Python packages that the scripts use) ...", file=sys.stderr, flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    venv.create(VENV, with_pip=True, symlinks=True)
    for arguments in (["-r", str(REQUIREMENTS)], ["--no-deps", "--editable", str(ROOT / "cli")]):
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            print(f"error: pip could not install {arguments[-1]}; its last lines:", file=sys.stderr)
            print("\n".join(done.stdout.strip().splitlines()[-6:]), file=sys.stderr)
            return 2
    stamp.write_text(key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
