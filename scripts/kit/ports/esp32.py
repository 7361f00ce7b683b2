"""The esp32 port: ESP32, ESP32-C3 and ESP32-S3, with ESP-IDF in the environment (stage esp32 of the Dockerfile)."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from kit.ports.base import Artifacts, Context
from kit.ui import UserError

OPTIONS = {"chip": str}
PACKAGES = ("cmake", "ninja-build", "gcc", "python3")
CHIPS = ("esp32", "esp32c3", "esp32s3")
RAM = ((0x3FC80000, 0x3FD00000), (0x3FFAE000, 0x40000000))  # C3 and S3; ESP32


def build(ctx: Context) -> Artifacts:
    """Build firmware.bin (bootloader, partition table and program in one) from boards/BOARD."""
    chip = ctx.board.options.get("chip")
    where = f"{ctx.board.file}: build.chip"
    if chip not in CHIPS:
        raise UserError(f"got {chip!r}", where=where, expected="one of " + ", ".join(CHIPS))
    idf = os.environ.get("IDF_PATH")
    if not idf or not (Path(idf) / "export.sh").is_file():
        raise UserError(
            "ESP-IDF is not here",
            where="IDF_PATH",
            expected="the folder of ESP-IDF 5.4.2",
            hint="without --native the build runs in the container's stage esp32, which has it",
        )
    out = ctx.build / "esp32"
    defines = {
        "MICROPY_BOARD": ctx.board.name,
        "MICROPY_BOARD_DIR": ctx.board.path,
        "MICROPY_FROZEN_MANIFEST": ctx.manifest,
        "MICROPY_LIB_DIR": ctx.libraries,
    }
    if (ctx.project / "cmodules").is_dir():
        defines["USER_C_MODULES"] = ctx.project / "cmodules" / "micropython.cmake"
    port = ctx.tree / "ports" / "esp32"
    idf_py = ["idf.py", "-B", str(out), *(f"-D{name}={value}" for name, value in defines.items()), "build"]
    env = {
        "IDF_PATH": idf,
        "IDF_TOOLS_PATH": os.environ.get("IDF_TOOLS_PATH", str(Path.home() / ".espressif")),
        "IDF_CCACHE_ENABLE": "0",
        "CMAKE_BUILD_PARALLEL_LEVEL": str(ctx.jobs),
        "CFLAGS": ctx.prefix_map,
        "CXXFLAGS": ctx.prefix_map,
    }
    # export.sh sets PATH for the compilers and the Python of ESP-IDF; it wants bash.
    script = f"cd {shlex.quote(str(port))} && . {shlex.quote(idf)}/export.sh && {shlex.join(idf_py)}"
    ctx.run(["bash", "-c", script], cwd=port, env=env)
    image = out / "firmware.bin"
    program = out / "micropython.bin"
    frozen = list(out.rglob("frozen_content.c.obj"))
    return Artifacts(
        image=image,
        elf=out / "micropython.elf",
        map=out / "micropython.map",
        frozen=frozen[0] if frozen else None,
        extra={"-app.bin": program},  # what goes into a slot: the file for an update over the air
        flash_used=program.stat().st_size,
        ram=RAM,
    )
