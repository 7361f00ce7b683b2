"""Build one board with the tools of the machine (or container) we run in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kit import facts, prefill, publish, report, ui
from kit.board import PROJECT, Board
from kit.ports import base
from kit.ui import UserError
from kit.workspace import Sources, Workspace, mpy_cross

_SUFFIX = {"uf2": ".uf2", "bin": ".bin", "elf": ""}


def build_board(
    board: Board,
    *,
    sources: Sources,
    out: Path,
    work: Path,
    jobs: int = 1,
    locked: bool = False,
    mpy_cross_cache: Path | None = None,
    project: Path = PROJECT,
) -> list[Path]:
    """Build one board with the tools of the machine we run on.

    Args:
        board: what to build.
        sources: the source cache.
        out: where the results go.
        work: where the build happens; its folder BOARD is emptied first.
        jobs: compilers at once.
        locked: refuse inputs that are not exactly the pinned ones.
        mpy_cross_cache: where a built mpy-cross is kept between builds; None builds it anew.
        project: the Coldframe tree.

    Returns:
        The files in `out`.

    Raises:
        UserError: anything that keeps the image from being built; `out` is then as it was.
    """
    identity = facts.identity(project)
    recipe = base.recipe(board.port)
    space = Workspace(board, project, work, identity)
    unlocked = facts.unlocked_tools()
    with ui.Steps(board.name) as steps:
        with steps.step("unpack the sources"):
            _check_lock(board, sources, unlocked, locked)
            space.clear()
            ui.say(f"{board.name}: log in {space.log}")
            others = space.unpack(sources)
            env = space.environment()
            env["MICROPY_GIT_TAG"] = "v" + facts.micropython_version(space.tree)
            space.patch(env)
            manifest = space.generate()
            frozen = space.frozen_files(manifest, env)
        with steps.step("build mpy-cross") as step:
            compiler = mpy_cross(space.tree, mpy_cross_cache, env, jobs, space.log, step)
            env["MICROPY_MPYCROSS"] = str(compiler)
        with steps.step("build the firmware") as step:
            ctx = base.Context(
                board=board,
                project=project,
                tree=space.tree,
                build=space.build,
                sources=others,
                manifest=manifest,
                mpy_cross=compiler,
                libraries=space.libraries,
                log=space.log,
                jobs=jobs,
                env=env,
                step=step,
            )
            artifacts = recipe.build(ctx)
        with steps.step("write the results"):
            facts_of_image = report.make(
                board,
                identity,
                facts.micropython_version(space.tree),
                sources.record(board.sources),
                unlocked,
                recipe.PACKAGES,
                artifacts,
                frozen,
                space.patches(),
            )
            return _publish(ctx, artifacts, facts_of_image, out)


def _check_lock(board: Board, sources: Sources, unlocked: list[str], locked: bool) -> None:
    sources.require(["micropython"])
    unlocked += [
        f"source {name} is not the pinned one" for name in board.sources if not sources.locked([name])
    ]
    if unlocked and locked:
        reasons = "\n".join(unlocked)
        raise UserError(
            f"the inputs are not exactly the pinned ones:\n{reasons}",
            where=f"--locked: {board.name}",
            hint="build without --locked, or bring sources.toml and the Dockerfile's packages up to date",
        )


def _publish(
    ctx: base.Context, artifacts: base.Artifacts, facts_of_image: dict[str, Any], out: Path
) -> list[Path]:
    board = ctx.board
    stem = f"coldframe-{board.name}-{facts_of_image['version']}"
    with publish.staging(out) as staged:
        image = staged / (stem + _SUFFIX[board.image])
        wanted: dict[Path, Path] = {image: artifacts.image, staged / f"{stem}.elf": artifacts.elf}
        if artifacts.map is not None:
            text = artifacts.map.read_text(encoding="utf-8", errors="replace")
            (staged / f"{stem}.map").write_text(ctx.neutral(text), encoding="utf-8")
        for suffix, path in artifacts.extra.items():
            wanted[staged / (stem + suffix)] = path
        for target, source in wanted.items():
            shutil.copyfile(source, target)
        if board.image == "uf2" and (filled := prefill.uf2_image(ctx, image)) is not None:
            (staged / f"{stem}-with-filesystem.uf2").write_bytes(filled)
        (staged / f"{stem}.json").write_text(report.with_files(facts_of_image, list(staged.iterdir())))
        for path in staged.iterdir():
            path.chmod(0o755 if board.image == "elf" and path == image else 0o644)
        return publish.place(staged, out, stem)
