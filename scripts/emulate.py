"""Boot a Raspberry Pi Pico firmware on this PC, no board needed.

    python3 scripts/emulate.py dist/coldframe-RPI_PICO-0.1.0.uf2 --flash pico --bridge localhost:1883

The board's console appears here, and what you type goes to it when this is a terminal (Ctrl-X or
Ctrl-] leaves). The files of the folder given with --flash are the board's files: put a config.json
and an app.py there. What the board writes comes back into the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kit import ui
from kit.ui import UserError

if TYPE_CHECKING:
    from emulator import Emulator

LEAVE = b"\x18\x1d"  # Ctrl-X, Ctrl-]
SAVE_AFTER = 1.0  # seconds without a flash write before the folder is brought up to date


class _Logs(logging.Handler):
    """What the bridge has to say goes to standard error, each change of state once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text != self._last:  # it tries again and again; saying so once is enough
            ui.say(text + "\r")
        self._last = text


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="emulate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path, help="firmware for the RP2040 (.uf2)")
    parser.add_argument("--flash", type=Path, metavar="DIR", help="folder with the board's files")
    parser.add_argument("--bridge", metavar="HOST:PORT", help="MQTT broker to join the board's UART 0 to")
    parser.add_argument("--unique-id", metavar="HEX", help="the board's unique id, 16 hexadecimal digits")
    parser.add_argument("--board", help="board name, where the image's name does not tell it")
    parser.add_argument(
        "--pace",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the board's clock from running ahead of real time (it does when idle)",
    )
    parser.add_argument(
        "--console",
        action=argparse.BooleanOptionalAction,
        default=sys.stdin.isatty(),
        help="pass the keyboard on to the board (the default on a terminal)",
    )
    parser.add_argument("--repl", action="store_true", help="stop the board's program and start at its REPL")
    parser.add_argument("--exec", metavar="CODE", help="run this code on the board and print its output")
    parser.add_argument(
        "--once",
        action="store_true",
        help="leave after --exec, or without it, once data has passed the serial line both ways",
    )
    parser.add_argument(
        "--deadline", type=float, default=120.0, metavar="S", help="longest wait for boot, --exec, --once"
    )
    return parser.parse_args(argv)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise UserError(f"got {text!r}", where="--bridge", expected="HOST:PORT, such as localhost:1883")
    return host, int(port)


@contextlib.contextmanager
def _keyboard(board: Emulator, leave: asyncio.Event) -> Iterator[None]:
    """Hand each key to the board, Ctrl-C included; the terminal is put right again at the end."""
    source = sys.stdin.fileno()
    terminal = os.isatty(source)
    before = termios.tcgetattr(source) if terminal else None
    loop = asyncio.get_running_loop()

    def readable() -> None:
        try:
            keys = os.read(source, 4096)
        except OSError:
            keys = b""
        if not keys:
            loop.remove_reader(source)  # the end of a pipe is no reason to leave
        elif terminal and any(key in keys for key in LEAVE):
            leave.set()
        else:
            board.send_keys(keys)

    if terminal:
        ui.say("Keys go to the board, Ctrl-C too. Ctrl-X or Ctrl-] leaves.")
        tty.setraw(source, termios.TCSANOW)
    loop.add_reader(source, readable)
    try:
        yield
    finally:
        loop.remove_reader(source)
        if before is not None:
            termios.tcsetattr(source, termios.TCSANOW, before)


async def _keep_saved(board: Emulator) -> None:
    """Bring the folder up to date whenever the board has written and then left the flash alone."""
    complained = ""
    while True:
        await board.wait_until(lambda: board.unsaved > 0, float("inf"), "a flash write")
        writes = -1
        while writes != board.flash_writes:
            writes = board.flash_writes
            await asyncio.sleep(SAVE_AFTER)
        try:
            board.write_back()
            complained = ""
        except UserError as error:
            if str(error) != complained:
                ui.warn(f"{error}; trying again at the board's next write\r")
            complained = str(error)
            await board.wait_until(
                lambda seen=writes: board.flash_writes != seen, float("inf"), "a flash write"
            )


async def _run(arguments: argparse.Namespace) -> int:
    from emulator import Emulator, EmulatorError, GuestError
    from emulator.machine import UNIQUE_ID

    def show(text: str) -> None:
        if arguments.once and arguments.exec is not None:
            return  # only the code's own output, so that another program can use it
        with contextlib.suppress(BlockingIOError):
            sys.stdout.write(text.replace("\n", "\r\n") if raw else text)
            sys.stdout.flush()

    raw = arguments.console and sys.stdin.isatty()
    if arguments.once and arguments.exec is None and not arguments.bridge:
        raise UserError("--once needs something to wait for", expected="--exec or --bridge as well")
    board = Emulator(
        arguments.image,
        arguments.flash,
        _address(arguments.bridge) if arguments.bridge else None,
        arguments.unique_id or UNIQUE_ID,
        arguments.pace,
        board=arguments.board,
        on_text=show,
    )
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave.set)
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(leave.wait())]
    status = 0
    try:
        with contextlib.ExitStack() as stack:
            if arguments.console:
                stack.enter_context(_keyboard(board, leave))
            starting = asyncio.create_task(board.start(arguments.deadline))
            await asyncio.wait({tasks[0], starting}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                return status
            starting.result()
            if arguments.repl:
                board.type("\x03")
            if arguments.flash:
                tasks.append(asyncio.create_task(_keep_saved(board)))
            tasks.append(asyncio.create_task(_work(board, arguments)))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    except GuestError as error:
        ui.say(error.traceback)
        status = 1
    except (TimeoutError, EmulatorError) as error:
        raise UserError(str(error), where=arguments.image) from error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await board.stop()
    return status


async def _work(board: Emulator, arguments: argparse.Namespace) -> None:
    """Do what the options ask for; returns only when that was all."""
    if arguments.exec is not None:
        then = "repl" if arguments.once or arguments.repl else "soft_reset"
        output = await board.exec(arguments.exec, arguments.deadline, then=then)
        sys.stdout.write(output)
        sys.stdout.flush()
    elif arguments.once:
        serial = board.serial
        assert serial is not None  # --once alone asks for --bridge
        await board.wait_until(
            lambda: serial.sent > 0 and serial.received > 0,
            arguments.deadline,
            "data on the serial line, both ways",
        )
    if not arguments.once:
        await board.wait_until(lambda: False, float("inf"), "the end")


def main(argv: Sequence[str]) -> int:
    """Run; returns the exit status."""
    arguments = _arguments(argv)
    logs = logging.getLogger("coldframe")
    logs.setLevel(logging.INFO)
    logs.addHandler(_Logs())
    return asyncio.run(_run(arguments))


if __name__ == "__main__":
    ui.main(main)
