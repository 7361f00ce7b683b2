"""Getting files from outside: an HTTP download that resumes, a git tag, a crate."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from kit.ui import Step, UserError

# An origin that does not answer must not hold up the ones after it.
CONNECT_SECONDS = 5
_TRIES = 3
_CHUNK = 1 << 18


class Unreachable(Exception):
    """The origin gives nothing; the text says why, in half a sentence."""


def download(url: str, part: Path, step: Step) -> None:
    """Download `url` to `part`, going on where an earlier attempt stopped.

    Args:
        url: http or https.
        part: the file, possibly partial already.
        step: shows the bytes.

    Raises:
        Unreachable: no connection, an HTTP error, or a connection that breaks again and again.
    """
    host = urllib.parse.urlsplit(url).netloc
    _resolve(url)
    for attempt in range(_TRIES):
        before = part.stat().st_size if part.exists() else 0
        try:
            _download_once(url, part, step)
            return
        except urllib.error.HTTPError as error:
            if error.code == 416 and before:  # more bytes here than there: not the same file
                part.unlink()
                continue
            raise Unreachable(f"{host} says {error.code} {error.reason}") from None
        except (OSError, urllib.error.URLError, EOFError) as error:
            if not isinstance(error, urllib.error.URLError | EOFError) and (
                error.filename == str(part) or error.errno == errno.ENOSPC
            ):
                raise  # our own disk, not the network
            got = part.stat().st_size if part.exists() else 0
            if attempt == _TRIES - 1 or got == before:
                reason = getattr(error, "reason", None) or error
                raise Unreachable(f"cannot download from {host} ({reason})") from None


def _download_once(url: str, part: Path, step: Step) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "coldframe"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer:
        resumed = answer.status == 206
        if not resumed:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            while block := answer.read(_CHUNK):
                file.write(block)
                have += len(block)
                step.update(have, total, part.name)
    if total is not None and have < total:
        raise EOFError(f"the connection ended after {have} of {total} bytes")


def _resolve(url: str) -> None:
    """Look the host's name up with a limit of our own: the system's may be half a minute."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme in urllib.request.getproxies() or parts.hostname is None:
        return  # the proxy does it
    answer: list[object] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM))
        except OSError as error:
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not answer or isinstance(answer[0], OSError):
        raise Unreachable(f"cannot reach {parts.hostname}")


def clone(url: str, tag: str, commit: str, into: Path, step: Step) -> None:
    """Clone one tag of a repository with its submodules.

    Raises:
        Unreachable: no git here, or the server does not answer.
        UserError: the tag is not the pinned commit.
    """
    if shutil.which("git") is None:
        raise Unreachable("git is not installed")
    _resolve(url)
    step.update(note=f"git clone {url}")
    shutil.rmtree(into, ignore_errors=True)
    into.parent.mkdir(parents=True, exist_ok=True)
    env = dict(
        os.environ, GIT_TERMINAL_PROMPT="0", GIT_HTTP_LOW_SPEED_LIMIT="1000", GIT_HTTP_LOW_SPEED_TIME="30"
    )
    command = ["git", "clone", "--quiet", "--depth=1", "--branch", tag, url, str(into)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise Unreachable("git: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1])
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=into, capture_output=True, text=True
    ).stdout.strip()
    if head != commit:
        shutil.rmtree(into, ignore_errors=True)
        raise UserError(
            f"tag {tag} is commit {head}", where=url, expected=commit, hint="the tag was moved upstream"
        )
    # The commit names the commit of each submodule, so these are pinned with it.
    command = ["git", "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1", "--jobs=4"]
    done = subprocess.run(command, cwd=into, env=env, capture_output=True, text=True)
    if done.returncode:
        raise Unreachable("git submodule: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1])


def crate(package: str, version: str, sha256: str) -> Path:
    """Let cargo fetch one crate and return the archive in cargo's own cache.

    The crate is named with version and checksum in a Cargo.lock; that also gets one that its author
    has withdrawn ("yanked"), which cargo would not choose by itself.

    Raises:
        Unreachable: no cargo here, or it cannot get the crate.
    """
    if shutil.which("cargo") is None:
        raise Unreachable("cargo is not installed")
    with tempfile.TemporaryDirectory(prefix="coldframe-") as folder:
        where = Path(folder)
        (where / "src").mkdir()
        (where / "src" / "lib.rs").touch()
        manifest = '[package]\nname = "want"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n'
        # What cargo calls its registry, it writes into the lock file of any project with a dependency.
        (where / "Cargo.toml").write_text(manifest + 'cfg-if = "1"\n')
        _cargo(["generate-lockfile"], where)
        registry = re.search(r'(?m)^source = "(.*)"$', (where / "Cargo.lock").read_text())
        if registry is None:
            raise Unreachable("cargo does not say what its registry is")
        (where / "Cargo.toml").write_text(manifest + f'{package} = "={version}"\n')
        (where / "Cargo.lock").write_text(
            f'version = 3\n[[package]]\nname = "{package}"\nversion = "{version}"\nsource = "{registry[1]}"\n'
            f'checksum = "{sha256}"\n'
            f'[[package]]\nname = "want"\nversion = "0.0.0"\ndependencies = ["{package}"]\n'
        )
        _cargo(["fetch"], where)
        asked = _cargo(["metadata", "--offline", "--format-version=1"], where)
        for found in json.loads(asked)["packages"]:
            if found["name"] == package:
                # …/registry/src/INDEX/PACKAGE-VERSION/Cargo.toml; the archive is beside it under cache/
                tree = Path(found["manifest_path"]).parent
                archive = tree.parents[2] / "cache" / tree.parent.name / f"{tree.name}.crate"
                if archive.is_file():
                    return archive
    raise Unreachable(f"cargo fetched {package} {version}, but its archive is not in cargo's cache")


def _cargo(arguments: list[str], where: Path) -> str:
    try:
        done = subprocess.run(["cargo", *arguments], cwd=where, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Unreachable("cargo takes longer than ten minutes") from None
    if done.returncode:
        errors = re.findall(r"(?m)^error: (.*)", done.stderr) or ["no reason given"]
        raise Unreachable(f"cargo: {errors[0]}")
    return done.stdout
