"""Switches and numbers: commands come in on X/set, the state goes out on X, retained, and is there again at boot."""

import asyncio

from . import values
from .callback import arity, call
from .topic import Topic

_PATIENCE = 4  # seconds that the broker has for the last state


class TopicSet(Topic):
    """A state that is commanded.

    topic    the state is published on "./x", retained, with QoS 1; commands come in on "./x/set".
    action   called with the new state, or (topic, state), or nothing; sync or async. What it returns: None or True =
             done; False = not done, the state stays as it is; anything else = that is the state now. It may be
             left out: then the state is only kept.
    kind     "bool" (published as ON and OFF; also true, false, 1, 0 are taken), "int", "float", "str" or "choice"
             (one of choices). None: any text, as it comes.
    initial  the state when the broker has none. None: there is none until the first command.
    low, high, unit, choices   what is allowed; another command is reported and changes nothing.
    restore  whether to fetch the state at boot. A command, or set(), that comes before it wins over it.
    Other options as for Topic. Attributes: state, None while it is not known.
    """

    kind = initial = low = high = unit = choices = None
    waits = False  # who changes a state shall not hang in an outage
    state = None
    settled = False  # the state is ours; the broker's does not count any more
    _function = None
    _count = 0
    _event = None  # set when it is settled, while the broker is being asked
    _beginning = False  # the action is at work for the state at boot
    _node = None

    def __init__(
        self,
        topic,
        action=None,
        initial=None,
        kind=None,
        low=None,
        high=None,
        choices=None,
        unit=None,
        restore=True,
        every=None,
        reverse=True,
        qos=1,
        retain=True,
        **more,
    ):
        if kind is not None and kind not in values.KINDS:
            raise ValueError("topic %r: expected kind %s, got %r" % (topic, ", ".join(values.KINDS), kind))
        if kind == "choice" and not choices:
            raise ValueError("topic %r: expected choices=, the values that are allowed" % topic)
        if action is not None:
            if not callable(action):
                raise ValueError("topic %r: expected a function for action, got %r" % (topic, action))
            self._function = action
            self._count = arity(action)
        for name, value in (
            ("kind", kind),
            ("low", low),
            ("high", high),
            ("choices", choices),
            ("unit", unit),
        ):
            if value is not None:
                setattr(self, name, value)
        super().__init__(topic, self._read, self._commanded, every, reverse, qos, retain, **more)
        if initial is not None:
            self.initial = self._parse(initial)
        self.restore = restore

    def _parse(self, value):
        return values.parse(self.kind, value, self.low, self.high, self.choices, self.unit)

    def _read(self):
        # What goes out.
        if self.kind == "bool" and self.state is not None:
            return "ON" if self.state else "OFF"
        return self.state

    async def _commanded(self, payload):
        # A message on X/set. Returns what to publish.
        try:
            value = self._parse(payload)
        except ValueError as e:  # who sent it gets the state as it is
            self._node.log.warning("%s: %s", self.command, e)
            return self._read()
        self._settle()
        while self._beginning:  # or the state of before would be the last one that is brought about
            await asyncio.sleep_ms(20)
        await self._apply(value)
        return self._read()

    async def _apply(self, value):
        # Bring about a state. Returns whether that was it.
        result = None
        if self._function:
            result = await call(self._function, self._count, self.topic, value)
        if result is False:
            return False
        self.state = value if result is None or result is True else self._parse(result)
        return self.state == value

    async def set(self, value):
        """Change the state from the program itself, and publish it. Returns whether the action did it.

        Raises ValueError for a value that is not allowed, and what the action raises.
        """
        value = self._parse(value)
        self._settle()
        done = await self._apply(value)
        if self._node:
            self.value = self._read()
            await self._node.send(self, self.value)
        return done

    async def on(self):
        """set(True)"""
        return await self.set(True)

    async def off(self):
        """set(False)"""
        return await self.set(False)

    async def toggle(self):
        """The other state; on, if there is none yet."""
        return await self.set(not self.state)

    def added(self, node):
        """With nobody to ask for the last state, begin with the initial one."""
        self._node = node
        if not self.restore or not node.has_broker():
            self._settle()
            asyncio.create_task(self._begin(node, self.initial, False))

    def removed(self, node):
        """No more."""
        self._node = None
        self._settle()

    def up(self, node):
        """The connection has come up."""
        if self.settled:
            asyncio.create_task(node.force(self))  # a broker that has forgotten it is told again
        elif self._event is None:
            asyncio.create_task(self._fetch(node))

    def _settle(self):
        self.settled = True
        if self._event:
            self._event.set()

    async def _fetch(self, node):
        # The first connection since boot: ask the broker for the last state.
        name = node.resolve(self.topic)
        self._event = event = asyncio.Event()
        if node._restoring is None:
            node._restoring = {}
        node._restoring[name] = self
        client = node.client
        try:
            connections = None
            while not self.settled and connections != client.connections:  # anew, if it was lost meanwhile
                connections = client.connections
                await client.subscribe(name, 1)
                try:
                    await asyncio.wait_for(event.wait(), _PATIENCE)
                except asyncio.TimeoutError:
                    pass
        except Exception as e:
            node.report(self.topic, e, self)
        finally:
            self._event = None
            node._restoring.pop(name, None)
            if name not in node._listeners:
                try:
                    await client.unsubscribe(name)
                except Exception as e:
                    node.report(self.topic, e)
        if not self.settled and client.up.is_set():
            self.settled = True  # the broker has none
            await self._begin(node, self.initial, True)

    def restored(self, payload):
        """The broker's message with the last state."""
        if not self.settled and payload:
            try:
                value = self._parse(payload.decode() if self.kind is None else payload)
            except ValueError as e:
                self._node.log.warning("%s: the state that the broker has: %s", self.topic, e)
                return
            self._settle()
            asyncio.create_task(self._begin(self._node, value, False))

    async def _begin(self, node, value, publish):
        # The state at boot. It is published only if the broker does not have it.
        if value is None:
            return
        self._beginning = True
        try:
            if not await self._apply(value):
                publish = True
        except Exception as e:
            node.report(self.topic, e, self)
            return
        finally:
            self._beginning = False
        self.value = self._read()
        if publish:
            await node.send(self, self.value)


def _meta(more, **meta):
    given = more.get("meta")
    if given:
        meta.update(given)
    more["meta"] = {key: value for key, value in meta.items() if value is not None}
    return more


def Switch(topic, action=None, **options):
    """A TopicSet that is ON or OFF. Options as for TopicSet."""
    return TopicSet(topic, action, kind="bool", **_meta(options, kind="switch"))


def Number(topic, action=None, low=0, high=100, step=None, unit=None, kind="float", **options):
    """A TopicSet with a number. step: of the control in Home Assistant. Options as for TopicSet."""
    _meta(options, kind="number", low=low, high=high, step=step, unit=unit)
    return TopicSet(topic, action, kind=kind, low=low, high=high, unit=unit, **options)


def Select(topic, choices, action=None, **options):
    """A TopicSet with one of several values. Options as for TopicSet."""
    return TopicSet(
        topic, action, kind="choice", choices=choices, **_meta(options, kind="select", options=choices)
    )


def Text(topic, action=None, high=255, **options):
    """A TopicSet with a text. high: its most bytes. Options as for TopicSet."""
    return TopicSet(topic, action, kind="str", high=high, **_meta(options, kind="text", high=high))
