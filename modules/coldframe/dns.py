"""Host names to addresses, without stopping the program: DNS over UDP, and mDNS for names that end in .local.

    for address in await resolve("broker.example"):
        ...

getaddrinfo() would stop everything on the device until the name server has answered, which may take 20 seconds. It
is only used where the network has named no name server. Formats: RFC 1035, 4.1; one-shot mDNS: RFC 6762, 5.1 and 6.7.
"""

from asyncio import TimeoutError, core, wait_for_ms
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from coldframe import hal
from coldframe.log import getLogger

_A = const(1)
_CNAME = const(5)
_IN = const(1)
_NO_SUCH_NAME = const(3)  # RCODE
_SIZE = const(512)  # bytes of the longest answer without extensions
_MOST = const(8)  # addresses kept; also the longest chain of aliases in one answer
_CHAIN = const(4)  # questions, when an alias leads from one to the next
_ROUNDS = (1000, 2000, 3000)  # ms that each server is given, round by round

servers = None  # [(address, port), ...] to ask instead of those that the network has named
mdns = ("224.0.0.251", 5353)
log = getLogger("dns")
_told = False


async def resolve(host):
    """Look up the IPv4 addresses of a host name.

    Takes up to 6 s for each name server that does not answer. Nothing is remembered: who connects again asks again.

    Args: host: a name. Returns a list of one to eight addresses such as "10.0.0.5".
    Raises OSError when there is no such name, no server that answers, or it is no name.
    """
    name = _wire(host)
    if name == b"\x09localhost\0":
        return ["127.0.0.1"]
    found = hal.known_host(host)
    if found is not None:
        return _some(found, host)
    if name[-7:] == b"\x05local\0":
        return _some(await _ask(name, host, [mdns], True), host)
    ask = servers
    if ask is None:
        ask = hal.name_servers()
        if ask is None:
            raise OSError("%s: there is no network yet" % host)
        ask = [(address, 53) for address in ask]
    if not ask:
        global _told
        if not _told:
            _told = True
            log.warning("the network names no name server: to look up %s may stop everything a while", host)
        return _blocking(host)
    for _ in range(_CHAIN):
        found = await _ask(name, host, ask, False)
        if not isinstance(found, bytes):
            return _some(found, host)
        name = found
    raise OSError("%s: an alias that leads nowhere" % host)


def _some(found, host):
    if not found:
        raise OSError("no such host: %s" % host)
    return found


def _wire(host):
    # A name as it stands in packets: each label with its length before it, lower case.
    out = b""
    for label in (host[:-1] if host.endswith(".") else host).split("."):
        label = label.encode().lower()
        if not 0 < len(label) < 64:
            out = b""
            break
        out += bytes((len(label),)) + label
    if not 0 < len(out) < 255:
        raise OSError("not a host name: %s" % host[:64])
    return out + b"\0"


def _blocking(host):
    import socket

    found = []
    for info in socket.getaddrinfo(host, 0, 0, socket.SOCK_STREAM):
        address = info[-1]
        if isinstance(address, tuple):
            address = address[0]
        else:  # unix
            address = socket.sockaddr(address)
            address = socket.inet_ntop(address[0], address[1])
        if address not in found:
            found.append(address)
    return found


async def _ask(name, host, ask, local):
    # Ask the servers, round after round, until one knows: a list of addresses (empty: no such name), or an alias.
    import socket
    from os import urandom

    id = urandom(2)
    # One question, recursion desired; then the name, type A, class IN.
    question = name + b"\0\x01\0\x01"
    packet = id + (b"\0" if local else b"\x01") + b"\0\0\x01\0\0\0\0\0\0" + question
    # Without further arguments: lwIP knows no other type than SOCK_STREAM here.
    places = [socket.getaddrinfo(a, port)[0][-1] for a, port in ask]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    asked = []
    error = None
    try:
        for patience in _ROUNDS:
            for place in places:
                try:
                    s.sendto(packet, place)
                except OSError as er:  # no way there
                    error = er
                    continue
                asked.append(place)
                until = ticks_add(ticks_ms(), patience)
                while ticks_diff(until, ticks_ms()) > 0:
                    try:
                        await wait_for_ms(_readable(s), ticks_diff(until, ticks_ms()))
                        data, source = s.recvfrom(_SIZE)
                    except TimeoutError:
                        break
                    except OSError as er:  # EAGAIN: it was for nobody
                        error = er
                        continue
                    # Whoever has not been asked is not listened to; mDNS answers come from their own address.
                    if not (source in asked or local and _port(source) == mdns[1]):
                        continue
                    found = _parse(data, id, question)
                    if found is None:
                        continue
                    if isinstance(found, int):
                        error = (
                            "the name server answers with error %d" % found if found else "the answer was cut"
                        )
                        break
                    return found
            if not asked:
                break  # no network: another round would be no better
    finally:
        s.close()
    if asked and not isinstance(error, str):
        error = "nobody answers" if local else "no answer from the name server"
    raise OSError("%s: %s" % (host, error))


async def _readable(s):
    yield core._io_queue.queue_read(s)


def _port(source):
    if isinstance(source, tuple):
        return source[1]
    import socket

    return socket.sockaddr(source)[2]


def _parse(data, id, question):
    # What an answer says: a list of addresses (empty: there is no such name), the name that it is an alias of, or the
    # number of a server's error. None for what is no answer to this question.
    try:
        if data[:2] != id or data[2] & 0xF8 != 0x80 or data[4:6] != b"\0\x01":
            return None
        end = 12 + len(question)
        if data[12:end].lower() != question.lower():
            return None
        code = data[3] & 15
        if code == _NO_SUCH_NAME:
            return []
        if code:
            return code
        found = []
        name = first = question[:-4]
        for _ in range(_MOST):
            alias = None
            for owner, kind, at, size in _records(data, end):
                if owner != name:
                    continue
                if kind == _A and size == 4:
                    address = data[at : at + 4]
                    if address != b"\0\0\0\0" and len(found) < _MOST:
                        found.append("%d.%d.%d.%d" % tuple(address))
                elif kind == _CNAME:
                    alias = _name(data, at)[0]
            if found or alias is None or alias == first:
                break
            name = alias
        if not found:
            if data[2] & 2:
                return 0  # it was cut before it came to that, and another server may be shorter
            if name != first:
                return name
        return found
    except (IndexError, ValueError):
        return None


def _records(data, i):
    # Yield (owner, type, where its data begin, their size) of the records in the answer section.
    for _ in range(data[6] << 8 | data[7]):
        try:
            owner, i = _name(data, i)
            size = data[i + 8] << 8 | data[i + 9]
        except IndexError:
            return  # cut
        at = i + 10
        i = at + size
        if i > len(data):
            return
        # mDNS has a flag of its own in the class (RFC 6762, 10.2).
        kind = data[at - 10] << 8 | data[at - 9]
        if (data[at - 8] & 0x7F) << 8 | data[at - 7] == _IN:
            yield owner, kind, at, size


def _name(data, i):
    # The name at data[i], without compression and in lower case, and where what follows it begins. Pointers only lead
    # back, or they could lead in a circle. Raises ValueError and IndexError.
    out = b""
    end = 0
    before = i
    while True:
        n = data[i]
        if n >= 0xC0:
            end = end or i + 2
            i = (n & 0x3F) << 8 | data[i + 1]
            if i >= before:
                raise ValueError
            before = i
        elif n > 63 or len(out) + n > 254:
            raise ValueError
        else:
            i += 1
            out += data[i - 1 : i + n]
            i += n
            if not n:
                return out.lower(), end or i
