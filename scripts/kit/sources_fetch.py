"""Fetching the upstream sources: the origins, one after the other, until one answers.

Whatever comes in is compared with its sha256 before it gets its name in the cache. Two rules decide
what happens when something is not as pinned:

* a file that arrives and differs from its pin ends everything: it is never used, and no other origin
  is tried in its place;
* an origin that cannot be reached, or a mirror that no longer has the pinned version, is passed over
  with one line. When no origin has the pin, what the Debian mirror offers now is taken instead
  (verified by apt's signatures) and marked as not locked; with `locked` that is an error.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kit import sources_net
from kit.apt import Apt, AptError, Offer
from kit.sources import PROJECT, Pin, Sources, check_sha256, pins, read_lock, sha256_of, write_lock
from kit.ui import Step, Steps, UserError, say, warn

_LOCAL_LEFTOVERS = (".git", "build", "__pycache__")


class Unavailable(Exception):
    """This origin cannot give the source; the text says why, in half a sentence."""


class Moved(Unavailable):
    """The Debian mirror has other versions than the pinned one."""

    def __init__(self, origin: dict[str, Any], offers: list[Offer]) -> None:
        self.origin = origin
        self.offers = offers
        listed = ", ".join(f"{o.version} ({o.suite})" for o in offers) or "nothing"
        super().__init__(
            f"the Debian mirror no longer has {origin['package']} {origin['version']}; it offers {listed}"
        )


def fetch(
    names: list[str],
    *,
    cache: Path,
    locked: bool = False,
    offline: bool = False,
    folders: dict[str, Path | None] | None = None,
    refresh: bool = False,
    only: dict[str, str] | None = None,
    project: Path = PROJECT,
    apt_sources: Path | None = None,
) -> Sources:
    """Bring `names` into the cache.

    Args:
        names: the sources; with none, those that sources.toml marks as the usual ones.
        cache: the cache folder.
        locked: insist on exactly what is pinned.
        offline: use the cache alone.
        folders: NAME to a folder that takes the source's place, or to None to end that.
        refresh: look again for sources that were not to be had as pinned the last time.
        only: NAME to the one kind of origin to use.
        project: where sources.toml is.
        apt_sources: an apt sources file to use in place of the machine's own.

    Returns:
        The sources, all of `names` among them.

    Raises:
        UserError: what could not be had, and why.
    """
    pinned = pins(project / "sources.toml")
    names = names or [name for name, pin in pinned.sources.items() if pin.default]
    for name in [*names, *(folders or {}), *(only or {})]:
        pinned[name]  # raises for a name that is not there
    folder = cache / "sources"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            job = _Job(Sources(cache, pinned), locked, offline, refresh, only or {}, apt_sources)
            for name, source in (folders or {}).items():
                job.replace(name, source)
            job.run(list(dict.fromkeys([*names, *(folders or {})])))
    except OSError as error:
        # A full disk, a cache that may not be written: the system's own words say it best.
        raise UserError(
            f"cannot write to the cache: {error.strerror or error}", where=error.filename or folder
        ) from None
    return Sources(cache, pinned)


class _Job:
    """One run of `fetch`."""

    def __init__(
        self,
        sources: Sources,
        locked: bool,
        offline: bool,
        refresh: bool,
        only: dict[str, str],
        apt: Path | None,
    ) -> None:
        self.sources = sources
        self.folder = sources.folder
        self.locked = locked
        self.offline = offline
        self.refresh = refresh
        self.only = only
        self.apt = Apt(sources.cache / "apt", sources=apt)

    def run(self, names: list[str]) -> None:
        self._renew_folders(names)
        wanted = [name for name in names if not self._have(name)]
        if not wanted:
            return
        if self.offline:
            raise UserError(
                f"not in the cache: {', '.join(wanted)}",
                where=self.folder,
                expected="all of them, to work without the network",
                hint="python3 scripts/sources.py " + " ".join(wanted),
            )
        # A source that lies within another one needs that one first.
        wanted = self._with_hosts(wanted)
        with Steps("sources") as steps:
            for name in wanted:
                pin = self.sources.pins[name]
                with steps.step(f"{name} {pin.version}") as step:
                    self._fetch(pin, step)

    def replace(self, name: str, source: Path | None) -> None:
        """Put a folder of the user's in a source's place, or (None) take it away again."""
        lock = self.sources.lock
        if source is None:
            if lock.get(name, {}).get("origin") == "folder":
                del lock[name]
                write_lock(self.folder, lock)
            return
        if not source.is_dir() or not any(source.iterdir()):
            raise UserError(
                f"{source} is not a folder with files in it", where=f"--from {name}=", expected="a folder"
            )
        lock[name] = {
            "origin": "folder",
            "version": "local",
            "locked": False,
            "from": str(source.resolve()),
            "files": [],
            "pinned": {},
        }
        write_lock(self.folder, lock)

    def _have(self, name: str) -> bool:
        entry = self.sources._entry(name)
        if entry is None:
            return False
        kind = self.only.get(name)
        if kind and entry["origin"] != kind:
            return False
        if not entry["locked"] and self.locked:
            if entry["origin"] == "folder":
                raise UserError(
                    f"{name} is replaced by the folder {entry['from']}",
                    where="--locked",
                    expected=f"{name} {self.sources.pins[name].version} as pinned in sources.toml",
                    hint=f"python3 scripts/sources.py --from {name}=   (ends the replacement)",
                )
            return False
        if not entry["locked"] and self.refresh and entry["origin"] != "folder":
            return False
        for file in entry["files"]:
            path = self.folder / file["path"]
            got = sha256_of(path)
            if got != file["sha256"]:
                _damaged(name, path, got, file["sha256"], fatal=self.offline)
                return False
        if not entry["locked"] and entry["origin"] != "folder":
            warn(f"{name}: {entry['version']} is not what sources.toml pins (--refresh looks for it again)")
        return True

    def _with_hosts(self, names: list[str]) -> list[str]:
        """Put the sources that others lie within in front of those."""
        hosts = []
        for name in names:
            for origin in self.sources.pins[name].origins:
                if origin["kind"] == "within" and self.only.get(name, "within") == "within":
                    host = origin["source"]
                    # Only to see whether it came with its submodules; not worth a download of its own.
                    if host in names and host not in hosts:
                        hosts.append(host)
        return hosts + [name for name in names if name not in hosts]

    def _fetch(self, pin: Pin, step: Step) -> None:
        origins = [o for o in pin.origins if self.only.get(pin.name) in (None, o["kind"])]
        if not origins:
            kinds = ", ".join(o["kind"] for o in pin.origins)
            raise UserError(
                f"{pin.name} has no origin {self.only[pin.name]!r}", where="--origin", expected=kinds
            )
        reasons: list[str] = []
        moved: list[Moved] = []
        for number, origin in enumerate(origins, 1):
            try:
                entry = getattr(self, "_from_" + origin["kind"].replace("-", "_"))(pin, origin, step)
            except Unavailable as reason:
                reasons.append(f"{origin['kind']}: {reason}")
                if isinstance(reason, Moved):
                    moved.append(reason)
                elif origin["kind"] != "within":  # its absence is no news: it depends on the host's origin
                    say(
                        f"{pin.name}: {reason}"
                        + ("; trying the next origin" if number < len(origins) else "")
                    )
                continue
            self._keep(pin, entry)
            return
        offered = [m for m in moved if m.offers]
        if self.locked and moved:
            raise UserError(
                "; ".join(str(m) for m in moved),
                where=f"{pin.name} (--locked)",
                expected=f"the pinned version {moved[0].origin['version']}",
                hint="Either build without --locked (the image's .json then says locked: false),\n"
                "or name an apt sources file of an archive that still has it in COLDFRAME_APT_SOURCES,\n"
                f"or give the source yourself: --from {pin.name}=DIR,\n"
                "or pin what is offered: version and sha256 in sources.toml.",
            )
        if offered:
            self._keep(pin, self._offered(pin, offered[0], step))
            return
        raise UserError(
            f"{pin.name} {pin.version} cannot be had from any of its origins",
            where="sources.toml",
            hint="\n".join(
                [*reasons, f"A copy of your own will do: scripts/sources.py --from {pin.name}=DIR"]
            ),
        )

    def _keep(self, pin: Pin, entry: dict[str, Any]) -> None:
        # Read again: another source of the same run may have been written meanwhile.
        lock = read_lock(self.folder)
        lock[pin.name] = {"pinned": {"key": pin.key(), "version": pin.version}, "locked": True, **entry}
        write_lock(self.folder, lock)
        self.sources.lock = lock

    # The origins. Each returns a lock entry or raises Unavailable.

    def _from_release(self, pin: Pin, origin: dict[str, Any], step: Step) -> dict[str, Any]:
        name = origin["url"].rsplit("/", 1)[-1]
        path = self._path(origin["sha256"], name)
        if not self._cached(pin.name, path, origin["sha256"]):
            part = self.folder / f"{path.name}.part"
            try:
                sources_net.download(origin["url"], part, step)
            except sources_net.Unreachable as error:
                raise Unavailable(str(error)) from None
            self._accept(part, path, origin["sha256"], f"{pin.name}, from {origin['url']}")
        return _entry(origin, [_file(path, origin["sha256"], "release")])

    def _from_debian_source(self, pin: Pin, origin: dict[str, Any], step: Step) -> dict[str, Any]:
        return self._from_debian(pin, origin, step, binary=False)

    def _from_debian_binary(self, pin: Pin, origin: dict[str, Any], step: Step) -> dict[str, Any]:
        return self._from_debian(pin, origin, step, binary=True)

    def _from_debian(self, pin: Pin, origin: dict[str, Any], step: Step, *, binary: bool) -> dict[str, Any]:
        files = [(self._path(f["sha256"], f["name"]), f) for f in origin["files"]]
        if not all([self._cached(pin.name, path, f["sha256"]) for path, f in files]):
            offers = self._offers(origin, step, binary)
            if origin["version"] not in [offer.version for offer in offers]:
                raise Moved(origin, offers)
            got = self._download(pin.name, origin["package"], origin["version"], step, binary)
            for path, file in files:
                if file["name"] not in got:
                    raise UserError(f"the mirror's {origin['package']} has no {file['name']}", where=pin.name)
                self._accept(got[file["name"]], path, file["sha256"], f"{pin.name}, from the Debian mirror")
        return _entry(origin, [_file(path, f["sha256"], f["role"]) for path, f in files])

    def _offered(self, pin: Pin, moved: Moved, step: Step) -> dict[str, Any]:
        """Take what the mirror has in place of the pinned version."""
        binary = moved.origin["kind"] == "debian-binary"
        version = nearest_version(moved.origin["version"], [offer.version for offer in moved.offers])
        warn(f"{pin.name}: {moved}. Going on with {version}; the image will be marked as not locked")
        got = self._download(pin.name, moved.origin["package"], version, step, binary)
        files = []
        for name, path in sorted(got.items()):
            digest = sha256_of(path)
            target = self._path(digest, name)
            path.replace(target)
            files.append(_file(target, digest, _role(name)))
        return {**_entry({**moved.origin, "version": version}, files), "locked": False}

    def _offers(self, origin: dict[str, Any], step: Step, binary: bool) -> list[Offer]:
        step.update(note="package lists")
        try:
            self.apt.update(
                self._suites(), lambda percent, what: step.update(int(percent), 100, "package lists")
            )
            ask = self.apt.binary_versions if binary else self.apt.source_versions
            return [offer for offer in ask(origin["package"]) if offer.suite in origin["suites"]]
        except AptError as error:
            raise Unavailable(f"apt: {error}") from None

    def _suites(self) -> list[str]:
        """All suites that the pins name, so that one update serves all sources."""
        pinned = self.sources.pins.sources.values()
        return sorted(
            {suite for pin in pinned for origin in pin.origins for suite in origin.get("suites", ())}
        )

    def _download(self, name: str, package: str, version: str, step: Step, binary: bool) -> dict[str, Path]:
        # A folder that stays when we are interrupted: apt then goes on with what it already has.
        into = self.sources.cache / "apt" / "download" / f"{package}-{version.replace('/', '_')}"
        fetch = self.apt.fetch_binary if binary else self.apt.fetch_source
        try:
            got = fetch(package, version, into, lambda percent, what: step.update(int(percent), 100, package))
        except AptError as error:
            raise Unavailable(f"apt: {error}") from None
        return {path.name: path for path in got}

    def _from_within(self, pin: Pin, origin: dict[str, Any], step: Step) -> dict[str, Any]:
        host = self.sources.lock.get(origin["source"])
        if host is None or host["origin"] not in ("release", "folder"):
            raise Unavailable(f"{origin['source']} came without {origin['path']}")
        if host["origin"] == "folder":
            inside = Path(host["from"]) / origin["path"]
            if not inside.is_dir() or not any(inside.iterdir()):
                raise Unavailable(f"{inside} is empty")
        return {
            "origin": "within",
            "version": f"as in {origin['source']} {host['version']}",
            "inside": origin["path"],
            "files": host["files"],
            "locked": host["locked"],
        }

    def _from_git(self, pin: Pin, origin: dict[str, Any], step: Step) -> dict[str, Any]:
        path = self.folder / f"{origin['commit'][:16]}-{pin.name}-{origin['tag']}.tar"
        stamp = path.with_suffix(".tar.sha256")
        if not (path.is_file() and stamp.is_file() and sha256_of(path) == stamp.read_text().strip()):
            clone = self.sources.cache / "git" / pin.name
            try:
                sources_net.clone(origin["url"], origin["tag"], origin["commit"], clone, step)
            except sources_net.Unreachable as error:
                raise Unavailable(str(error)) from None
            stamp.write_text(_pack(clone, path, pin.name) + "\n")
            shutil.rmtree(clone, ignore_errors=True)
        entry = _entry(origin, [_file(path, stamp.read_text().strip(), "tree")])
        return {**entry, "commit": origin["commit"]}

    def _from_crate(self, pin: Pin, origin: dict[str, Any], step: Step) -> dict[str, Any]:
        name = f"{origin['package']}-{origin['version']}.crate"
        path = self._path(origin["sha256"], name)
        if not self._cached(pin.name, path, origin["sha256"]):
            step.update(note="cargo fetch")
            try:
                found = sources_net.crate(origin["package"], origin["version"], origin["sha256"])
            except sources_net.Unreachable as error:
                raise Unavailable(str(error)) from None
            part = self.folder / f"{path.name}.part"
            shutil.copyfile(found, part)
            self._accept(part, path, origin["sha256"], f"{pin.name}, from the Rust registry")
        return _entry(origin, [_file(path, origin["sha256"], "release")])

    def _renew_folders(self, names: list[str]) -> None:
        """Pack the user's folders again, so that what they changed since is used."""
        for name in names:
            entry = self.sources.lock.get(name)
            if entry is None or entry["origin"] != "folder":
                continue
            source = Path(entry["from"])
            say(f"{name}: from the folder {source} (--from {name}= goes back to the pinned {name})")
            if not source.is_dir():
                if entry["files"] and self.offline:
                    continue
                raise UserError(f"{source} is gone", where=f"{name}, given by --from", expected="the folder")
            part = self.folder / f"{name}.tar.part"
            digest = _pack(source, part, name)
            for old in self.folder.glob(f"????????????????-{name}-folder.tar"):
                old.unlink()
            path = self._path(digest, f"{name}-folder.tar")
            part.replace(path)
            lock = read_lock(self.folder)
            lock[name] = {**entry, "files": [_file(path, digest, "tree")], "pinned": {}}
            write_lock(self.folder, lock)
            self.sources.lock = lock

    def _path(self, sha256: str, name: str) -> Path:
        return self.folder / f"{sha256[:16]}-{name}"

    def _cached(self, name: str, path: Path, sha256: str) -> bool:
        if not path.is_file():
            return False
        got = sha256_of(path)
        if got == sha256:
            return True
        _damaged(name, path, got, sha256, fatal=False)
        path.unlink()
        return False

    def _accept(self, part: Path, path: Path, sha256: str, where: str) -> None:
        """Give a file its name in the cache, if it is the pinned one."""
        try:
            check_sha256(part, sha256, where)
        except UserError as error:
            part.unlink()  # not to be resumed, not to be found by anyone
            raise UserError(
                f"{error.what}: this is not the pinned file, so it was thrown away",
                where=where,
                expected=sha256,
                hint="If upstream really changed the file, find out why before changing sources.toml.",
            ) from None
        part.replace(path)


def nearest_version(pinned: str, offered: list[str]) -> str:
    """The offered version that is most like the pinned one: the same upstream version if there is one,
    else the same minor series, else the next one above, else the highest."""
    import re

    def numbers(version: str) -> tuple[int, ...]:
        upstream = re.split(r"[+~-]", version.split(":", 1)[-1])[0]
        return tuple(int(n) for n in re.findall(r"\d+", upstream))

    want = numbers(pinned)
    for same in (want, want[:2]):
        found = [v for v in offered if numbers(v)[: len(same)] == same]
        if found:
            return found[0]
    above = sorted((v for v in offered if numbers(v) > want), key=numbers)
    return above[0] if above else max(offered, key=numbers)


def _damaged(name: str, path: Path, got: str, expected: str, *, fatal: bool) -> None:
    error = UserError(f"the cached {path.name} has the sha256 {got}", where=name, expected=expected)
    if fatal:
        error.hint = "fetch it again: python3 scripts/sources.py " + name
        raise error
    warn(f"{error}; fetching it again")


def _entry(origin: dict[str, Any], files: list[dict[str, str]]) -> dict[str, Any]:
    entry = {"origin": origin["kind"], "version": origin["version"], "files": files}
    if "inside" in origin:
        entry["inside"] = origin["inside"]
    return entry


def _file(path: Path, sha256: str, role: str) -> dict[str, str]:
    return {"path": path.name, "sha256": sha256, "role": role}


def _role(name: str) -> str:
    for mark, role in (
        (".orig.tar", "orig"),
        (".debian.tar", "debian"),
        (".diff.", "debian"),
        (".dsc", "dsc"),
    ):
        if mark in name:
            return role
    return "deb" if name.endswith(".deb") else "other"


def _pack(folder: Path, path: Path, name: str) -> str:
    """Write a tar of `folder` that depends on its content alone; return its sha256."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(member.name).name in _LOCAL_LEFTOVERS or any(
            p.startswith("build-") for p in Path(member.name).parts
        ):
            return None
        member.mtime = 0
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    temp = path.with_name(path.name + ".new")
    try:
        with tarfile.open(temp, "w", format=tarfile.GNU_FORMAT) as archive:
            archive.add(folder, arcname=name, filter=plain)  # tarfile walks a folder in sorted order
        temp.replace(path)
    finally:
        temp.unlink(missing_ok=True)
    return sha256_of(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the cache's lock, so that two runs do not fetch the same thing."""
    with open(folder / ".busy", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"waiting for another process that fetches sources ({file.read().strip() or 'unknown'}) …")
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(OSError):
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
        yield
