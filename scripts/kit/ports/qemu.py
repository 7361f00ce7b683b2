"""Our own port for machines that QEMU emulates (ports/qemu): the device tests' lx106 and rv32imc."""

from __future__ import annotations

from kit.ports.base import Artifacts, Context
from kit.ui import UserError

OPTIONS: dict[str, type] = {"arch": str, "heap": int}
PACKAGES = (
    "gcc-xtensa-lx106",
    "binutils-xtensa-lx106",
    "picolibc-xtensa-lx106-elf",
    "gcc-riscv64-unknown-elf",
    "binutils-riscv64-unknown-elf",
    "picolibc-riscv64-unknown-elf",
    "make",
    "gcc",
    "python3",
)
# Per architecture: the tools' prefix, and where its data and bss lie (ports/qemu/ARCH/link.ld). The RAM that stands
# for the flash file system is not among it.
ARCHES = {
    "lx106": ("xtensa-lx106-elf-", (0x3FFE8000, 0x3FFFC000)),
    "rv32": ("riscv64-unknown-elf-", (0x80400000, 0x80450000)),
}
HEAP = (16 * 1024, 256 * 1024)  # smallest and largest that make sense and fit


def build(ctx: Context) -> Artifacts:
    """Build firmware.elf for the architecture and heap size that board.toml names."""
    where = f"{ctx.board.file}: build"
    arch = ctx.board.options.get("arch")
    if arch not in ARCHES:
        raise UserError(f"got {arch!r}", where=f"{where}.arch", expected=" or ".join(map(repr, ARCHES)))
    heap = ctx.board.options.get("heap", 0)
    prefix, ram = ARCHES[arch]
    if not HEAP[0] <= heap <= HEAP[1] or heap % 16:
        expected = f"{HEAP[0]} to {HEAP[1]} bytes, a multiple of 16"
        raise UserError(f"got {heap}", where=f"{where}.heap", expected=expected)
    out = ctx.build / "qemu"
    args = [
        f"MPTOP={ctx.tree}",
        f"ARCH={arch}",
        f"HEAP={heap}",
        f"BOARD={ctx.board.name}",
        f"BOARD_DIR={ctx.board.path}",
        f"BUILD={out}",
        f"FROZEN_MANIFEST={ctx.manifest}",
        f"MPY_LIB_DIR={ctx.libraries}",
        f"CFLAGS_EXTRA={ctx.prefix_map}",
    ]
    if (ctx.project / "cmodules").is_dir():
        args.append(f"USER_C_MODULES={ctx.project / 'cmodules'}")
    ctx.run(["make", "-C", ctx.project / "ports" / "qemu", f"-j{ctx.jobs}", *args])
    elf = out / "firmware.elf"
    image = out / "firmware.stripped"
    ctx.run([f"{prefix}strip", "-o", image, elf])
    return Artifacts(
        image=image,
        elf=elf,
        map=out / "firmware.map",
        frozen=out / "frozen_content.o",
        flash_used=image.stat().st_size,
        ram=(ram,),
    )
