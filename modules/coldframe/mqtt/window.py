"""The QoS 1 messages that publish() has accepted and the broker has not yet acknowledged, oldest first."""

from asyncio import core
from micropython import const

from coldframe import codec

# A ring in one flat list, allocated once; these are the fields of an entry.
_ID = const(0)  # packet identifier, 0 when acknowledged
_TOPIC = const(1)
_PAYLOAD = const(2)
_RETAIN = const(3)
_SENT = const(4)  # True once it was given to a stream: sent again, it bears the DUP flag
_TASK = const(5)  # the task that awaits the acknowledgement, or None
_FIELDS = const(6)


class Window:
    """Holds up to ``size`` messages. One that is added stays until it is acknowledged."""

    def __init__(self, size):
        self.size = size
        self.used = 0  # entries in the ring, from _head on
        self.unsent = 0  # how many of them, at the end, this connection has not carried yet
        self._head = 0
        self._ring = [None] * (size * _FIELDS)
        self._space = core.TaskQueue()

    def full(self):
        return self.used >= self.size

    def __contains__(self, id):
        ring = self._ring
        for i in range(_ID, len(ring), _FIELDS):
            if ring[i] == id:
                return True
        return False

    def add(self, id, topic, payload, retain):
        """Append a message, unsent. The caller has made sure that there is room."""
        i = self._at(self.used)
        ring = self._ring
        ring[i] = id
        ring[i + _TOPIC] = topic
        ring[i + _PAYLOAD] = payload
        ring[i + _RETAIN] = retain
        ring[i + _SENT] = False
        ring[i + _TASK] = None
        self.used += 1
        self.unsent += 1
        return i

    def next(self):
        """Return the index of the oldest unsent message, or -1, and count it as sent."""
        while self.unsent:
            i = self._at(self.used - self.unsent)
            self.unsent -= 1
            if self._ring[i]:
                return i
        return -1

    def rewind(self):
        """A new connection: everything is to be sent again, in the old order."""
        self.unsent = self.used

    def ack(self, id):
        """Strike the message out and wake who awaits it. Returns False when there is no such message."""
        ring = self._ring
        for n in range(self.used):  # the first, nearly always: brokers acknowledge in order
            i = self._at(n)
            if ring[i] == id:
                break
        else:
            return False
        ring[i] = 0
        ring[i + _TOPIC] = ring[i + _PAYLOAD] = None
        task = ring[i + _TASK]
        if task is not None:
            ring[i + _TASK] = None
            core._task_queue.push(task)
        while self.used and not ring[self._head]:
            self._head = (self._head + _FIELDS) % len(ring)
            if self.unsent == self.used:
                self.unsent -= 1
            self.used -= 1
            if self._space.peek():
                core._task_queue.push(self._space.pop())
        return True

    def wait(self, i):
        """``yield`` this to wait for the acknowledgement of the message at index ``i``."""
        self._ring[i + _TASK] = core.cur_task
        core.cur_task.data = self  # where asyncio, to cancel the task, calls remove()

    def wait_space(self):
        """``yield`` this to wait until an entry becomes free (look again afterwards)."""
        self._space.push(core.cur_task)
        core.cur_task.data = self._space

    def pass_on(self):
        """Wake the next task that waits for space: the one that was woken for it has been cancelled."""
        if not self.full() and self._space.peek():
            core._task_queue.push(self._space.pop())

    def remove(self, task):
        """The waiting task was cancelled; its message stays accepted all the same."""
        ring = self._ring
        for i in range(_TASK, len(ring), _FIELDS):
            if ring[i] is task:
                ring[i] = None

    def release(self):
        """Wake every waiting task, for the client ends."""
        ring = self._ring
        for i in range(_TASK, len(ring), _FIELDS):
            if ring[i] is not None:
                core._task_queue.push(ring[i])
                ring[i] = None
        while self._space.peek():
            core._task_queue.push(self._space.pop())

    def encode(self, i, buf):
        """Write the PUBLISH header of the message at index ``i`` into ``buf``, and mark it as sent.

        Returns the header's length.
        """
        ring = self._ring
        dup = ring[i + _SENT]
        ring[i + _SENT] = True
        size = len(ring[i + _PAYLOAD])
        return codec.publish(buf, ring[i + _TOPIC], size, 1, ring[i + _RETAIN], dup, ring[i])

    def payload(self, i):
        return self._ring[i + _PAYLOAD]

    def _at(self, n):
        return (self._head + n * _FIELDS) % len(self._ring)
