"""A TCP proxy that a test can tell to misbehave. It runs on an asyncio loop in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine

_PIECE = 4096  # bytes that are forwarded at once, at most


class LoopThread:
    """An asyncio loop in a thread; what runs on it is called from the test's thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine):
        """Run it on the loop; returns its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def close(self) -> None:
        async def cancel() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()


class Proxy:
    """Forwards connections made to ``port`` on to 127.0.0.1:``target``.

    Its faults, to be used from the test's thread:

    * cut(): all connections are reset.
    * stall(): the link is half-open: it stays, but nothing comes through any more, not even an end. go_on() lets
      new connections through again; those that were stalled stay so.
    * truncate(way, n): n bytes more go through that way, then the connection that carried the last is ended in
      an orderly way (FIN) at both sides: a packet may end in its middle.
    * ``delay``: seconds that each piece is late, both ways; None: not at all.
    * ``rate``: bytes/s, both ways together for each connection and way; None: no limit.
    * refuse(): all connections are reset, and new ones refused, as with a machine whose broker is down.
    * take_away(): stall(), and new connections get no answer at all, as without a network. come_back() ends
      this and refuse().
    * ``damage``, if set, gets each piece of bytes that goes ("up" to the target or "down"), and returns what is
      forwarded instead.

    ``tap``, if set, hears all that comes in, with the number of the connection, whatever becomes of it.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.accepted = 0
        self.forwarded = 0  # bytes, both ways
        self.damage: Callable[[str, bytes], bytes] | None = None
        self.tap: Callable[[int, str, bytes], None] | None = None
        self.delay: float | None = None
        self.rate: int | None = None
        self._stalled = False
        self._left: dict[str, int] = {}  # way -> bytes until the connection is ended
        self._writers: list[asyncio.StreamWriter] = []
        self._deaf: list[socket.socket] = []
        self._thread = LoopThread()
        self._server: asyncio.Server | None = None
        self.port = 0
        self._thread.run(self._listen())

    def stall(self) -> None:
        self._stalled = True

    def go_on(self) -> None:
        self._stalled = False

    def truncate(self, way: str, n: int) -> None:
        self._left[way] = n

    def cut(self) -> None:
        """Reset all connections."""

        async def abort() -> None:
            for writer in self._writers:
                s = writer.get_extra_info("socket")
                if s is not None and s.fileno() >= 0:
                    # Not to linger makes the kernel send RST, where closing alone would be an orderly end.
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            self._writers.clear()

        self._thread.run(abort())

    def refuse(self) -> None:
        self._thread.run(self._unlisten())
        self.cut()

    def take_away(self) -> None:
        self.stall()
        self._thread.run(self._unlisten())
        # A full queue of connections: the kernel leaves further ones without an answer.
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", self.port))
        deaf.listen(0)
        self._deaf = [deaf]
        for _ in range(2):
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex(deaf.getsockname())
            self._deaf.append(filling)

    def come_back(self) -> None:
        for s in reversed(self._deaf):
            s.close()
        self._deaf.clear()
        self.go_on()
        self._thread.run(self._listen())

    def heal(self) -> None:
        """End all faults that last; those connections that were stalled stay so."""
        self.delay = self.rate = self.damage = None
        self._left.clear()
        if self._server is None:
            self.come_back()
        self.go_on()

    def close(self) -> None:
        for s in self._deaf:
            s.close()
        self.cut()
        self._thread.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_PIECE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted = number = self.accepted + 1
        self._writers.append(writer)
        stalled = asyncio.Event()
        try:
            target_reader, target_writer = await asyncio.open_connection(
                "127.0.0.1", self.target, limit=_PIECE
            )
        except OSError:
            writer.transport.abort()
            return
        self._writers.append(target_writer)
        try:
            await asyncio.gather(
                self._forward(number, "up", reader, target_writer, stalled),
                self._forward(number, "down", target_reader, writer, stalled),
            )
        except asyncio.CancelledError:
            pass  # the proxy is being closed; asyncio's streams would complain of a task that was cancelled
        finally:
            for w in (writer, target_writer):
                if w in self._writers and not stalled.is_set():
                    self._writers.remove(w)

    async def _forward(
        self,
        number: int,
        way: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        stalled: asyncio.Event,
    ) -> None:
        # Reading and writing are apart, so that a delay is one, and not a limit of the rate as well.
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def write() -> None:
            broken = False  # what comes then is taken and forgotten, so that the reading side never waits
            while (item := await pieces.get())[1]:
                due, data = item
                if (early := due - loop.time()) > 0:
                    await asyncio.sleep(early)
                try:
                    while data and not broken:
                        n = min(len(data), max(self.rate // 10, 1)) if self.rate else len(data)
                        self.forwarded += n
                        writer.write(data[:n])
                        await writer.drain()
                        data = data[n:]
                        if self.rate:
                            await asyncio.sleep(n / self.rate)
                except OSError:
                    broken = True

        writing = asyncio.create_task(write())
        try:
            while data := await reader.read(_PIECE):
                if self.tap is not None:
                    self.tap(number, way, data)
                if self._stalled:
                    stalled.set()
                if stalled.is_set():
                    continue  # swallowed, and the same for the rest of this connection
                if self.damage is not None:
                    data = self.damage(way, data)
                left = self._left.get(way)
                if left is not None:
                    data = data[:left]
                    self._left[way] = left - len(data)
                if data:
                    await pieces.put((loop.time() + (self.delay or 0), data))
                if left is not None and self._left[way] == 0:
                    del self._left[way]
                    break
        except OSError:
            pass
        if self._stalled:
            stalled.set()
        if not stalled.is_set():
            await pieces.put((0, b""))
            await writing
            writer.close()
        else:
            writing.cancel()
