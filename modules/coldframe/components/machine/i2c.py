"""An I2C bus."""

import machine
from coldframe.components.machine.pin import Pin


def I2C(scl, sda, freq=100000, id=None):
    """A machine.I2C, or, without id, a machine.SoftI2C, which can use any two pins.

    scl, sda: pins, see machine.pin. freq: Hz. id: number of the chip's own controller.
    """
    if not isinstance(freq, int) or not 1000 <= freq <= 1000000:
        raise ValueError("freq: expected 1000 to 1000000 Hz, got %r" % (freq,))
    if id is None:
        return machine.SoftI2C(scl=Pin(scl), sda=Pin(sda), freq=freq)
    return machine.I2C(id, scl=Pin(scl), sda=Pin(sda), freq=freq)
