"""The clean folder in which one board is built, and everything that is put there before the compiler runs.

WORK/BOARD/src/micropython   MicroPython's tree, its lib/ folders filled, our patches applied
WORK/BOARD/src/NAME          other sources that do not belong into lib/
WORK/BOARD/lib               stands in for micropython-lib when the tree has none
WORK/BOARD/gen               coldframe_build.py, coldframe_pages.py and the manifest that is given to the port
WORK/BOARD/build             the port's objects
WORK/BOARD/build.log         what all the tools said
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from kit import facts, pages, ui
from kit.board import Board
from kit.ports import base
from kit.ui import UserError

# Sources that MicroPython expects in its lib/ folder. Its release archive has them, Debian's has not.
IN_LIB = ("mbedtls", "lwip", "tinyusb", "pico-sdk", "cyw43-driver", "axtls", "berkeley-db-1.xx")

# What the tools may see of the environment we were started in. Nothing else gets through, so that
# no CFLAGS, LANG or PYTHONPATH of the machine can change a byte. libfaketime needs the last ones.
_PASSED = ("PATH", "TMPDIR", "LD_PRELOAD", "FAKETIME", "FAKETIME_NO_CACHE", "FAKETIME_SHARED")


class Sources(Protocol):
    """What we need of kit.sources.Sources."""

    def require(self, names: Sequence[str]) -> None: ...
    def unpack(self, name: str, into: Path) -> object: ...
    def record(self, names: Sequence[str]) -> dict[str, object]: ...
    def locked(self, names: Sequence[str]) -> bool: ...


class Workspace:
    """The folder of one board.

    Args:
        board: what is built.
        project: the Coldframe tree.
        work: where the folder is made.
        identity: version, commit and epoch of the tree.

    Raises:
        UserError: the path has a space or another character that make cannot handle.
    """

    def __init__(self, board: Board, project: Path, work: Path, identity: facts.Identity) -> None:
        self.board = board
        self.project = project
        self.identity = identity
        self.root = (work / board.name).resolve()
        for path in (self.root, project):
            if not re.fullmatch(r"[\w./+@-]+", str(path)):
                raise UserError(
                    "the path has a space or a special character",
                    where=path,
                    expected="letters, digits and ._+@-",
                )
        self.src = self.root / "src"
        self.tree = self.src / "micropython"
        self.gen = self.root / "gen"
        self.build = self.root / "build"
        self.libraries = self.root / "lib"
        self.log = self.root / "build.log"

    def clear(self) -> None:
        """Remove what an earlier build left and make the empty folders.

        Raises:
            UserError: another build of this board is running in the same folder.
        """
        self.root.parent.mkdir(parents=True, exist_ok=True)
        # Held until the process ends, however it ends.
        self._lock = (self.root.parent / f".{self.board.name}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another build of {self.board.name} is running there",
                where=self.root,
                hint="wait for it, or choose another folder with --work",
            ) from None
        if self.root.exists():
            shutil.rmtree(self.root)
        for folder in (self.src, self.gen, self.build, self.libraries):
            folder.mkdir(parents=True)

    def unpack(self, sources: Sources) -> dict[str, Path]:
        """Unpack the board's sources.

        Returns:
            Name → folder of each source beside MicroPython itself.

        Raises:
            UserError: a source is not in the cache.
        """
        others = [name for name in self.board.sources if name != "micropython"]
        sources.require(["micropython"])
        sources.unpack("micropython", self.tree)
        places = {n: (self.tree / "lib" / n) if n in IN_LIB else self.src / n for n in others}
        missing = [name for name, path in places.items() if not _filled(path)]
        sources.require(missing)
        for name in missing:
            sources.unpack(name, places[name])
        if _filled(self.tree / "lib" / "micropython-lib"):
            self.libraries = self.tree / "lib" / "micropython-lib"
        else:  # the ports insist on a README.md there
            (self.libraries / "README.md").write_text(
                "Empty on purpose: nothing of micropython-lib is used.\n"
            )
        return places

    def patches(self) -> list[Path]:
        """Our patches to the upstream tree for this port, in the order they are applied."""
        return sorted((self.project / "ports" / self.board.port / "patches").glob("*.patch"))

    def patch(self, env: dict[str, str]) -> None:
        """Apply our patches to the fresh copy of the tree.

        Raises:
            UserError: a patch does not say its reason, or does not fit.
        """
        for path in self.patches():
            head = re.split(r"^(?:diff |--- )", path.read_text(encoding="utf-8"), maxsplit=1, flags=re.M)[0]
            if len(head.split()) < 5:
                raise UserError(
                    "the patch gives no reason", where=path, expected="a sentence before the first hunk"
                )
            # git applies patches outside of repositories too, and every environment has it.
            base.run(["git", "apply", "--whitespace=nowarn", path], cwd=self.tree, env=env, log=self.log)

    def generate(self) -> Path:
        """Write coldframe_build.py, coldframe_pages.py and the manifest for the port.

        Returns:
            The manifest.
        """
        board, identity = self.board, self.identity
        values = {
            "BOARD": board.name,
            "PORT": board.port,
            "TIER": board.tier,
            "VERSION": identity.version,
            "COMMIT": identity.commit,
            "EPOCH": identity.epoch,
            "PINS": board.pins,
            "FEATURES": board.features,
        }
        lines = ['"""What this image was built from and for; made by scripts/build.py."""', ""]
        lines += [f"{name} = {value!r}" for name, value in values.items()]
        (self.gen / "coldframe_build.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
        made = ["coldframe_build.py"]
        if "wifi" in board.features:
            made.append("coldframe_pages.py")
            text = pages.module(self.project / "web")
            (self.gen / "coldframe_pages.py").write_text(text, encoding="utf-8")
        manifest = self.gen / "manifest.py"
        manifest.write_text(
            f'include("{board.path}/manifest.py")\n'
            + "".join(f'module("{name}", base_path="{self.gen}")\n' for name in made),
            encoding="utf-8",
        )
        return manifest

    def frozen_files(self, manifest: Path, env: dict[str, str]) -> list[str]:
        """The names of the modules that the manifest freezes, in its order.

        Raises:
            UserError: the manifest names a file that does not exist, or one module twice.
        """
        tool = [
            "python3",
            str(self.tree / "tools" / "manifestfile.py"),
            "--freeze",
            f"--lib={self.libraries}",
            f"--port={self.tree / 'ports' / self.board.port}",
            f"--board={self.board.path}",
            f"--top={self.tree}",
            str(manifest),
        ]
        done = subprocess.run(tool, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            reason = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "no reason given"
            # "Error in manifest file: A: Error in manifest file: B: what": only the innermost matters.
            reason = reason.split("Error in manifest file: ")[-1]
            raise UserError(f"the list of frozen files is wrong: {reason}", where=f"board {self.board.name}")
        targets = re.findall(r"\btarget_path='([^']+)'", done.stdout)
        twice = sorted({name for name in targets if targets.count(name) > 1})
        if twice:
            raise UserError(
                "frozen twice: " + ", ".join(twice), where=f"board {self.board.name}: manifest.py"
            )
        return targets

    def environment(self) -> dict[str, str]:
        """The whole environment of the tools; the same for the same commit wherever it is built."""
        env = {name: os.environ[name] for name in _PASSED if name in os.environ}
        env.update(
            HOME=str(self.root),  # no settings of the user's
            LC_ALL="C.UTF-8",
            TZ="UTC",
            SOURCE_DATE_EPOCH=str(self.identity.epoch),
            MICROPY_GIT_HASH=self.identity.commit[:10],
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONHASHSEED="0",
            # A git above the folder must not be asked for a version: MICROPY_GIT_TAG has it.
            GIT_CEILING_DIRECTORIES=str(self.root),
        )
        return env


def _filled(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def mpy_cross(
    tree: Path, cache: Path | None, env: dict[str, str], jobs: int, log: Path, step: ui.Step
) -> Path:
    """Build mpy-cross, or take the one built before from the very same sources by the same compiler.

    Args:
        tree: MicroPython's tree.
        cache: where built ones are kept; None builds always.
        env: the tools' environment.
        jobs: how many at once.
        log: where the output goes.
        step: where progress is shown.

    Returns:
        The program.
    """
    built = tree / "mpy-cross" / "build" / "mpy-cross"
    kept = cache / "mpy-cross" / _key(tree, env) / "mpy-cross" if cache else None
    if kept and kept.is_file():
        built.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(kept, built)
        step.update(note="kept from an earlier build")
        return built
    base.run(["make", "-C", tree / "mpy-cross", f"-j{jobs}"], cwd=tree, env=env, log=log, step=step)
    if kept:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            fresh = kept.with_name(f"mpy-cross.{os.getpid()}")
            shutil.copy2(built, fresh)
            fresh.replace(kept)
        except OSError:  # a cache that cannot be written (read-only in the container) only costs time
            pass
    return built


def _key(tree: Path, env: dict[str, str]) -> str:
    digest = hashlib.sha256()
    compiler = subprocess.run(["gcc", "--version"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    digest.update(compiler.stdout)
    digest.update(env.get("MICROPY_GIT_TAG", "").encode())
    for folder in ("mpy-cross", "py", "shared", "extmod"):
        for path in sorted((tree / folder).rglob("*")):
            if path.is_file() and path.suffix in (".c", ".h", ".mk", ".py", "") and "build" not in path.parts:
                digest.update(f"{path.relative_to(tree)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
