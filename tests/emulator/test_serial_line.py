"""UART 0 of the emulated Pico and the line to the host."""

from __future__ import annotations

import asyncio
import hashlib
import os

from emulator import Emulator

IDLE = {"main.py": b""}  # the user's program is in charge and ends at once: the REPL, and no node


class Wire:
    """A far end of the serial line that keeps what it receives, and may echo it."""

    def __init__(self, echo: bool = False) -> None:
        self.received = bytearray()
        self.closed = False
        self._echo = echo

    def __call__(self, send):
        self.send = send
        return self

    def feed(self, data: bytes) -> None:
        self.received += data
        if self._echo:
            self.send(data)

    def close(self) -> None:
        self.closed = True


ECHO = """
import machine, hashlib, binascii, select
u = machine.UART(0, 115200, tx=machine.Pin(0), rx=machine.Pin(1), rxbuf=256, txbuf=256)
poll = select.poll()
poll.register(u, select.POLLIN)
got, h = 0, hashlib.sha256()
while got < SIZE:
    poll.poll()
    piece = u.read(SIZE - got)
    if piece:
        got += len(piece)
        h.update(piece)
        while piece:
            piece = piece[u.write(piece) or 0:]
u.flush()
print(binascii.hexlify(h.digest()).decode())
"""


async def test_serial_line_carries_every_byte_both_ways(image):
    data = os.urandom(4096)
    wire = Wire()
    async with Emulator(image, files=IDLE, wiring=wire) as board:
        began = board.guest_seconds
        running = asyncio.create_task(board.exec(ECHO.replace("SIZE", str(len(data)))))
        await board.wait_until(lambda: board.mcu.uart[0].listening, what="the guest's UART")
        wire.send(data)
        assert await running == hashlib.sha256(data).hexdigest() + "\n"
        await board.wait_until(lambda: len(wire.received) >= len(data), what="the echo")
        assert bytes(wire.received) == data
        assert board.serial is not None
        assert (board.serial.sent, board.serial.received, board.serial.lost) == (4096, 4096, 0)
        assert board.mcu.uart[0].overruns == 0
        # 10 bits a character at 115200 baud: it took the time it takes
        assert board.guest_seconds - began > 4096 * 10 / 115200
    assert wire.closed


async def test_serial_line_waits_for_a_guest_that_does_not_read(image):
    data = bytes(range(256)) * 3
    wire = Wire()
    async with Emulator(image, files=IDLE, wiring=wire) as board:
        await board.exec("import machine\nu = machine.UART(0, 115200, rxbuf=64)")
        wire.send(data)
        serial = board.serial
        assert serial is not None
        await board.wait_until(lambda: serial.waited > 0, what="a full receiver")
        code = "got = b''\nwhile len(got) < 768:\n    got += u.read() or b''\nprint(got == bytes(range(256)) * 3)"
        assert await board.exec(code) == "True\n"
        assert serial.lost == 0


async def test_serial_line_loses_what_comes_before_the_guest_listens(image):
    wire = Wire()
    async with Emulator(image, files=IDLE, wiring=wire) as board:
        serial = board.serial
        assert serial is not None
        wire.send(b"too early")
        await board.wait_until(lambda: serial.lost == 9, what="the loss")
        assert await board.exec("import machine\nu = machine.UART(0, 9600)\nprint(u.any())") == "0\n"
        wire.send(b"in time")
        assert await board.exec("import time\nwhile u.any() < 7: pass\nprint(u.read())") == "b'in time'\n"


async def test_serial_interrupts_follow_the_fifo_levels(image):
    """24 characters raise the receive interrupt, a pause the receive timeout: not each character."""
    wire = Wire()
    async with Emulator(image, files=IDLE, wiring=wire) as board:
        await board.exec(
            "import machine\nn = 0\ndef seen(u):\n    global n\n    n += 1\n"
            "u = machine.UART(0, 115200)\nu.irq(seen, machine.UART.IRQ_RXIDLE)"
        )
        wire.send(b"one")
        await board.exec("while u.any() < 3: pass")
        wire.send(b"two")
        await board.exec("while u.any() < 6: pass")
        assert await board.exec("print(n, u.read())") == "2 b'onetwo'\n"
