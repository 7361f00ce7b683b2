"""DHT22 (AM2302): temperature and humidity over one wire (data sheet: Aosong AM2302)."""

import sys

import machine
from coldframe import clock
from coldframe.components.machine.pin import Pin
from coldframe.components.sensor import Sensor


class DHT22(Sensor):
    """Temperature in °C and relative humidity in percent.

    pin: see machine.pin. Other options: see sensor.Sensor. The sensor measures every two seconds at most; who asks
    sooner gets the same values. Its protocol has no clock line: for about 25 ms of a reading nothing else runs.
    """

    KEYS = (("temperature", "°C", "temperature", 1), ("humidity", "%", "humidity", 1))
    _last = None
    _when = 0

    def __init__(self, pin, **options):
        self.pin = Pin(pin)
        super().__init__(**options)

    async def measure(self):
        """Both values. Raises OSError if the sensor does not answer or its answer cannot be right."""
        if self._last is None or clock.ms() - self._when >= 2000:
            buf = bytearray(5)
            read = getattr(machine, "dht_readinto", None)
            if read is None and sys.platform.startswith("esp"):
                from esp import dht_readinto as read
            if read is None:
                raise OSError(19, "this board cannot read a DHT22")
            self._last = None
            read(self.pin, buf)
            if (buf[0] + buf[1] + buf[2] + buf[3]) & 255 != buf[4]:
                raise OSError("damaged answer: %s" % bytes(buf))
            t = ((buf[2] & 0x7F) << 8 | buf[3]) / 10
            h = (buf[0] << 8 | buf[1]) / 10
            if h > 100 or t > 125:
                raise OSError("impossible answer: %s" % bytes(buf))
            self._when = clock.ms()
            self._last = (-t if buf[2] & 0x80 else t, h)
        return self._last
