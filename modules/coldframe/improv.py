"""Improv over the serial console: a web page or a program on the PC at the other end of the cable sets up the Wi-Fi.

It shares the console with the REPL. While it listens (some seconds after power-on, and always while no network is
configured) Ctrl-C is a character like any other, because Improv's packets hold it; so it is looked for here, and does
what it always does (see ctrlc). Whatever else is no packet of Improv's is a person's: then the console is left alone.

Protocol: improv-wifi.com/serial, version 1. What the commands do is in improvrpc.
"""

import asyncio
from select import POLLIN, poll
from time import ticks_diff, ticks_ms

from micropython import const

import coldframe

from . import clock, ctrlc, hal

MAGIC = b"IMPROV\x01"
_HEAD = const(9)  # bytes before the data: the magic ones, type, length
_WINDOW = const(6000)  # ms of listening after power-on where a network is configured
_PERSON = const(60000)  # ms that the console is left alone after a key
_LOOK = const(40)  # ms between two looks; the receive buffers of all boards hold what comes in meanwhile
_GAP = const(1000)  # ms after which the rest of a packet does not come any more
_CTRL_C = const(3)

# What Parser.feed() says.
MORE = const(0)
PACKET = const(1)
BROKEN = const(2)
KEY = const(3)


def start(node):
    """Add the service that listens, if there is a console."""
    console = hal.console()
    if console:
        node.service("improv", Listener(node, *console).run)
    else:
        coldframe.forget("ctrlc")
        coldframe.forget("improv")


class Parser:
    """Finds packets in a stream of bytes. type and data: those of the last packet."""

    type = 0
    data = b""

    def __init__(self):
        self._have = bytearray(_HEAD)
        self._n = 0
        self._body = None

    def feed(self, byte):
        """Take one byte. Returns MORE, PACKET, BROKEN (a packet with a wrong checksum) or KEY (it is no packet)."""
        n = self._n
        if n < _HEAD:
            if n < len(MAGIC) and byte != MAGIC[n]:
                self._n = 0
                # The ends of lines that programs send behind a packet, or a person to see whether anything is there.
                return MORE if n == 0 and byte in b"\r\n" else KEY
            self._have[n] = byte
            self._n = n + 1
            if n == _HEAD - 1:
                self._body = bytearray(byte + 1)
            return MORE
        body = self._body
        body[n - _HEAD] = byte
        self._n = n + 1
        if n - _HEAD < len(body) - 1:
            return MORE
        self.reset()
        if (sum(self._have) + sum(body) - byte) & 0xFF != byte:
            return BROKEN
        self.type = self._have[7]
        self.data = bytes(body[:-1])
        return PACKET

    @property
    def inside(self):
        """Whether a packet has begun."""
        return self._n > 0

    def reset(self):
        """Forget what has begun."""
        self._n = 0
        self._body = None


def packet(kind, data):
    """The bytes of a packet."""
    out = MAGIC + bytes((kind, len(data))) + data
    return out + bytes((sum(out) & 0xFF, 10))


class Listener:
    """Listens on the console of a node. source, sink: streams of bytes."""

    def __init__(self, node, source, sink):
        self.node = node
        self._source = source
        self._sink = sink
        self._poll = poll()
        self._poll.register(source, POLLIN)
        self._deaf = None  # clock.ms() until which the console is a person's
        self._task = None
        # Only after the chip was really started: a soft reset is made by somebody at the console.
        self._until = clock.ms() + _WINDOW if hal.reset_cause() in ("power", "hard", "unknown") else 0

    def send(self, kind, data):
        """Send a packet."""
        self._sink.write(packet(kind, data))

    async def run(self):
        """Listen, as long as there is a reason to."""
        parser = Parser()
        last = 0
        try:
            while self._wanted():
                if self._deaf is not None:
                    if clock.ms() < self._deaf:
                        await asyncio.sleep_ms(500)
                        continue
                    self._deaf = None
                if ctrlc.held:
                    ctrlc.beat()
                else:
                    ctrlc.hold()
                if parser.inside and ticks_diff(ticks_ms(), last) > _GAP:
                    parser.reset()
                while self._poll.poll(0):
                    byte = self._source.read(1)
                    if not byte:
                        return  # nobody will ever type here
                    last = ticks_ms()
                    found = parser.feed(byte[0])
                    if found == PACKET:
                        self._take(parser.type, parser.data)
                    elif found == BROKEN:
                        self.send(2, b"\x01")
                    elif found == KEY:
                        self._person()
                        if byte[0] == _CTRL_C:
                            raise KeyboardInterrupt
                        break
                await asyncio.sleep_ms(_LOOK)
        finally:
            ctrlc.release()
            coldframe.forget("improvrpc")
        for service in list(self.node.services):
            if service.name == "improv":
                self.node.services.remove(service)
        coldframe.forget("ctrlc")
        coldframe.forget("improv")

    def _wanted(self):
        if clock.ms() < self._until or self._task and not self._task.done():
            return True
        # A board without Wi-Fi has nothing to be told later.
        return hal.wireless() and not (self.node.wifi and self.node.wifi.networks)

    def _person(self):
        # Somebody is at the console: it is theirs now.
        ctrlc.release()
        self._until = 0
        self._deaf = clock.ms() + _PERSON

    def _take(self, kind, data):
        if kind != 3:
            return  # what only a device sends: an echo of our own
        from .improvrpc import take

        task = take(self, data, self._task and not self._task.done())
        if task:
            self._task = asyncio.create_task(task)
