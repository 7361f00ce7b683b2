"""The programs of others that are used where they are the best there is: esptool and mpremote, each as a process.

Both are Python packages that come with the extras of this one (``pipx install 'coldframe[flash]'``), so they run on the
Python that runs us. Their inner functions make no promise to stay as they are; their command lines do.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import CliError

EXTRAS = {
    "esptool": "flash",
    "mpremote": "usb",
    "serial": "serial",
    "zeroconf": "mdns",
}  # module -> our extra


class ToolError(CliError):
    """A program is missing, or has failed; a sentence for the user."""


def need(module: str) -> None:
    """Raise ToolError, with the way to install it, unless a Python module is there."""
    if importlib.util.find_spec(module) is None:
        package = {"serial": "pyserial"}.get(module, module)
        raise ToolError(
            f"this needs {package}; install it with: pipx inject coldframe {package} "
            f"(or install coldframe with its extra: 'coldframe[{EXTRAS[module]}]')"
        )


def command(module: str, *args: str) -> list[str]:
    """The command line that runs a program of a Python package."""
    return [sys.executable, "-m", module, *args]


def run(
    module: str, args: Sequence[str], *, timeout: float, show: Callable[[str], None] | None = None
) -> str:
    """Run one of the programs.

    Args:
        module: "esptool" or "mpremote".
        args: its arguments. No secrets: anybody on this computer can read them.
        timeout: seconds.
        show: called with each line as it comes.

    Returns:
        What it has said.

    Raises:
        ToolError: it is not installed, has failed, or took too long; with the end of what it said.
    """
    need(module)
    process = subprocess.Popen(
        command(module, *args),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said: list[str] = []
    try:
        with _alarm(process, timeout) as late:
            assert process.stdout
            # Universal newlines: a bar that is drawn over itself comes as lines, too.
            for line in process.stdout:
                said.append(line.rstrip())
                if show:
                    show(line.rstrip())
            code = process.wait()
    finally:
        if process.poll() is None:  # Ctrl-C, or what `show` has raised
            process.kill()
            process.wait()
    text = "\n".join(said)
    if late.is_set():
        raise ToolError(f"{module} was not done after {timeout:g} s{_end(said)}")
    if code:
        raise ToolError(f"{module} failed{_end(said)}")
    return text


def _end(said: list[str]) -> str:
    rows = [row for row in said if row.strip()]
    return ":\n  " + "\n  ".join(rows[-6:]) if rows else ""


class _alarm:
    # Kills a process that takes too long.
    def __init__(self, process: subprocess.Popen[str], timeout: float) -> None:
        import threading

        self._event = threading.Event()
        self._timer = threading.Timer(timeout, self._late, (process,))

    def _late(self, process: subprocess.Popen[str]) -> None:
        self._event.set()
        process.kill()

    def __enter__(self):
        self._timer.daemon = True
        self._timer.start()
        return self._event

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


# ---- esptool ----

_CHIP = re.compile(r"(?:Detecting chip type\.*|Chip type:|Chip is|Connected to)\s+(ESP\w+(?:-\w+)?)")


def esp_chip(port: str) -> str:
    """Which chip of Espressif's is at a serial port: "esp8266", "esp32", "esp32c3" ... Raises ToolError."""
    said = run("esptool", ["--port", port, "chip-id"], timeout=60)
    match = _CHIP.search(said)
    if not match:
        raise ToolError(f"{port}: esptool did not say which chip it found:\n{said[-400:]}")
    name = match[1].lower().replace("-", "")
    # "ESP32-D0WD-V3" and its kin are the ESP32; "ESP8266EX" and "ESP8285" the ESP8266.
    family = re.match(r"esp32[csph]\d|esp32|esp8266|esp8285", name)
    return {"esp8285": "esp8266"}.get(family[0], family[0]) if family else name


def esp_erase(chip: str, port: str) -> list[str]:
    """The arguments for esptool that erase a flash."""
    return ["--chip", chip, "--port", port, "erase-flash"]


def esp_write(chip: str, port: str, baud: int, offset: int, file: Path) -> list[str]:
    """The arguments for esptool that write an image; it reads it back and compares a checksum by itself."""
    # The flash of ESP8266 modules differs; the image's header must say what it is.
    size = ["--flash-size", "detect"] if chip == "esp8266" else []
    return ["--chip", chip, "--port", port, "--baud", str(baud), "write-flash", *size, hex(offset), str(file)]


# ---- mpremote ----


def on_board(port: str, code: str, *, timeout: float = 60) -> str:
    """Run MicroPython code on the board at a serial port, interrupting what runs there; returns what it printed.

    There is no soft reset before it, which mpremote makes by default: the node's modules are there already.
    The code goes through a file that only we can read, so it may hold passwords. Raises ToolError.
    """
    with tempfile.TemporaryDirectory(prefix="coldframe-") as folder:  # made with mode 700
        script = Path(folder) / "script.py"
        script.write_text(code, encoding="utf-8")
        return run("mpremote", ["connect", port, "resume", "run", str(script)], timeout=timeout)


def restart(port: str) -> None:
    """Restart the board at a serial port. Raises ToolError."""
    run("mpremote", ["connect", port, "resume", "reset"], timeout=30)


def to_bootloader(port: str) -> None:
    """Have the board at a serial port appear as a boot drive. Raises ToolError."""
    run("mpremote", ["connect", port, "resume", "bootloader"], timeout=30)
