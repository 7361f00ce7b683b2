"""Packages of a Debian archive, through apt with a configuration of its own.

The suites that Coldframe needs (trixie, forky, sid) are rarely those of the machine. `Apt` therefore
keeps lists, caches and settings in a folder of the cache and takes only two things from the machine:
where its Debian mirror is and which keys it trusts. The machine's own lists stay as they are, and no
root is needed.

`COLDFRAME_APT_SOURCES=FILE` names an apt sources file (one-line or deb822 form) to take the mirror
from instead, for example an archive of old package versions.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.ui import UserError

SOURCES_ENV = "COLDFRAME_APT_SOURCES"

# Names by which an archive can be told to be Debian's own rather than, say, that of a web browser.
_SUITES = frozenset(
    ("oldstable", "stable", "testing", "unstable", "sid", "bullseye", "bookworm", "trixie", "forky", "duke")
)
# What a source entry may say about how it is to be trusted; goes into our own entry unchanged.
_TRUST_KEYS = ("signed-by", "trusted", "check-valid-until", "check-date", "allow-insecure")

Progress = Callable[[float, str], None]  # percent, what is being fetched


class AptError(Exception):
    """apt is not there, or said no; the text is for the user."""


@dataclass(frozen=True)
class Archive:
    """A Debian mirror as the machine's apt knows it."""

    uri: str
    trust: tuple[tuple[str, str], ...] = ()  # deb822 fields about keys, in lower case

    def entry(self, suites: Sequence[str], types: str = "deb deb-src") -> str:
        """Return the deb822 paragraph that offers `suites` of this mirror."""
        lines = [f"Types: {types}", f"URIs: {self.uri}", f"Suites: {' '.join(suites)}", "Components: main"]
        lines += [f"{key.title()}: {value}" for key, value in self.trust]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Offer:
    """A package version that the mirror has."""

    version: str
    suite: str


@dataclass
class Apt:
    """apt with a private configuration.

    Args:
        folder: where lists, caches and settings are kept.
        sources: an apt sources file to take the mirror from; by default the machine's own
            configuration, or what COLDFRAME_APT_SOURCES names.
    """

    folder: Path
    sources: Path | None = None
    _suites: set[str] = field(default_factory=set)

    def update(self, suites: Sequence[str], progress: Progress | None = None) -> None:
        """Fetch the package lists of `suites` (once per object and suite).

        Raises:
            AptError: no apt, no Debian mirror in its configuration, or the mirror does not answer.
        """
        wanted = self._suites | set(suites)
        if wanted == self._suites:
            return
        if shutil.which("apt-get") is None:
            raise AptError("this machine has no apt")
        archive = self._archive()
        for name in ("lists/partial", "cache/archives/partial", "etc"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "etc" / "coldframe.sources").write_text(archive.entry(sorted(wanted)))
        (self.folder / "etc" / "apt.conf").write_text(self._settings())
        self._run(["apt-get", "update", "--error-on=any"], progress=progress)
        self._suites = wanted

    def source_versions(self, package: str) -> list[Offer]:
        """Return the versions of a source package in the updated suites, in the mirror's order."""
        return self._madison(package, "Sources")

    def binary_versions(self, package: str) -> list[Offer]:
        """Return the versions of a binary package in the updated suites."""
        return self._madison(package, "Packages")

    def fetch_source(
        self, package: str, version: str, into: Path, progress: Progress | None = None
    ) -> list[Path]:
        """Download the files of a source package; an interrupted download goes on where it stopped.

        Returns:
            The files, whose checksums apt has compared with the signed package list.
        """
        command = ["apt-get", "source", "--download-only", "--only-source", f"{package}={version}"]
        return self._fetch(command, into, progress)

    def fetch_binary(
        self, package: str, version: str, into: Path, progress: Progress | None = None
    ) -> list[Path]:
        """Download the .deb of a binary package. See `fetch_source`."""
        return self._fetch(["apt-get", "download", f"{package}={version}"], into, progress)

    def _fetch(self, command: list[str], into: Path, progress: Progress | None) -> list[Path]:
        into.mkdir(parents=True, exist_ok=True)
        self._run(command, cwd=into, progress=progress)
        # apt writes %-escapes into the names of .deb files (an epoch's colon); ours have none.
        return sorted(path for path in into.iterdir() if path.is_file())

    def _madison(self, package: str, kind: str) -> list[Offer]:
        offers = []
        for line in self._run(["apt-cache", "madison", package]).splitlines():
            parts = [part.strip() for part in line.split("|")]
            if len(parts) == 3 and parts[0] == package and parts[2].endswith(kind):
                found = re.search(r"(\S+)/main\s", parts[2] + " ")
                if found and Offer(parts[1], found[1]) not in offers:
                    offers.append(Offer(parts[1], found[1]))
        return offers

    def _archive(self) -> Archive:
        named = self.sources or (Path(os.environ[SOURCES_ENV]) if os.environ.get(SOURCES_ENV) else None)
        if named is not None:
            if not named.is_file():
                raise UserError(f"no such file: {named}", where=SOURCES_ENV, expected="an apt sources file")
            entries = parse_sources(named)
            if not entries:
                raise UserError("no archive is named in it", where=named, expected="an apt sources file")
            return entries[0][0]
        return machine_archive()

    def _settings(self) -> str:
        """The configuration. It is read last, so it wins over the machine's; proxies and the like stay."""
        root = self.folder.resolve()
        pairs = {
            "Dir::Etc::SourceList": root / "etc/coldframe.sources",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": root,
            "Dir::State::Lists": root / "lists",
            "Dir::State::Status": root / "status",
            "Dir::State::extended_states": root / "extended_states",
            "Dir::Cache": root / "cache",
            "Dir::Cache::pkgcache": "pkgcache.bin",  # container images switch these off
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "Dir::Log": root,
            # An archive that stands still, as one of old versions does, is as good: pins are verified by
            # their sha256, and what is not as pinned is never called locked.
            "Acquire::Check-Valid-Until": "false",
            "Acquire::Languages": "none",
            "Acquire::PDiffs": "false",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
            "Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled": "false",
            "Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled": "false",
            "Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled": "false",
            "Acquire::http::Timeout": "15",
            "Acquire::https::Timeout": "15",
            "Acquire::Retries": "2",
            "APT::Get::Host-Architecture": "",
        }
        if os.geteuid() == 0:
            pairs["APT::Sandbox::User"] = "root"  # else apt's own user could not write here
        # Hooks that the machine runs after an update are about its own lists, not ours.
        hooks = ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success")
        lines = [f"#clear {name};" for name in (*hooks, "APT::Architectures")]
        return "\n".join(lines + [f'{key} "{value}";' for key, value in pairs.items() if value != ""]) + "\n"

    def _run(self, command: list[str], cwd: Path | None = None, progress: Progress | None = None) -> str:
        settings = self.folder.resolve() / "etc" / "apt.conf"
        env = dict(os.environ, LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")
        command = [command[0], "-q", "-c", str(settings), *command[1:]] if command[0] == "apt-get" else [
            command[0], "-c", str(settings), *command[1:]
        ]  # fmt: skip
        read, write = os.pipe()
        try:
            if command[0] == "apt-get":
                command[1:1] = ["-o", f"APT::Status-Fd={write}"]
            process = subprocess.Popen(
                command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", pass_fds=[write],
            )  # fmt: skip
        finally:
            os.close(write)
        try:
            output = _drain(process, read, progress)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            raise AptError(_last_errors(output))
        return output


def _drain(process: subprocess.Popen[str], status: int, progress: Progress | None) -> str:
    """Collect what apt prints while showing what it says on its status line; return the former."""
    import threading

    def follow() -> None:
        with os.fdopen(status, errors="replace") as lines:
            for line in lines:
                part = line.rstrip("\n").split(":", 3)
                if progress and part[0] == "dlstatus" and len(part) == 4:
                    progress(float(part[2]), part[3])

    watcher = threading.Thread(target=follow, daemon=True)
    watcher.start()
    assert process.stdout is not None
    output = process.stdout.read()
    process.wait()
    watcher.join(timeout=5)
    return output


def _last_errors(output: str) -> str:
    errors = [line[2:].strip() for line in output.splitlines() if line.startswith(("E:", "Err:"))]
    text = "; ".join(dict.fromkeys(errors)) or output.strip().splitlines()[-1:] or "no reason given"
    return text if isinstance(text, str) else text[0]


def machine_archive() -> Archive:
    """Return the Debian mirror that this machine's apt uses.

    Raises:
        AptError: when apt is not there or knows no Debian mirror.
    """
    if shutil.which("apt-config") is None:
        raise AptError("this machine has no apt")
    done = subprocess.run(
        ["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"],
        capture_output=True, text=True,
    )  # fmt: skip
    paths = dict(re.findall(r"(\w+)='([^']*)'", done.stdout))
    files = [Path(paths.get("LIST", "/etc/apt/sources.list"))]
    parts = Path(paths.get("PARTS", "/etc/apt/sources.list.d"))
    if parts.is_dir():
        files += sorted(p for p in parts.iterdir() if p.suffix in (".list", ".sources"))
    for file in files:
        for archive, suites in parse_sources(file):
            if _SUITES.intersection(suites) and "security" not in archive.uri:
                return archive
    raise AptError("this machine's apt knows no Debian mirror")


def parse_sources(file: Path) -> list[tuple[Archive, list[str]]]:
    """Read an apt sources file of either form; return each archive with its suites."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return []
    entries = (
        _deb822(text) if file.suffix == ".sources" or re.search(r"(?mi)^uris:", text) else _one_line(text)
    )
    return [(archive, suites) for archive, suites in entries if archive.uri]


def _one_line(text: str) -> list[tuple[Archive, list[str]]]:
    entries = []
    for line in text.splitlines():
        found = re.match(
            r"\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.split("#")[0] + " "
        )
        if found:
            options = dict(part.split("=", 1) for part in (found[1] or "").split() if "=" in part)
            entries.append((Archive(found[2], _trust(options)), [found[3]]))
    return entries


def _deb822(text: str) -> list[tuple[Archive, list[str]]]:
    entries = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and key:
                fields[key] += "\n" + line  # a key block written into the file
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            entries.append((Archive(uri, _trust(fields)), fields.get("suites", "").split()))
    return entries


def _trust(options: dict[str, str]) -> tuple[tuple[str, str], ...]:
    found = {key.lower(): value for key, value in options.items()}
    return tuple((key, found[key]) for key in _TRUST_KEYS if key in found)
