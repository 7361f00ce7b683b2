"""Client.messages(): the messages of one filter, to be iterated over."""

from asyncio import core

from coldframe.mqtt.poller import poller
from coldframe.mqtt.subs import Subs
from micropython import const

_SLOW = const(2)  # as in client.py
_PATIENCE = const(100)  # ms; how often to look whether the broker's answers must be read all the same


class Messages:
    """Holds up to ``size`` messages; then the client stops reading, so that the broker has to wait.

    A consumer that itself awaits an acknowledgement would wait for ever then. So while an answer is outstanding
    reading goes on after a short time: messages of QoS 0 for which there is no room are dropped, and counted in
    the client's ``dropped``; those of QoS 1 and 2, of which a broker sends only a few ahead, are kept.
    """

    def __init__(self, client, filter, qos, size):
        if size < 1:
            raise ValueError("size: expected 1 or more, got %r" % (size,))
        self._client = client
        self._filter = filter
        self._qos = qos
        self._size = size
        self._queue = []
        self._callback = (
            self._put
        )  # each mention of a method makes another object, and one must be known again
        self._waiting = core.TaskQueue()  # who waits for a message
        self._asked = self._closed = self._guarded = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        client = self._client
        if not self._asked and not self._closed:
            self._asked = True
            if client._subs is None:
                client._subs = Subs(client)
            client._subs.add_route(self._filter, self._callback)
            await client.subscribe(self._filter, self._qos)
        queue = self._queue
        while not queue:
            if self._closed:
                raise StopAsyncIteration
            self._waiting.push(core.cur_task)
            core.cur_task.data = self._waiting  # where asyncio, to cancel the task, calls remove()
            yield
        item = queue.pop(0)
        if client._paused & _SLOW and len(queue) < self._size:
            self._read_on()
        return item

    def close(self):
        """End the iteration, and the subscription."""
        if not self._closed:
            self._closed = True
            client = self._client
            if self._asked and client._subs.drop_route(self._filter, self._callback):
                core.create_task(client.unsubscribe(self._filter))
            self._queue.clear()
            while self._waiting.peek():
                core._task_queue.push(self._waiting.pop())
            if client._paused & _SLOW:
                self._read_on()

    def _put(self, topic, payload, retained):
        # A message has come. Called by Subs.route().
        client = self._client
        queue = self._queue
        if len(queue) >= self._size and not client.packet.qos:
            client.dropped += 1
            return
        queue.append((topic, payload))
        if self._waiting.peek():
            core._task_queue.push(self._waiting.pop())
        if len(queue) >= self._size:
            if not client._connection.asking:
                client._paused |= _SLOW
            if not self._guarded:
                self._guarded = True
                core.create_task(self._guard())

    async def _guard(self):
        # While the queue is full: no reading but for answers.
        client = self._client
        while len(self._queue) >= self._size:
            await core.sleep_ms(_PATIENCE)
            if client._connection.asking:
                if client._paused & _SLOW:
                    self._read_on()
            elif len(self._queue) >= self._size:
                client._paused |= _SLOW
                client._look()
        self._guarded = False

    def _read_on(self):
        client = self._client
        client._paused &= ~_SLOW
        if client.poll is not None:
            client._look()
            client.again = poller().again = True  # there may be packets in the buffer
