"""Topics of pins that report by themselves."""

import asyncio
from array import array
from time import ticks_diff, ticks_ms

from .callback import arity, call
from .topic import Topic


class TopicIrq(Topic):
    """A Topic that publishes each change of a pin.

    pin      machine.Pin, an input.
    trigger  machine.Pin.IRQ_RISING, IRQ_FALLING or both (None).
    values   what is published for a low and for a high pin; None = 0 and 1.
    hold     seconds for which the pin must stay low until that is published: what goes high again meanwhile (a
             motion sensor, a button that bounces) has not been low.
    buffer   edges that may wait until the program comes to them. More are lost and counted in .lost.
    action   called for each edge, with (topic, value), (value) or nothing; sync or async.
    read     what to publish on demand; None = the level of the pin.
    Other options as for Topic. With both edges, the level is published as well when the connection comes up.

    The interrupt handler only writes the level and the time into a buffer that is there already: it allocates
    nothing, so it works as a hard interrupt, too.
    """

    values = _action = None
    hold = _count = 0
    _service = None

    def __init__(
        self,
        topic,
        pin,
        trigger=None,
        values=None,
        hold=0,
        buffer=10,
        action=None,
        read=None,
        hard=False,
        **options,
    ):
        if values is not None and (isinstance(values, (str, bytes)) or len(values) != 2):
            raise ValueError(
                "topic %r: expected two values, for a low and a high pin, got %r" % (topic, values)
            )
        if not isinstance(buffer, int) or not 1 <= buffer <= 1000:
            raise ValueError("topic %r: expected a buffer of 1 to 1000 edges, got %r" % (topic, buffer))
        if not isinstance(hold, (int, float)) or hold < 0:
            raise ValueError("topic %r: hold= is a number of seconds, got %r" % (topic, hold))
        super().__init__(topic, read or self._level, None, **options)
        self.pin = pin
        if values is not None:
            self.values = values
        if hold:
            self.hold = int(hold * 1000)
        if action is not None:
            self._action = action
            self._count = arity(action)
        both = pin.IRQ_RISING | pin.IRQ_FALLING
        self.trigger = trigger or both
        self._hard = hard
        # The ring: one place more than what may wait. The handler moves _in, the service _out.
        self._levels = bytearray(buffer + 1)
        self._times = array("i", (0 for _ in range(buffer + 1)))
        self._in = self._out = 0
        self.lost = 0  # here, not in the class: the handler must find room for it
        self._flag = asyncio.ThreadSafeFlag()

    def added(self, node):
        """Listen to the pin."""
        self._node = node
        self._service = node.service(self.topic, self._run)
        if self._hard:
            self.pin.irq(self._edge, self.trigger, hard=True)
        else:
            self.pin.irq(self._edge, self.trigger)

    def removed(self, node):
        """Leave the pin alone."""
        self.pin.irq(None)
        service = self._service
        if service:
            if service.task:
                service.task.cancel()
            if service in node.services:
                node.services.remove(service)

    def up(self, node):
        """The connection has come up."""
        if self.trigger == self.pin.IRQ_RISING | self.pin.IRQ_FALLING:
            asyncio.create_task(node.force(self))

    def _edge(self, pin):
        # The interrupt handler.
        i = self._in
        n = i + 1
        if n == len(self._levels):
            n = 0
        if n == self._out:
            self.lost += 1
        else:
            self._levels[i] = pin.value()
            self._times[i] = ticks_ms()
            self._in = n
        self._flag.set()

    def _level(self):
        return self._word(self.pin.value())

    def _word(self, level):
        return self.values[level] if self.values else level

    async def _run(self):
        # Pass on what the handler has noted.
        told = 0
        while True:
            if self._in == self._out:
                await self._flag.wait()
            if self.lost != told:
                self._node.log.warning("%s: %d edges came too fast", self.topic, self.lost - told)
                told = self.lost
            if self._in == self._out:
                continue
            i = self._out
            level = self._levels[i]
            began = self._times[i]
            self._out = i + 1 if i + 1 < len(self._levels) else 0
            value = self._word(level)
            if not self.hold or (level or await self._stays_low(began)) and value != self.value:
                await self._tell(value)

    async def _stays_low(self, began):
        # Whether the pin is low for as long as it must be.
        while self._in == self._out:
            left = self.hold - ticks_diff(ticks_ms(), began)
            if left <= 0:
                return not self.pin.value()
            try:
                await asyncio.wait_for_ms(self._flag.wait(), left)
            except asyncio.TimeoutError:
                pass
        # The next edge: back up, or a bounce that was noted with the level after it.
        return ticks_diff(self._times[self._out], began) >= self.hold

    async def _tell(self, value):
        node = self._node
        self.value = value
        try:
            if self._action:
                await call(self._action, self._count, self.topic, value)
        except Exception as e:
            node.report(self.topic, e, self)
        await node.send(self, value)
        if self.event:
            self.event.set()
            self.event.clear()
