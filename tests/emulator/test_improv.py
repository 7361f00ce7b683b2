"""Improv over the USB of a real image: a plain Pico has no Wi-Fi, says so, and its console stays a console."""

from __future__ import annotations

from emulator import Emulator
from host import improv


async def test_a_board_without_wifi_says_so(image):
    async with Emulator(image, files={}) as board:
        client = improv.Client(board.send_keys)
        received = board.console_io._show

        def both(data: bytes) -> None:
            client.feed(bytes(data))
            received(data)

        board.console_io._show = both
        await board.wait_for("running off-line")

        async def ask(packet: bytes, kind: int) -> bytes:
            client.packets.clear()
            client.send(packet)
            await board.wait_until(
                lambda: any(k == kind and d != b"\0" for k, d in client.packets), what="an answer"
            )
            return next(d for k, d in client.packets if k == kind and d != b"\0")

        assert await ask(improv.command(2), improv.STATE) == bytes([improv.READY])
        assert b"Coldframe" in await ask(improv.command(3), improv.RESULT)
        assert await ask(improv.command(4), improv.RESULT) == b"\x04\x00"
        assert await ask(improv.command(7), improv.RESULT) == b"\x07\x02\x010"
        assert await ask(improv.wifi(b"Farm", b"secret99"), improv.ERROR) == b"\x03"
        assert await ask(improv.command(9), improv.ERROR) == b"\x02"
        # The window is still open: Ctrl-C leads to the REPL, which has its own Ctrl-C as always.
        assert await board.exec("print(6 * 7)") == "42\n"
        assert "failed" not in board.console


async def test_a_person_at_the_console(image):
    async with Emulator(image, files={}) as board:
        await board.wait_for("started, base topic")
        board.type("\r\n\x03print(5 * 5)\r\n")
        await board.wait_for("The node has stopped")
        await board.wait_for("25")
