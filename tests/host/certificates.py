"""Certificates for tests: a CA of ours, and what it signs. Made with openssl, with elliptic keys, which are quick."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kit import host

_CONFIG = """\
[ca]
default_ca = own
[own]
dir = {folder}
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
{names}
"""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, each in both forms."""

    pem: Path
    key: Path
    der: Path
    key_der: Path


class Authority:
    """A CA in a folder of its own."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self.folder = folder
        self._openssl = host.ensure({"openssl": "openssl"}, "the tests of TLS")["openssl"]
        folder.mkdir(parents=True)
        (folder / "index").touch()
        (folder / "serial").write_text("1000\n")
        self._write_config("")
        self.pem = folder / "ca.pem"
        self.der = folder / "ca.der"
        self._key(folder / "ca.key")
        self._run(
            *("req", "-new", "-x509", "-key", folder / "ca.key", "-out", self.pem, "-days", "3650"),
            *("-subj", f"/CN={name}", "-config", folder / "openssl.cnf", "-extensions", "root"),
        )
        self._run("x509", "-in", self.pem, "-outform", "DER", "-out", self.der)

    def issue(
        self, name: str, *alternatives: str, starts: float = -1.0, ends: float = 365.0, rsa: bool = False
    ) -> Certificate:
        """Sign a certificate.

        :param name: common name.
        :param alternatives: such as ``DNS:localhost`` and ``IP:127.0.0.1``.
        :param starts: days from now until it is valid, and ``ends``: until it is not any more.
        """
        number = len(list(self.folder.glob("leaf*.pem")))
        pem, key, der, key_der, request = (
            self.folder / f"leaf{number}.{end}" for end in ("pem", "key", "der", "key.der", "csr")
        )
        self._write_config("subjectAltName = " + ",".join(alternatives) if alternatives else "")
        config = self.folder / "openssl.cnf"
        self._key(key, rsa)
        self._run("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={name}", "-config", config)
        self._run(
            *("ca", "-batch", "-notext", "-config", config, "-extensions", "leaf"),
            *("-in", request, "-out", pem, "-startdate", _stamp(starts), "-enddate", _stamp(ends)),
        )
        self._run("x509", "-in", pem, "-outform", "DER", "-out", der)
        self._run("pkey", "-in", key, "-outform", "DER", "-out", key_der)
        return Certificate(pem, key, der, key_der)

    def _key(self, path: Path, rsa: bool = False) -> None:
        kind = (
            ("RSA", "-pkeyopt", "rsa_keygen_bits:2048")
            if rsa
            else ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        )
        self._run("genpkey", "-algorithm", *kind, "-out", path)

    def _write_config(self, names: str) -> None:
        # `req` asks for its own section, and gets the subject from the command line.
        text = _CONFIG.format(folder=self.folder, names=names)
        (self.folder / "openssl.cnf").write_text(
            text + "[req]\ndistinguished_name = subject\nprompt = no\n[subject]\ncommonName = x\n"
        )

    def _run(self, *args: object) -> None:
        done = subprocess.run([self._openssl, *map(str, args)], capture_output=True, text=True)
        assert done.returncode == 0, f"openssl {' '.join(map(str, args))}: {done.stderr}"


def _stamp(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
