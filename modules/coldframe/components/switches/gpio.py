"""A switch that is a pin: a relay, a lamp, a pump."""

from coldframe.components.machine.pin import Pin
from coldframe.components.switch import Switch


class GPIO(Switch):
    """A pin as a switch.

    pin: see machine.pin. active_high: False for a relay that is on when the pin is at 0. It is off, or as initial says,
    until the last state has come from the broker. Other options are those of switch.Switch.
    """

    def __init__(self, pin, active_high=True, initial=False, **options):
        # First the right level, then the direction: no click of the relay at the start.
        self.level = 1 if active_high else 0
        self.pin = Pin(pin, "out", value=self.level if initial else 1 - self.level)
        super().__init__(initial=initial, **options)

    def set(self, on):
        """Set the pin."""
        self.pin.value(self.level if on else 1 - self.level)
