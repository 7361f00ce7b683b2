"""The base image where no registry answers: made from the machine's own Debian mirror."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import host
from kit.apt import AptError, machine_archive
from kit.engine_process import watched
from kit.ui import UserError, say


@contextmanager
def root_archive(suite: str, cache: Path) -> Iterator[Path]:
    """Make a minimal Debian of `suite` with mmdebstrap; give its tar archive.

    Args:
        suite: for example "trixie".
        cache: where there is room for 150 MB; the archive is removed afterwards.

    Raises:
        UserError: no mmdebstrap, no mirror, or mmdebstrap failed.
    """
    host.ensure({"mmdebstrap": "mmdebstrap"}, "the base image, which cannot be pulled here")
    try:
        archive = machine_archive()
    except AptError as error:
        raise UserError(
            f"the base image can neither be pulled nor made: {error}",
            where="base image",
            expected="a registry that answers, or a Debian mirror in this machine's apt configuration",
        ) from None
    say(f"the base image cannot be pulled; making it from this machine's Debian mirror (suite {suite}) …")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="base-") as folder:
        target = Path(folder) / "base.tar"
        command = [
            "mmdebstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            *_settings(),
            suite,
            str(target),
        ]
        keys = dict(archive.trust).get("signed-by", "")
        if keys.startswith("/"):
            command.insert(1, f"--keyring={keys}")
        command.append(archive.uri)
        if os.geteuid() != 0:
            command.insert(1, "--mode=unshare")
        said: list[str] = []
        if watched(command, said.append):
            raise UserError("mmdebstrap failed", where="base image", hint="\n".join(said[-6:]))
        yield target


def _settings() -> list[str]:
    """What of the machine's apt configuration is about the way to the mirror: proxies and their kin."""
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True)
    wanted = re.compile(r'^(Acquire::(?:https?::Proxy|Check-Valid-Until|Check-Date)[\w:.-]*) "([^"]+)";$')
    found = [wanted.match(line) for line in done.stdout.splitlines()]
    return [f'--aptopt={match[1]} "{match[2]}"' for match in found if match]
