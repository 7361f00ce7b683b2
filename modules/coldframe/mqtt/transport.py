"""Ways to a broker. A transport has

    async open() -> stream   a new connection; OSError when there is none to be had
    close()                  end it; safe at any time, and more than once
    poll                     what asyncio shall wait on for the stream that open() gave
    tail                     True when the stream may hold bytes it has taken but not yet sent;
                             write(b"", 0, 0) then tries again and returns None while some are left
    elsewhere(host, port)    if it is there: a transport of the same kind to another server, which this one refers
                             to; port None: the same port
    explain(exception)       if it is there: what went wrong, as a text, or None when it does not know

and its stream has readinto(buf) and write(buf, offset, length), both non-blocking: they return how many
bytes were moved, None when none can be now, and readinto 0 at the end of the connection. Bytes may be
left after a readinto: read until None before waiting on poll. A write that moved nothing is repeated with the
same bytes and the same length.
"""

from asyncio import TimeoutError, core, wait_for_ms
from errno import EINPROGRESS

from micropython import const

_TRY = const(3000)  # ms for one address while there is another one to try


class Tcp:
    """A TCP connection to ``host`` (name or address) and ``port``.

    The name is looked up again for each connection, as a broker may have moved meanwhile. If it has several
    addresses, they are tried in turn, and each connection begins with another one.
    """

    tail = False

    def __init__(self, host, port=1883):
        self.host = host
        self.port = port
        self.poll = None
        self._turn = 0

    def __str__(self):
        return "%s:%d" % (self.host, self.port)

    def elsewhere(self, host, port):
        return Tcp(host, port or self.port)

    async def open(self):
        self.close()
        places = await _places(self.host, self.port)
        self._turn += 1
        last = len(places) - 1
        for i in range(last + 1):
            place = places[(self._turn + i) % (last + 1)]
            try:
                if i == last:
                    await self._connect(place)
                else:
                    await wait_for_ms(self._connect(place), _TRY)
                return self.poll
            except (OSError, TimeoutError):
                if i == last:
                    raise

    async def _connect(self, place):
        import socket

        self.poll = s = socket.socket(place[0], place[1], place[2])
        s.setblocking(False)
        try:
            try:
                s.connect(place[-1])
            except OSError as er:
                if er.errno != EINPROGRESS:
                    raise
            # Small packets go out at once. With Nagle's algorithm, each exchange would cost the 40 ms
            # by which the other end delays its TCP acknowledgement.
            s.setsockopt(getattr(socket, "IPPROTO_TCP", 6), getattr(socket, "TCP_NODELAY", 1), 1)
            yield core._io_queue.queue_write(s)
            # Writable means connected or failed. Which of the two, a read tells: it raises, or there is nothing yet.
            if s.readinto(bytearray(1)) is not None:
                raise OSError("%s closed the connection or spoke first: that is no broker" % self)
        except BaseException:
            # CancelledError, when it took too long, is no Exception: the socket is closed then as well.
            self.close()
            raise

    def close(self):
        s = self.poll
        self.poll = None
        if s is not None:
            s.close()


async def _places(host, port):
    # [what getaddrinfo() gives], without waiting for it: it is only asked for addresses in digits.
    import socket

    if ":" in host or not host.strip("0123456789."):
        found = (host,)
    else:
        from coldframe.dns import resolve

        found = await resolve(host)
    return [socket.getaddrinfo(a, port, 0, socket.SOCK_STREAM)[0] for a in found]
