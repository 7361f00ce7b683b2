"""Voltage and charge of a battery, and a pin that cuts the load off before the battery is ruined."""

from coldframe.components.machine.pin import Pin
from coldframe.components.sensor import Sensor
from coldframe.components.sensors.adc import opened, volts
from micropython import const

_CONFIRM = const(
    3
)  # low readings in a row before the load is cut off: a motor that starts is no empty battery


class Battery(Sensor):
    """Voltage in V and charge in percent, linear between voltage_min and voltage_max.

    adc           a machine.ADC, the name of the component that is one, or a pin.
    voltage_min, voltage_max   volts of the empty and of the full battery.
    multiplier    of the voltage divider before the pin.
    full_scale    as for adc.ADC.
    cutoff_pin    a pin that is set to 1 when the battery was at voltage_min or below three times in a row.
    Other options: see sensor.Sensor. low is True while the battery is empty.
    """

    KEYS = (("voltage", "V", "voltage", 2), ("battery", "%", "battery", 0))
    low = False
    _count = 0

    def __init__(
        self, adc, voltage_min=3.0, voltage_max=4.2, multiplier=1, full_scale=None, cutoff_pin=None, **options
    ):
        if not 0 <= voltage_min < voltage_max:
            raise ValueError(
                "voltage_min: expected less than voltage_max (%s), got %r" % (voltage_max, voltage_min)
            )
        self.adc = opened(getattr(adc, "adc", adc))
        self.range = (voltage_min, voltage_max)
        self.multiplier = multiplier
        self.full = full_scale
        self.cutoff = None if cutoff_pin is None else Pin(cutoff_pin, "out", value=0)
        super().__init__(**options)

    async def measure(self):
        """Voltage and charge."""
        v = volts(self.adc, self.full) * self.multiplier
        low, high = self.range
        self._count = self._count + 1 if v <= low else 0
        self.low = self._count >= _CONFIRM
        if self.low and self.cutoff:
            self.cutoff.value(1)
        return v, max(0, min(100, (v - low) * 100 / (high - low)))
