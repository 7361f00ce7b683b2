"""The build environments: made and used with whatever container engine works on this machine.

`run()` runs a command in the environment of a port, `build()` executes the Dockerfile for boards and
brings the results out. Environments are made once and kept; their name carries a digest of everything
that they are made from.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kit import board as boards
from kit import engine_image, facts, host, publish, sources, ui
from kit.engine_buildah import Buildah
from kit.engine_docker import Docker, Podman
from kit.ui import UserError, say, warn

ENGINE_ENV = "COLDFRAME_ENGINE"
PROJECT = sources.PROJECT

_ENGINES: dict[str, type[Docker] | type[Buildah]] = {"docker": Docker, "podman": Podman, "buildah": Buildah}
_LOG_MARK = re.compile(r"^::: (build/\S+/build\.log)$")
_LOG_END = ":::"
# What the engines say about themselves while they build …
_ENGINE_TALK = re.compile(
    r"(STEP|COMMIT|-->|Successfully|\[\d/\d\]|Getting|Copying|Writing|Storing) ?|^[0-9a-f]{64}$"
)
# … and when a step has failed; the build itself has said why.
_CHATTER = re.compile(
    r"([Ee]rror ?:?.*(building at|exit status|running runtime|while running)|subprocess exited|ERROR: )"
)


class Engine(Protocol):
    """What an engine can do; see kit.engine_buildah for the texts."""

    name: str

    def has(self, image: str) -> bool: ...
    def pull(self, image: str) -> bool: ...
    def make_base(self, image: str, suite: str) -> None: ...
    def build_environment(self, dockerfile, context, target, tag, args, line) -> int: ...  # type: ignore[no-untyped-def]
    def build_outputs(self, dockerfile, context, args, out, line) -> int: ...  # type: ignore[no-untyped-def]
    def run(self, image, command, *, network, mounts, env, cwd) -> int: ...  # type: ignore[no-untyped-def]
    def read(self, image: str, path: str) -> str: ...
    def images(self) -> list[str]: ...
    def remove(self, image: str) -> None: ...
    def clean(self) -> None: ...


@dataclass(frozen=True)
class Environment:
    """The image of a port's build environment."""

    port: str
    image: str
    base: str  # what it stands on: a name with a digest, or "made here …"
    unlocked: tuple[str, ...]  # package pins that the mirror could not serve


_engines: dict[Path, Engine] = {}


def find(cache: Path | str | None = None) -> Engine:
    """Return the engine to use: the one in COLDFRAME_ENGINE, else the first that works.

    Where none does, buildah is installed with apt (as root).

    Raises:
        UserError: the named one does not work here, or there is none and it cannot be installed.
    """
    folder = sources.cache_folder(cache)
    if folder not in _engines:
        _engines[folder] = _choose()(folder)
    return _engines[folder]


def _choose() -> type[Docker] | type[Buildah]:
    named = os.environ.get(ENGINE_ENV)
    if named:
        if named not in _ENGINES:
            raise UserError(f"got {named!r}", where=ENGINE_ENV, expected="one of " + ", ".join(_ENGINES))
        if not _ENGINES[named].works():
            raise UserError(
                f"{named} does not work on this machine", where=ENGINE_ENV, hint=f"try: {named} info"
            )
        return _ENGINES[named]
    for kind in _ENGINES.values():
        if kind.works():
            return kind
    host.ensure(
        {"buildah": "buildah", "unshare": "util-linux"},
        "the build environment; no docker or podman works here",
    )
    return Buildah


def environment(
    port: str, *, cache: Path | str | None = None, rebuild: bool = False, project: Path = PROJECT
) -> Environment:
    """Return the environment of a port; made first where it does not exist yet.

    Args:
        port: a stage of the Dockerfile, e.g. "rp2".
        cache: see `kit.sources.cache_folder`.
        rebuild: make it anew, for example because the Debian mirror has the pinned versions again.
        project: the Coldframe tree.

    Raises:
        UserError: no such port, no engine, or the image cannot be made.
    """
    dockerfile = engine_image.Dockerfile.read(project / "Dockerfile")
    if port not in dockerfile.ports():
        close = ui.nearest(port, dockerfile.ports())
        raise UserError(
            f"no environment for port {port!r}",
            expected="one of " + ", ".join(dockerfile.ports()),
            hint=f"did you mean {close}?" if close else None,
        )
    folder = sources.cache_folder(cache)
    engine = find(folder)
    base_name, base = _base(engine, project)
    part = dockerfile.part(port)
    image = _image(port, part, project, base)
    if rebuild or not engine.has(image):
        _make(engine, port, image, part, {"BASE": base_name, "BASE_NOTE": base}, folder, project)
    notes = engine.read(image, "/etc/coldframe/unlocked").splitlines()
    return Environment(port, image, base, tuple(note for note in notes if note.strip()))


def outdated(*, cache: Path | str | None = None, project: Path = PROJECT) -> list[str]:
    """Return the environments that were made for an earlier state of the Dockerfile or of the base image."""
    dockerfile = engine_image.Dockerfile.read(project / "Dockerfile")
    pinned = _pinned_base(project)
    bases = (f"{pinned['image'].rpartition(':')[0]}@{pinned['digest']}", _made_here(pinned["suite"]))
    current = {
        _image(port, dockerfile.part(port), project, base) for port in dockerfile.ports() for base in bases
    }
    return [image for image in find(cache).images() if image not in current]


def run(
    port: str,
    command: Sequence[str],
    *,
    network: bool = False,
    rw: Sequence[Path | str] = (),
    env: Mapping[str, str] | None = None,
    cache: Path | str | None = None,
    cwd: Path | None = None,
    project: Path = PROJECT,
) -> int:
    """Run a command in the environment of a port.

    The project and the cache are there at the same paths as here, read-only; standard input, output and
    error are ours.

    Args:
        port: a stage of the Dockerfile.
        command: program and arguments.
        network: leave it the network.
        rw: folders that it may write to; made where they do not exist.
        env: additional environment variables.
        cache: see `kit.sources.cache_folder`.
        cwd: where it starts, by default the project.
        project: the Coldframe tree.

    Returns:
        Its exit status.
    """
    folder = sources.cache_folder(cache)
    folder.mkdir(parents=True, exist_ok=True)
    place = environment(port, cache=folder, project=project)
    writable = [Path(path).resolve() for path in rw]
    for path in writable:
        path.mkdir(parents=True, exist_ok=True)
    # Parents before children: a writable folder inside the read-only project has to come after it.
    mounts = {project.resolve(): False, folder: False} | dict.fromkeys(writable, True)
    ordered = sorted(mounts.items(), key=lambda item: len(item[0].parts))
    return find(folder).run(
        place.image,
        list(command),
        network=network,
        mounts=ordered,
        env={sources.CACHE_ENV: str(folder), **(env or {})},
        cwd=cwd or project.resolve(),
    )


def build(
    names: Sequence[str],
    *,
    out: Path,
    cache: Path | str | None = None,
    jobs: int = 1,
    locked: bool = False,
    project: Path = PROJECT,
) -> list[Path]:
    """Build boards by executing the Dockerfile; no build step has a network.

    Args:
        names: the boards.
        out: where the results go; untouched when anything fails.
        cache: see `kit.sources.cache_folder`.
        jobs: compilers at once.
        locked: refuse inputs that are not exactly the pinned ones.
        project: the Coldframe tree.

    Returns:
        The files in `out`.

    Raises:
        UserError: with the first thing that went wrong.
    """
    folder = sources.cache_folder(cache)
    chosen = [boards.load(name, project) for name in dict.fromkeys(names)]
    wanted = list(dict.fromkeys(["micropython", *(source for board in chosen for source in board.sources)]))
    found = sources.ensure(wanted, cache=folder, locked=locked)
    made: list[Path] = []
    for port in dict.fromkeys(board.port for board in chosen):
        place = environment(port, cache=folder, project=project)
        check_packages(place, locked)
        ours = [board for board in chosen if board.port == port]
        made += _build_port(find(folder), place, ours, found, out, folder, jobs, locked, project)
    return made


def _build_port(
    engine: Engine,
    place: Environment,
    ours: list[boards.Board],
    found: sources.Sources,
    out: Path,
    cache: Path,
    jobs: int,
    locked: bool,
    project: Path,
) -> list[Path]:
    identity = facts.identity(project)
    with tempfile.TemporaryDirectory(dir=_room(cache), prefix=f"build-{os.getpid()}-") as name:
        temp = Path(name)
        context, results = temp / "context", temp / "results"
        context.mkdir()
        results.mkdir()
        engine_image.project_context(project, context)
        # A source that its host's archive brings along needs the host's files too: stage() knows.
        wanted = {source for board in ours for source in board.sources} | {"micropython"}
        found.stage(sorted(wanted), context / "build" / "cache")
        dockerfile = temp / "Dockerfile"
        dockerfile.write_text(_build_part(project))
        args = {
            "PORT": place.image,
            "BOARDS": " ".join(board.name for board in ours),
            "JOBS": str(jobs),
            "LOCKED": "1" if locked else "",
            "COLDFRAME_COMMIT": identity.commit,
            "SOURCE_DATE_EPOCH": str(identity.epoch),
        }
        output = _Output(project)
        try:
            status = engine.build_outputs(dockerfile, context, args, results, output.line)
        finally:
            output.close()
        if status:
            raise UserError(output.error or f"{engine.name} failed", hint=output.hint())
        made = []
        for board in ours:
            stem = f"coldframe-{board.name}-{identity.version}"
            with publish.staging(out) as staged:
                for file in results.iterdir():
                    if file.name.startswith(stem):
                        target = staged / file.name
                        target.write_bytes(file.read_bytes())
                        target.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
                made += publish.place(staged, out, stem)
        return made


def _build_part(project: Path) -> str:
    """The stages that come after the environments."""
    dockerfile = engine_image.Dockerfile.read(project / "Dockerfile")
    return dockerfile.part("outputs")


class _Output:
    """Passes the build's own lines on, keeps the engine's to itself, and writes the logs.

    The Dockerfile prints each compiler log between two marks, since that is the one way out of a
    stage that may have failed.
    """

    def __init__(self, project: Path) -> None:
        self.project = project
        self.error = ""
        self.logs: list[Path] = []
        self._log = None
        self._tail: list[str] = []
        self._in_error = False
        self._open = ExitStack()

    def line(self, text: str) -> None:
        """Take one line of the engine's output."""
        mark = _LOG_MARK.match(text)
        if mark:
            self.close()
            path = self.project / mark[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            self.logs.append(path)
            self._log = path.open("w")
        elif text == _LOG_END:
            self.close()
        elif self._log is not None:
            self._log.write(text + "\n")
        elif _ENGINE_TALK.match(text):
            self._tail = []
        elif text.startswith("error: "):
            self.error = text.removeprefix("error: ")
            failed = UserError(self.error)
            self._open.__exit__(UserError, failed, None)  # so that the step does not count as done
            self._in_error = True
        elif self._in_error and text.startswith("  "):
            self.error += "\n" + text  # the hint that belongs to it
        else:
            self._in_error = False
            self._tail.append(text)
            if not _CHATTER.match(text):
                # The container's paths mean nothing out here.
                self._show(text.replace("/usr/src/coldframe/", f"{self.project}/"))

    def _show(self, text: str) -> None:
        """Print a line of the build; on a terminal its steps are drawn as steps again."""
        step = re.match(r"(\w+): (.*) …$", text)
        if text.startswith("/dist/") or re.match(r"done in \d+ s$", text):
            return  # who called us says this of the files in their final place
        if not ui.is_terminal():
            say(text)
        elif step:
            self._open.close()
            self._open.enter_context(steps := ui.Steps(step[1]))
            self._open.enter_context(steps.step(step[2]))
        elif re.match(r"\w+: .*: \d+\.\d s", text):
            self._open.close()
        else:
            say(text)

    def hint(self) -> str | None:
        """What to add to the error."""
        if self.error:
            return "\n".join(f"the compiler's output is in {log}" for log in self.logs) or None
        return "\n".join(self._tail[-6:])

    def close(self) -> None:
        """End the log that is being written, and what is being drawn."""
        self._open.close()
        if self._log is not None:
            self._log.close()
            self._log = None


def _make(
    engine: Engine, port: str, image: str, part: str, args: dict[str, str], cache: Path, project: Path
) -> None:
    log = cache / "logs" / f"environment-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=_room(cache), prefix="env-") as name,
        log.open("w", buffering=1) as file,
    ):
        temp = Path(name)
        dockerfile = temp / "Dockerfile"
        dockerfile.write_text(part)
        engine_image.environment_context(part, project, temp / "context")
        last: list[str] = []
        with ui.Steps(f"environment {port}") as steps, steps.step(f"build with {engine.name}") as step:

            def line(text: str) -> None:
                file.write(text + "\n")
                if text.strip():
                    last.append(text)
                    del last[:-8]
                    step.update(note=text)

            try:
                status = engine.build_environment(dockerfile, temp / "context", port, image, args, line)
            except OSError as error:
                raise UserError(f"{error.strerror}", where=error.filename or log) from None
            if status:
                errors = [text for text in last if re.match(r"E:|error|fatal", text)] or last
                raise UserError(
                    f"the environment of port {port} cannot be made",
                    where="Dockerfile",
                    hint="\n".join([*errors, f"everything that was said is in {log}"]),
                )


def _base(engine: Engine, project: Path) -> tuple[str, str]:
    """Have the base image; return its name for FROM and a text that says what it is."""
    base = _pinned_base(project)
    pinned = f"{base['image'].rpartition(':')[0]}@{base['digest']}"
    made_here = _made_here(base["suite"])
    if engine.has(pinned):
        return pinned, pinned
    if engine.has(base["image"]) and _is_ours(engine, base["image"]):
        return base["image"], made_here
    say(f"pulling {pinned} …")
    if engine.pull(pinned):
        return pinned, pinned
    engine.make_base(base["image"], base["suite"])
    return base["image"], made_here


def _pinned_base(project: Path) -> dict[str, str]:
    return sources.pins(project / "sources.toml").base


def _made_here(suite: str) -> str:
    return f"made with mmdebstrap from a Debian mirror, suite {suite}"


def _image(port: str, part: str, project: Path, base: str) -> str:
    return f"localhost/coldframe-{port}:{engine_image.key(part, project, base)}"


def _is_ours(engine: Engine, image: str) -> bool:
    """True for a base image that we made; docker may have another one under that name."""
    from kit.engine_process import ask

    storage = engine.storage if isinstance(engine, Buildah) else []
    said = ask([engine.name, *storage, "inspect", *(["--type", "image"] if storage else []), image])
    return said is not None and "coldframe.base" in said


def check_packages(place: Environment, locked: bool) -> None:
    """Warn when an environment has other packages than the Dockerfile names; refuse it when `locked`."""
    if not place.unlocked:
        return
    listed = "\n".join(place.unlocked)
    if locked:
        raise UserError(
            f"the environment of port {place.port} has other packages than the Dockerfile names:\n  "
            + listed.replace("\n", "\n  "),
            where="--locked",
            hint="Either build without --locked (the image's .json then says locked: false),\n"
            "or name what is offered in the Dockerfile, and check that the images are as before,\n"
            "or, if the mirror has the pinned versions again:\n"
            f"    python3 scripts/container.py env {place.port} --rebuild",
        )
    warn(
        f"environment {place.port}: {len(place.unlocked)} packages are not as pinned:\n  "
        + listed.replace("\n", "\n  ")
    )


def _room(cache: Path) -> Path:
    """A folder for temporary files on the cache's disk, where hard links save the copying.

    What a build left there that was killed outright, and so could not tidy up, is removed.
    """
    folder = cache / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("build-*"):
        owner = re.match(r"build-(\d+)-", left.name)
        if not owner or not Path("/proc", owner[1]).exists():
            shutil.rmtree(left, ignore_errors=True)
    return folder
