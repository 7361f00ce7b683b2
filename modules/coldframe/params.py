"""Parameters: values that can be changed while the device runs, and are there again after a restart.

    node.param("threshold", 21.5, low=5, high=30, unit="°C", on_change=changed)
    node.params["threshold"].value
    node.params["threshold"].set(22)

They are kept in /params.json, one JSON object of names and values: only what differs from the program's default, and
what this program does not know (yet). How often a topic is published is a parameter as well: "every NAME".
"""

import asyncio
import json

import coldframe
from micropython import const

from . import clock, store, values
from .callback import COROUTINE, arity

PATH = "/params.json"
SIZE = const(8192)  # bytes that the file may have
_SOON = const(500)  # ms from a change to the flash, if that was left alone for long enough
_MONTH = const(2678400)  # s, the longest interval


class Param:
    """One parameter.

    name; default; kind ("bool", "int", "float", "str" or "choice"; None = that of the default); low, high (limits of
    a number, or of a text's length in bytes); choices (the values of "choice"); unit (for people); on_change
    (called with (name, value), (value) or nothing after a change; sync or async).
    Attributes: the same, and value.
    """

    low = high = choices = unit = on_change = None
    _count = 0

    def __init__(self, params, name, default, kind, low, high, choices, unit, on_change):
        self._params = params
        self.name = name
        self.kind = kind or ("choice" if choices else values.kind_of(default))
        if self.kind not in values.KINDS:
            raise ValueError("expected kind %s, got %r" % (", ".join(values.KINDS), kind))
        if self.kind == "str" and high is None:
            high = 255
        for key, value in (("low", low), ("high", high), ("choices", choices), ("unit", unit)):
            if value is not None:
                setattr(self, key, value)
        if on_change is not None:
            self.on_change = on_change
            self._count = arity(on_change)
        self.default = self.value = self.parse(default)

    def parse(self, value):
        """The value that a text or a JSON value stands for. Raises ValueError if it is not allowed."""
        return values.parse(self.kind, value, self.low, self.high, self.choices, self.unit)

    def set(self, value):
        """Change it. Raises ValueError with what is allowed. Returns whether it has changed."""
        try:
            return self._params.put({self.name: value})
        except KeyError:
            raise ValueError("%s: is not a parameter any more" % self.name)

    def describe(self):
        """What there is to know about it, as a dict."""
        found = {"name": self.name, "value": self.value, "kind": self.kind}
        for key in ("default", "low", "high", "choices", "unit"):
            value = getattr(self, key)
            if value is not None:
                found[key] = value
        return found

    def __repr__(self):
        return "Param(%r, %r)" % (self.name, self.value)


class Interval(Param):
    """How often a Topic is published ("every NAME") or read ("read_every NAME"); 0 = never. Made when asked for."""

    kind = "float"
    low = 0
    high = _MONTH
    unit = "s"
    default = None

    def __init__(self, params, topic, which):
        self._params = params
        self._topic = topic
        self._which = which
        self.name = which + " " + short(topic)

    @property
    def value(self):
        """Seconds."""
        return getattr(self._topic if self._which == "every" else self._topic.timing, self._which)

    @value.setter
    def value(self, seconds):
        whole = int(seconds)
        setattr(
            self._topic if self._which == "every" else self._topic.timing,
            self._which,
            whole if whole == seconds else seconds,
        )
        self._topic.due = None  # the schedule begins anew
        self._params.node.due = 0


def short(topic):
    """The name of a Topic as the parameters have it: without "./"."""
    name = topic.topic
    return name[2:] if name.startswith("./") else name


class Params:
    """The parameters of a node; node.params. Like a dict of name -> Param.

    node: the Node. path: the file. Reads the file; what is wrong with it is in node.errors then.
    """

    def __init__(self, node, path=PATH):
        self.node = node
        self.path = path
        self._known = {}  # name -> Param
        self._saved = {}  # what the file holds, or is to hold
        self._dirty = False
        self._task = None  # that will write the file
        self._written = None  # clock.ms() of the last time it did
        self._telling = False
        self._load()
        for topic in node.topics:
            self.apply(topic)
        node.on("stop", self.save)
        node.on("sound", self._keep)

    # Like a dict.

    def __getitem__(self, name):
        found = self._known.get(name)
        if found is None:
            parts = name.split(" ", 1)
            for topic in self.node.topics:
                if short(topic) == parts[-1] and parts[0] in _intervals(topic):
                    return Interval(self, topic, parts[0])
            raise KeyError(name)
        return found

    def __contains__(self, name):
        try:
            self[name]
            return True
        except KeyError:
            return False

    def __iter__(self):
        names = list(self._known)
        for topic in self.node.topics:
            for which in _intervals(topic):
                names.append(which + " " + short(topic))
        return iter(sorted(names))

    def declared(self):
        """Those that the program has declared, as a list of Params in an order that does not change."""
        return [self._known[name] for name in sorted(self._known)]

    def values(self):
        """All of them, as a dict of name -> value."""
        return {name: self[name].value for name in self}

    def show(self):
        """Print them for a person at the REPL."""
        for name in self:
            p = self[name]
            print(
                "%-24s %-12s %s" % (name, p.value, values.expected(p.kind, p.low, p.high, p.choices, p.unit))
            )

    # Changes.

    def add(self, name, default, kind=None, low=None, high=None, choices=None, unit=None, on_change=None):
        """Declare a parameter: see Param. Its value is the one of the file, if that is allowed, else the default.

        Declared again under the same name (by a program that starts anew), it takes the place of the first one.
        Raises ValueError for a declaration that makes no sense.
        """
        try:
            if not isinstance(name, str) or not 0 < len(name) <= 64:
                raise ValueError("expected a name of 1 to 64 characters")
            param = Param(self, name, default, kind, low, high, choices, unit, on_change)
        except ValueError as e:
            raise ValueError("parameter %s: %s" % (name, e))
        new = name not in self._known
        self._known[name] = param
        if new:
            self.node.emit("newparam", param)
        if name in self._saved:
            try:
                param.value = param.parse(self._saved[name])
            except ValueError as e:
                self._wrong(name, e)
        return param

    def apply(self, topic):
        """Give a Topic the intervals that were saved for it."""
        for which in _intervals(topic):
            param = Interval(self, topic, which)
            if param.name in self._saved:
                try:
                    param.value = param.parse(self._saved[param.name])
                except ValueError as e:
                    self._wrong(param.name, e)

    def put(self, wanted):
        """Change several, all or none.

        wanted: dict of name -> value; a text stands for the value that it spells. Returns whether anything has
        changed. Raises ValueError, whose text names all that is wrong, one per line, and nothing has changed then;
        KeyError if it is one single name that is unknown.
        """
        wrong = []
        changes = []
        for name, value in wanted.items():
            try:
                param = self[name]
                value = param.parse(value)
                if value != param.value or isinstance(value, bool) != isinstance(param.value, bool):
                    changes.append((param, value))
            except KeyError:
                if len(wanted) == 1:
                    raise
                wrong.append("%s: there is no such parameter" % name)
            except ValueError as e:
                wrong.append("%s: %s" % (name, e))
        if wrong:
            raise ValueError("\n".join(wrong))
        for param, value in changes:
            param.value = value
            if value == param.default:
                self._saved.pop(param.name, None)
            else:
                self._saved[param.name] = value
        for param, value in changes:
            self._changed(param, value)
        if changes:
            self._touch()
        return bool(changes)

    def drop(self, name):
        """Back to the default (an interval: after the next start), and out of the file, declared or not."""
        param = self._known.get(name)
        if param is not None:
            self.put({name: param.default})
        if self._saved.pop(name, None) is not None:
            self._touch()

    def _changed(self, param, value):
        # Tell everybody.
        node = self.node
        node.log.info("parameter %s = %s", param.name, value)
        if param.on_change:
            args = (param.name, value)[2 - param._count :]
            try:
                result = param.on_change(*args)
                if isinstance(result, COROUTINE):
                    asyncio.create_task(node._hooked("parameter " + param.name, result))
            except Exception as e:
                node.report("parameter " + param.name, e)
        node.emit("param", param)
        if not self._telling and node.client and node.client.up.is_set():
            self._telling = True
            asyncio.create_task(self._tell())

    async def _tell(self):
        # Once for all that was changed at once.
        self._telling = False
        await self.publish()

    async def publish(self):
        """Publish all of them on ./PARAMS."""
        try:
            await self.node.publish("./PARAMS", self.values())
        except Exception as e:
            self.node.report("./PARAMS", e)

    # The file.

    def _touch(self):
        self._dirty = True
        if self.node.paused:  # at the REPL, where no task runs
            self.save()
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())

    async def _write(self):
        # Write the file soon, but not more often than the configuration says.
        while self._dirty:
            wait = _SOON
            if self._written is not None:
                every = self.node.config["params.save"] * 1000
                wait = max(wait, self._written + every - clock.ms())
            await asyncio.sleep_ms(wait)
            self.save()

    def save(self):
        """Write the file now, if something has changed. Returns whether all is on the flash."""
        if not self._dirty:
            return True
        self._written = clock.ms()
        try:
            data = _dumps(self._saved).encode()
            if len(data) > SIZE:
                self._dirty = False
                raise OSError("expected at most %d bytes, got %d" % (SIZE, len(data)))
            if store.read(self.path) != data:  # there and back again
                store.write(self.path, data)
                if not store.exists(_beside(self.path, "bak")):
                    self._keep()
        except (OSError, MemoryError) as e:  # _write() tries again
            self.node.report(self.path, e)
            return False
        self._dirty = False
        return True

    def _keep(self):
        # The file is good: keep a copy for the day when it is not.
        good = _beside(self.path, "bak")
        try:
            if store.exists(self.path) and not store.same(self.path, good):
                store.copy(self.path, good)
        except OSError as e:
            self.node.report(good, e)

    def _load(self):
        starved = False
        for path in (self.path, _beside(self.path, "bak")):
            try:
                data = store.read(path, SIZE)
                if data is None:
                    return
                data = json.loads(data)
                if not isinstance(data, dict):
                    raise ValueError
                self._saved = data
                if path != self.path and not starved:
                    store.copy(path, self.path)
                return
            except MemoryError:  # the file is as good as it was: the next start may have room for it
                starved = True
                self._wrong(path, "too little memory to read it; the last good copy is used")
            except (OSError, ValueError) as e:
                why = e if isinstance(e, OSError) else "expected a JSON object of at most %d bytes" % SIZE
                self._wrong(path, "%s; the last good copy is used" % why)
                if path == self.path:
                    try:
                        store.copy(path, _beside(path, "broken"))
                    except OSError as e:
                        self._wrong(_beside(path, "broken"), e)

    def _wrong(self, what, why):
        text = "%s: %s" % (what, why)
        self.node.log.error(text)
        self.node._error(text)


def _intervals(topic):
    # Which intervals a Topic has.
    timing = topic.timing
    if topic.every is None:
        return ("read_every",) if timing and timing.read_every is not None else ()
    return ("every", "read_every") if timing and timing.read_every is not None else ("every",)


def _beside(path, end):
    return path.rsplit(".", 1)[0] + "." + end


def _dumps(data):
    # JSON, one line per name, always in the same order.
    lines = ["%s: %s" % (json.dumps(name), json.dumps(data[name])) for name in sorted(data)]
    return "{%s}\n" % ",\n ".join(lines)


def show():
    """Print the parameters of the node."""
    if coldframe.node is None:
        raise RuntimeError("there is no node yet; expected coldframe.Node() before")
    coldframe.node.params.show()
