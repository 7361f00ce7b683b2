"""The time from one NTP server over UDP, without stopping the program.

    offset, distance = await query("pool.ntp.org")

Format and checks: RFC 5905, 7.3 and 8; RFC 4330, 5. As our own time stamp a random number is sent: the answer must
bear it, so nobody who has not seen the question can answer it, and nobody learns what our clock shows.
"""

from asyncio import TimeoutError, core, wait_for_ms
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from . import clock
from .wallclock import believable

_ASK = const(0x23)  # no leap second, version 4, client
_SERVER = const(4)
_PATIENCE = const(2000)  # ms for an answer
_ADDRESSES = const(3)  # of one name are tried
_FAR = const(
    1500
)  # ms that the server may be from a real clock: half of its way there, and what it is unsure of
_ERA = const(4294967296)  # s after which the count begins again, first in 2036
_EPOCH = const(2208988800)  # 1970 as NTP counts


class Kiss(OSError):
    """The server does not want to be asked ("kiss of death"). code: its four letters; RATE = not so often."""

    def __init__(self, code):
        self.code = code
        super().__init__("it wants to be left alone (%s)" % code)


async def query(host):
    """Ask a server for the time.

    host: name or IPv4 address, with ":port" behind it if that is not 123.
    Returns (milliseconds from clock.ms() to Unix time, how wrong that may be in milliseconds).
    Raises OSError, with the reason as its text: no such name, no answer in 2 s for each of up to three addresses, or
    none that can be believed; Kiss.
    """
    import socket

    port = 123
    if ":" in host:
        host, port = host.split(":", 1)
        if not port.isdigit():
            raise OSError("expected NAME or NAME:PORT")  # the other servers may be right
    if not host.strip("0123456789."):
        found = (host,)
    else:
        found = await _resolve(host)
    reason = None
    for address in found[:_ADDRESSES]:
        place = socket.getaddrinfo(address, int(port))[0][-1]
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.setblocking(False)
            return await _ask(s, place)
        except Kiss:
            raise
        except OSError as e:
            reason = e
        finally:
            s.close()
    raise reason


async def _resolve(host):
    from . import dns, hal

    # No answer is worth that everything stands still: where there is no name server, resolve() would.
    if dns.servers is None and hal.name_servers() == [] and hal.known_host(host) is None:
        raise OSError("%s: the network names no name server" % host)
    return await dns.resolve(host)


async def _ask(s, place):
    from os import urandom

    nonce = urandom(8)
    packet = bytearray(48)
    packet[0] = _ASK
    packet[40:] = nonce
    sent = clock.ms()
    s.sendto(packet, place)
    until = ticks_add(ticks_ms(), _PATIENCE)
    while True:
        left = ticks_diff(until, ticks_ms())
        if left <= 0:
            raise OSError("no answer")
        try:
            await wait_for_ms(_readable(s), left)
            data, source = s.recvfrom(68)
        except TimeoutError:
            raise OSError("no answer")
        now = clock.ms()
        # What is not an answer to this question, from where it was sent to, was never there.
        if source == place and len(data) >= 48 and data[24:32] == nonce and data[0] & 7 == _SERVER:
            return _judge(data, sent, now)


async def _readable(s):
    yield core._io_queue.queue_read(s)


def _judge(data, sent, now):
    # What an answer is worth; sent, now: clock.ms() of the question and of the answer.
    version = data[0] >> 3 & 7
    stratum = data[1]
    if stratum == 0:
        raise Kiss("".join(chr(c) for c in data[12:16] if 32 < c < 127))
    if not 3 <= version <= 4:
        raise OSError("it speaks version %d, expected 3 or 4" % version)
    if data[0] >> 6 == 3 or stratum > 15:
        raise OSError("it does not know the time itself")
    delay = int.from_bytes(data[4:8], "big")
    if delay >= 0x80000000:  # it is a signed number
        delay = _ERA - delay
    distance = (delay // 2 + int.from_bytes(data[8:12], "big")) * 1000 >> 16
    if distance > _FAR:
        raise OSError("it is %d ms away from a clock, expected at most %d" % (distance, _FAR))
    came = _stamp(data, 32)
    left = _stamp(data, 40)
    trip = now - sent - (left - came)  # without the time that the server took
    if not 0 <= left - came <= now - sent + 2 or not believable(left):
        raise OSError("its answer makes no sense")
    trip = max(0, trip)
    return left + trip // 2 - now, distance + trip // 2


def _stamp(data, i):
    # A time stamp in Unix milliseconds.
    seconds = int.from_bytes(data[i : i + 4], "big")
    if seconds < 0x80000000:  # 1968 to 2036; below that, the second time round
        seconds += _ERA
    return (seconds - _EPOCH) * 1000 + (int.from_bytes(data[i + 4 : i + 8], "big") * 1000 >> 32)
