"""Facts about the chip for ./SYSINFO; imported only when they are asked for."""

import gc
import sys

from coldframe import hal
from coldframe.hal import machine


def temperature():
    """Temperature of the chip in °C, None where it has no sensor."""
    value = None
    if sys.platform == "rp2":
        # Input 4 of the converter is inside the chip and shares no pin (RP2040 datasheet, 4.9.5).
        value = 27 - (machine.ADC(4).read_u16() * 3.3 / 65535 - 0.706) / 0.001721
    elif sys.platform == "esp32":
        import esp32

        if hasattr(esp32, "mcu_temperature"):
            value = esp32.mcu_temperature()
        elif hasattr(esp32, "raw_temperature"):  # the first ESP32 says it in Fahrenheit
            value = (esp32.raw_temperature() - 32) / 1.8
    return None if value is None else round(value, 1)


def vsys():
    """Voltage that the board is fed with, in V, None where it cannot be measured.

    A Pico can, on GPIO 29. On a Pico W that pin is a line of the Wi-Fi chip's bus: reading it there would break the
    connection, so it is left alone.
    """
    pin = hal.pins().get("vsys")
    if pin is None:
        return None
    return round(machine.ADC(pin).read_u16() * 3 * 3.3 / 65535, 2)


def largest_block():
    """Bytes of the largest object that still fits on the heap, None where that cannot be told. Collects garbage.

    MicroPython only tells how much is free in all. So it is tried out, without letting it collect garbage at each
    failure. On an ESP32 that would make the heap grow, there the system is asked.
    """
    if sys.platform == "esp32":
        import esp32

        return max(region[2] for region in esp32.idf_heap_info(esp32.HEAP_DATA))
    if not hasattr(gc, "mem_free"):
        return None
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        good = 0
        bad = gc.mem_free() + 16
        while bad - good > 16:
            size = (good + bad) // 2
            try:
                bytearray(size)
                good = size
            except MemoryError:
                bad = size
            # What was just got must not be in the way of the next attempt.
            gc.collect()
        return good & -16
    finally:
        if was:
            gc.enable()
