"""docker, and podman, which takes the same commands."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kit import engine_base
from kit.engine_process import ask, attached, need, watched

_PULL_SILENCE = 20


class Docker:
    """Drives the docker client.

    Args:
        cache: the cache folder.
    """

    name = "docker"
    _init = ("--init",)

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.mine = f"coldframe-{os.getpid()}"

    @classmethod
    def works(cls) -> bool:
        """True when the client is installed, an engine answers it, and it has BuildKit.

        (Debian has that in a package of its own, docker-buildx.)
        """
        return cls._answers() and ask([cls.name, "buildx", "version"]) is not None

    @classmethod
    def _answers(cls) -> bool:
        return shutil.which(cls.name) is not None and ask([cls.name, "info"], seconds=10) is not None

    def has(self, image: str) -> bool:
        """True when the engine has the image."""
        return ask([self.name, "image", "inspect", image]) is not None

    def pull(self, image: str) -> bool:
        """Pull an image; False when the registry does not answer."""
        return watched([self.name, "pull", image], lambda _: None, silence=_PULL_SILENCE) == 0

    def make_base(self, image: str, suite: str) -> None:
        """Make the base image from the machine's Debian mirror under the name `image`."""
        with engine_base.root_archive(suite, self.cache / "containers") as archive:
            label = f"LABEL coldframe.base='made from the Debian mirror of a machine, suite {suite}'"
            need([self.name, "import", "--change", label, str(archive), image], "importing the base image")

    def build_environment(
        self,
        dockerfile: Path,
        context: Path,
        target: str,
        tag: str,
        args: Mapping[str, str],
        line: Callable[[str], None],
    ) -> int:
        """Build the image of an environment, with network and with a cache of layers."""
        command = [*self._build(dockerfile, target, args), "--tag", tag, str(context)]
        return watched(command, lambda text: line(_plain(text)), env=self._environment())

    def build_outputs(
        self,
        dockerfile: Path,
        context: Path,
        args: Mapping[str, str],
        out: Path,
        line: Callable[[str], None],
    ) -> int:
        """Run the build stages without network and put the files of the last one into `out`."""
        command = [*self._build(dockerfile, "outputs", args), "--network=none", "--no-cache"]
        command += ["--output", f"type=local,dest={out}", str(context)]

        def inner(text: str) -> None:
            said = self._inner(text)
            if said is not None:
                line(said)

        return watched(command, inner, env=self._environment())

    def run(
        self,
        image: str,
        command: Sequence[str],
        *,
        network: bool,
        mounts: Sequence[tuple[Path, bool]],
        env: Mapping[str, str],
        cwd: Path,
    ) -> int:
        """Run a command in a container on our own standard streams; return its exit status."""
        name = f"{self.mine}-run"
        line = [self.name, "run", "--rm", *self._init, "--name", name, "--interactive", "--workdir", str(cwd)]
        if not network:
            line.append("--network=none")
        for path, writable in mounts:
            line += ["--volume", f"{path}:{path}:{'rw' if writable else 'ro'}"]
        for key, value in env.items():
            line += ["--env", f"{key}={value}"]
        line += self._user()
        if sys.stdin.isatty() and sys.stdout.isatty():
            line.append("--tty")
        try:
            return attached([*line, image, *command])
        except BaseException:
            ask([self.name, "rm", "--force", name])
            raise

    def read(self, image: str, path: str) -> str:
        """Return the content of a text file in an image."""
        return need([self.name, "run", "--rm", "--network=none", image, "cat", path], f"reading {path}")

    def images(self) -> list[str]:
        """The names of the environments that there are."""
        said = ask([self.name, "images", "--format", "{{.Repository}}:{{.Tag}}"]) or ""
        return re.findall(r"(?m)^localhost/coldframe-[a-z]\w*:[0-9a-f]{16}$", said)

    def remove(self, image: str) -> None:
        """Remove one image."""
        ask([self.name, "rmi", image])

    def clean(self) -> None:
        """Remove our images."""
        listed = ask([self.name, "images", "--quiet", "--filter", "reference=localhost/coldframe-*"]) or ""
        for image in sorted(set(listed.split())):
            ask([self.name, "rmi", "--force", image])

    def _build(self, dockerfile: Path, target: str, args: Mapping[str, str]) -> list[str]:
        command = [self.name, "build", "--progress=plain", "--target", target, "--file", str(dockerfile)]
        for key, value in args.items():
            command += ["--build-arg", f"{key}={value}"]
        return command

    @staticmethod
    def _inner(text: str) -> str | None:
        """What a build step has said, without docker's "#12 3.456 "; None for what docker itself says."""
        found = re.match(r"#\d+ \d+\.\d+ ?(.*)", text)
        if found:
            return found[1]
        return text if text.startswith("ERROR: ") else None

    def _environment(self) -> dict[str, str]:
        return dict(os.environ, DOCKER_BUILDKIT="1")

    def _user(self) -> list[str]:
        """The engine is root; what it writes into our folders is to be ours."""
        if os.geteuid() == 0:
            return []
        return ["--user", f"{os.geteuid()}:{os.getegid()}", "--env", "HOME=/tmp"]


class Podman(Docker):
    """Drives podman."""

    name = "podman"
    _init = ()  # it would need a package more

    @classmethod
    def works(cls) -> bool:
        """True when podman is installed and can run something here: `info` alone says little."""
        if not cls._answers():
            return False
        # The smallest image there can be: nothing in it, and a program that is not there. What matters is
        # how far the attempt gets: to looking for the program (status 127), or not even that.
        probe = "localhost/coldframe-probe:latest"
        empty = ["sh", "-c", f"tar -c -T /dev/null | {cls.name} import - {probe}"]
        if ask(empty, seconds=30) is None:
            return False
        import subprocess

        try:
            done = subprocess.run(
                [cls.name, "run", "--rm", "--network=none", probe, "/none"], capture_output=True, timeout=30
            )
        except subprocess.TimeoutExpired:
            return False
        finally:
            ask([cls.name, "rmi", "--force", probe])
        return done.returncode == 127

    def _build(self, dockerfile: Path, target: str, args: Mapping[str, str]) -> list[str]:
        command = [self.name, "build", "--layers", "--force-rm", "--pull=never", "--target", target]
        command += ["--file", str(dockerfile)]
        for key, value in args.items():
            command += ["--build-arg", f"{key}={value}"]
        return command

    @staticmethod
    def _inner(text: str) -> str | None:
        return text

    def _user(self) -> list[str]:
        return []  # without root, its root is the user


def _plain(text: str) -> str:
    """Take docker's "#12 3.456 " away from a line of output."""
    return re.sub(r"^#\d+ (?:\d+\.\d+ ?)?", "", text)
