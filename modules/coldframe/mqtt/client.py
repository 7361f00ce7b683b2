"""The MQTT 3.1.1 client.

Two tasks: run() makes connections and watches over them, _read() takes what the broker sends. How packets
go out is in wire.py, what waits for an acknowledgement in window.py.
"""

import asyncio
from asyncio import core
from random import getrandbits
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from coldframe import codec
from coldframe.log import getLogger
from coldframe.mqtt.window import Window
from coldframe.mqtt.wire import Wire, wake_all

_FILLS = const(4)  # buffers taken from a busy stream before the other tasks get their turn
_BURST = const(32)  # messages published before they get it
_SECURE = const(60000)  # ms; an outage that short is met with an attempt each second
_LASTING = const(5000)  # ms that a connection must have lived for the next one to be tried at once
_BACKOFF_FIRST = const(100)  # ms
_BACKOFF_MAX = const(30000)  # ms
_BACKOFF_REFUSED = const(5000)  # ms; what the broker refuses now it will hardly allow in a second
# What _subs knows about a filter: the QoS asked for; once the broker has answered, also _GRANTED, and the
# QoS granted << 5.
_GRANTED = const(0x10)
_GONE = const(-1)  # unsubscribed, but the broker does not know yet

_REFUSALS = (
    "unacceptable protocol version",
    "client identifier rejected",
    "server unavailable",
    "bad user name or password",
    "not authorised",
)
log = getLogger("mqtt")


def _finished():
    yield


# What publish() returns when nothing is left to wait for: a generator that has ended is awaited without
# allocating anything.
_DONE = _finished()
for _ in _DONE:
    pass


class MQTTError(Exception):
    """The broker refused what was asked of it."""


class Client(Wire):
    """A connection to an MQTT broker that is kept for ever.

    Args:
        transport: Tcp(host, port) or Serial(stream).
        client_id: what the broker keeps the session under; each device needs its own.
        keepalive: seconds, 0 to 65535. A dead link is noticed within 1.5 times that. 0: never, when idle.
        user, password: str or None.
        will: (topic, payload, qos, retain), published by the broker when this client vanishes; or None.
        buffer: bytes. A message that is larger is skipped, logged and counted in ``skipped``.
        window: how many QoS 1 messages may be under way at once.
        response_time: seconds. With a question open, a link that is silent for so long is dead.
        clean: True makes the broker forget session and subscriptions between two connections.
        on_message: called with (topic: str, payload: bytes, retained: bool).
        on_up, on_down: called with no argument after the connection was made, and after it was lost.

    The callbacks run between two packets and shall be quick; what takes longer, or awaits, is for
    asyncio.create_task(). on_up and on_down may be async. An error in a callback is logged.
    Attributes: ``up`` (an Event, set while connected), ``skipped``, ``dropped`` (QoS 0 messages published
    while there was no connection), ``connections`` (how many there have been).
    """

    def __init__(
        self,
        transport,
        client_id,
        *,
        keepalive=60,
        user=None,
        password=None,
        will=None,
        buffer=1024,
        window=8,
        response_time=10,
        clean=False,
        on_message=None,
        on_up=None,
        on_down=None,
    ):
        if not 0 <= keepalive <= 65535:
            raise ValueError("keepalive: expected 0 to 65535 seconds, got %r" % (keepalive,))
        topic, payload, qos, retain = will or (None, b"", 0, False)
        _check_qos(qos, "will")
        super().__init__(transport)
        self._hello = (client_id, keepalive, clean, user, password, topic, payload, qos, retain)
        self._keepalive = keepalive * 1000
        self._response = response_time * 1000
        if keepalive:
            self._response = min(self._response, keepalive * 500)
        self.on_message = on_message
        self.on_up = on_up
        self.on_down = on_down
        self.up = asyncio.Event()
        self.skipped = self.dropped = self.connections = 0

        self._rx = bytearray(buffer)
        self._decoder = codec.Decoder(self._rx)
        codec.connect(self._rx, *self._hello)  # what is wrong with it shall be known now
        self._window = Window(window)
        self._subs = {}  # filter -> see _GRANTED
        self._unasked = []  # filters that the broker is to be told about on this connection
        self._asked_subs = {}  # packet identifier -> filter
        self._answers = core.TaskQueue()  # tasks waiting for a change in it
        self._id = 0
        self._burst = 0

        self._task = None  # of run()
        self._napping = False
        self._due = 0  # when run() wakes by itself
        self._closing = False
        self._why = None  # why the connection is over; None while it is not
        self._code = None  # of CONNACK
        self._session = False
        self._live = False  # publishers may write
        self._since = 0  # when the connection was made
        self._asking = False  # an answer is due
        self._pinged = False
        self._progress = 0  # when the window last moved

    # ---- for the user

    async def connect(self, timeout=None):
        """Start, unless it has been, and wait for the connection.

        Args: timeout in seconds; None waits for ever. Returns True once up, False when the time is over;
        it goes on trying then.
        """
        if self._task is None:
            self._task = core.create_task(self.run())
        if timeout is None:
            return await self.up.wait()
        try:
            return await asyncio.wait_for(self.up.wait(), timeout)
        except asyncio.TimeoutError:
            return False

    def publish(self, topic, payload, qos=0, retain=False):
        """Publish; to be awaited.

        QoS 0: done when the stream has it; without a connection the message is dropped and counted.
        QoS 1: done when the broker has acknowledged it, however many connections that takes. Up to ``window``
        messages of several tasks are under way at once; more wait. A task that is cancelled meanwhile does
        not take its message back.

        Args: topic: str; payload: str, bytes-like; qos: 0 or 1; retain: bool.
        Raises ValueError for what cannot be sent, OSError if disconnect() comes before the acknowledgement.
        """
        _check_qos(qos, topic)
        if isinstance(payload, str):
            payload = payload.encode()
        if qos:
            return self._publish1(topic, payload, retain)
        if self._writing:
            return self._publish0(topic, payload, retain)
        n = codec.publish(self._tx, topic, len(payload), 0, retain)
        if self._live:
            self._send(n, payload)
            if self._writing:
                return self._room()
            self._burst += 1
            if self._burst >= _BURST:
                self._burst = 0
                return _pause()
        else:
            self.dropped += 1
        return _DONE

    async def subscribe(self, filter, qos=0):
        """Subscribe, now and after each reconnect, and wait for the broker's answer.

        Without a connection it is only noted down, and done as soon as there is one.

        Args: filter: topic filter, + and # allowed; qos: 0 or 1, the most that messages shall come with.
        Returns the QoS granted, or None when the answer is still to come.
        Raises MQTTError if the broker refuses, ValueError for an invalid filter.
        """
        _check_qos(qos, filter)
        codec.subscribe(self._scratch(), 1, filter, qos)  # raises when invalid
        self._subs[filter] = qos
        await self._request(filter, qos)
        got = self._subs.get(filter)
        if got is None:
            raise MQTTError("the broker refused the subscription to " + filter)
        return got >> 5 if got & _GRANTED else None

    async def unsubscribe(self, filter):
        """End a subscription; without a connection it is only noted down."""
        if filter in self._subs:
            self._subs[filter] = _GONE
            await self._request(filter, _GONE)

    async def disconnect(self):
        """Say goodbye to the broker, so that it publishes no will, and end. connect() starts anew."""
        task = self._task
        if task is None:
            return
        self._closing = True
        await self._room()
        if self._live:
            self._flush_ctl()
            await self._room()
        if self._live:
            self._write(codec.DISCONNECT_PACKET, 2, b"")
            await self._room()
        self._lost("disconnected")
        self._wake()
        while self._task is task:
            yield self._wait(self._turn)

    # ---- the service

    async def run(self):
        """Keep the connection until disconnect() or cancelled; what connect() starts."""
        if self._task is not None and self._task is not core.cur_task:
            raise RuntimeError("the MQTT client is running already")
        self._task = core.cur_task
        self._closing = False
        lost = ticks_ms()
        delay = 0
        text = None
        try:
            while not self._closing:
                refused = await self._connection()
                if self._closing:
                    break
                if self.up.is_set():
                    self._down()
                    # Not after a short life: two devices with one client identifier throw each other out.
                    if ticks_diff(ticks_ms(), self._since) > _LASTING:
                        lost = ticks_ms()
                        delay = 0
                elif self._why != text:
                    # The same reason again and again is told once.
                    log.warning("%s: %s; trying on", self._transport, self._why)
                text = self._why
                delay = self._next_delay(delay, ticks_diff(ticks_ms(), lost), refused)
                # Jitter, or all devices of a house would come back in the same millisecond.
                await self._nap(delay - delay * getrandbits(8) // 512)
                self._napping = False
        finally:
            self._napping = False
            self._over()
            self._task = None
            if self.up.is_set():
                self._down()
            self._window.release()
            wake_all(self._turn)

    def _next_delay(self, delay, outage, refused):
        if refused:
            return min(max(delay * 2, _BACKOFF_REFUSED), _BACKOFF_MAX)
        limit = 1000 if 0 <= outage < _SECURE else _BACKOFF_MAX
        return min(max(delay * 2, _BACKOFF_FIRST), limit)

    def _down(self):
        self.up.clear()
        (log.info if self._closing else log.warning)("%s: down: %s", self._transport, self._why)
        self._call(self.on_down)

    async def _connection(self):
        # One connection from start to end. Leaves the reason in _why; returns True if the broker refused.
        transport = self._transport
        self._why = self._code = None
        reader = None
        try:
            try:
                self._stream = await asyncio.wait_for_ms(transport.open(), self._response)
            except asyncio.TimeoutError:
                self._why = "no answer to the connection attempt"
                return False
            if self._closing:
                return False
            self._decoder.reset()
            self._pinged = self._asking = False
            self._in = self._out = self._progress = ticks_ms()
            self._write(self._rx, codec.connect(self._rx, *self._hello), b"")
            self._ask()
            reader = core.create_task(self._read())
            while self._why is None:
                if self._code is not None and not self._live:
                    self._begin()
                else:
                    await self._nap(self._watch())
                    self._napping = False
        except Exception as er:
            self._lost(er)
        finally:
            # The reader first: asyncio forgets a stream when one of two tasks that wait for it is cancelled.
            if reader is not None:
                reader.cancel()
            self._over()
        return bool(self._code)

    def _begin(self):
        # The broker has accepted: restore what a connection carries.
        self.connections += 1
        self._since = ticks_ms()
        self._live = True
        subs = self._subs
        for f in list(subs):
            if not self._session:
                if subs[f] == _GONE:
                    del subs[f]
                    continue
                subs[f] &= 3
            if subs[f] < _GRANTED:
                self._unasked.append(f)
        self._window.rewind()
        self._pump()
        if self._why is None:
            log.info("%s: up", self._transport)
            self.up.set()
            self._call(self.on_up)

    def _over(self):
        # The connection, or what there was of one, is closed; nobody waits for it any longer.
        self._live = False
        self._end_wire()
        self._unasked.clear()
        self._asked_subs.clear()
        wake_all(self._answers)

    def _lost(self, why):
        # From any task: the connection is over. run() does the rest.
        if self._why is None:
            self._why = why if isinstance(why, str) else _text(why)
            self._live = False
            self._wake()

    def _watch(self):
        # Look at the clocks; returns the milliseconds until the next look is due.
        now = ticks_ms()
        wait = 0x7FFFFFF
        if self._asking:
            since = self._in
            if self._window.used and ticks_diff(now, self._progress) > 6 * self._response:
                since = ticks_add(now, -self._response)
            wait = ticks_diff(since, now) + self._response
            if wait <= 0:
                self._lost("the broker does not answer")
                return 0
        if self._keepalive and not self._pinged and self._live:
            since = self._out if ticks_diff(self._in, self._out) > 0 else self._in
            due = ticks_diff(since, now) + self._keepalive * 3 // 4
            if due <= 0:
                self._pinged = True
                self._ping()
                self._ask()
                due = self._response
            wait = min(wait, due)
        return wait

    def _ask(self):
        # Something was sent that wants an answer.
        if not self._asking:
            self._asking = True
            self._in = ticks_ms()  # from here on the silence counts
            if self._napping and ticks_diff(self._due, self._in) > self._response:
                self._wake()

    def _answered(self):
        # Something was; is nothing else open?
        if not (self._pinged or self._window.used or self._asked_subs or self._unasked):
            self._asking = False

    def _nap(self, ms):
        # What run() awaits to sleep, and then sets _napping to False. A coroutine would cost memory.
        self._due = ticks_add(ticks_ms(), ms)
        self._napping = True
        return core.sleep_ms(ms)

    def _wake(self):
        if self._napping:
            self._napping = False
            task = self._task
            if task.data is None:  # else it is being cancelled, and on its way already
                core._task_queue.remove(task)
                core._task_queue.push(task)

    # ---- coming in

    async def _read(self):
        decoder = self._decoder
        stream = self._stream
        poll = self._transport.poll
        fills = 0
        try:
            while True:
                n = decoder.fill(stream)
                if n is None:
                    fills = 0
                    self._flush_ctl()
                    yield core._io_queue.queue_read(poll)
                    continue
                if not n:
                    self._lost("closed by the broker")
                    return
                self._in = ticks_ms()
                while True:
                    kind = decoder.next()
                    if kind == codec.PUBLISH and self._code is not None:
                        self._on_publish(decoder)
                    elif kind:
                        self._on_packet(kind, decoder)
                    else:
                        break
                    if self._why is not None:
                        return
                    if self._ctl_full():
                        self._flush_ctl()
                        await self._room()
                fills += 1
                if fills >= _FILLS:
                    fills = 0
                    self._flush_ctl()
                    await core.sleep_ms(0)
        except Exception as er:  # OSError, MemoryError, and Malformed, after which no byte can be trusted
            self._lost(er)

    def _on_publish(self, packet):
        if packet.part or packet.more:
            if not packet.part:
                self.skipped += 1
                n = len(packet.payload) + packet.more
                log.warning("skipped %s: %d bytes do not fit the buffer", packet.topic, n)
            if packet.more:
                return
        elif self.on_message is not None:
            try:
                self.on_message(packet.topic, packet.payload_bytes, packet.retain)
            except Exception as er:
                log.exception("on_message, topic %s", packet.topic, exc_info=er)
        qos = packet.qos
        if qos:
            # QoS 2 is asked for by no subscription of ours, but by one that the session may hold from before.
            self._control(0x40 if qos == 1 else 0x50, packet.id)

    def _on_packet(self, kind, packet):
        if (kind == codec.CONNACK) != (self._code is None):
            what = "a" if self._code is None else "no other"
            self._lost("expected %s CONNACK, got packet type %d" % (what, kind))
        elif kind == codec.PUBACK:
            if self._window.ack(packet.id):
                self._progress = self._in
                self._answered()
        elif kind == codec.PINGRESP:
            self._pinged = False
            self._answered()
        elif kind == codec.SUBACK or kind == codec.UNSUBACK:
            f = self._asked_subs.pop(packet.id, None)
            q = self._subs.get(f)
            if q is not None:
                if kind == codec.UNSUBACK:
                    if q == _GONE:
                        del self._subs[f]
                elif packet.codes[0] >= 0x80:
                    log.error("the broker refused the subscription to %s", f)
                    del self._subs[f]
                elif q != _GONE:
                    self._subs[f] = q & 3 | _GRANTED | packet.codes[0] << 5
            self._answered()
            wake_all(self._answers)
        elif kind == codec.PUBREL:
            self._control(0x70, packet.id)
        elif kind == codec.CONNACK:
            self._code = n = packet.code
            self._session = packet.session
            self._asking = False
            if n:
                # Now, and not when run() has its turn: the broker closes the connection right behind it.
                what = _REFUSALS[n - 1] if n <= len(_REFUSALS) else "unknown reason"
                self._lost("the broker refused the connection: %s (code %d)" % (what, n))
            self._wake()
        else:
            self._lost("unexpected packet of type %d" % kind)

    # ---- going out

    async def _publish0(self, topic, payload, retain):
        await self._room()
        if self._live:
            self._send(codec.publish(self._tx, topic, len(payload), 0, retain), payload)
            await self._room()
        else:
            self.dropped += 1

    async def _publish1(self, topic, payload, retain):
        if not isinstance(payload, bytes):
            payload = bytes(payload)  # it may be sent again much later, and must be the same then
        codec.publish(self._scratch(), topic, len(payload), 1, retain, False, 1)  # raises when invalid
        window = self._window
        while window.full():
            try:
                yield window.wait_space()
            except asyncio.CancelledError:
                window.pass_on()
                raise
            if self._task is None:
                raise OSError("disconnected")
        if not window.used:
            self._progress = ticks_ms()
        i = window.add(self._new_id(), topic, payload, retain)
        self._pump()
        yield window.wait(i)
        if self._task is None:
            raise OSError("disconnected")

    async def _request(self, filter, what):
        # Tell the broker, and wait until it has answered or the connection is gone.
        if self._live:
            self._unasked.append(filter)
            self._pump()
            while self._live and self._subs.get(filter) == what:
                yield self._wait(self._answers)

    def _new_id(self):
        n = self._id
        while True:
            n = n % 65535 + 1
            if n not in self._window and n not in self._asked_subs:
                self._id = n
                return n

    def _pump(self):
        # Send what waits, as far as the stream has room: subscriptions, then the window, oldest first.
        window = self._window
        while self._live and not self._writing:
            if self._unasked:
                self._send_sub(self._unasked.pop(0))
            elif window.unsent:
                i = window.next()
                if i >= 0:
                    self._send(window.encode(i, self._tx), window.payload(i))
                    self._ask()
            else:
                break

    def _send_sub(self, filter):
        qos = self._subs.get(filter, _GRANTED)
        if qos >= _GRANTED:
            return  # settled meanwhile
        n = self._new_id()
        if qos == _GONE:
            size = codec.unsubscribe(self._tx, n, filter)
        else:
            size = codec.subscribe(self._tx, n, filter, qos)
        self._asked_subs[n] = filter
        self._write(self._tx, size, b"")
        self._ask()

    # ---- helpers

    def _call(self, callback):
        if callback is not None:
            try:
                made = callback()
                if hasattr(made, "send"):
                    core.create_task(made)
            except Exception as er:
                log.exception("on_up or on_down", exc_info=er)


async def _pause():
    await core.sleep_ms(0)


def _text(er):
    text = str(er)
    return text if isinstance(er, OSError) and text else "%s: %s" % (type(er).__name__, text)


def _check_qos(qos, where):
    if qos != 0 and qos != 1:
        raise ValueError("%s: expected QoS 0 or 1, got %r (QoS 2 is not supported yet)" % (where, qos))
