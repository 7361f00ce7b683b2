"""A voltage at an analogue pin."""

import sys

import machine
from coldframe.components.machine.pin import find
from coldframe.components.sensor import Sensor


def volts(adc, full):
    """Voltage at a machine.ADC. full: volts of its full scale, None = the chip's own, calibrated where it can."""
    if full is None:
        if hasattr(adc, "read_uv"):
            return adc.read_uv() / 1000000
        full = 1.0 if sys.platform == "esp8266" else 3.3
    return adc.read_u16() * full / 65535


def opened(adc):
    """A machine.ADC, from one or from a pin."""
    if hasattr(adc, "read_u16"):
        return adc
    # A number as it is: an ESP8266 has one analogue input, number 0, which is no pin.
    return machine.ADC(adc if isinstance(adc, int) and not isinstance(adc, bool) else find(adc))


class ADC(Sensor):
    """A voltage in V, as a bare number.

    pin          the analogue pin (see machine.pin), 0 on an ESP8266.
    full_scale   volts that give the highest reading; left out: 1.0 V on an ESP8266, else 3.3 V or what the chip's own
                 calibration says.
    multiplier   for a voltage divider before the pin, or to give the value another unit.
    samples      readings of which the mean is taken, 1 to 64.
    unit, device_class   for Home Assistant, if it is not a voltage.
    offset (in the unit that comes out) calibrates; other options: see sensor.Sensor.
    """

    KEYS = (("", "V", "voltage", 3),)

    def __init__(
        self, pin, full_scale=None, multiplier=1, samples=4, unit=None, device_class=None, **options
    ):
        if not isinstance(samples, int) or not 1 <= samples <= 64:
            raise ValueError("samples: expected 1 to 64, got %r" % (samples,))
        self.adc = opened(pin)
        self.full = full_scale
        self.multiplier = multiplier
        self.samples = samples
        if unit is not None or device_class is not None:
            self.KEYS = (("", unit or "", device_class or "", 3),)
        super().__init__(**options)

    async def measure(self):
        """The voltage times the multiplier."""
        total = 0
        for _ in range(self.samples):
            total += volts(self.adc, self.full)
        return (total / self.samples * self.multiplier,)
