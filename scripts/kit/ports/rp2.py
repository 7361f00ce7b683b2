"""The rp2 port: Raspberry Pi Pico and other boards with an RP2040 or RP2350."""

from __future__ import annotations

import os

from kit.ports.base import Artifacts, Context

OPTIONS: dict[str, type] = {}
PACKAGES = (
    "gcc-arm-none-eabi",
    "binutils-arm-none-eabi",
    "libnewlib-arm-none-eabi",
    "libstdc++-arm-none-eabi-newlib",
    "picotool",
    "pioasm",
    "cmake",
    "ninja-build",
    "gcc",
    "python3",
)
RAM = ((0x20000000, 0x20082000),)  # RP2350's; the RP2040's 264 KiB lie in its first part


def build(ctx: Context) -> Artifacts:
    """Build firmware.uf2 from boards/BOARD (an out-of-tree MicroPython board folder)."""
    out = ctx.build / "rp2"
    options = {
        "PICO_SDK_PATH_OVERRIDE": ctx.sources["pico-sdk"],
        "MICROPY_BOARD": ctx.board.name,
        "MICROPY_BOARD_DIR": ctx.board.path,
        "MICROPY_FROZEN_MANIFEST": ctx.manifest,
        "MICROPY_LIB_DIR": ctx.libraries,
    }
    if (ctx.project / "cmodules").is_dir():
        options["USER_C_MODULES"] = ctx.project / "cmodules" / "micropython.cmake"
    # By environment: -DCMAKE_C_FLAGS would replace the SDK's own flags, among them the CPU's.
    flags = {name: ctx.prefix_map for name in ("CFLAGS", "CXXFLAGS", "ASMFLAGS")}
    defines = [f"-D{name}={value}" for name, value in options.items()]
    ctx.run(["cmake", "-S", ctx.tree / "ports" / "rp2", "-B", out, "-G", "Ninja", *defines], env=flags)
    ctx.run(["ninja", "-C", out, f"-j{ctx.jobs}"], env={**flags, "NINJA_STATUS": "[%f/%t] "})
    elf = out / "firmware.elf"
    return Artifacts(
        image=out / "firmware.uf2",
        elf=elf,
        map=out / "firmware.elf.map",
        frozen=next((out / "CMakeFiles" / "firmware.dir").glob("frozen_content.c.o*")),
        flash_used=os.path.getsize(out / "firmware.bin"),
        ram=RAM,
    )
