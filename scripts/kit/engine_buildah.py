"""buildah: no daemon, from apt, works in a plain virtual machine.

Its images live in the cache folder, away from other users of buildah or podman on the machine. Runs are in
"chroot" isolation, which needs nothing of the kernel but mounts; the network is taken away around it.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import re
import resource
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kit import engine_base
from kit.engine_process import ask, attached, need, watched
from kit.ui import UserError, warn

_NONET = Path(__file__).with_name("engine_nonet.py")
# A registry that answers at all does so within this time.
_PULL_SILENCE = 20


class Buildah:
    """Drives buildah. One object per process.

    Args:
        cache: the cache folder.
    """

    name = "buildah"

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.folder = cache / "containers"
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        runtime = (
            "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/run-{os.geteuid()}"
        )
        self.storage = [
            "--root", str(self.folder / "storage"), "--runroot", f"{runtime}/coldframe-{mark}",
            "--storage-driver", self._driver(),
        ]  # fmt: skip
        self.version = self._version()
        # Containers of this process can be told from others by their names.
        self.mine = f"coldframe-{os.getpid()}"
        self._count = itertools.count()
        self._busy = open(self.folder / ".busy", "a")  # noqa: SIM115  held for the life of the process
        self._tidy()

    @staticmethod
    def works() -> bool:
        """True when buildah is installed."""
        return shutil.which("buildah") is not None

    def has(self, image: str) -> bool:
        """True when the image is in our storage."""
        return ask([*self._buildah(), "inspect", "--type", "image", image]) is not None

    def pull(self, image: str) -> bool:
        """Pull an image; False when the registry does not answer."""
        return watched([*self._buildah(), "pull", image], lambda _: None, silence=_PULL_SILENCE) == 0

    def make_base(self, image: str, suite: str) -> None:
        """Make the base image from the machine's Debian mirror under the name `image`."""
        with engine_base.root_archive(suite, self.folder) as archive:
            name = f"{self.mine}-base"
            try:
                need([*self._buildah(), "from", "--name", name, "scratch"], "making the base image")
                need([*self._buildah(), "add", "--quiet", name, str(archive), "/"], "making the base image")
                label = f"coldframe.base=made from the Debian mirror of a machine, suite {suite}"
                need(
                    [*self._buildah(), "config", "--label", label, "--cmd", "/bin/bash", name],
                    "the base image",
                )
                need([*self._buildah(), "commit", "--quiet", name, image], "making the base image")
            finally:
                ask([*self._buildah(), "rm", name])

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
        with self._exclusive():
            before = self._containers()
            try:
                return watched(
                    [
                        *self._bud(dockerfile, target, args),
                        "--layers",
                        "--force-rm",
                        "--tag",
                        tag,
                        str(context),
                    ],
                    line,
                )
            finally:
                # An interrupted build leaves its working container; nobody else makes any meanwhile but
                # under names of their own.
                self._remove(n for n in self._containers() - before if not n.startswith("coldframe-"))

    def build_outputs(
        self,
        dockerfile: Path,
        context: Path,
        args: Mapping[str, str],
        out: Path,
        line: Callable[[str], None],
    ) -> int:
        """Run the build stages without network and put the files of the last one into `out`."""
        # buildah names a working container after the image it starts from: so with this second name
        # for the environment, what is ours can be found when we are interrupted.
        name = f"localhost/{self.mine}-build:latest"
        need([*self._buildah(), "tag", args["PORT"], name], "preparing the build")
        target = f"localhost/{self.mine}-outputs:latest"
        try:
            command = self._bud(dockerfile, "outputs", {**args, "PORT": name})
            status = watched(
                self._cut_off([*command, "--no-cache", "--force-rm", "--tag", target, str(context)]), line
            )
            if status == 0:
                self._copy_out(target, out)
            return status
        finally:
            self._remove(n for n in self._containers() if n.startswith(self.mine))
            for image in (target, name):  # the environment keeps its own name, so it stays
                ask([*self._buildah(), "rmi", image])

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
        name = f"{self.mine}-run-{next(self._count)}"
        self._from(name, image)
        with tempfile.TemporaryDirectory(prefix="coldframe-") as folder:
            # buildah comments on a status other than 0 in the middle of the command's own output, so the
            # status takes another way out.
            status = Path(folder).resolve() / "status"
            command = ["sh", "-c", f'"$@"; echo $? > {shlex.quote(str(status))}', "sh", *command]
            try:
                line = [*self._buildah(), "run", "--isolation", "chroot", "--workingdir", str(cwd)]
                for path, writable in (*mounts, (status.parent, True)):
                    line += ["--volume", f"{path}:{path}:{'rw' if writable else 'ro'}"]
                for key, value in env.items():
                    line += ["--env", f"{key}={value}"]
                if sys.stdin.isatty() and sys.stdout.isatty():
                    line.append("--terminal")
                line += [name, "--", *command]
                ended = attached(line if network else self._cut_off(line))
                return int(status.read_text()) if status.exists() else ended or 1
            finally:
                self._remove([name])

    def read(self, image: str, path: str) -> str:
        """Return the content of a text file in an image."""
        name = f"{self.mine}-read"
        self._from(name, image)
        try:
            return need(
                [*self._buildah(), "run", "--isolation", "chroot", name, "--", "cat", path], f"reading {path}"
            )
        finally:
            self._remove([name])

    def images(self) -> list[str]:
        """The names of the environments that there are."""
        said = ask([*self._buildah(), "images", "--format", "{{.Name}}:{{.Tag}}"]) or ""
        return re.findall(r"(?m)^localhost/coldframe-[a-z]\w*:[0-9a-f]{16}$", said)

    def remove(self, image: str) -> None:
        """Remove one image."""
        ask([*self._buildah(), "rmi", image])

    def clean(self) -> None:
        """Remove all images and containers."""
        with self._exclusive():
            ask([*self._buildah(), "rm", "--all"], seconds=300)
            ask([*self._buildah(), "rmi", "--all", "--force"], seconds=600)

    # How the command lines are made.

    def _buildah(self) -> list[str]:
        return ["buildah", *self.storage]

    def _from(self, name: str, image: str) -> None:
        command = [*self._buildah(), "from", "--pull-never", "--name", name, *self._limits(), image]
        need(command, f"making a container of {image}")

    def _bud(self, dockerfile: Path, target: str, args: Mapping[str, str]) -> list[str]:
        command = [*self._buildah(), "bud", "--isolation", "chroot", "--pull-never", *self._limits()]
        command += ["--target", target, "--file", str(dockerfile)]
        for key, value in args.items():
            command += ["--build-arg", f"{key}={value}"]
        return command

    def _limits(self) -> list[str]:
        """Newer versions raise the process limits, which only the full rights of root allow."""
        if self.version < (1, 29):
            return []
        limits = []
        for name, number in (("nproc", resource.RLIMIT_NPROC), ("nofile", resource.RLIMIT_NOFILE)):
            hard = resource.getrlimit(number)[1]
            if hard != resource.RLIM_INFINITY:
                limits += ["--ulimit", f"{name}={hard}:{hard}"]
        return limits

    def _cut_off(self, command: list[str]) -> list[str]:
        """Wrap a command so that it has no network."""
        inner = ["unshare", "--net", "--", sys.executable, str(_NONET), *command]
        prefix = [] if os.geteuid() == 0 else [*self._buildah(), "unshare", "--"]
        if ask([*prefix, "unshare", "--net", "--", "true"]) is None:
            warn(
                "this system does not let us take the network away; the build could reach it, "
                "though it does not need to"
            )
            return command
        return [*prefix, *inner]

    def _copy_out(self, image: str, out: Path) -> None:
        name = f"{self.mine}-files"
        self._from(name, image)
        script = f'set -e; m=$({shlex.join(self._buildah())} mount {name}); cp -r "$m/." "$0"'
        prefix = [] if os.geteuid() == 0 else [*self._buildah(), "unshare", "--"]
        try:
            need([*prefix, "sh", "-c", script, str(out)], "getting the results")
        finally:
            self._remove([name])

    # Storage and what is in it.

    def _driver(self) -> str:
        """overlay, except on top of another overlay file system, where the kernel does not stack it."""
        storage = self.folder / "storage"
        for known in ("overlay", "vfs"):
            if (storage / known).is_dir():
                return known
        kind = ask(["stat", "--file-system", "--format=%T", str(self.folder)])
        return "vfs" if kind == "overlayfs" and shutil.which("fuse-overlayfs") is None else "overlay"

    def _version(self) -> tuple[int, ...]:
        said = ask(["buildah", "--version"]) or ""
        found = re.search(r"(\d+)\.(\d+)", said)
        if not found:
            raise UserError(f"it does not tell its version: {said!r}", where="buildah")
        return int(found[1]), int(found[2])

    def _containers(self) -> set[str]:
        said = ask([*self._buildah(), "containers", "--json"]) or "null"
        return {entry["containername"] for entry in json.loads(said) or []}

    def _remove(self, names: Iterator[str] | Sequence[str]) -> None:
        for name in names:
            ask([*self._buildah(), "rm", name])

    def _tidy(self) -> None:
        """Remove what a process that was killed left, if no other process is at work; then be at work."""
        try:
            fcntl.flock(self._busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            self._remove(sorted(self._containers()))
            stray = ask([*self._buildah(), "images", "--format", "{{.Name}}:{{.Tag}}"]) or ""
            for image in re.findall(r"(?m)^localhost/coldframe-\d+-\S+", stray):
                ask([*self._buildah(), "rmi", image])
        fcntl.flock(self._busy, fcntl.LOCK_SH)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Let one process at a time build an environment."""
        with open(self.folder / ".environment", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
