"""The MQTT client: what it needs for each message. The rest is in modules that are loaded when it is used:

    api.py                 the rest of the methods
    connection.py          makes connections and watches over them, in a task
    subs.py, messages.py   subscriptions: subscribe(), unsubscribe(), callbacks per filter; messages()
    more.py                disconnect(), drain(), publishers that have to wait, messages larger than the buffer
    streaming.py           publish_stream()
    five.py, requests.py   MQTT 5; request(), reauth()
    spilled.py             messages that are kept in a file
    answers.py             what the broker sends rarely

What the broker sends is taken in ready(), which the event loop calls directly (see poller.py); what goes out is
written by whoever publishes (class Writer).
"""

from asyncio import Event, core
from time import ticks_ms

from coldframe import forget
from coldframe.log import getLogger
from micropython import const

try:  # not through coldframe.codec: its copy of all the names is half a KB of RAM
    import mqttpacket as codec
    from mqttpacket import Writer
except ImportError:
    import coldframe.codec_py as codec
    from coldframe.mqtt.writer_py import Writer

_POLLIN = const(1)
_POLLOUT = const(4)
_FILLS = const(4)  # buffers taken from a busy stream before the other tasks get their turn
_TX = const(256)  # bytes; a packet that fits goes out in one piece, and each topic must fit

# Packet types.
_CONNACK = const(2)
_PUBLISH = const(3)
_PUBACK = const(4)
_PUBREC = const(5)
_PUBREL = const(6)
_PUBCOMP = const(7)
_SUBACK = const(9)
_UNSUBACK = const(11)
_PINGRESP = const(13)
_AUTH = const(15)

# States of a Message: accepted by the client; PUBREC has come; acknowledged; refused.
_ACCEPTED = const(1)
_RELEASED = const(2)
_DONE = const(3)
_FAILED = const(4)
_DUP = const(8)  # in its flags
_NOWAIT = const(16)  # in its flags: its publisher waits only until it is accepted
_PRIVATE = const(32)  # in its flags: nobody else has seen it

# Why ready() takes nothing more from the stream.
_FULL = const(1)  # no room for further acknowledgements
_SLOW = const(2)  # somebody who reads messages() is behind
_OVER = const(4)  # the connection is over
_STREAMING = const(8)  # a message is half sent, nothing else may be (see streaming.py)

log = getLogger("mqtt")


class MQTTError(Exception):
    """The broker refused what was asked of it."""


def _finished():
    yield


# What publish() returns when nothing is left to wait for: a generator that has ended is awaited without
# allocating anything.
_ENDED = _finished()
for _ in _ENDED:
    pass


class Client:
    """A connection to an MQTT broker that is kept for ever.

    Args:
        transport: Tcp(host, port), Serial(stream) or another one (see transport.py); a list of them: tried in
            turn, after each loss the first one first.
        client_id: what the broker keeps the session under; each device needs its own.
        version: 4 for MQTT 3.1.1, 5 for MQTT 5. A broker that knows no MQTT 5 is spoken to in 3.1.1.
        keepalive: seconds, 0 to 65535. A dead link is noticed within 1.5 times that. 0: never, when idle.
        user, password: str or None.
        will: (topic, payload, qos, retain[, props]), published by the broker when this client vanishes; or None.
        buffer: bytes. A message that is larger goes to on_large, else it is skipped, logged and counted.
        window: how many QoS 1 and 2 messages may be under way at once.
        response_time: seconds. With a question open, a link that is silent for so long is dead.
        clean: True makes the broker forget session and subscriptions between two connections.
        limit: bytes; a larger message is skipped, whatever on_large is. 0: none.
        session_expiry: MQTT 5: seconds that the broker keeps the session for. None: a day, unless clean.
        receive_max, alias: MQTT 5: how many QoS 1 and 2 messages the broker may send ahead of their
            acknowledgement, and how many topic aliases it may use.
        auth: MQTT 5: (method, data, answer) for the enhanced authentication, see five.py.
        props: MQTT 5: properties of CONNECT beyond these, as bytes.
        spill: coldframe.mqtt.spill.Spill; keeps QoS 1 and 2 messages over a restart. None: they are in RAM only.
        on_message: called with (topic: str, payload: bytes, retained: bool).
        on_large: called with (topic, offset, part, more) for each part of a message that does not fit the buffer.
            part: memoryview, valid during the call; None when the rest will not come. more: bytes still to come.
        on_up, on_down: called with no argument after the connection was made, and after it was lost.

    The callbacks run between two packets and shall be quick; no task is running then, so what takes longer, or
    awaits, is for asyncio.create_task(). on_up and on_down may be async. An error in a callback is logged.
    Methods: those below, and in api.py subscribe(), unsubscribe(), messages(), request(), publish_stream(), drain(),
    disconnect(), reauth().
    Attributes: ``up``, ``down`` (Events, set while connected, and while not), ``why`` (text, why the last connection
    ended), ``packet`` (in a callback: the message's qos, dup, retain, MQTT 5 prop() and props), ``version`` in use;
    the counters ``skipped``, ``dropped`` (QoS 0 messages that could not be delivered), ``connections``,
    ``published`` and ``received``.
    """

    _spilled = None  # of spilled.py
    _partial = None  # topic of a message that on_large has not had all of

    def __init__(
        self,
        transport,
        client_id,
        *,
        version=4,
        keepalive=60,
        user=None,
        password=None,
        will=None,
        buffer=1024,
        window=8,
        response_time=10,
        clean=False,
        limit=0,
        session_expiry=None,
        receive_max=16,
        alias=8,
        auth=None,
        props=None,
        spill=None,
        on_message=None,
        on_large=None,
        on_up=None,
        on_down=None,
    ):
        if not 0 <= keepalive <= 65535:
            raise ValueError("keepalive: expected 0 to 65535 seconds, got %r" % (keepalive,))
        if version != 4 and version != 5:
            raise ValueError("version: expected 4 (MQTT 3.1.1) or 5, got %r" % (version,))
        self._transport = transport  # the one in use, once there is a _connection
        will = will or (None, b"", 0, False)
        self._hello = (client_id, keepalive, clean, user, password) + tuple(will[:4])
        self._patience = response_time * 1000
        self.on_message = on_message
        self.on_large = on_large
        self.on_up = on_up
        self.on_down = on_down
        self.up = Event()
        self.skipped = self.dropped = self.connections = 0

        rx = bytearray(buffer)
        self.packet = codec.Decoder(rx, limit, version)
        # The writer is publish() itself: in C it does what is plain, and asks the publish() below for the rest.
        self._writer = Writer(bytearray(_TX), self, self.publish, _pause, _ENDED)
        self.publish = self._writer
        self._five = None  # what MQTT 5 needs beyond this
        hello = ()
        if version == 5:
            from coldframe.mqtt.five import Five

            will_props = will[4] if len(will) > 4 else None
            self._five = Five(self, session_expiry, receive_max, alias, auth, props, will_props, limit)
            hello = self._five.hello(clean)
        codec.connect(rx, *self._hello, *hello)  # what is wrong with it shall be known now

        # The Messages that publish() has accepted and the broker has not acknowledged, oldest first. The first
        # _sent of them have gone out on this connection.
        self._window = []
        self._size = window
        self._sent = 0
        self._quota = 65535  # how many of them the broker takes at once
        self._id = self._unused = 0  # the last one given to a packet, and how many after it are in no message
        self._space = core.TaskQueue()  # tasks waiting for room in the window
        self._turn = core.TaskQueue()  # tasks waiting for some change: they look again then
        self._held = ()  # identifiers of QoS 2 messages that were delivered and are not yet released
        self._subs = None  # of subs.py
        self._route = None  # who gets the messages instead of on_message
        self._call = None  # who gets them now; None: nobody, or there is no connection
        self._connection = None  # of connection.py, from connect() on
        self._closing = False  # disconnect() was called, or run() has ended
        self._code = None  # of CONNACK
        self._live = False  # publishers may write
        self._in = 0  # when the link last showed life
        self.why = None  # why the connection is over; None while it is not

        # The link, see poller.py.
        self.poll = None
        self.again = False
        self._events = 0
        self._paused = _OVER  # why ready() takes nothing from the stream
        if spill is not None:
            from coldframe.mqtt.spilled import Spilled

            self._spilled = Spilled(self, spill)

    def __getattr__(self, name):
        # What is rarely needed costs no memory until it is.
        from coldframe.mqtt.api import lookup

        forget("mqtt.api")
        return lookup(self, name)

    # ---- for the user

    async def connect(self, timeout=None):
        """Start, unless it has been, and wait for the connection.

        Args: timeout in seconds; None waits for ever. Returns True once up, False when the time is over;
        it goes on trying then.
        """
        from coldframe.mqtt.connection import start

        return await start(self, timeout)

    async def run(self):
        """Keep the connection until disconnect() or cancelled; what connect() starts as a task."""
        from coldframe.mqtt.connection import connection

        await connection(self).run()

    def publish(
        self,
        topic,
        payload,
        qos=0,
        retain=False,
        wait=True,
        expiry=None,
        response=None,
        correlation=None,
        props=None,
    ):
        """Publish; to be awaited, at once or as asyncio.create_task(), gather(), wait_for().

        QoS 0: done when the stream has it; without a connection the message is dropped and counted.
        QoS 1 and 2: done when the broker has acknowledged it, however many connections that takes. Up to
        ``window`` messages are under way at once; more wait. A task that is cancelled meanwhile does not take
        its message back.

        Args: topic: str; payload: str, bytes-like; qos: 0 to 2; retain: bool; wait: False for QoS 1 and 2: done
        once the client has accepted the message (drain() waits for all of them). With MQTT 5 only, else without
        effect: expiry (seconds), response (topic), correlation (bytes), props (further properties, as bytes).
        Raises ValueError for what cannot be sent, MQTTError for what the broker refuses, OSError if disconnect()
        comes before the acknowledgement.
        """
        if qos != 0 and qos != 1 and qos != 2:
            raise ValueError("%s: expected QoS 0 to 2, got %r" % (topic, qos))
        writer = self._writer
        five = self._five
        if five:
            props = five.properties(expiry, response, correlation, props)
            error = five.refuses(topic, payload, qos << 1 | (1 if retain else 0), props)
            if error:
                raise MQTTError(error)
        if qos:
            flags = qos << 1 | (1 if retain else 0) | (0 if wait else _NOWAIT)
            m = writer.message(self, topic, payload, flags, props)
            self._admit(m)
            return m if wait or not m.state else _ENDED
        done = (
            five.publish(writer, topic, payload, retain, props)
            if five
            else writer.write(topic, payload, retain)
        )
        if done is None:
            if not self._live:
                self.dropped += 1
                return _ENDED
            from coldframe.mqtt.more import publish

            self._look()
            return publish(self, topic, payload, retain, props)
        if done is True:
            return _ENDED
        return _pause() if done else self._later(payload)

    # ---- the link

    def _lost(self, why):
        # From anywhere: the connection is over, for a reason (text) or an exception.
        if self.why is None and self._connection is not None:
            self._connection.lost(why)

    def _look(self):
        # Have the stream polled for what is of interest now.
        paused = self._paused
        events = (0 if paused else _POLLIN) | (_POLLOUT if self._writer.left or paused & _FULL else 0)
        if events != self._events and self.poll is not None:
            self._events = events
            core._io_queue.watch(self, events)

    # ---- coming in

    # What runs for each message keeps its frame within 11 words (parameters, locals, stack, 3 for a try): a larger
    # one would be taken from the heap, which costs far more than the call.

    def ready(self, events):
        """Called by the event loop (see poller.py) when there is something to read, or room to write."""
        if events & ~_POLLIN:
            self._drained()
        packet = self.packet
        fills = _FILLS
        if self._code == 0:
            self._call = self._route or self.on_message
        while not self._paused:
            n = packet.next(self._call)  # which gets the messages of QoS 0 from there
            if n == _PUBLISH:
                self._message(packet)
            elif n > 0:
                self._packet(n, packet)
            elif n:
                pass  # the callback wants no more, and has set _paused
            elif fills:
                fills -= 1
                n = packet.fill(self._writer.stream)
                if not n:
                    if n is not None:
                        self._lost("closed by the broker")
                    break
                self._in = ticks_ms()
            else:
                self.again = core._io_queue.again = True
                break
        if self._window or self._writer.left or self._paused or events != _POLLIN:
            self._after()

    def _after(self):
        # What has come may have made room, or has to be answered.
        self._writer.flush()
        if self._space.peek():
            self._freed()
        if self._sent < len(self._window):
            self._pump()  # the broker may take more now
        self._look()

    def _drained(self):
        # The stream has room again.
        writer = self._writer
        left = writer.left
        if left or self._paused & _FULL:  # a publisher may have written what was left
            if writer.flush():
                self._paused &= ~_FULL
                self._pump()
            if writer.left < left:
                self._in = ticks_ms()  # that it takes more again means that the other end has taken some
            self._connection.changed()

    def failed(self, er):
        """Called when ready() has raised an exception."""
        packet = self.packet
        if packet.calling:  # it was the callback's
            self.again = core._io_queue.again = True  # there may be more in the buffer
            try:
                log.exception("on_message, topic %s", packet.topic, exc_info=er)
            except MemoryError:
                pass  # what it has raised itself, perhaps
            try:
                if packet.qos:
                    self._confirm(packet.qos, packet.id)
                return
            except Exception as again:
                er = again
        self._lost(er)  # the stream's or the decoder's: not a byte can be trusted any more
        self._look()

    def _message(self, packet):
        # One that wants an acknowledgement, or is not plain.
        if self._call is None and self._code is None:
            raise codec.Malformed(0x82, "a message came before CONNACK")
        if self._five or packet.more or packet.part or packet.skipped:
            from coldframe.mqtt.more import message

            message(self, packet)
            return
        if packet.qos != 2 or packet.id not in self._held:
            if self._call is None:
                packet.delivered += 1
            else:
                packet.deliver(self._call)
        if packet.qos:
            self._confirm(packet.qos, packet.id)

    def _confirm(self, qos, id):
        if qos == 2 and id not in self._held:
            self._held = self._held or []
            self._held.append(id)
            # Generous, for a mosquitto with a long queue forgets the limit after a reconnect; but there is an end.
            if self._five and len(self._held) > self._five.receive_max * 16:
                raise codec.Malformed(0x93, "far more messages at once than receive_max")
        self._answer(_PUBACK if qos == 1 else _PUBREC, id)

    def _answer(self, kind, id, code=0):
        if not self._writer.ack(kind, id, code) and not self._writer.flush():
            self._paused |= _FULL

    def _packet(self, kind, packet):
        if self._code is None and kind != _CONNACK and kind != _AUTH:
            raise codec.Malformed(0x82, "expected CONNACK, got packet type %d" % kind)
        if _PUBACK <= kind <= _PUBREC or kind == _PUBCOMP:
            self._acknowledged(kind, packet)
        elif kind == _PUBREL:
            id = packet.id
            if id in self._held:
                self._held.remove(id)
            self._answer(_PUBCOMP, id)
        elif kind == _PINGRESP:
            self._connection.pinged = False
            self._connection.answered()
        elif (kind == _SUBACK or kind == _UNSUBACK) and self._subs:
            self._subs.answer(kind, packet)
        else:
            # The rest is rare: the answer to our CONNECT, and what else only MQTT 5 knows.
            from coldframe.mqtt.answers import other

            forget("mqtt.answers")
            forget("mqtt.reasons")
            other(self, kind, packet)

    def _acknowledged(self, kind, packet):
        m = self._find(packet.id)
        if m is None:
            if kind == _PUBREC:
                self._answer(_PUBREL, packet.id, 0x92)
        elif packet.code >= 0x80 and kind != _PUBCOMP:
            from coldframe.mqtt.answers import refused

            refused(self, m, packet)
        elif kind == (_PUBCOMP if m.flags & 4 else _PUBACK) or kind == _PUBACK and not self._five:
            # PUBACK for QoS 2: RabbitMQ before 4.0 answers so, it knows only MQTT 3.1.1 and QoS 1.
            self._settle(m, None)
        elif kind == _PUBREC and m.flags & 4:
            self._connection.progress = self._in
            m.state = _RELEASED
            m.payload = None
            self._answer(_PUBREL, m.id)

    def _find(self, id):
        for m in self._window:  # the first, nearly always: brokers acknowledge in order
            if m.id == id:
                return m

    # ---- going out

    def _later(self, payload):
        # One has been taken, but is not yet with the stream.
        self._look()
        if isinstance(payload, (bytes, str)) or not self._writer.busy:
            return _ENDED
        from coldframe.mqtt.more import written

        return written(self)  # it must not be changed before

    def _admit(self, m):
        # A new message of QoS 1 or 2: is there room for it, and does nobody wait for that?
        if self._space.peek():
            return
        if len(self._window) < self._size:
            self._accept(m)

    def _settle(self, m, error):
        # A message has been acknowledged, or refused.
        i = self._window.index(m)
        self._window.pop(i)
        if i < self._sent:
            self._sent -= 1
        m.key = error
        m.state = _FAILED if error else _DONE
        if m.task is not None:
            core._task_queue.push(m.task)
            m.task = None
        elif m.flags & _PRIVATE:
            self._writer.free(m)
        if self._connection is not None:
            self._connection.settled()

    def _accept(self, m):
        # The window has room for it.
        m.id = self._new_id()
        m.state = _ACCEPTED
        self._window.append(m)
        if self._live:
            self._pump()

    def _await(self, m):
        # Called by a Message that is awaited and not done: has it to wait for room, or for its acknowledgement?
        if m.state and m.flags & _NOWAIT:
            return  # accepted or stored, and more is not waited for
        if self._closing:
            raise OSError("disconnected")
        if not m.state:
            if len(self._window) < self._size:
                self._accept(m)
            else:
                self._space.push(core.cur_task)
                core.cur_task.data = self._space  # where asyncio, to cancel the task, calls remove()
                return
            if m.flags & _NOWAIT:
                return
        m.task = core.cur_task
        core.cur_task.data = m

    def _freed(self):
        # Let as many publishers go on as there is room for.
        n = self._size - len(self._window)
        while n > 0 and self._space.peek():
            core._task_queue.push(self._space.pop())
            n -= 1

    def _new_id(self):
        while True:
            n = self._id = self._id % 65535 + 1
            if self._unused:
                self._unused -= 1
            else:
                # Looked up once for many identifiers: those given meanwhile are all behind this one.
                self._unused = self._distance(n)
                if not self._unused:
                    continue
                self._unused -= 1
            if not (self._subs and n in self._subs.asked):
                return n

    def _distance(self, n):
        # How many identifiers, from n on, no message of the window has.
        least = 65535
        for m in self._window:
            least = min(least, (m.id - n) % 65535)
        return least

    def _pump(self):
        # Send what waits, as far as the stream has room: subscriptions, then the window, oldest first.
        while self._live and not self._paused & _STREAMING and self._send_next():
            pass
        self._look()

    def _send_next(self):
        # True when something was sent, or settled.
        i = self._sent
        if self._subs and self._subs.unasked:
            return self._subs.ask()
        if i >= len(self._window) or i >= self._quota:
            return False
        m = self._window[i]
        if m.state == _RELEASED:
            if self._writer.left:
                return False
            self._writer.ack(_PUBREL, m.id)
            self._writer.flush()
        elif m.key is False or self._five and self._five.settles(m):
            return m.key is not False
        elif self._writer.transmit(m) is None:
            return False
        self._sent = i + 1
        self._connection.ask(not i)
        return True


async def _pause():
    await core.sleep_ms(0)
