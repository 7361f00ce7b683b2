"""What all sensors have in common: the topic, the schedule, rounding and correction, one reading for several values."""

import asyncio

from coldframe import clock
from coldframe.components import node, topic_of
from coldframe.topic import Topic


class Sensor:
    """Base class of sensors. A sensor of your own has KEYS and measure().

    KEYS: rows of (key, unit, device class, digits after the point): what is measured. Unit and device class are
    those of Home Assistant, "" = none. With one row whose key is "", the topic carries the bare number, else a JSON
    object with these keys.
    measure(): coroutine that returns the values in the order of KEYS, None for what could not be measured.

    topic          where the values go; "./NAME" of the component if it is left out.
    every          seconds between two readings, None = only when asked for on the reverse topic.
    precision      digits after the point, for all values or {"key": digits}.
    offset         is added to each value: a number, or {"key": number}.
    friendly_name  what people call it in Home Assistant.
    Other options are those of coldframe.Topic.
    """

    KEYS = ()
    precision = offset = friendly_name = None
    _values = _at = None
    _busy = False

    def __init__(self, topic=None, every=60, precision=None, offset=None, friendly_name=None, **options):
        for what, given in (("precision", precision), ("offset", offset)):
            if given is not None:
                self._check(what, given)
                setattr(self, what, given)
        if friendly_name is not None:
            self.friendly_name = friendly_name
        topic = Topic(topic_of(self, topic), read=self.read, every=every, **options)
        topic.meta = self.meta
        self.topic = node().add(topic)

    def _check(self, what, given):
        keys = [row[0] for row in self.KEYS]
        for key in given if isinstance(given, dict) else ():
            if key not in keys:
                raise ValueError("%s: expected one of %s, got %r" % (what, ", ".join(keys), key))
        for number in given.values() if isinstance(given, dict) else (given,):
            if not isinstance(number, int if what == "precision" else (int, float)):
                raise ValueError("%s: expected a number, got %r" % (what, number))

    def _option(self, given, key, default):
        if isinstance(given, dict):
            given = given.get(key)
        return default if given is None else given

    async def measure(self):
        """Measure once: the values in the order of KEYS. To be written by the class that is derived from this one."""
        raise NotImplementedError

    async def values(self, max_age=0):
        """All values as a dict, corrected and rounded.

        max_age: seconds that they may be old; 0 = measure now. Who asks while a reading is under way waits for it.
        Raises OSError if the sensor does not answer.
        """
        while self._busy:
            await asyncio.sleep_ms(10)
        if max_age and self._at is not None and clock.ms() - self._at <= max_age * 1000:
            return self._values
        self._busy = True
        try:
            found = {}
            measured = await self.measure()
            for i, (key, _, _, digits) in enumerate(self.KEYS):
                value = measured[i]
                if value is not None:
                    value += self._option(self.offset, key, 0)
                    digits = self._option(self.precision, key, digits)
                    value = round(value, digits) if digits else round(value)
                found[key] = value
            self._values = found
            self._at = clock.ms()
            return found
        finally:
            self._busy = False

    async def value(self, key="", max_age=0):
        """One of the values."""
        return (await self.values(max_age))[key]

    async def read(self):
        """What goes out on the topic."""
        values = await self.values()
        return values[""] if "" in values else values

    def meta(self):
        """What Home Assistant is told of: one dict for each value."""
        for key, unit, device_class, _ in self.KEYS:
            name = self.friendly_name
            if name is None:
                name = self.topic.topic.rsplit("/", 1)[-1]
            if key:
                name = name + " " + key if name else key
            found = {"kind": "sensor", "key": key, "name": name, "state_class": "measurement"}
            if unit:
                found["unit"] = unit
            if device_class:
                found["device_class"] = device_class
            yield found
