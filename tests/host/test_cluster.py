"""A 3-node RabbitMQ cluster as the broker: its nodes die one after another while files are on their way."""

from __future__ import annotations

import io
import json
import os
import threading
import time

import pytest
from coldframe_cli import transfer
from host.brokers import RabbitCluster, until
from host.fleetboards import FleetBoards, coldframe, link, session

pytestmark = pytest.mark.xdist_group("rabbitmq")

SIZE = 100_000  # bytes of each file


@pytest.fixture
def cluster(tmp_path):
    made = RabbitCluster(tmp_path / "cluster").start()
    yield made
    made.close()


class Transfers:
    """Puts a new file and gets it back, again and again, until told to end."""

    def __init__(self, over, base: str) -> None:
        self.base = base
        self.done = 0
        self.moving = 0  # calls of progress: goes up while bytes come through
        self.wrong: list[str] = []
        self.last = b""
        self.doing = ""
        self._over = over
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _progress(self, done: int, total: int | None) -> None:
        self.moving += 1
        time.sleep(0.02)  # a slower line: files are on their way most of the time, and the machine has rest

    def _run(self) -> None:
        try:
            with session(self._over, self.base) as remote:
                while not self._end.is_set():
                    data = os.urandom(SIZE)
                    self.doing = "put"
                    transfer.put(remote, data, "/big.bin", progress=self._progress)
                    sink = io.BytesIO()
                    self.doing = "get"
                    transfer.get(remote, "/big.bin", sink, progress=self._progress)
                    if (back := sink.getvalue()) != data:
                        self.wrong.append(
                            f"{len(back)} bytes came back, and others than {len(data)} that went"
                        )
                    self.last = data
                    self.done += 1
        except Exception as error:
            self.wrong.append(f"{type(error).__name__}: {error}")

    def __str__(self) -> str:
        return f"{self.base}: {self.done} files, {self.moving} pieces, {self.doing}"

    def check(self) -> bool:
        assert not self.wrong, self.wrong
        return True

    def end(self) -> None:
        self._end.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the last transfer does not end"
        self.check()


def test_nodes_of_the_cluster_die_one_after_another_during_transfers(cluster, closing, tmp_path):
    # Each of the two boards prefers another node of the cluster, the host the third.
    fleet = FleetBoards(
        tmp_path / "boards", 2, cluster.ports[1:] + cluster.ports[:1], {"mqtt": {"keepalive": 5}}
    )
    closing(fleet).start()
    # Each board keeps its retained message on another node of the cluster; the command, told of both, finds them.
    config = tmp_path / "home" / ".config" / "coldframe" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"[profiles.default]\ndevices = {[fleet.base(0), fleet.base(1).rpartition('/')[2]]}\n")
    listed = coldframe(tmp_path / "home", cluster.ports, "ls", "--json")
    states = {row["name"]: row["state"] for row in map(json.loads, listed.stdout.splitlines())}
    assert states == {"node-000": "online", "node-001": "online"}, listed
    host = closing(link(*cluster.ports))
    running = [Transfers(host, fleet.base(i)) for i in range(2)]
    until(lambda: all(t.check() and t.done for t in running), "the first files")
    for node in cluster.nodes:
        seen = [t.moving for t in running]
        until(
            lambda s=seen: all(t.check() and t.moving > n for t, n in zip(running, s, strict=True)), "bytes"
        )
        node.crash()
        # The two that are left do the work ...
        done = [t.done for t in running]
        until(
            lambda d=done: all(t.check() and t.done > n for t, n in zip(running, d, strict=True)),
            "files after the death of a node",
            90,
        )
        if node is not cluster.nodes[-1]:
            node.start()  # ... while it comes back.
    for t in running:
        t.end()
    # One of the three is dead now.
    told = coldframe(tmp_path / "home", cluster.ports, "eval", "--all", "node.name")
    assert told.returncode == 0, told
    for i, t in enumerate(running):
        assert fleet.boards[i].get("big.bin") == t.last
    assert host.drops > 0, "the host never lost its connection"
    assert not [f for b in fleet.boards for f in b.flash.glob("*.part")]
