"""What the engines build from: parts of the Dockerfile, the files that go with them, and their names."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kit.ui import UserError

# What never goes into a build context; .dockerignore says the same to whoever runs docker by hand.
_LEFT_OUT = frozenset({".git", ".venv", "build", "dist", "__pycache__"})


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile."""

    name: str
    text: str
    uses: tuple[str, ...]  # what it is FROM, and what it copies from


@dataclass(frozen=True)
class Dockerfile:
    """The Dockerfile, taken apart.

    Older buildah builds all stages up to the one that is asked for, used or not; the ESP32 tools are not
    to be installed in order to build for a Pico. So an engine gets a file with the needed stages alone,
    their text unchanged.
    """

    head: str  # up to the first FROM
    stages: tuple[Stage, ...]

    @classmethod
    def read(cls, file: Path) -> Dockerfile:
        """Take `file` apart.

        Raises:
            UserError: a stage without a name.
        """
        parts = re.split(r"(?m)^(?=FROM )", file.read_text(encoding="utf-8"))
        stages = []
        for text in parts[1:]:
            found = re.match(r"FROM (\S+) AS (\S+)", text)
            if not found:
                raise UserError(
                    f"a stage has no name: {text.splitlines()[0]}", where=file, expected="FROM X AS NAME"
                )
            copied = re.findall(r"(?m)^COPY --from=(\S+)", text)
            stages.append(Stage(found[2], text, (found[1], *copied)))
        return cls(parts[0], tuple(stages))

    def names(self) -> list[str]:
        """The names of the stages."""
        return [stage.name for stage in self.stages]

    def ports(self) -> list[str]:
        """The stages that are a port's environment."""
        return [stage.name for stage in self.stages if stage.uses == ("base",)]

    def part(self, target: str) -> str:
        """Return the Dockerfile reduced to `target` and the stages that it needs."""
        needed: set[str] = set()

        def need(name: str) -> None:
            stage = next((s for s in self.stages if s.name == name), None)
            if stage is not None and name not in needed:
                needed.add(name)
                for used in stage.uses:
                    need(used)

        need(target)
        return self.head + "".join(stage.text for stage in self.stages if stage.name in needed)


def copied_files(part: str, project: Path) -> list[Path]:
    """The files of the project that the environment stages copy."""
    names = re.findall(r"(?m)^COPY (?!--from)(\S+) ", part)
    return [project / name for name in names if name != "."]


def key(part: str, project: Path, base: str) -> str:
    """A name for what an environment is made from: the same key, the same image."""
    # Without comments: a better sentence is no reason to install everything again.
    orders = "\n".join(line for line in part.splitlines() if line.strip() and not line.startswith("#"))
    digest = hashlib.sha256(f"{base}\n{orders}".encode())
    for file in copied_files(part, project):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def environment_context(part: str, project: Path, into: Path) -> None:
    """Fill the build context of an environment: the few files it copies."""
    into.mkdir(parents=True, exist_ok=True)
    for file in copied_files(part, project):
        target = into / file.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)


def project_context(project: Path, into: Path) -> None:
    """Fill the build context of a build with the project's files.

    In a git checkout these are the files that git knows or would add; elsewhere all but what the
    scripts make. Times, owners and modes are made the same for everybody.
    """
    for name in sorted(_project_files(project)):
        source, target = project / name, into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
            continue
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def _project_files(project: Path) -> Iterable[str]:
    if (project / ".git").exists() and shutil.which("git"):
        command = [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        if done.returncode == 0:
            # A file that is deleted but not yet in a commit is still listed.
            return [n for n in done.stdout.split("\0") if n and os.path.lexists(project / n) and not _out(n)]
    return [
        str(path.relative_to(project))
        for path in project.rglob("*")
        if (path.is_file() or path.is_symlink()) and not _out(str(path.relative_to(project)))
    ]


def _out(name: str) -> bool:
    parts = Path(name).parts
    return parts[0] in _LEFT_OUT or "__pycache__" in parts
