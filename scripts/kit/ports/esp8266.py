"""The esp8266 port.

Two toolchains, chosen by `build.toolchain` in board.toml:

* "esp-open-sdk": the one that MicroPython's own CI uses, an archive with compiler, headers and the
  vendor's libraries. The image that is released is built with it.
* "debian": Debian's gcc-xtensa-lx106 with the vendor SDK from the Rust crate esp8266-nonos-sdk, version
  3.0.6-dev. Links the port to see that it fits; the image is not meant to be flashed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kit.ports.base import Artifacts, Context
from kit.ui import UserError

OPTIONS = {"toolchain": str}
PACKAGES = (
    "gcc-xtensa-lx106",
    "binutils-xtensa-lx106",
    "picolibc-xtensa-lx106-elf",
    "esptool",
    "make",
    "python3",
)
TOOLCHAINS = ("esp-open-sdk", "debian")
# data RAM, instruction RAM (both are RAM for the size report; the instruction RAM holds code only)
RAM = ((0x3FFE8000, 0x3FFFC000),)


def build(ctx: Context) -> Artifacts:
    """Build firmware.bin from boards/BOARD (an out-of-tree MicroPython board folder)."""
    toolchain = ctx.board.options.get("toolchain", TOOLCHAINS[0])
    if toolchain not in TOOLCHAINS:
        raise UserError(
            f"got {toolchain!r}",
            where=f"{ctx.board.file}: build.toolchain",
            expected="one of " + ", ".join(TOOLCHAINS),
        )
    out = ctx.build / "esp8266"
    args = [
        f"BUILD={out}",
        f"BOARD_DIR={ctx.board.path}",
        f"FROZEN_MANIFEST={ctx.manifest}",
        f"MPY_LIB_DIR={ctx.libraries}",
    ]
    env = dict(ctx.env)
    if (ctx.project / "cmodules").is_dir():
        args.append(f"USER_C_MODULES={_c_modules(ctx)}")
    if toolchain == "debian":
        args += _debian(ctx)
    else:
        env["PATH"] = f"{_bin(ctx.sources['esp-open-sdk'])}{os.pathsep}{env['PATH']}"
        args.append(f"CFLAGS_EXTRA={ctx.prefix_map}")
    ctx.run(["make", "-C", ctx.tree / "ports" / "esp8266", f"-j{ctx.jobs}", *args], env=env)
    image = out / "firmware.bin"
    return Artifacts(
        image=image,
        elf=out / "firmware.elf",
        map=out / "firmware.map",
        frozen=out / "frozen_content.o",
        flash_used=image.stat().st_size,
        ram=RAM,
    )


def _c_modules(ctx: Context) -> Path:
    """Give our C modules a place from which the port's linker script puts them into flash.

    The script sends the code of the objects it knows to flash and that of all others to the 32 KiB of
    instruction RAM. It knows what lies in a folder named extmod, so there our modules are copied.
    """
    folder = ctx.build / "usermods" / "extmod"
    shutil.copytree(ctx.project / "cmodules", folder)
    lines = []
    for makefile in sorted(folder.glob("*/micropython.mk")):
        lines += [f"USERMOD_DIR := {makefile.parent}", f"include {makefile}"]
    (folder / "micropython.mk").write_text("\n".join(lines) + "\n")
    return folder.parent


def _bin(toolchain: Path) -> Path:
    """The folder of esp-open-sdk with the compiler in it, wherever the archive has it."""
    for compiler in toolchain.rglob("bin/xtensa-lx106-elf-gcc"):
        return compiler.parent
    raise UserError(
        "has no bin/xtensa-lx106-elf-gcc", where="source esp-open-sdk", expected="the toolchain for ESP8266"
    )


def _debian(ctx: Context) -> list[str]:
    """Arguments that make the port compile and link with Debian's compiler and the SDK of the crate."""
    sdk = ctx.sources["esp8266-nonos-sdk"]
    # The port looks for headers and libraries under one folder, by the names that esp-open-sdk has.
    stage = ctx.build / "sdk"
    (stage / "lib").mkdir(parents=True)
    for library in sorted((sdk / "libs").glob("*.a")):
        (stage / "lib" / library.name).symlink_to(library)
    (stage / "lib" / "liblwip_open.a").symlink_to(sdk / "libs" / "liblwip.a")
    own = ctx.project / "ports" / "esp8266" / "sdk3" / "include"
    (stage / "include").symlink_to(own)
    # picolibc's uint32_t is "unsigned long"; the SDK and the port take it to be "unsigned int".
    types = r"-U__UINT32_TYPE__ -D__UINT32_TYPE__=unsigned\ int -U__INT32_TYPE__ -D__INT32_TYPE__=int"
    flags = (
        f"{types} -include {own}/sdk_types.h -isystem {sdk}/include -isystem /usr/lib/xtensa-lx106-elf/include"
        f" -Wno-error -fcommon {ctx.prefix_map}"
    )
    # SDK 3's libmain brings a malloc of its own; the port's comes first and is taken.
    libraries = "-z muldefs -L$(ESP_SDK)/lib -lmain -ljson -llwip_open -lpp -lnet80211 -lwpa -lphy -lnet80211 -lcrypto"
    return [
        f"ESP_SDK={stage}",
        "MICROPY_PY_SSL=0",
        "MICROPY_SSL_AXTLS=0",
        f"CFLAGS_EXTRA={flags}",
        f"LIBS={libraries} -L$(dir $(LIBGCC_FILE_NAME)) -lgcc",
        "ESPTOOL=esptool",
    ]
