"""Build an image twice under different conditions and compare every byte: scripts/reproduce.py BOARD

The second build happens in another folder with a longer path, by another user, in another language and
time zone, with another file mode mask, months later, and sees every directory in reverse order. What can
not be varied where this runs (no right to change the user, no faketime) is said.

With --against DIR the image is built once, under the second build's conditions, and compared with the
files in DIR: that is how a published image is checked. Check out the commit that its .json names first.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit import board as boards
from kit import compare, facts, report, ui
from kit.board import PROJECT
from kit.ports import base
from kit.ui import UserError

READDIR = Path(__file__).resolve().parent / "kit" / "readdir_reversed.c"
OTHER_UID = 61234  # of nobody in particular
NOT_COPIED = {".git", ".venv", "build", "dist", "__pycache__", "node_modules"}
LONGER = "a-second-folder-with-a-much-longer-path/so-that-every-path-that-leaks-is-seen"


@dataclass
class Conditions:
    """How one of the builds is run."""

    label: str
    folder: Path  # everything of this build lies in it
    env: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022
    uid: int | None = None
    python: str = sys.executable
    varied: list[str] = field(default_factory=list)  # for people: what is different
    same: list[str] = field(default_factory=list)  # … and what could not be made different

    @property
    def project(self) -> Path:
        """The copy of the Coldframe tree."""
        return self.folder / "coldframe"

    @property
    def out(self) -> Path:
        """Where the results go."""
        return self.folder / "dist"


def plain(root: Path) -> Conditions:
    """The first build: as anybody would do it."""
    return Conditions("first", root / "a", env={"LC_ALL": "C", "TZ": "UTC"})


def different(root: Path) -> Conditions:
    """The second build: everything different that can be."""
    made = Conditions("second", root / "b" / LONGER, umask=0o077)
    # POSIX time zones need no database. A locale that is not installed still reaches every program.
    made.env = {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "XYZ-13:45", "HOME": str(made.folder)}
    made.varied = ["folder", "locale", "time zone", "umask"]
    preload = []
    if shutil.which("faketime"):
        # Asked for once here, because `faketime` sets up LD_PRELOAD with the path of its library.
        cmd = ["faketime", "-f", "+400d", "env"]
        text = subprocess.run(cmd, stdout=subprocess.PIPE, text=True, check=True).stdout
        fake = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        preload.append(fake["LD_PRELOAD"])
        made.env["FAKETIME"] = fake["FAKETIME"]
        made.varied.append("clock")
    else:
        made.same.append("clock (faketime is not installed)")
    library = root / "readdir_reversed.so"
    compiled = subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(READDIR), "-ldl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if compiled.returncode:
        raise UserError(f"the compiler failed:\n{compiled.stdout.strip()}", where=READDIR)
    library.chmod(0o755)
    preload.append(str(library))
    made.varied.append("directory order")
    made.env["LD_PRELOAD"] = ":".join(preload)
    python = python_for_others()
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        made.same.append("user (only root can build as another one)")
    elif not readable_to_others(root):
        made.same.append(f"user ({root} cannot be reached by another one; choose --work)")
    elif python is None:
        made.same.append("user (there is no Python 3.11 or later that another one can run)")
    else:
        made.uid, made.python = OTHER_UID, python
        made.varied.append("user")
    return made


def python_for_others() -> str | None:
    """A Python that any user can run: ours may lie in somebody's home folder."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for path in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        found = Path(path).resolve()
        if not (found.exists() and readable_to_others(found) and readable_to_others(Path(path).parent)):
            continue
        if subprocess.run([path, "-c", check], stderr=subprocess.DEVNULL).returncode == 0:
            return path
    return None


def files_of(project: Path) -> list[Path]:
    """The files of the tree that belong to it, relative; as git sees it where there is git."""
    if (project / ".git").exists() and shutil.which("git"):
        cmd = ["git", "-c", "safe.directory=*", "-C", str(project), "ls-files", "-coz", "--exclude-standard"]
        done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if done.returncode == 0:
            names = [Path(name) for name in done.stdout.split("\0") if name]
            return sorted(name for name in names if (project / name).is_file())
    found = (p.relative_to(project) for p in project.rglob("*") if p.is_file())
    return sorted(p for p in found if not NOT_COPIED & set(p.parts))


def copy(project: Path, where: Conditions, shuffle: int | None) -> None:
    """Copy the tree for one build; with a `shuffle` seed the files are created in another order."""
    names = files_of(project)
    if shuffle is not None:
        random.Random(shuffle).shuffle(names)
    where.project.mkdir(parents=True)
    for name in names:
        target = where.project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / name, target)
        target.chmod(0o755 if os.access(project / name, os.X_OK) else 0o644)


def build(
    board: str, where: Conditions, cache: Path, identity: facts.Identity, jobs: int, fresh: bool
) -> None:
    """Run scripts/build.py in the copied tree under the given conditions.

    Raises:
        SystemExit: the build failed; it has said why.
    """
    env = {**os.environ, **where.env}
    env.update(
        SOURCE_DATE_EPOCH=str(identity.epoch), COLDFRAME_COMMIT=identity.commit, PYTHONDONTWRITEBYTECODE="1"
    )
    cmd = [where.python, "scripts/build.py", board, "--native", "--jobs", str(jobs)]
    cmd += ["--out", str(where.out), "--work", str(where.folder / "work"), "--cache", str(cache)]
    cmd += ["--fresh"] if fresh else []
    # Preloaded only behind setpriv: what libfaketime shares between processes must be the other user's.
    preload = env.pop("LD_PRELOAD", None) if where.uid is not None else None
    if where.uid is not None:
        for path in [where.folder, *where.folder.rglob("*")]:
            os.chown(path, where.uid, where.uid, follow_symlinks=False)
        become = ["setpriv", f"--reuid={where.uid}", f"--regid={where.uid}", "--clear-groups", "env"]
        cmd = [*become, *([f"LD_PRELOAD={preload}"] if preload else []), *cmd]
    process = subprocess.Popen(
        cmd,
        cwd=where.project,
        env=env,
        umask=where.umask,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # the list of files would only confuse
    )
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        ui.say(f"that was the {where.label} build of {board}")
        raise SystemExit(status)


def readable_to_others(path: Path) -> bool:
    """True when another user can enter a folder, or run a program."""
    return all(p.stat().st_mode & 0o001 for p in [path, *path.parents])


def stage_sources(names: Sequence[str], cache: Path | None, into: Path) -> None:
    """Put copies of the sources where both builds, by whatever user, can read them."""
    from kit import sources

    found = sources.load(cache)
    found.require(names)
    found.stage(names, into)
    for path in [into, *into.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def reproduce(
    name: str,
    root: Path,
    *,
    project: Path = PROJECT,
    cache: Path | None = None,
    staged: bool = True,
    jobs: int = 1,
    against: Path | None = None,
) -> tuple[list[compare.Difference], Conditions]:
    """Build a board twice and compare.

    Args:
        name: the board.
        root: an empty folder to work in.
        project: the Coldframe tree.
        cache: the source cache, by default the usual one.
        staged: False when the builds need no sources (tests).
        jobs: compilers at once.
        against: compare one build with the files in this folder instead of building twice.

    Returns:
        The differences (empty: the builds are the same), and the conditions of the second build.
    """
    identity = facts.identity(project)
    prefix = f"coldframe-{name}-{identity.version}"
    own_cache = root / "cache"
    own_cache.mkdir()
    if staged:
        stage_sources(boards.load(name, project).sources, cache, own_cache)
    second = different(root)
    # Both copies at the same moment: somebody may be working on the tree.
    first = plain(root)
    copy(project, first, None)
    copy(project, second, shuffle=identity.epoch)
    if against is None:
        build(name, first, own_cache, identity, jobs, fresh=False)
        against = first.out
    else:
        made_from = report.load(against / f"{prefix}.json").get("commit")
        if made_from != identity.commit:
            raise UserError(
                f"the files are of commit {made_from}, the tree is at {identity.commit}",
                where=against,
                hint=f"git checkout {made_from}",
            )
        if identity.commit.endswith("-dirty"):
            ui.warn("the tree differs from its commit; a difference may only mean that it was edited since")
    # The program that freezes the Python code is compiled anew as well.
    build(name, second, own_cache, identity, jobs + 1, fresh=True)
    return compare.folders(against, second.out, prefix), second


def run(argv: Sequence[str]) -> int:
    """The command. Returns 1 when the builds differ."""
    parser = argparse.ArgumentParser(prog="scripts/reproduce.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("boards", nargs="+", metavar="BOARD")
    parser.add_argument(
        "--native", action="store_true", help="with this machine's own tools, not in the container"
    )
    parser.add_argument("--against", type=Path, metavar="DIR", help="compare one build with the files in DIR")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where to build; default: a temporary folder"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="the source cache; default: ~/.cache/coldframe"
    )
    parser.add_argument("--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--keep", action="store_true", help="leave the two builds there")
    args = parser.parse_args(argv)
    chosen = [boards.load(name) for name in dict.fromkeys(args.boards)]
    if not args.native and not facts.in_container():
        return in_container(args, chosen)
    failed = False
    for board in chosen:
        base.recipe(board.port)
        root = Path(tempfile.mkdtemp(prefix=f"reproduce-{board.name}-", dir=args.work))
        root.chmod(0o755)
        try:
            found, second = reproduce(
                board.name, root, cache=args.cache, jobs=args.jobs, against=args.against
            )
        finally:
            if args.keep:
                ui.say(f"{board.name}: both builds are in {root}")
            else:
                shutil.rmtree(root, ignore_errors=True)
        for line in second.same:
            ui.warn(f"{board.name}: not varied: {line}")
        if found:
            failed = True
            print(f"{board.name}: NOT reproducible: {len(found)} file(s) differ")
            for difference in found:
                print(difference)
        else:
            print(f"{board.name}: reproducible; varied: {', '.join(second.varied)}")
    return 1 if failed else 0


def in_container(args: argparse.Namespace, chosen: list[boards.Board]) -> int:
    """Run this script in the container of each board's port; the sources are fetched before.

    The builds happen in the container's own /tmp, where another user can go as well, unless they are to be kept.
    """
    from kit import engine, sources

    status = 0
    if args.keep and args.work is None:  # the container's own /tmp goes with it
        args.work = PROJECT / "build" / "reproduce"
        args.work.mkdir(parents=True, exist_ok=True)
    for board in chosen:
        sources.ensure(board.sources, cache=args.cache)
        identity = facts.identity(PROJECT)
        cmd = ["python3", str(Path(__file__).resolve()), board.name, "--jobs", str(args.jobs)]
        mounts = []
        for option, folder in (("--against", args.against), ("--work", args.work)):
            if folder is not None:
                cmd += [option, str(folder.resolve())]
                mounts += [folder]
        if args.keep:
            cmd.append("--keep")
        env = {"COLDFRAME_COMMIT": identity.commit, "SOURCE_DATE_EPOCH": str(identity.epoch)}
        status |= engine.run(board.port, cmd, rw=mounts, env=env, cache=args.cache)
    return status


if __name__ == "__main__":
    ui.main(run)
