"""Drives scripts/node.py, the firmware's client on the unix image, from a test."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from conformance.rawbroker import DEADLINE
from host.mqttnode import image

SCRIPT = Path(__file__).parent / "scripts" / "node.py"

Event = dict[str, Any]


class Refused(Exception):
    """What was called has raised an exception on the node. Attributes: kind (its class), code (None or a number)."""

    def __init__(self, event: Event) -> None:
        super().__init__(f"{event['kind']}: {event['text']}")
        self.kind: str = event["kind"]
        self.code: int | None = event["code"]


class Call:
    """A method that was called on the node and may still be under way."""

    def __init__(self, node: Node, number: int) -> None:
        self._node = node
        self.number = number

    def result(self, deadline: float = DEADLINE) -> Any:
        """Wait for it to end and return what it has returned. Raises Refused if it has raised an exception."""
        event = self._node.event(deadline, n=self.number)
        if event["event"] == "error":
            raise Refused(event)
        return event["value"]

    @property
    def ended(self) -> bool:
        return bool(self._node.events(n=self.number))


class Node:
    """A client on the unix image that connects to these ports of 127.0.0.1.

    Args:
        ports: one, or several brokers to be tried in turn.
        client_id: its client identifier.
        settings: of the client. For ``auth`` a pair (method, data); ``answers`` are what it says to challenges.
    """

    def __init__(self, ports: int | list[int], client_id: str = "node", **settings: Any) -> None:
        self.said: list[Event] = []
        self.console: list[str] = []
        self._count = 0
        self._news = threading.Condition()
        settings.update(ports=ports if isinstance(ports, list) else [ports], id=client_id)
        self._process = subprocess.Popen(
            [image(), SCRIPT, json.dumps(packed(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._over = False
        threading.Thread(target=self._read, daemon=True).start()
        self.event(event="ready")

    def call(self, method: str, *args: Any, **kwargs: Any) -> Call:
        """Call a method of the client, without waiting for its end."""
        self._count += 1
        order = {"n": self._count, "call": method, "args": packed(args), "kw": packed(kwargs)}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Call(self, self._count)

    def get(self, *names: str) -> list[Any]:
        """Attributes of the client."""
        return self.call("get", *names).result()

    def events(self, **wanted: Any) -> list[Event]:
        """What it has said up to now, of those with these values."""
        with self._news:
            return [event for event in self.said if wanted.items() <= event.items()]

    def event(self, deadline: float = DEADLINE, count: int = 1, **wanted: Any) -> Event:
        """Wait until it has said ``count`` things with these values; returns the last of them."""
        end = time.monotonic() + deadline
        with self._news:
            while True:
                found = [event for event in self.said if wanted.items() <= event.items()]
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                assert left > 0 and not self._over, f"waited in vain for {wanted}; it said:\n" + "\n".join(
                    self.console[-30:]
                )
                self._news.wait(min(left, 0.5))

    def up(self, count: int = 1) -> None:
        """Wait until it has been up for so many times."""
        self.event(event="up", count=count)

    def got(self, *payloads: bytes, deadline: float = DEADLINE) -> None:
        """Wait for as many messages; AssertionError if they are others, or more. The tests' own fence is left out."""
        end = time.monotonic() + deadline
        while True:
            found = [
                bytes.fromhex(event["payload"][4:])
                for event in self.events(event="message")
                if event["topic"] != "fence"
            ]
            if len(found) >= len(payloads) or time.monotonic() > end:
                assert found == list(payloads), "\n".join(self.console[-30:])
                return
            with self._news:
                self._news.wait(0.5)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._news:
                self.console.append(line.rstrip("\n"))
                if line.startswith("{"):
                    self.said.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()


def packed(value: Any) -> Any:
    """As JSON can say it: bytes become "hex:..."."""
    if isinstance(value, bytes):
        return "hex:" + value.hex()
    if isinstance(value, dict):
        return {key: packed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [packed(item) for item in value]
    return value
