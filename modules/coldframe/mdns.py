"""Answers for NAME.local and for services of the kind _coldframe._tcp (mDNS). Imported only where wifi.mdns is set.

Multicast DNS: RFC 6762; service discovery: RFC 6763; records: RFC 1035 and 2782. What it does not do: it does not ask
whether another device has the name already (the names made of the chip's number are unique), and does not leave out
what an asker says that it knows.
"""

import asyncio
import socket
import struct
from asyncio import core
from random import getrandbits

from micropython import const

from . import hal, log
from .dns import _name as read_name
from .version import __version__
from .wifi import more

_GROUP = "224.0.0.251"
_PORT = const(5353)
_A, _PTR, _TXT, _SRV, _ANY = const(1), const(12), const(16), const(33), const(255)
_IN = const(1)
_MINE = const(0x8001)  # class IN, and: forget what you knew of it
_SHORT, _LONG = const(120), const(4500)  # s, what RFC 6762, 10 advises for names of hosts and for the rest
_LEGACY = const(10)  # s, for resolvers that know nothing of mDNS (6.7)

_SERVICE = b"\x0a_coldframe\x04_tcp\x05local\0"
_SERVICES = b"\x09_services\x07_dns-sd\x04_udp\x05local\0"

_log = log.getLogger("mdns")


def start(node):
    """Start the answers of a node."""
    if hal.MDNS:
        _log.info("the network stack of this chip answers for the name by itself")
    else:
        Responder(node)


class Responder:
    """Answers for a node, while its Wi-Fi is up."""

    def __init__(self, node):
        self._node = node
        label = more("host", None, node.fill(node.config["wifi.hostname"])).lower().encode()
        self._host = bytes((len(label),)) + label + b"\x05local\0"
        self._instance = bytes((len(label),)) + label + _SERVICE
        self._task = self._socket = None
        node.on("wifi", self._wifi)
        node.on("stop", self._stop)

    def _wifi(self, state):
        if state == "up":
            # Also when the address has changed. The membership in the group is lost with the link.
            self._end()
            self._task = asyncio.create_task(self._serve())
        elif state in ("lost", "off"):
            self._end()

    def _end(self):
        if self._task:
            self._task.cancel()
            self._task = None

    def _stop(self):
        # Good-bye: all is valid for 0 more seconds.
        if self._socket:
            self._send(self._everything(0))

    async def _serve(self):
        s = None
        try:
            own = bytes(int(n) for n in self._node.wifi.address().split("."))
            self._own = own
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(socket.getaddrinfo("0.0.0.0", _PORT)[0][-1])
            s.setblocking(False)
            try:
                group = bytes(int(n) for n in _GROUP.split("."))
                s.setsockopt(0, getattr(socket, "IP_ADD_MEMBERSHIP", 35), group + own)
            except OSError as e:
                _log.warning(
                    "cannot join the group %s (error %s), so only direct questions arrive", _GROUP, e.args[0]
                )
            self._group = socket.getaddrinfo(_GROUP, _PORT)[0][-1]
            self._socket = s
            for _ in range(2):
                self._send(self._everything(1))
                await asyncio.sleep(1)
            while True:
                await _readable(s)
                try:
                    data, source = s.recvfrom(512)
                except OSError:
                    continue
                await self._question(data, source)
        except OSError as e:
            self._node.report("wifi.mdns", e)
        finally:
            self._socket = None
            if s:
                s.close()

    def _send(self, packet, to=None):
        try:
            self._socket.sendto(packet, to or self._group)
        except OSError:
            pass  # the link has just gone, or the buffers are full: who wants to know asks again

    def _everything(self, valid):
        answers = [
            _record(_SERVICE, _PTR, _IN, valid and _LONG, self._instance),
            self._srv(_MINE, valid and _SHORT),
            self._txt(_MINE, valid and _LONG),
            self._a(_MINE, valid and _SHORT),
        ]
        return struct.pack(">HHHHHH", 0, 0x8400, 0, len(answers), 0, 0) + b"".join(answers)

    def _a(self, kind, ttl):
        return _record(self._host, _A, kind, ttl, self._own)

    def _srv(self, kind, ttl):
        port = 80 if self._node.config.get("web.enabled") else 0
        return _record(self._instance, _SRV, kind, ttl, struct.pack(">HHH", 0, 0, port) + self._host)

    def _txt(self, kind, ttl):
        data = b""
        for key, value in (("id", self._node.id), ("version", __version__), ("board", hal.board())):
            text = ("%s=%s" % (key, value)).encode()
            data += bytes((len(text),)) + text
        return _record(self._instance, _TXT, kind, ttl, data)

    async def _question(self, data, source):
        try:
            id, flags, count = struct.unpack_from(">HHH", data)
            if flags & 0xF800:  # an answer, or no ordinary question
                return
            at = 12
            asked = []
            direct = False
            count = min(count, 8)
            for _ in range(count):
                name, at = read_name(data, at)
                kind, group = struct.unpack_from(">HH", data, at)
                at += 4
                if group & 0x7FFF in (_IN, _ANY):
                    asked.append((name, kind))
                    direct = direct or group & 0x8000
        except (IndexError, ValueError):
            return  # nothing that we understand
        legacy = _port(source) != _PORT
        answers, more, shared = self._answers(asked, legacy)
        if not answers:
            return
        head = struct.pack(
            ">HHHHHH", id if legacy else 0, 0x8400, count if legacy else 0, len(answers), 0, len(more)
        )
        packet = head + (data[12:at] if legacy else b"") + b"".join(answers) + b"".join(more)
        if shared and not legacy:
            # Others have an answer to this, too: not all at once.
            await asyncio.sleep_ms(20 + getrandbits(6))
        self._send(packet, source if legacy or direct else None)

    def _answers(self, asked, legacy):
        # (records that answer, records that will be asked for next, whether others may answer the same questions).
        mine = _IN if legacy else _MINE
        short = _LEGACY if legacy else _SHORT
        long = _LEGACY if legacy else _LONG
        answers = []
        more = []
        shared = False
        for name, kind in asked:
            if name == self._host and kind in (_A, _ANY):
                answers.append(self._a(mine, short))
            elif name == _SERVICE and kind in (_PTR, _ANY):
                shared = True
                answers.append(_record(_SERVICE, _PTR, _IN, long, self._instance))
                more = [self._srv(mine, short), self._txt(mine, long), self._a(mine, short)]
            elif name == _SERVICES and kind in (_PTR, _ANY):
                shared = True
                answers.append(_record(_SERVICES, _PTR, _IN, long, _SERVICE))
            elif name == self._instance:
                if kind in (_SRV, _ANY):
                    answers.append(self._srv(mine, short))
                    more = [self._a(mine, short)]
                if kind in (_TXT, _ANY):
                    answers.append(self._txt(mine, long))
        return answers, more, shared


def _record(name, kind, group, ttl, data):
    return name + struct.pack(">HHIH", kind, group, ttl, len(data)) + data


def _port(source):
    if isinstance(source, tuple):
        return source[1]
    return socket.sockaddr(source)[2]


async def _readable(s):
    yield core._io_queue.queue_read(s)
