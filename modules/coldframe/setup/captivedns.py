"""A name server that gives the device's own address for every name, so that a phone finds the setup page.

Format: RFC 1035, 4.1. A question for an IPv4 address (A, or ANY) is answered, any other one is answered with nothing;
what is no proper question is not answered at all.
"""

from asyncio import core

from micropython import const

_SIZE = const(512)  # bytes of the longest question without extensions
_A = const(1)
_ANY = const(255)
_IN = const(1)
# A pointer to the name of the question, type A, class IN, valid for 5 s, four bytes.
_RECORD = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04"


async def serve(address, port=53):
    """Answer until cancelled. address: the device's own in that network. Raises OSError if the port is taken."""
    import socket

    own = bytes(int(part) for part in address.split("."))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.setblocking(False)
        s.bind(socket.getaddrinfo(address, port)[0][-1])
        while True:
            await _readable(s)
            try:
                packet, source = s.recvfrom(_SIZE)
                reply = answer(packet, own)
                if reply:
                    s.sendto(reply, source)
            except (OSError, MemoryError):
                pass  # it was for nobody, the asker is gone, or the heap is full for a moment
    finally:
        s.close()


async def _readable(s):
    yield core._io_queue.queue_read(s)


def answer(packet, own):
    """The answer to a packet, None if it deserves none.

    packet: bytes from anybody. own: the four bytes of the address that is given for every name.
    """
    end = question_end(packet)
    # A query (QR 0) of the ordinary kind (OPCODE 0) with one question, and no answers of its own.
    if not end or packet[2] & 0xF8 or packet[4:8] != b"\0\x01\0\0":
        return None
    kind = packet[end - 4] << 8 | packet[end - 3]
    known = kind in (_A, _ANY) and packet[end - 2] << 8 | packet[end - 1] == _IN
    # Authoritative, recursion as asked for and available; one answer or none; nothing else.
    head = (
        packet[:2]
        + bytes((0x84 | packet[2] & 1, 0x80))
        + (b"\0\x01\0\x01" if known else b"\0\x01\0\0")
        + bytes(4)
    )
    return head + packet[12:end] + (_RECORD + own if known else b"")


def question_end(packet):
    """Where the first question of a packet ends; 0 if it is none: cut, a name that is too long, a pointer."""
    size = len(packet)
    i = 12
    while i < size:
        n = packet[i]
        i += n + 1
        if n > 63 or i > 12 + 255:
            return 0
        if not n:
            return i + 4 if i + 4 <= size else 0
    return 0
