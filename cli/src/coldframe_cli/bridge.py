"""The host's end of a serial line: joins a board without a network to a broker, over TCP.

    bridge = Bridge("127.0.0.1", 1883, send=port.write)
    ...
    bridge.feed(bytes_that_came_from_the_board)

One Bridge serves one line. All of it runs on the asyncio loop that is running when ``feed`` is first
called, and must be used from that loop's thread only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable

from . import framing

log = logging.getLogger("coldframe.bridge")

_CONNECT_TIMEOUT = 10.0  # s, until a broker that does not answer is reported to the board
_TO_BROKER_MAX = 256 * 1024  # bytes that may wait for a broker that has stopped reading
_PIECE_MIN = 16  # bytes; for less than that, waiting for more credit is better


class Bridge:
    """Carries one board's connections to the broker at ``host``:``port``.

    Args:
        host, port: the MQTT broker.
        send: called with bytes for the board. It must not block; it may queue them and pace them to the
            line's speed. The board says in OPEN how many bytes it can hold unread, and the bridge never
            has more than that on the way (docs/serial.md, CREDIT), so such a queue stays that small.
        name: what log lines call this line.

    ``feed`` takes what the board sent, in pieces of any size. ``close`` ends everything.
    ``backlog`` tells how many bytes wait inside, in both directions together.
    """

    def __init__(
        self, host: str, port: int, send: Callable[[bytes], None], *, name: str = "serial line"
    ) -> None:
        self.host = host
        self.port = port
        self.name = name
        self.opened = 0  # connections made to the broker so far
        self._send = send
        self._decoder = framing.FrameDecoder()
        self._link: _Link | None = None
        self._closed = False

    @property
    def backlog(self) -> int:
        """Bytes inside the bridge: from the broker awaiting credit, plus those the broker has yet to take."""
        return self._link.backlog if self._link else 0

    @property
    def connected(self) -> bool:
        """True while the board has a connection to the broker."""
        return self._link is not None and self._link.up

    @property
    def damaged(self) -> int:
        """Frames from the board that were thrown away as damaged, since the start."""
        return self._decoder.damaged

    def feed(self, data: bytes) -> None:
        """Take bytes that came from the board."""
        if self._closed:
            return
        for frame in self._decoder.feed(data):
            if frame is None:
                self._on_damage()
            elif frame.type == framing.OPEN:
                self._on_open(frame)
            elif self._link is not None and frame.connection == self._link.number:
                self._link.on_frame(frame)
            elif frame.type in (framing.DATA, framing.CREDIT):
                # The board believes in a connection that is not: the bridge was restarted, or closed it.
                self._send(framing.encode(framing.CLOSE, frame.connection, 0, b"no such connection"))

    def hello(self) -> None:
        """Tell a board that believes in a connection from before this bridge to begin anew, at once."""
        self._send(framing.encode(framing.CLOSE, framing.EVERY_CONNECTION, 0, b"the bridge was started"))

    def close(self) -> None:
        """End the connection to the broker, tell the board, and take nothing more. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._link is not None:
            self._link.drop("the bridge was closed")

    def _on_open(self, frame: framing.Frame) -> None:
        if len(frame.payload) < 3 or frame.payload[0] != framing.VERSION:
            text = f"expected framing version {framing.VERSION}, got {frame.payload[:1].hex() or 'nothing'}"
            log.error("%s: the board's OPEN was refused: %s", self.name, text)
            self._send(framing.encode(framing.CLOSE, frame.connection, 0, text.encode()))
            return
        if self._link is not None:
            # The board started afresh (a reset, a lost CLOSE); the broker shall know that, too.
            self._link.drop(None)
        window = struct.unpack_from("<H", frame.payload, 1)[0]
        self._link = _Link(self, frame.connection, window)

    def _on_damage(self) -> None:
        # Between connections it is noise, such as a boot loader's greeting; within one, bytes are lost.
        if self._link is not None:
            log.warning("%s: a damaged frame; the connection is dropped", self.name)
            self._link.drop("damaged frame")


def _why(error: OSError) -> str:
    # asyncio puts the address into strerror; failed name look-ups have numbers of their own.
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


class _Link:
    """One connection: from a board's OPEN to CLOSE."""

    def __init__(self, bridge: Bridge, number: int, window: int) -> None:
        self.number = number
        self.up = False
        self._bridge = bridge
        self._out_sequence = 0
        self._in_sequence = 1  # OPEN was number 0
        self._credit = window
        self._credit_came = asyncio.Event()
        self._waiting = 0
        self._early = bytearray()
        self._writer: asyncio.StreamWriter | None = None
        self._over = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def backlog(self) -> int:
        to_broker = self._writer.transport.get_write_buffer_size() if self._writer else 0
        return self._waiting + to_broker + len(self._early)

    def on_frame(self, frame: framing.Frame) -> None:
        if frame.sequence != self._in_sequence:
            log.warning("%s: frames from the board were lost; the connection is dropped", self._bridge.name)
            self.drop("frames were lost")
            return
        self._in_sequence = (self._in_sequence + 1) & 0xFF
        if frame.type == framing.DATA:
            self._to_broker(frame.payload)
        elif frame.type == framing.CREDIT and len(frame.payload) == 2:
            self._credit += struct.unpack("<H", frame.payload)[0]
            self._credit_came.set()
        elif frame.type == framing.CLOSE:
            reason = frame.payload.decode("utf-8", "replace")
            log.info("%s: the board closed its connection%s", self._bridge.name, reason and f": {reason}")
            self.drop(None)

    def drop(self, reason: str | None) -> None:
        """End it: tell the board unless ``reason`` is None (it knows), and hang up on the broker."""
        if self._over:
            return
        self._over = True
        self.up = False
        if self._bridge._link is self:
            self._bridge._link = None
        if reason is not None:
            text = reason.encode()[: framing.PAYLOAD_MAX].decode("utf-8", "ignore")  # no half characters
            self._frame(framing.CLOSE, text.encode())
        self._task.cancel()
        if self._writer is not None:
            if reason is None:
                self._writer.close()  # what the board has sent, its DISCONNECT for one, still goes out
            else:
                self._writer.transport.abort()

    def _frame(self, type_: int, payload: bytes = b"") -> None:
        data = framing.encode(type_, self.number, self._out_sequence, payload)
        self._out_sequence = (self._out_sequence + 1) & 0xFF
        self._bridge._send(data)

    def _to_broker(self, payload: bytes) -> None:
        if self._writer is None:
            self._early += payload
        else:
            self._writer.write(payload)
        if self.backlog - self._waiting > _TO_BROKER_MAX:
            log.warning("%s: the broker has stopped reading; the connection is dropped", self._bridge.name)
            self.drop("the broker stopped reading")

    async def _run(self) -> None:
        bridge = self._bridge
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                reader, self._writer = await asyncio.open_connection(bridge.host, bridge.port)
        except (OSError, TimeoutError) as error:
            text = "no answer" if isinstance(error, TimeoutError) else _why(error)
            log.warning("%s: broker %s:%d: %s", bridge.name, bridge.host, bridge.port, text)
            self.drop(f"broker: {text}")
            return
        self.up = True
        bridge.opened += 1
        log.info("%s: connected to %s:%d", bridge.name, bridge.host, bridge.port)
        self._frame(framing.OPENED, bytes((framing.VERSION,)))
        if self._early:
            self._writer.write(bytes(self._early))
            self._early.clear()
        try:
            while data := await reader.read(4096):
                await self._to_board(data)
            text = "the broker closed the connection"
        except OSError as error:
            text = f"broker: {_why(error)}"
        log.info("%s: %s", bridge.name, text)
        self.drop(text)

    async def _to_board(self, data: bytes) -> None:
        while data:
            self._waiting = len(data)
            frame, n = self._data_frame(data)
            if len(frame) > self._credit:
                # While the board has no room nothing more is read from the broker either: TCP holds it back.
                self._credit_came.clear()
                await self._credit_came.wait()
                continue
            self._credit -= len(frame)
            self._out_sequence = (self._out_sequence + 1) & 0xFF
            self._bridge._send(frame)
            data = data[n:]
        self._waiting = 0

    def _data_frame(self, data: bytes) -> tuple[bytes, int]:
        """The next DATA frame and how many bytes of ``data`` are in it: as many as the credit allows."""
        n = min(len(data), framing.PAYLOAD_MAX)
        frame = framing.encode(framing.DATA, self.number, self._out_sequence, data[:n])
        if len(frame) > self._credit:
            sure = framing.payload_for(self._credit)
            if sure >= min(n, _PIECE_MIN):
                n = min(n, sure)
                frame = framing.encode(framing.DATA, self.number, self._out_sequence, data[:n])
        return frame, n
