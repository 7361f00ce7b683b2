"""A Debian mirror of our own, with real package lists, for tests that need one that moves on."""

from __future__ import annotations

import hashlib
import http.server
import io
import subprocess
import tarfile
import threading
from pathlib import Path


def sha256(data: bytes) -> str:
    """The sha256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def tar_of(files: dict[str, bytes], mode: str = "w:xz", links: dict[str, str] | None = None) -> bytes:
    """A tar archive with `files` (path: content) and symbolic `links` (path: target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.SYMTYPE
            member.linkname = target
            archive.addfile(member)
    return buffer.getvalue()


def deb_of(package: str, version: str, files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A binary package for all architectures."""
    control = f"Package: {package}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.org>\n"
    control += "Description: for a test\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": tar_of({"./control": control.encode()}),
        "data.tar.xz": tar_of({f"./{name}": data for name, data in files.items()}, links=links),
    }
    result = b"!<arch>\n"
    for name, data in members.items():
        result += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        result += b"\n" * (len(data) % 2)
    return result


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, with ranges, and notes what was asked for."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Serve a file or a part of one; `server.cut` ends the first answers early."""
        path = Path(self.translate_path(self.path))
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))  # type: ignore[attr-defined]
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start = 0
        wanted = self.headers.get("Range")
        if wanted and not self.headers.get("If-Range"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data)
        if server.cut:  # type: ignore[attr-defined]
            end = start + server.cut.pop(0)  # type: ignore[attr-defined]
        self.wfile.write(data[start:end])
        self.wfile.flush()
        if server.hold and end < len(data):  # type: ignore[attr-defined]
            server.hold.wait(30)  # type: ignore[attr-defined]


class Web:
    """A web server on the loopback interface for a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *args: Handler(*args, directory=str(folder))
        )
        self.server.daemon_threads = True
        self.server.asked = []  # type: ignore[attr-defined]
        self.server.cut = []  # type: ignore[attr-defined]
        self.server.hold = None  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def asked(self) -> list[tuple[str, str | None]]:
        """(path, Range header) of each request so far."""
        return self.server.asked  # type: ignore[attr-defined]

    def close(self) -> None:
        """Answer no more."""
        self.server.shutdown()
        self.server.server_close()


class Mirror:
    """A Debian mirror with one suite, "trixie"; `write()` after each change."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "debian"
        self.web = Web(self.root)
        self.sources: list[str] = []
        self.packages: list[str] = []
        (self.root / "pool").mkdir(parents=True)

    def add_source(self, package: str, version: str, files: dict[str, bytes]) -> dict[str, bytes]:
        """Offer a source package; return its files (name: content)."""
        upstream = version.rsplit("-", 1)[0]
        made = {
            f"{package}_{upstream}.orig.tar.xz": tar_of(
                {f"{package}-{upstream}/{n}": d for n, d in files.items()}
            ),
            f"{package}_{version}.debian.tar.xz": tar_of({"debian/changelog": version.encode()}),
        }
        made[f"{package}_{version}.dsc"] = "".join(
            [f"Format: 3.0 (quilt)\nSource: {package}\nVersion: {version}\nBinary: {package}\n", *_sums(made)]
        ).encode()
        for name, data in made.items():
            (self.root / "pool" / name).write_bytes(data)
        self.sources.append(
            f"Package: {package}\nBinary: {package}\nVersion: {version}\nFormat: 3.0 (quilt)\n"
            "Directory: pool\n" + "".join(_sums(made))
        )
        return made

    def add_binary(
        self, package: str, version: str, files: dict[str, bytes], **more: dict[str, str]
    ) -> dict[str, bytes]:
        """Offer a binary package; return its file (name: content)."""
        name = f"{package}_{version}_all.deb"
        data = deb_of(package, version, files, **more)
        (self.root / "pool" / name).write_bytes(data)
        self.packages.append(
            f"Package: {package}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.org>\n"
            f"Filename: pool/{name}\nSize: {len(data)}\nSHA256: {sha256(data)}\nDescription: for a test\n"
        )
        return {name: data}

    def forget(self) -> None:
        """Offer nothing any more, as a mirror does when newer versions replace the old ones."""
        self.sources.clear()
        self.packages.clear()
        for file in (self.root / "pool").iterdir():
            file.unlink()

    def write(self) -> None:
        """Write the package lists."""
        machine = subprocess.run(
            ["dpkg", "--print-architecture"], capture_output=True, text=True
        ).stdout.strip()
        suite = self.root / "dists" / "trixie"
        lists = {
            "main/source/Sources": "\n".join(self.sources),
            f"main/binary-{machine}/Packages": "\n".join(self.packages),
        }
        sums = ""
        for name, text in lists.items():
            (suite / name).parent.mkdir(parents=True, exist_ok=True)
            (suite / name).write_text(text)
            sums += f" {sha256(text.encode())} {len(text.encode())} {name}\n"
        (suite / "Release").write_text(
            f"Origin: Debian\nSuite: trixie\nCodename: trixie\nArchitectures: {machine}\nComponents: main\n"
            f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{sums}"
        )

    def sources_file(self, file: Path) -> Path:
        """Write an apt sources file that names this mirror, trusted without a signature."""
        file.write_text(f"deb [trusted=yes check-date=no] {self.web.url} trixie main\n")
        return file


def _sums(files: dict[str, bytes]) -> list[str]:
    lines = [
        "Checksums-Sha256:\n",
        *(f" {sha256(data)} {len(data)} {name}\n" for name, data in files.items()),
    ]
    lines += [
        "Files:\n",
        *(f" {hashlib.md5(data).hexdigest()} {len(data)} {name}\n" for name, data in files.items()),
    ]
    return lines
