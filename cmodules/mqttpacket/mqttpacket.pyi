"""MQTT 3.1.1 packets in C: an incremental decoder over a fixed buffer, and encoders.

    decoder = Decoder(bytearray(1024))
    while True:
        kind = decoder.next()
        if kind == 0:
            n = decoder.fill(stream)          # None: wait until readable; 0: the stream has ended
        elif kind == PUBLISH:
            handle(decoder.topic, decoder.payload)

The same API in Python is coldframe.codec_py; coldframe.codec is whichever the image has.
"""

from typing import Protocol

CONNECT: int  # 1
CONNACK: int
PUBLISH: int
PUBACK: int
PUBREC: int
PUBREL: int
PUBCOMP: int
SUBSCRIBE: int
SUBACK: int
UNSUBSCRIBE: int
UNSUBACK: int
PINGREQ: int
PINGRESP: int
DISCONNECT: int
AUTH: int  # 15

PINGREQ_PACKET: bytes  # ready to send
DISCONNECT_PACKET: bytes

Buffer = bytes | bytearray | memoryview
Text = str | Buffer  # bytes are taken as UTF-8

class Stream(Protocol):
    def readinto(self, buf: bytearray | memoryview) -> int | None: ...

class Malformed(ValueError):
    """What was received is not MQTT. args: (reason code of MQTT 5, such as 0x81; text)."""

class Decoder:
    """Takes packets out of a stream of bytes.

    buf: where the stream's bytes go, 16 bytes or more; its size never changes. A PUBLISH larger
        than it is delivered in parts, any other packet larger than it is an error.
    limit: packets longer than this in total (bytes, header included) are an error; 0: no limit.
    version: 4, the protocol level of MQTT 3.1.1.

    The attributes describe the packet that next() has delivered, until the following call of
    next() or fill().
    """

    type: int  # packet type, 0: none
    flags: int  # low nibble of the first byte
    qos: int  # PUBLISH
    retain: bool  # PUBLISH
    dup: bool  # PUBLISH
    id: int  # packet identifier, 0: none
    code: int  # CONNACK: return code; SUBACK: the first one; SUBSCRIBE: the first QoS; CONNECT: connect flags
    session: bool  # CONNACK: session present; CONNECT: clean session
    keepalive: int  # CONNECT: seconds
    topic: str  # PUBLISH; (UN)SUBSCRIBE: the first filter; CONNECT: client identifier
    topic_view: memoryview  # the same as bytes in buf
    payload: memoryview  # PUBLISH: this part, in buf. One object, which every packet uses again
    payload_bytes: bytes  # a copy of it
    codes: memoryview  # SUBACK: all return codes
    part: int  # PUBLISH in parts: bytes of payload before this part
    more: int  # PUBLISH in parts: bytes of payload still to come

    def __init__(self, buf: bytearray | memoryview, limit: int = 0, version: int = 4) -> None: ...
    def fill(self, stream: Stream) -> int | None:
        """Read once from the stream into the free part of the buffer.

        Returns how many bytes came; 0 at the end of the stream; None if none are there yet.
        Raises OSError as the stream does, Malformed as next() did before, ValueError if the
        buffer is full of packets that next() has not been asked for.
        """

    def next(self) -> int:
        """The type of the next packet, 0 if it is not complete yet.

        A PUBLISH larger than the buffer is returned once for each part; parts are as large as the
        buffer allows beside the topic. Raises Malformed, from then on until reset().
        """

    def reset(self) -> None:
        """Forget everything: for a new connection."""

# Each writes one packet into buf and returns its length in bytes. Raises ValueError, and writes
# nothing, if the packet does not fit (naming need and have) or may not be sent.

def connect(
    buf: bytearray | memoryview,
    client_id: Text,
    keepalive: int,  # seconds
    clean: bool = True,
    user: Text | None = None,
    password: Text | None = None,
    will_topic: Text | None = None,
    will_payload: Text | None = None,
    will_qos: int = 0,
    will_retain: bool = False,
) -> int: ...
def connack(buf: bytearray | memoryview, session: bool, code: int) -> int: ...
def publish(
    buf: bytearray | memoryview,
    topic: Text,
    payload_len: int | Text,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    id: int = 0,
) -> int:
    """payload_len: the payload's length, and only the header is written; or the payload itself,
    which is written after it. id: 1 to 65535 for QoS 1 and 2."""

def ack(buf: bytearray | memoryview, type: int, id: int) -> int:
    """type: PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""

def subscribe(buf: bytearray | memoryview, id: int, topic: Text, qos: int) -> int: ...
def suback(buf: bytearray | memoryview, id: int, codes: Buffer) -> int: ...
def unsubscribe(buf: bytearray | memoryview, id: int, topic: Text) -> int: ...
def match(filter: Text, topic: Text) -> bool:
    """Does a topic filter (+, #, perhaps $share/GROUP/ before it) select a topic?"""

def poke(stream: object) -> bool | None:
    """Write zero bytes to a native stream: a TLS stream then goes on with its handshake.

    Returns True once it is over, None while it is not. Raises what the stream raises."""
