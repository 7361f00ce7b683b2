"""The connection of a Client: made, watched, given up, made again."""

import asyncio
from asyncio import core
from random import getrandbits
from time import ticks_add, ticks_diff, ticks_ms

from coldframe.log import getLogger
from coldframe.mqtt.poller import poller
from micropython import const

try:
    import mqttpacket as codec
except ImportError:
    import coldframe.codec_py as codec

_POLLIN = const(1)
_POLLOUT = const(4)
_LASTING = const(5000)  # ms that a connection must have lived for the next one to be tried at once
_BACKOFF_FIRST = const(100)  # ms
_BACKOFF_MAX = const(1000)  # ms
_BACKOFF_REFUSED = const(5000)  # ms; what the broker refuses now it will hardly allow in a second
_BACKOFF_REFUSED_MAX = const(30000)  # ms
_OVER = const(4)  # as in client.py
_STREAMING = const(8)

log = getLogger("mqtt")


class Connection:
    """Base of Client, which gives _begin() and ready(), and has the fields."""

    async def run(self):
        """Keep the connection until disconnect() or cancelled; what connect() starts."""
        if self._task is not None and self._task is not core.cur_task:
            raise RuntimeError("the MQTT client is running already")
        self._task = core.cur_task
        self._closing = False
        delay = at = 0
        text = None
        try:
            while not self._closing:
                refused = await self._connection()
                if self._closing:
                    break
                if self.up.is_set():
                    self._down()
                    at = 0  # the first one of several brokers is the one to be with
                    # Not after a short life: two devices with one client identifier throw each other out.
                    if ticks_diff(ticks_ms(), self._since) > _LASTING:
                        delay = 0
                else:
                    if self.why != text:
                        # The same reason again and again is told once.
                        log.warning("%s: %s; trying on", self._transport, self.why)
                    at = (at + 1) % len(self._transports)
                text = self.why
                self._transport = self._next or self._transports[at]
                if self._next:
                    self._next = None  # another server, which this one has sent us to: for one attempt
                    at = -1
                if refused:
                    delay = min(max(delay * 2, _BACKOFF_REFUSED), _BACKOFF_REFUSED_MAX)
                else:
                    delay = min(max(delay * 2, _BACKOFF_FIRST), _BACKOFF_MAX)
                # Jitter, or all devices of a house would come back in the same millisecond.
                await self._nap(delay - delay * getrandbits(8) // 512)
                self._napping = False
        except asyncio.CancelledError:
            if not self._closing:
                raise
        finally:
            self._napping = False
            self._closing = True
            self._over()
            self._task = None
            if self.up.is_set():
                self._down()
            for m in self._window:
                task = m.task
                if task is not None:
                    m.task = None
                    core._task_queue.push(task)  # to be told
            wake_all(self._space)
            wake_all(self._turn)

    def _down(self):
        self.up.clear()
        self.down.set()
        (log.info if self._closing else log.warning)("%s: down: %s", self._transport, self.why)
        self._tell(self.on_down)

    async def _connection(self):
        # One connection from start to end. Leaves the reason in why; returns True if the broker refused.
        transport = self._transport
        five = self._five
        self.version = version = 5 if five else 4
        self.why = self._code = self._call = None
        try:
            try:
                self._stream = await asyncio.wait_for_ms(transport.open(), self._response)
            except asyncio.TimeoutError:
                self.why = "no answer to the connection attempt"
                return False
            if self._closing:
                return False
            self.packet.reset(version)
            self._pinged = self._asking = False
            self._in = self._progress = ticks_ms()
            self._set_keepalive(self._hello[1])
            self._writer.attach(self._stream, transport.tail, version)
            n = codec.connect(self._rx, *self._hello, *(five.hello(self._hello[2]) if five else ()))
            self._writer.put(bytes(memoryview(self._rx)[:n]))
            self.poll = transport.poll
            self._paused = 0
            self._look()
            self._ask()
            while self.why is None:
                if self._code is not None and not self._live:
                    self._begin()
                else:
                    await self._nap(self._watch())
                    self._napping = False
        except Exception as er:
            self._lost(er)
        finally:
            self._over()
        return bool(self._code)

    def _over(self):
        # The connection, or what there was of one, is closed; nobody waits for it any longer.
        self._live = False
        self._paused = _OVER
        poller().forget(self)
        self._events = 0
        self._writer.attach(None)
        self._transport.close()
        self.poll = self._stream = None
        if self._partial is not None:
            from coldframe.mqtt.more import cut_off

            cut_off(self)
        if self._subs:
            self._subs.over()
        wake_all(self._turn)

    def _lost(self, why):
        # From anywhere: the connection is over, for a reason (text) or an exception. run() does the rest.
        if self.why is None:
            if isinstance(why, codec.Malformed):
                if self._five and self._code == 0:
                    self._five.farewell(why.args[0])
                why = why.args[1]
            elif not isinstance(why, str):
                explain = getattr(self._transport, "explain", None)
                why = explain and explain(why) or _text(why)
            self.why = why
            self._live = False
            self._paused |= _OVER
            self._wake()

    def _watch(self):
        # Look at the clocks; returns the milliseconds until the next look is due.
        now = ticks_ms()
        wait = 0x7FFFFFF
        if self._asking:
            since = self._in
            if self._window and ticks_diff(now, self._progress) > 6 * self._response:
                since = ticks_add(now, -self._response)
            wait = ticks_diff(since, now) + self._response
            if wait <= 0:
                self._lost("the broker does not answer")
                return 0
        if self._paused & _STREAMING:
            wait = ticks_diff(self._in, now) + self._response
            if wait <= 0:
                self._lost("the broker takes nothing any more")
        elif self._keepalive and not self._pinged and self._live:
            out = self._writer.at
            since = out if ticks_diff(self._in, out) > 0 else self._in
            due = ticks_diff(since, now) + self._keepalive * 3 // 4
            if due <= 0:
                if self._writer.put(b"\xc0\x00") is not None:
                    self._pinged = True
                    self._ask()
                    due = self._response
                elif due < -self._keepalive // 2:
                    self._lost("the broker takes nothing any more")
                else:
                    due = 1000
                self._look()
            wait = min(wait, due)
        return wait

    def _set_keepalive(self, seconds):
        self._keepalive = seconds * 1000
        self._response = min(self._patience, seconds * 500 or self._patience)

    def _send(self, packet):
        # A rare packet, in one piece.
        if self._paused & _STREAMING or self._writer.put(packet) is None:
            raise OSError("no room for a packet")
        self._look()

    def _ask(self):
        # Something was sent that wants an answer.
        if not self._asking:
            self._asking = True
            self._in = ticks_ms()  # from here on the silence counts
            if self._napping and ticks_diff(self._due, self._in) > self._response:
                self._wake()

    def _answered(self):
        # Something was; is nothing else open?
        if not (self._pinged or self._window or self._subs and self._subs.asked):
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

    def _look(self):
        # Have the stream polled for what is of interest now.
        events = (0 if self._paused else _POLLIN) | (_POLLOUT if self._writer.left else 0)
        if events != self._events and self.poll is not None:
            self._events = events
            poller().watch(self, events)

    def _tell(self, callback):
        if callback is not None:
            try:
                made = callback()
                if hasattr(made, "send"):
                    core.create_task(made)
            except Exception as er:
                log.exception("on_up or on_down", exc_info=er)


def wake_all(queue):
    while queue.peek():
        core._task_queue.push(queue.pop())


def _text(er):
    text = str(er)
    return text if isinstance(er, OSError) and text else "%s: %s" % (type(er).__name__, text)
