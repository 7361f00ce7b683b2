"""Packets of MQTT 3.1.1 and 5.0 in C: an incremental decoder over a fixed buffer, and encoders.

    decoder = Decoder(bytearray(1024))
    while True:
        kind = decoder.next()
        if kind == 0:
            n = decoder.fill(stream)          # None: wait until readable; 0: the stream has ended
        elif kind == PUBLISH:
            handle(decoder.topic, decoder.payload)

The same API in Python is coldframe.codec_py; coldframe.codec is whichever the image has.
"""

from collections.abc import Callable
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
    limit: a PUBLISH longer than this in total (bytes, header included) is skipped, any other packet is
        an error; 0: no limit.
    version: 4, the protocol level of MQTT 3.1.1, or 5.

    The attributes describe the packet that next() has delivered, until the following call of
    next() or fill().

    A PUBLISH that is longer than the limit, or whose topic, identifier and properties leave no room in
    the buffer, is delivered once, after its last byte, with `skipped` True: qos, retain, dup and id are
    known, so that it can be acknowledged, the payload is empty, and topic and properties are if they
    did not fit.

    Properties of MQTT 5 are checked: that they exist in this packet (else reason code 0x81), are there
    once (0x82), have a value in their range (0x82, topic alias 0: 0x94) and are UTF-8 (0x81).
    """

    version: int  # 4 or 5
    type: int  # packet type, 0: none
    flags: int  # low nibble of the first byte
    qos: int  # PUBLISH
    retain: bool  # PUBLISH
    dup: bool  # PUBLISH
    id: int  # packet identifier, 0: none
    code: int
    """Return code of CONNACK, reason code of CONNACK PUBACK PUBREC PUBREL PUBCOMP DISCONNECT AUTH (0 where
    it was left out), the first one of SUBACK and UNSUBACK; SUBSCRIBE: the first options byte (its low two
    bits are the QoS); CONNECT: connect flags. A CONNACK of MQTT 3.1.1 that refuses the version, in answer
    to MQTT 5, is delivered as 0x84."""
    session: bool  # CONNACK: session present; CONNECT: clean start
    keepalive: int  # CONNECT: seconds
    topic: str  # PUBLISH; (UN)SUBSCRIBE: the first filter; CONNECT: client identifier
    topic_view: memoryview  # the same as bytes in buf
    payload: memoryview
    """PUBLISH: this part, in buf. (UN)SUBSCRIBE: its entries; CONNECT: all behind the client identifier.
    One object, which every packet uses again."""
    payload_bytes: bytes  # a copy of it
    codes: memoryview  # SUBACK, UNSUBACK: all return or reason codes
    props: memoryview  # the properties as they came, without their length; of CONNECT not those of the will
    part: int  # PUBLISH in parts: bytes of payload before this part
    more: int  # PUBLISH in parts: bytes of payload still to come
    skipped: bool  # PUBLISH: too large, see above
    delivered: int  # how many messages have gone to callbacks; goes on with 0 after 2**30 - 1; can be set
    calling: bool  # inside a callback, and after an exception of one until the next next()

    def __init__(self, buf: bytearray | memoryview, limit: int = 0, version: int = 4) -> None: ...
    def prop(self, id: int) -> int | str | bytes | tuple[str, str] | None:
        """The first property of that identifier (0x01 to 0x2A, section 2.2.2.2), None if there is none.

        Numbers are int, UTF-8 strings str, binary data bytes, a user property (key, value).
        Raises ValueError if the standard has no such property.
        """

    def user_properties(self) -> list[tuple[str, str]]:
        """All user properties in their order: (key, value)."""

    def fill(self, stream: Stream) -> int | None:
        """Read once from the stream into the free part of the buffer.

        Returns how many bytes came; 0 at the end of the stream; None if none are there yet.
        Raises OSError as the stream does, Malformed as next() did before, ValueError if the
        buffer is full of packets that next() has not been asked for.
        """

    def next(self, callback: Callable[[str, bytes, bool], object] | None = None) -> int:
        """The type of the next packet, 0 if it is not complete yet.

        A PUBLISH larger than the buffer is returned once for each part; parts are as large as the
        buffer allows beside the topic. Raises Malformed, from then on until reset().

        callback: is called with (topic, payload, retain) for each PUBLISH of QoS 0 that is whole and has
        no topic alias, and next() goes on; it returns at the first packet that is something else, or 0.
        The attributes describe the packet meanwhile. What the callback raises ends next(); the following
        call goes on behind that packet. If it returns True, next() returns -1 at once.
        """

    def deliver(self, callback: Callable[[str, bytes, bool], object]) -> object:
        """Call it with the PUBLISH that next() has returned, and return what it returns."""

    def reset(self, version: int = 0) -> None:
        """Forget everything: for a new connection. version: 4 or 5 from now on, 0: as before."""

# Each writes one packet into buf and returns its length in bytes. Raises ValueError, and writes
# nothing, if the packet does not fit (naming need and have) or may not be sent.
#
# props: None makes a packet of MQTT 3.1.1; bytes, made with put_prop(), or b"" for no property, one of
# MQTT 5. They are checked for the packet. A code that is not 0 needs MQTT 5.

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
    props: Buffer | None = None,
    will_props: Buffer | None = None,
) -> int: ...
def connack(buf: bytearray | memoryview, session: bool, code: int, props: Buffer | None = None) -> int: ...
def publish(
    buf: bytearray | memoryview,
    topic: Text,
    payload_len: int | Text,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    id: int = 0,
    props: Buffer | None = None,
) -> int:
    """payload_len: the payload's length, and only the header is written; or the payload itself,
    which is written after it. id: 1 to 65535 for QoS 1 and 2. topic: "" only with a topic alias in props."""

def ack(buf: bytearray | memoryview, type: int, id: int, code: int = 0, props: Buffer | None = None) -> int:
    """type: PUBACK, PUBREC, PUBREL, PUBCOMP; without props also UNSUBACK. In MQTT 5 code and properties are
    left out where they say nothing, so that the packet is as short as in 3.1.1."""

def subscribe(
    buf: bytearray | memoryview, id: int, topic: Text, options: int, props: Buffer | None = None
) -> int:
    """options: the QoS; in MQTT 5 also no-local (4), retain as published (8), and retain handling << 4: 0 sends
    retained messages, 1 only if the subscription is new, 2 not."""

def suback(buf: bytearray | memoryview, id: int, codes: Buffer, props: Buffer | None = None) -> int: ...
def unsubscribe(buf: bytearray | memoryview, id: int, topic: Text, props: Buffer | None = None) -> int: ...
def unsuback(buf: bytearray | memoryview, id: int, codes: Buffer, props: Buffer) -> int:
    """Of MQTT 5; ack() makes that of 3.1.1, which has no codes."""

def disconnect(buf: bytearray | memoryview, code: int = 0, props: Buffer | None = None) -> int: ...
def auth(buf: bytearray | memoryview, code: int, props: Buffer) -> int:
    """code: 0, 0x18 (continue) or 0x19 (re-authenticate). props has the authentication method (0x15)."""

def put_prop(buf: bytearray | memoryview, at: int, id: int, value: int | Text | tuple[Text, Text]) -> int:
    """Write one property at buf[at] and return where it ends: the `at` of the next one.

    value: int, str or bytes-like; (key, value) for a user property (0x26). Raises ValueError if there is no
    such property, its value is out of range or it does not fit; TypeError if it is of another type.
    """

def match(filter: Text, topic: Text) -> bool:
    """Does a topic filter (+, #, perhaps $share/GROUP/ before it) select a topic?"""

def poke(stream: object) -> bool | None:
    """Write zero bytes to a native stream: a TLS stream then goes on with its handshake.

    Returns True once it is over, None while it is not. Raises what the stream raises."""

class Message:
    """An outgoing message of QoS 1 or 2, and the awaitable of its publisher. Made by Writer.message().

    Awaited before it is done it calls owner._await(message), which notes down the task that is running; cancelled
    before it is accepted, owner._freed(). All fields can be set.
    """

    topic: Text
    payload: str | bytes | None
    props: Buffer | None
    task: object  # the asyncio task that awaits it
    key: object  # in the spill file; for state 4 the exception that its publisher gets
    id: int  # packet identifier, 0: none yet
    flags: int  # low nibble of the PUBLISH's first byte, and 16: done for its publisher once it is accepted,
    #             32: its publisher has never seen it
    state: int  # 0 new, 1 accepted, 2 released (PUBREC has come), 3 done, 4 failed

class Writer:
    """The outgoing half of a connection.

    buf: 64 bytes or more; packets wait in it for the stream. owner: the client; its _lost(exception) is called when
    the stream raises one. slow, pause, ended: see __call__().

    What puts a packet in returns True: all is with the stream; False: taken, but something is left, so call flush()
    when the stream is writable; None: there is no room now, and nothing was taken.
    """

    left: int  # bytes that wait for the stream
    busy: bool  # a payload of the caller's is still needed
    at: int  # ticks_ms() when the stream last took something
    published: int  # PUBLISH packets taken so far; goes on with 0 after 2**30 - 1
    stream: object  # None: there is no connection

    def __init__(
        self,
        buf: bytearray,
        owner: object = None,
        slow: Callable | None = None,
        pause: Callable | None = None,
        ended: object = None,
    ) -> None: ...
    def __call__(
        self, topic: Text, payload: Text, qos: int = 0, retain: bool = False, wait: bool = True, **more
    ):
        """The client's publish(): returns what is to be awaited.

        QoS 0: `ended`, which is done; every 32nd time pause(), to let other tasks run; owner._later(payload) when
        something was left. QoS 1 and 2: a Message, after owner._admit(message). Everything that is not plain goes to
        slow() with the same arguments."""

    def attach(self, stream: object, tail: bool = False, version: int = 4) -> None:
        """A new connection, None: the end of one. tail: see coldframe/mqtt/transport.py."""

    def open(self, plain: int | None = 3, aliases: dict | None = None, aliases_max: int = 0) -> None:
        """Let messages go out. plain: 1 for QoS 0, 2 for QoS 1 and 2, if they need nothing that slow() does.
        aliases: topic -> properties with its alias."""

    def close(self) -> None:
        """No more messages until open()."""

    def write(
        self, topic: Text, payload: Text, retain: bool = False, props: Buffer | None = None
    ) -> bool | int | None:
        """A PUBLISH of QoS 0. 1 instead of True: other tasks should get a turn."""

    def message(
        self, owner: object, topic: Text, payload: Text, flags: int, props: Buffer | None = None
    ) -> Message:
        """Raises ValueError for what cannot be sent."""

    def transmit(self, message: Message) -> bool | int | None:
        """Its PUBLISH; the next time with the DUP flag. With flag 16 it is only queued, for the next flush()."""

    def free(self, message: Message) -> None:
        """It is settled: if it was never given to a publisher it is used again."""

    def ack(self, type: int, id: int, code: int = 0) -> bool:
        """Gather PUBACK, PUBREC, PUBREL or PUBCOMP for the next flush(). True as long as there is room for another;
        ValueError when there was none."""

    def put(self, packet: Buffer) -> bool | None:
        """A ready packet. One larger than buf is kept, not copied."""

    def flush(self) -> bool:
        """Write what is left. True: nothing is left."""
