"""A TCP proxy that a test can tell to misbehave. It runs on an asyncio loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine


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

    stall() makes the link half-open: it stays, but nothing comes through any more, not even an end. go_on()
    lets new connections through again; those that were stalled stay so. ``damage``, if set, gets each piece
    of bytes that goes ("up" to the target or "down"), and returns what is forwarded instead.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.accepted = 0
        self.damage: Callable[[str, bytes], bytes] | None = None
        self._stalled = False
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = LoopThread()
        self._server = self._thread.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def stall(self) -> None:
        self._stalled = True

    def go_on(self) -> None:
        self._stalled = False

    def cut(self) -> None:
        """Reset all connections."""

        async def abort() -> None:
            for writer in self._writers:
                writer.transport.abort()
            self._writers.clear()

        self._thread.run(abort())

    def close(self) -> None:
        self.cut()
        self._thread.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)
        stalled = asyncio.Event()
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.append(target_writer)
        await asyncio.gather(
            self._forward("up", reader, target_writer, stalled),
            self._forward("down", target_reader, writer, stalled),
        )

    async def _forward(
        self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stalled: asyncio.Event
    ) -> None:
        try:
            while data := await reader.read(4096):
                if self._stalled:
                    stalled.set()
                if stalled.is_set():
                    continue  # swallowed, and the same for the rest of this connection
                if self.damage is not None:
                    data = self.damage(way, data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        if self._stalled:
            stalled.set()
        if not stalled.is_set():
            writer.close()
