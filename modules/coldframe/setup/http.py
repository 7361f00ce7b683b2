"""A very small web server, for the setup page only: bounded in memory and in time, whoever connects.

Each connection carries one request, of which at most one chunk, one line and a small body are in RAM; it has seconds
to come in, and there are never more than a few: a new one takes the place of the oldest. HTTP/1.1 as far as browsers
need it (RFC 9110, RFC 9112).
"""

import asyncio

from coldframe import log
from micropython import const

_CLIENTS = const(4)  # connections at once
_TIME = const(15000)  # ms for one request and its reply
_CHUNK = const(256)  # bytes read at once
_LINE = const(256)  # bytes of a line that are looked at
_HEAD = const(8192)  # bytes of all header lines
_BODY = const(2048)
_LINGER = const(200)  # ms of silence after which nothing more is expected of who has sent nonsense
_SLICE = const(512)  # bytes written at once

_TEXT = {
    200: "OK",
    302: "Found",
    303: "See Other",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
}


class Refused(Exception):
    """A request that is not served; the argument is the status."""


class Request:
    """What a browser asks for: method, path (without what is behind "?"), host and origin (or ""), type and accept (of
    the header fields Content-Type and Accept), body (bytes)."""

    host = origin = type = accept = ""
    body = b""

    def __init__(self, method, path):
        self.method = method
        self.path = path


class Server:
    """The server. handler: coroutine function that is given a Request and returns (status, type, body, more): body is
    bytes or str, more is header lines, each with its end, or ""."""

    def __init__(self, handler):
        self._handler = handler
        self._tasks = []  # of the connections, the oldest one first
        self._server = None

    async def open(self, address, port=80):
        """Begin to listen. OSError if the port is taken."""
        self._server = await asyncio.start_server(self._client, address, port)

    def close(self):
        """Stop listening and end all connections."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _client(self, stream, _):
        me = asyncio.current_task()
        tasks = self._tasks
        if len(tasks) >= _CLIENTS:
            tasks.pop(0).cancel()
        tasks.append(me)
        try:
            await asyncio.wait_for_ms(self._serve(stream), _TIME)
        except (asyncio.TimeoutError, asyncio.CancelledError, OSError, EOFError, MemoryError):
            pass  # too slow, pushed out, gone
        finally:
            if me in tasks:
                tasks.remove(me)
            stream.s.close()

    async def _serve(self, stream):
        status = 500
        kind = body = more = ""
        request = None
        try:
            request = await receive(stream)
            status, kind, body, more = await self._handler(request)
        except Refused as e:
            status = e.args[0]
        except (OSError, EOFError, MemoryError):
            raise
        except Exception as e:
            log.getLogger("setup").exception("setup page", exc_info=e)
        if not body and status >= 400:
            kind, body = "text/plain", "%d %s\n" % (status, _TEXT[status])
        await reply(stream, status, kind, body, more, request is not None and request.method == "HEAD")
        if request is None:
            # What is not read would reset the connection, and with it the reply.
            for _ in range(64):
                if not await asyncio.wait_for_ms(stream.read(_CHUNK), _LINGER):
                    break


async def receive(stream):
    """Read a Request. Raises Refused, or EOFError when the connection ends before it does."""
    buffer = [b""]
    left = _HEAD
    request = None
    length = 0
    while True:
        line, used = await _line(stream, buffer, left)
        left -= used
        if request is None:
            if line:  # an empty line before a request is allowed (RFC 9112, 2.2)
                request = _first(line)
            continue
        if not line:
            break
        at = line.find(b":")
        name = line[:at].lower()
        try:
            value = line[at + 1 :].strip().decode()
        except ValueError:
            value = ""
        if name == b"content-length":
            if not value.isdigit():
                raise Refused(400)
            length = int(value) if len(value) < 9 else _BODY + 1
        elif name == b"transfer-encoding":
            raise Refused(411)
        elif name == b"content-type":
            request.type = value
        elif name in (b"host", b"origin", b"accept"):
            setattr(request, name.decode(), value)
    if length > _BODY:
        raise Refused(413)
    body = bytearray(length)
    have = min(length, len(buffer[0]))
    body[:have] = buffer[0][:have]
    view = memoryview(body)
    while have < length:
        n = await stream.readinto(view[have:])
        if n == 0:
            raise EOFError
        have += n or 0
    request.body = bytes(body)
    return request


async def _line(stream, buffer, left):
    # The next line without its end, cut after _LINE bytes, and how many bytes it took. buffer: [what was read ahead].
    line = b""
    used = 0
    while True:
        data = buffer[0]
        if not data:
            data = await stream.read(_CHUNK)
            if data is None:
                continue
            if not data:
                raise EOFError
        at = data.find(b"\n")
        part = data if at < 0 else data[: at + 1]
        buffer[0] = data[len(part) :]
        used += len(part)
        if used > left:
            raise Refused(431)
        if len(line) < _LINE:
            line += part[: _LINE - len(line)]
        if at >= 0:
            return line.strip(b"\r\n"), used


def _first(line):
    # The request line.
    parts = line.split()
    if len(parts) < 2 or len(parts) == 3 and not parts[2].startswith(b"HTTP/1"):
        raise Refused(400)
    method, path = parts[0], parts[1]
    if method not in (b"GET", b"HEAD", b"POST"):
        raise Refused(501)
    if path.startswith(b"http://"):
        at = path.find(b"/", 7)
        path = path[at:] if at > 0 else b"/"
    if path[:1] != b"/":
        raise Refused(400)
    try:
        return Request(method.decode(), path.split(b"?", 1)[0].decode())
    except ValueError:
        raise Refused(400)


async def reply(stream, status, kind, body, more="", head_only=False):
    """Send a reply, in slices: a large body is never copied."""
    if isinstance(body, str):
        body = body.encode()
    head = "HTTP/1.1 %d %s\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: %d\r\n" % (
        status,
        _TEXT[status],
        len(body),
    )
    if kind:
        head += "Content-Type: %s; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n" % kind
    stream.write((head + more + "\r\n").encode())
    await stream.drain()
    if not head_only:
        view = memoryview(body)
        for at in range(0, len(body), _SLICE):
            stream.write(view[at : at + _SLICE])
            await stream.drain()
