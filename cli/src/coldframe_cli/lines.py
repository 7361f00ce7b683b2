"""Where a board's line ends on this computer: a serial port, or a TCP port that carries the same bytes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from .bridge import Bridge

log = logging.getLogger("coldframe.bridge")

MakeBridge = Callable[[Callable[[bytes], None], str], Bridge]

_REOPEN = 1.0  # s between two attempts to open a serial port


class PortError(Exception):
    """A serial port, or a TCP port to listen on, cannot be used; the text says why."""


async def serve_serial(port: str, baud: int, make_bridge: MakeBridge) -> None:
    """Carry the board on serial port ``port`` until cancelled; waits when it is unplugged, and comes back.

    Raises PortError if pyserial is missing.
    """
    try:
        import serial
    except ImportError:
        raise PortError("pyserial is not installed; `pip install 'coldframe[serial]'` adds it") from None
    told = ""
    while True:
        try:
            line = serial.serial_for_url(port, baudrate=baud, timeout=0.2, write_timeout=5)
        except (OSError, ValueError) as error:
            if str(error) != told:
                told = str(error)
                log.warning("%s: %s; trying on", port, told)
            await asyncio.sleep(_REOPEN)
            continue
        told = ""
        log.info("%s: open at %d baud", port, baud)
        try:
            await _carry(line, port, make_bridge)
        finally:
            line.close()
        log.warning("%s: gone; waiting for it to come back", port)
        await asyncio.sleep(_REOPEN)


async def _carry(line: object, name: str, make_bridge: MakeBridge) -> None:
    # pyserial blocks, and how to wait for a port differs from system to system; a thread for each direction
    # works everywhere.
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    stopping = threading.Event()
    out: SimpleQueue[bytes | None] = SimpleQueue()
    bridge = make_bridge(out.put, name)

    def read() -> None:
        try:
            while not stopping.is_set():
                if data := line.read(max(1, line.in_waiting)):
                    loop.call_soon_threadsafe(bridge.feed, data)
        except (OSError, TypeError):  # pyserial raises TypeError when closed under it
            pass
        if not stopping.is_set():
            loop.call_soon_threadsafe(gone.set)

    def write() -> None:
        try:
            while (data := out.get()) is not None:
                line.write(data)
        except OSError:
            if not stopping.is_set():
                loop.call_soon_threadsafe(gone.set)

    threads = [threading.Thread(target=target, daemon=True) for target in (read, write)]
    for thread in threads:
        thread.start()
    bridge.hello()
    try:
        await gone.wait()
    finally:
        bridge.close()
        stopping.set()
        out.put(None)
        for thread in threads:
            thread.join(6)


async def serve_tcp(host: str, port: int, make_bridge: MakeBridge, ready: Callable[[int], None]) -> None:
    """Listen on ``host``:``port``; each connection made to it is a board's line. Runs until cancelled.

    Args: ready: called with the port number once it listens (port 0 takes a free one).
    Raises PortError if it cannot listen there.
    """

    async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        log.info("%s: a line was connected", name)
        bridge = make_bridge(writer.write, name)
        try:
            while data := await reader.read(4096):
                bridge.feed(data)
        except OSError as error:
            log.info("%s: %s", name, error)
        finally:
            bridge.close()
            writer.close()
            log.info("%s: the line was disconnected", name)

    try:
        server = await asyncio.start_server(line, host, port)
    except OSError as error:
        raise PortError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    async with server:
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()
