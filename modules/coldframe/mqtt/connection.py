"""The connection of a Client: made, watched, given up, made again."""

import asyncio
from asyncio import core
from random import getrandbits
from time import ticks_add, ticks_diff, ticks_ms

from coldframe.mqtt.client import codec, log
from coldframe.mqtt.poller import poller
from micropython import const

_LASTING = const(5000)  # ms that a connection must have lived for the next one to be tried at once
_BACKOFF_FIRST = const(100)  # ms
_BACKOFF_MAX = const(1000)  # ms
_BACKOFF_REFUSED = const(5000)  # ms; what the broker refuses now it will hardly allow in a second
_BACKOFF_REFUSED_MAX = const(30000)  # ms
_OVER = const(4)  # as in client.py
_STREAMING = const(8)
_RELEASED = const(2)
_DUP = const(8)


class Connection:
    """What is needed from connect() on. One task, run(), does it all; what the others find out they tell it."""

    def __init__(self, client):
        self.client = client
        given = client._transport
        self._transports = given if isinstance(given, (list, tuple)) else (given,)
        client._transport = self._transports[0]
        self.next = None  # where the next connection goes instead
        self.task = None
        self._napping = False
        self._due = 0  # when run() wakes by itself
        self._since = 0  # when the connection was made
        self.session = False  # the broker has kept it
        self.asking = False  # an answer is due
        self.pinged = False
        self.progress = 0  # when the window last moved
        self.set_keepalive(client._hello[1])

    async def run(self):
        """See Client.run()."""
        client = self.client
        if self.task is not None and self.task is not core.cur_task:
            raise RuntimeError("the MQTT client is running already")
        self.task = core.cur_task
        client._closing = False
        delay = at = 0
        text = None
        try:
            while not client._closing:
                try:
                    refused = await self._one()
                    if client._closing:
                        break
                    if client.up.is_set():
                        at = 0  # the first one of several brokers is the one to be with
                        # Not after a short life: two devices with one client identifier throw each other out.
                        if ticks_diff(ticks_ms(), self._since) > _LASTING:
                            delay = 0
                        self._down()
                    else:
                        at = (at + 1) % len(self._transports)
                        if client.why != text:
                            # The same reason again and again is told once.
                            log.warning("%s: %s; trying on", client._transport, client.why)
                except MemoryError:
                    # Not even a line for the log, or a task for on_down, could be had. That passes; this task stays.
                    refused = False
                text = client.why
                client._transport = self.next or self._transports[at]
                if self.next:
                    self.next = None  # another server, which this one has sent us to: for one attempt
                    at = -1
                if refused:
                    delay = min(max(delay * 2, _BACKOFF_REFUSED), _BACKOFF_REFUSED_MAX)
                else:
                    delay = min(max(delay * 2, _BACKOFF_FIRST), _BACKOFF_MAX)
                # Jitter, or all devices of a house would come back in the same millisecond.
                await self._nap(delay - delay * getrandbits(8) // 512)
                self._napping = False
        except asyncio.CancelledError:
            if not client._closing:
                raise
        finally:
            self._napping = False
            client._closing = True
            self._over()
            self.task = None
            if client.up.is_set():
                self._down()
            for m in client._window:
                if m.task is not None:
                    core._task_queue.push(m.task)  # to be told
                    m.task = None
            wake_all(client._space)
            wake_all(client._turn)

    def _down(self):
        client = self.client
        client.up.clear()
        if "down" in client.__dict__:  # else nobody has asked for it, see api.py
            client.down.set()
        (log.info if client._closing else log.warning)("%s: down: %s", client._transport, client.why)
        tell(client.on_down)

    async def _one(self):
        # One connection from start to end. Leaves the reason in why; returns True if the broker refused.
        client = self.client
        transport = client._transport
        client.why = client._code = client._call = None
        try:
            try:
                stream = await asyncio.wait_for_ms(transport.open(), self._response)
            except asyncio.TimeoutError:
                client.why = "no answer to the connection attempt"
                return False
            if client._closing:
                return False
            self._greet(stream)
            while client.why is None:
                if client._code is not None and not client._live and not client._closing:
                    self._begin()
                else:
                    await self._nap(self._watch())
                    self._napping = False
        except Exception as er:
            self.lost(er)
        finally:
            while True:
                try:
                    self._over()
                    break
                except MemoryError:
                    # The heap is full just now; what is left half closed would be in the way of the next one.
                    await core.sleep_ms(100)
        return bool(client._code)

    def _greet(self, stream):
        # The way to the broker is there: send CONNECT.
        client = self.client
        five = client._five
        version = 5 if five else 4
        client.packet.reset(version)
        self.pinged = self.asking = False
        client._in = self.progress = ticks_ms()
        self.set_keepalive(client._hello[1])
        props = five.hello(client._hello[2]) if five else ()
        packet = bytearray(32 + sum(size(x) + 5 for x in client._hello + props))
        n = codec.connect(packet, *client._hello, *props)
        client._writer.attach(stream, client._transport.tail, version)
        client._writer.put(memoryview(packet)[:n])
        client.poll = client._transport.poll
        client._paused = 0
        poller()  # be sure that it is in its place
        client._look()
        self.ask(False)

    def _begin(self):
        # The broker has accepted: restore what a connection carries.
        client = self.client
        client.connections += 1
        self._since = ticks_ms()
        client._live = True
        if client._five:
            client._five.open(client._writer)
        else:
            client._writer.open()
        client._sent = 0
        if not self.session:
            for m in list(client._window):
                m.flags &= ~_DUP  # to the new session it is a new message
                if m.state == _RELEASED:
                    client._settle(m, None)  # the broker had it, and has forgotten only that
        if client._subs:
            client._subs.restore(self.session)
        client._pump()
        wake_all(client._turn)
        if client.why is None:
            log.info("%s: up", client._transport)
            if "down" in client.__dict__:
                client.down.clear()
            client.up.set()
            tell(client.on_up)

    def _over(self):
        # The connection, or what there was of one, is closed; nobody waits for it any longer.
        client = self.client
        client._live = False
        client._paused = _OVER
        poller().forget(client)
        client._events = 0
        client._writer.attach(None)
        client._transport.close()
        client.poll = None
        if client._partial is not None:
            from coldframe.mqtt.more import cut_off

            cut_off(client)
        if client._subs:
            client._subs.over()
        wake_all(client._turn)

    def lost(self, why):
        """The connection is over, for a reason (text) or an exception. run() does the rest."""
        client = self.client
        if client.why is None:
            try:
                if isinstance(why, codec.Malformed):
                    if client._five and client._code == 0:
                        client._five.farewell(why.args[0])
                    why = why.args[1]
                elif not isinstance(why, str):
                    explain = getattr(client._transport, "explain", None)
                    why = explain and explain(why) or text_of(why)
            except MemoryError:
                why = "not enough memory"
            client.why = why
            client._live = False
            client._writer.close()
            client._paused |= _OVER
            self.wake()

    def _watch(self):
        # Look at the clocks; returns the milliseconds until the next look is due.
        client = self.client
        now = ticks_ms()
        wait = 0x7FFFFFF
        if self.asking:
            since = client._in
            if client._window and ticks_diff(now, self.progress) > 6 * self._response:
                since = ticks_add(now, -self._response)
            wait = ticks_diff(since, now) + self._response
            if wait <= 0:
                self.lost("the broker does not answer")
                return 0
        if client._paused & _STREAMING:
            wait = ticks_diff(client._in, now) + self._response
            if wait <= 0:
                self.lost("the broker takes nothing any more")
        elif self._keepalive and not self.pinged and client._live:
            out = client._writer.at
            since = out if ticks_diff(client._in, out) > 0 else client._in
            due = ticks_diff(since, now) + self._keepalive * 3 // 4
            if due <= 0:
                if client._writer.put(b"\xc0\x00") is not None:
                    self.pinged = True
                    self.ask(False)
                    due = self._response
                elif due < -self._keepalive // 2:
                    self.lost("the broker takes nothing any more")
                else:
                    due = 1000
                client._look()
            wait = min(wait, due)
        return wait

    def set_keepalive(self, seconds):
        """The interval that counts on this connection."""
        patience = self.client._patience
        self._keepalive = seconds * 1000
        self._response = min(patience, seconds * 500 or patience)

    def send(self, packet):
        """Send a rare packet, in one piece."""
        client = self.client
        if client._paused & _STREAMING or client._writer.put(packet) is None:
            raise OSError("no room for a packet")
        client._look()

    def ask(self, first):
        """Something was sent that wants an answer. first: and no message was waiting for one."""
        if first:
            self.progress = ticks_ms()
        if not self.asking:
            client = self.client
            self.asking = True
            client._in = ticks_ms()  # from here on the silence counts
            if self._napping and ticks_diff(self._due, client._in) > self._response:
                self.wake()

    def answered(self):
        """An answer has come. Is nothing else open?"""
        client = self.client
        if not (self.pinged or client._window or client._subs and client._subs.asked):
            self.asking = False

    def settled(self):
        """A message of the window was acknowledged, or refused."""
        client = self.client
        self.progress = client._in
        if not client._window:
            self.answered()
            client._freed()
        if client._turn.peek():
            wake_all(client._turn)

    def changed(self):
        """Let those who wait for some change look."""
        wake_all(self.client._turn)

    def _nap(self, ms):
        # What run() awaits to sleep, and then sets _napping to False. A coroutine would cost memory.
        self._due = ticks_add(ticks_ms(), ms)
        self._napping = True
        return core.sleep_ms(ms)

    def wake(self):
        """Have run() look at once."""
        if self._napping:
            self._napping = False
            task = self.task
            if task.data is None:  # else it is being cancelled, and on its way already
                core._task_queue.remove(task)
                core._task_queue.push(task)


def connection(client):
    """The Connection of a client, made when it is first asked for."""
    if client._connection is None:
        client._connection = Connection(client)
        if client._spilled:
            client._spilled.attach(client._connection)
    return client._connection


async def start(client, timeout):
    """See Client.connect()."""
    c = connection(client)
    if c.task is None:
        c.task = core.create_task(c.run())
    if timeout is None:
        return await client.up.wait()
    try:
        return await asyncio.wait_for(client.up.wait(), timeout)
    except asyncio.TimeoutError:
        return False


def tell(callback):
    """Call on_up or on_down, which may be async."""
    if callback is not None:
        try:
            made = callback()
            if hasattr(made, "send"):
                core.create_task(made)
        except Exception as er:
            log.exception("on_up or on_down", exc_info=er)


def wake_all(queue):
    """Let all tasks that wait in a TaskQueue go on."""
    while queue.peek():
        core._task_queue.push(queue.pop())


def size(x):
    """Bytes that a str or bytes-like object takes; 0 for anything else."""
    if isinstance(x, str):
        return len(x.encode())
    return len(x) if isinstance(x, (bytes, bytearray, memoryview)) else 0


def text_of(er):
    """An exception as text."""
    text = str(er)
    return text if isinstance(er, OSError) and text else "%s: %s" % (type(er).__name__, text)
