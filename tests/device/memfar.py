"""For the figures of a node's RAM: a broker in memory and a network, smaller than membroker, which keeps what it hears.

The broker acknowledges everything and forgets it. Where there is no radio, WLAN and Network are put in its place.
"""

import asyncio
import gc
import io


class Far(io.IOBase):
    """A transport and its stream: a broker that accepts and acknowledges everything."""

    tail = False

    def __init__(self):
        self.poll = self
        self.out = b""
        self.left = 0  # bytes of the message that is being received
        self.name = None  # its topic
        self.last = 0  # its last byte
        # How many messages have come whole, by the end of their topics.
        self.seen = {"SYSINFO": 0, "/config": 0, "/lamp_": 0, "rature": 0}

    def __str__(self):
        return "memory"

    async def open(self):
        self.left = 0
        return self

    def close(self):
        pass

    def say(self, topic, payload):
        """Publish a message to the node."""
        body = bytes((0, len(topic))) + topic.encode() + payload
        self.out += bytes((0x30, len(body))) + body

    def write(self, buf, off=0, n=-1):
        end = len(buf) if n < 0 else off + n
        n = end - off
        while off < end:
            if not self.left:
                off = self.begin(buf, off)
            part = min(self.left, end - off)
            off += part
            self.left -= part
            if not self.left:
                self.last = buf[off - 1]
                if self.name in self.seen:
                    self.seen[self.name] += 1
                self.name = None
        return n

    def begin(self, buf, off):
        # A packet begins; what is before its payload is there. Returns where its body is.
        kind = buf[off] & 0xF0
        size = shift = 0
        at = off + 1
        while True:
            byte = buf[at]
            at += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if kind == 0x10:
            self.out += b"\x20\x02\0\0"
        elif kind == 0x80:
            self.out += b"\x90\x03" + bytes(buf[at : at + 2]) + b"\x01"
        elif kind == 0xC0:
            self.out += b"\xd0\0"
        elif kind == 0x30:
            t = at + 2 + (buf[at] << 8 | buf[at + 1])
            self.name = bytes(buf[max(at + 2, t - 7) : t]).decode()
            if self.name[-6:] in self.seen:
                self.name = self.name[-6:]
            if buf[off] & 6 == 2:
                self.out += b"\x40\x02" + bytes(buf[t : t + 2])
        self.left = size
        return at

    def readinto(self, buf):
        n = min(len(buf), len(self.out))
        if not n:
            return None
        buf[:n] = self.out[:n]
        self.out = self.out[n:]
        return n

    def ioctl(self, request, flags):
        return flags & (5 if self.out else 4) if request == 3 else 0


class WLAN:
    """A station that joins at once."""

    IF_STA = 0
    on = joined = False

    def __init__(self, interface):
        pass

    def active(self, on=None):
        if on is not None:
            WLAN.on = on
        return WLAN.on

    def isconnected(self):
        return WLAN.joined

    def connect(self, *args, **options):
        WLAN.joined = True

    def disconnect(self):
        WLAN.joined = False

    def status(self, what=None):
        return -50 if what else 1010 if WLAN.joined else 1000

    def ifconfig(self, addresses=None):
        return ("10.0.0.7", "255.255.255.0", "10.0.0.1", "10.0.0.1")

    def config(self, *args, **options):
        pass

    ipconfig = config

    def scan(self):
        return []


class Network:
    """The network module of such a station; a driver says much like the ESP32's."""

    WLAN = WLAN
    STA_IF = 0
    AP_IF = 1
    STAT_IDLE = 1000
    STAT_CONNECTING = 1001
    STAT_GOT_IP = 1010
    STAT_NO_AP_FOUND = 201
    STAT_WRONG_PASSWORD = 202
    STAT_CONNECT_FAIL = 203
    hostname = country = staticmethod(lambda *args: None)


CONFIG = {
    "name": "greenhouse",
    "wifi": {"networks": [{"ssid": "Farm", "password": "secret99"}]},
    "mqtt": {"host": "10.0.0.5"},
    "time": {"ntp": []},  # there is nobody to ask
}


def largest():
    """The largest block that can be had."""
    low = 0
    high = gc.mem_free()
    while high - low > 16:
        middle = (low + high) // 2
        try:
            bytearray(middle)
            low = middle
        except MemoryError:
            high = middle
        gc.collect()
    return low


async def until(what, text, node):
    """Wait for a condition of the node's."""
    for _ in range(300):
        if what():
            return
        await asyncio.sleep_ms(50)
    raise AssertionError("%s; errors: %s" % (text, node.errors))
