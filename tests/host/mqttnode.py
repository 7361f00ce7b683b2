"""Runs scripts/mqtt_node.py on the unix image, and talks to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from host.brokers import DEADLINE, until

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "scripts" / "mqtt_node.py"


def image(board: str = "UNIX") -> Path:
    """The image of UNIX or UNIX32: $COLDFRAME_UNIX or $COLDFRAME_UNIX32, or the one in dist/."""
    named = os.environ.get(f"COLDFRAME_{board}")
    found = [Path(named)] if named else sorted((ROOT / "dist").glob(f"coldframe-{board}-*[0-9]"))
    assert found and found[-1].is_file(), f"no unix image: run `python3 scripts/build.py {board}`"
    return found[-1]


class MqttNode:
    """A node with the firmware's MQTT client. Other keyword arguments go to the client; see the script.

    ``command``: the image, and the options that it is given before the script.
    """

    def __init__(
        self,
        port: int,
        client_id: str = "node",
        *,
        script: Path = SCRIPT,
        command: Sequence[str | Path] = (),
        **settings: object,
    ) -> None:
        settings.update(port=port, id=client_id)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*(command or [image()]), script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        # Not on the command line, where MicroPython ends with a fatal error beyond 255 bytes.
        assert self._process.stdin
        self._process.stdin.write(json.dumps(settings) + "\n")
        self._process.stdin.flush()
        self.wait_for("READY")

    def tell(self, *order: object) -> None:
        """Give an order; see the script."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def ask(self, *order: object, answer: str, deadline: float = DEADLINE) -> str:
        """Give an order and wait for a line that begins with ``answer`` and is newer than it."""
        mark = len(self.lines)
        self.tell(*order)
        return self.wait_for(answer, deadline, mark)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Once it is up, have it subscribe, and wait for the broker's answer."""
        self.wait_for("UP", 30)
        assert self.ask("sub", topic_filter, qos, answer="SUB") == f"SUB {topic_filter} {qos}"

    def wait_for(self, text: str, deadline: float = DEADLINE, mark: int = 0) -> str:
        """Wait for a line with ``text`` in it, from line number ``mark`` on; returns it."""

        def found() -> list[str]:
            return [line for line in self.lines[mark:] if text in line]

        def found_or_over() -> object:
            return found() or self._process.poll() is not None

        try:
            until(found_or_over, repr(text), deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}; the node said:\n" + "\n".join(self.lines[-30:])) from None
        self._drain()
        assert found(), f"the node ended without {text!r}; it said:\n" + "\n".join(self.lines[-30:])
        return found()[0]

    def count(self, text: str) -> int:
        """How many lines have ``text`` in them."""
        return sum(text in line for line in self.lines)

    def pause(self) -> None:
        """Stop it, as a program that is busy for long does."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)

    def _drain(self) -> None:
        if self._process.poll() is not None:
            self._reader.join(DEADLINE)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
