"""The unix port: the simulated board, one static program that runs on any Linux of its architecture.

Linked against musl (64-bit) because a static glibc program still needs the host's glibc to look up
names, and musl's resolver does not. There is no 32-bit musl among Debian's packages, so the 32-bit
image, which only runs tests, is linked against glibc.
"""

from __future__ import annotations

from kit.ports.base import Artifacts, Context
from kit.ui import UserError

OPTIONS = {"bits": int}
PACKAGES = ("gcc", "libc6-dev", "musl-dev", "musl-tools", "gcc-multilib", "libc6-dev-i386", "make", "python3")
PROG = "coldframe"


def build(ctx: Context) -> Artifacts:
    """Build the simulated board from boards/BOARD (a MicroPython "variant")."""
    bits = ctx.board.options.get("bits", 64)
    if bits not in (32, 64):
        raise UserError(f"got {bits}", where=f"{ctx.board.file}: build.bits", expected="32 or 64")
    out = ctx.build / "unix"
    args = [
        f"BUILD={out}",
        f"VARIANT_DIR={ctx.board.path}",
        f"PROG={PROG}",
        f"FROZEN_MANIFEST={ctx.manifest}",
        f"MPY_LIB_DIR={ctx.libraries}",
        f"COLDFRAME_DIR={ctx.project}",  # for mpconfigvariant.mk, to reach ports/unix
        # berkeley-db and libffi are not among the sources, and no board has them either.
        "MICROPY_PY_BTREE=0",
        "MICROPY_PY_FFI=0",
        # The linker's build-id would depend on debug information, and so on the compiler's details.
        "LDFLAGS_EXTRA=-static -Wl,--build-id=none",
        f"CFLAGS_EXTRA={ctx.prefix_map}",
        "STRIP=",  # keep the symbols: the .elf beside the image is for debuggers and the size report
    ]
    if (ctx.project / "cmodules").is_dir():
        args.append(f"USER_C_MODULES={ctx.project / 'cmodules'}")
    args.append("CC=musl-gcc" if bits == 64 else "MICROPY_FORCE_32BIT=1")
    ctx.run(["make", "-C", ctx.tree / "ports" / "unix", f"-j{ctx.jobs}", *args])
    elf = out / PROG
    image = out / f"{PROG}.stripped"
    ctx.run(["strip", "-o", image, elf])
    return Artifacts(
        image=image,
        elf=elf,
        map=out / f"{PROG}.map",
        frozen=out / "frozen_content.o",
        flash_used=image.stat().st_size,
    )
