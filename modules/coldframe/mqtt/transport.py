"""Ways to a broker. A transport has

    async open() -> stream   a new connection; OSError when there is none to be had
    close()                  end it; safe at any time, and more than once
    poll                     what asyncio shall wait on for the stream that open() gave
    tail                     True when the stream may hold bytes it has taken but not yet sent;
                             write(b"", 0, 0) then tries again and returns None while some are left

and its stream has readinto(buf) and write(buf, offset, length), both non-blocking: they return how many
bytes were moved, None when none can be now, and readinto 0 at the end of the connection.
"""

from asyncio import core
from errno import EINPROGRESS


class Tcp:
    """A TCP connection to ``host`` (name or address) and ``port``.

    The name is looked up again for each connection, as a broker may have moved meanwhile.
    """

    tail = False

    def __init__(self, host, port=1883):
        self.host = host
        self.port = port
        self.poll = None

    def __str__(self):
        return "%s:%d" % (self.host, self.port)

    async def open(self):
        import socket

        self.close()
        ai = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)[0]
        self.poll = s = socket.socket(ai[0], ai[1], ai[2])
        s.setblocking(False)
        try:
            try:
                s.connect(ai[-1])
            except OSError as er:
                if er.errno != EINPROGRESS:
                    raise
            # Small packets go out at once. With Nagle's algorithm, each exchange would cost the 40 ms
            # by which the other end delays its TCP acknowledgement.
            s.setsockopt(getattr(socket, "IPPROTO_TCP", 6), getattr(socket, "TCP_NODELAY", 1), 1)
            # Writable means connected or failed; which of the two, the first write will tell.
            yield core._io_queue.queue_write(s)
        except BaseException:
            # CancelledError, when it took too long, is no Exception: the socket is closed then as well.
            self.close()
            raise
        return s

    def close(self):
        s = self.poll
        self.poll = None
        if s is not None:
            s.close()
