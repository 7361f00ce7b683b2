"""The package cli/ as pipx installs it: built by its own build system, with what it needs at run time inside."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

CLI = Path(__file__).resolve().parents[2] / "cli"


def test_the_wheel_works_by_itself(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, CLI], check=True, timeout=300)
    (wheel,) = tmp_path.glob("coldframe-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"coldframe_cli/config.schema.json", "coldframe_cli/py.typed"} <= names
    assert not [name for name in names if "__pycache__" in name]
    ours = {f"coldframe_cli/{path.relative_to(CLI / 'src/coldframe_cli')}" for path in CLI.rglob("*.py")}
    assert ours <= names
    folder = tmp_path / "site"
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", folder, wheel], check=True, timeout=300
    )
    bad = tmp_path / "config.json"
    bad.write_text('{"mqtt": {"port": "x"}}')
    done = subprocess.run(
        [folder / "bin" / "coldframe", "config", "check", bad],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done
    assert 'config.json: mqtt.port: expected a whole number of 1 to 65535, got "x"' in done.stderr
