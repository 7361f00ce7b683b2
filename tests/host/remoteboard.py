"""A simulated board with remote administration, and the command `coldframe` for it."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from coldframe_cli import app
from coldframe_cli.link import Link
from coldframe_cli.profiles import Broker as Address
from coldframe_cli.profiles import Profile
from coldframe_cli.session import Session
from host.brokers import Mosquitto, Peer, until
from host.simboards import image
from kit.simboard import SimBoard

KEY = "a key for the tests"
NAME = "bench"
BASE = f"coldframe/{NAME}"
DEADLINE = 60.0


class Said(NamedTuple):
    """What a command has written."""

    stdout: bytes
    stderr: bytes


class RemoteBoard(SimBoard):
    """A board called bench, switched off, that knows the broker and the key. ``config``: more of its config.json."""

    def __init__(
        self, broker: Mosquitto, folder: Path, files: dict[str, str] | None = None, **config: Any
    ) -> None:
        super().__init__(image(), folder)
        self.broker = broker
        self.env = {
            "COLDFRAME_BROKER": f"localhost:{broker.port}",
            "COLDFRAME_KEY": KEY,
            "COLDFRAME_CONFIG": str(folder / "no.toml"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TERM": "dumb",
            "COLUMNS": "160",
        }
        config.setdefault("remote", {"key": KEY})
        config["mqtt"] = {"host": "127.0.0.1", "port": broker.port, "base": BASE, **config.get("mqtt", {})}
        self.put("config.json", config)
        for name, text in (files or {}).items():
            self.put(name, text)

    def up(self) -> RemoteBoard:
        """Switch it on and wait until it is online."""
        peer = Peer(self.broker.port, [f"{BASE}/available"])
        try:
            before = sum(m.payload == b"online" and not m.retain for m in peer.messages)
            self.start()
            until(
                lambda: sum(m.payload == b"online" and not m.retain for m in peer.messages) > before,
                f"the board to be online; it said:\n{self.console[-2000:]}",
                DEADLINE,
            )
        finally:
            peer.close()
        return self

    def cli(self, *args: object, code: int = 0, stdin: str | bytes = b"", **env: str) -> Said:
        """Run the command `coldframe`, which must end with exit code ``code``.

        In this process: one of its own needs half a second to start. ``command`` is for tests that need that.
        """
        given = io.TextIOWrapper(io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin))
        out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        ended = 0
        with (
            mock.patch.dict(os.environ, {**self.env, **env}),
            mock.patch.object(sys, "stdin", given),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                app.main([str(arg) for arg in args])
            except SystemExit as error:
                ended = error.code if isinstance(error.code, int) else int(error.code is not None)
        said = Said(out.buffer.getvalue(), err.buffer.getvalue())  # type: ignore[attr-defined]
        assert ended == code, f"coldframe {args}: exit code {ended}, it said:\n{said}"
        return said

    def text(self, *args: object, **more: Any) -> str:
        """What the command writes to stdout."""
        return self.cli(*args, **more).stdout.decode()

    def json(self, *args: object, **more: Any) -> Any:
        """What the command writes to stdout with --json."""
        return json.loads(self.text(*args, "--json", **more))

    @staticmethod
    def command(*args: object) -> list[str]:
        return [sys.executable, "-m", "coldframe_cli", *map(str, args)]

    def link(self, port: int | None = None) -> Link:
        """A connection to the broker, or to ``port``."""
        return Link(Profile(brokers=(Address("127.0.0.1", port or self.broker.port),)))

    @contextmanager
    def session(self, port: int | None = None) -> Iterator[Session]:
        """An open session."""
        cache = {"XDG_CACHE_HOME": self.env["XDG_CACHE_HOME"]}
        with mock.patch.dict(os.environ, cache), self.link(port) as link, Session(link, BASE, KEY) as session:
            yield session
