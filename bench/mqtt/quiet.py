"""What the clients do when nothing goes on, how they come back after an outage, and what heap a message takes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mqtt import flood
from mqtt.broker import Connection, Mosquitto
from mqtt.guest import Guest, GuestFailed

IDLE = 4  # seconds
PATIENCE = 35  # seconds that a client has to come back
HEAP_CASES = {
    "publish_0": ("heap_pub", {"size": 20, "qos": 0}),
    "receive_0": ("heap_recv", {"qos": 0, "filter": "flood/20/0"}),
    "publish_1": ("heap_pub", {"size": 20, "qos": 1}),
    "receive_1": ("heap_recv", {"qos": 1, "filter": "flood/20/1"}),
}


@contextlib.contextmanager
def server_in_memory() -> Iterator[int]:
    """The flooding server, as a process of its own; gives its port."""
    program = Path(flood.__file__)
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()  # it ends then


def heap(image: Path, clients: list[str], peers: Path | None) -> dict[str, dict[str, float | str]]:
    """Bytes of heap per message, collector off: case -> client -> bytes, or why there are none.

    Args:
        image: the 32-bit unix image: there, an object is as large as on a board.
    """
    found: dict[str, dict[str, float | str]] = {}
    with Mosquitto() as broker, server_in_memory() as memory:
        for key, (case, options) in HEAP_CASES.items():
            found[key] = {}
            for client in clients:
                # mqtt_as polls while it waits for an acknowledgement, which takes memory as well.
                n = (3 if key == "publish_1" else 20) if client == "mqtt_as" else 100
                port = broker.port if case == "heap_pub" else memory
                try:
                    with Guest(image, client, case, port, {**options, "n": n}, peers, "128m") as guest:
                        found[key][client] = guest.finish("heap", 20)
                except GuestFailed as error:
                    found[key][client] = str(error)
    return found


def idle(image: Path, clients: list[str], peers: Path | None) -> dict[str, tuple[float, float] | str]:
    """Connected, subscribed, nothing happens: client -> (bytes of garbage per second, share of one CPU), or why not."""
    found: dict[str, tuple[float, float] | str] = {}
    with Mosquitto() as broker:
        for client in clients:
            options: dict[str, int | str] = {"n": IDLE * 1000}
            try:
                with Guest(image, client, "idle", broker.port, options, peers, "256m") as guest:
                    guest.wait_for("IDLE")
                    before, start = guest.cpu_seconds(), time.monotonic()
                    guest.wait_for("OVER")
                    share = (guest.cpu_seconds() - before) / (time.monotonic() - start)
                    found[client] = (guest.finish("garbage"), share)
            except GuestFailed as error:
                found[client] = str(error)
    return found


@dataclass
class _Seen:
    """When something of one client arrived, in seconds of time.time(); 0.0: not yet."""

    busy: float = 0.0
    quiet: float = 0.0


class Outage:
    """Some clients on one broker that goes away and comes back. Use as a context manager.

    Each client runs twice: publishing QoS 1 ten times a second, and only subscribed.
    """

    def __init__(self, image: Path, clients: list[str], peers: Path | None) -> None:
        self._broker = Mosquitto()
        self._broker.start()
        self._seen = {client: _Seen() for client in clients}
        self._guests: list[Guest] = []
        self._stop = threading.Event()
        for client in clients:
            for quiet in (0, 1):
                name = f"{'quiet' if quiet else 'busy'}/{client}"
                options: dict[str, int | str] = {"quiet": quiet, "id": name}
                guest = Guest(image, client, "outage", self._broker.port, options, peers)
                self._guests.append(guest)
                if quiet:
                    threading.Thread(target=self._listen, args=(guest, client), daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> Outage:
        self._wait(time.time(), PATIENCE)  # until all are up and running
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for guest in self._guests:
            guest.__exit__()
        self._broker.stop()

    def _listen(self, guest: Guest, client: str) -> None:
        with contextlib.suppress(GuestFailed):
            while True:
                self._seen[client].quiet = int(guest.wait_for("GOT", 3600)) / 1e9

    def _watch(self) -> None:
        # Hears the busy clients, and sends the quiet ones something twenty times a second.
        while not self._stop.is_set():
            try:
                connection = Connection(self._broker.port, "bench-watch")
            except OSError:
                time.sleep(0.01)
                continue
            with contextlib.suppress(OSError):
                connection.subscribe("busy/+")
                connection.socket.settimeout(0.05)
                data = b""
                while not self._stop.is_set():
                    for client in self._seen:
                        connection.send(f"quiet/{client}", b"hello")
                    end = time.monotonic() + 0.05
                    while time.monotonic() < end:
                        with contextlib.suppress(TimeoutError):
                            more = connection.socket.recv(65536)
                            if not more:
                                raise OSError("closed")
                            data += more
                        while packet := flood.cut(data):
                            self._heard(packet[1])
                            data = data[packet[2] :]
            connection.close()

    def _heard(self, body: bytes) -> None:
        topic = body[2 : 2 + int.from_bytes(body[:2], "big")].decode()
        if topic.startswith("busy/"):
            self._seen[topic[5:]].busy = time.time()

    def _wait(self, since: float, patience: float) -> dict[str, tuple[float | None, float | None]]:
        found: dict[str, list[float | None]] = {client: [None, None] for client in self._seen}
        end = time.time() + patience
        while time.time() < end and any(None in times for times in found.values()):
            for client, seen in self._seen.items():
                for i, at in enumerate((seen.busy, seen.quiet)):
                    if found[client][i] is None and at > since:
                        found[client][i] = at - since
            time.sleep(0.005)
        return {client: (times[0], times[1]) for client, times in found.items()}

    def run(
        self, seconds: float, note: Callable[[str], None]
    ) -> dict[str, tuple[float | None, float | None]]:
        """Stop the broker for so long.

        Returns:
            client -> seconds from the broker's return until it was back in use: publishing, and with nothing to
            publish; None: not within PATIENCE.
        """
        note(f"broker away for {seconds:g} s")
        self._broker.stop()
        time.sleep(seconds)
        return self._wait(self._broker.start(), PATIENCE)
