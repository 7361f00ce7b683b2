"""A mosquitto of our own on this machine's loopback, for the demo and the simulated boards."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from kit import host
from kit.ui import UserError

_START_DEADLINE = 20.0  # s; it takes some 20 ms unless the machine is very busy


class Mosquitto:
    """Use as `with Mosquitto() as broker: broker.port`. It listens on 127.0.0.1 only and forgets all at its end.

    Args:
        port: TCP port; None takes 1883 where that is free, another one otherwise.

    Raises:
        UserError: it is not installed and cannot be, or it did not start; with its own last words.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = port if port is not None else _free_port(1883)
        self._folder = tempfile.TemporaryDirectory(prefix="coldframe-broker-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; returns when it accepts connections."""
        program = host.ensure({"mosquitto": "mosquitto"}, "the MQTT broker")["mosquitto"]
        folder = Path(self._folder.name)
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        log = folder / "log"
        with log.open("wb") as output:
            # its own session: a Ctrl-C at the terminal is for the script, which then stops it in order
            self._process = subprocess.Popen(
                [program, "-c", str(config)], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        end = time.monotonic() + _START_DEADLINE
        while not _accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                said = log.read_text(errors="replace").strip()  # before stop() removes the folder
                self.stop()
                raise UserError(
                    "mosquitto did not start",
                    where=f"port {self.port}",
                    expected="a broker that accepts connections",
                    hint=said,
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it. Safe to call twice."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._folder.cleanup()


def _free_port(wish: int) -> int:
    for port in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UserError("no TCP port is free", where="127.0.0.1")


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
