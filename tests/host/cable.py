"""A simulated board at a serial port of this computer, as a board on USB is."""

from __future__ import annotations

import os
import pty
import threading
import tty
from pathlib import Path

from host.simboards import image
from kit.simboard import SimBoard


class Cable:
    """Joins the console of a board to a serial port, ``port``, that any program may open.

    The console of the simulated board is a terminal, which makes CR CR LF of the ends of lines in the REPL; a USB port
    does not, so it is undone here.
    """

    def __init__(self, folder: Path, unique_id: str) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.board = SimBoard(image(), folder, unique_id=unique_id, on_bytes=self._to_port)
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pull the plug."""
        self.board.stop()
        os.close(self._slave)  # the last one: the read in the thread ends
        self._thread.join(5)
        os.close(self._master)

    def _to_port(self, data: bytes) -> None:
        os.write(self._master, data.replace(b"\r\r\n", b"\r\n"))

    def _pump(self) -> None:
        while True:
            try:
                data = os.read(self._master, 4096)
            except OSError:
                return
            if self.board.running:
                self.board.send(data)
