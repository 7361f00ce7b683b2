"""HTU21D, SHT21, Si7021: temperature and humidity over I2C (data sheet of the HTU21D, TE Connectivity 2015)."""

import asyncio

from coldframe.components.sensor import Sensor
from micropython import const

_TEMPERATURE = const(0xF3)  # commands that do not hold the bus while the sensor measures
_HUMIDITY = const(0xF5)


class HTU21D(Sensor):
    """Temperature in °C and relative humidity in percent.

    i2c: a bus, or the name of the component that is one. address: of the sensor. Other options: see sensor.Sensor.
    """

    KEYS = (("temperature", "°C", "temperature", 2), ("humidity", "%", "humidity", 2))

    def __init__(self, i2c, address=0x40, **options):
        if not hasattr(i2c, "readfrom_into"):
            raise ValueError("i2c: expected an I2C bus, got %r" % (i2c,))
        self.i2c = i2c
        self.address = address
        super().__init__(**options)

    async def measure(self):
        """Both values; takes about 80 ms, without holding up anything else."""
        t = await self._ask(_TEMPERATURE, 50)
        h = await self._ask(_HUMIDITY, 16)
        # Vapour that condenses and tolerances can take the formula out of what is possible.
        return -46.85 + 175.72 * t / 65536, max(0, min(100, -6 + 125 * h / 65536))

    async def _ask(self, command, ms):
        # Raises OSError if the sensor is not there or what it says is damaged.
        buf = bytearray(3)
        buf[0] = command
        self.i2c.writeto(self.address, memoryview(buf)[:1])
        for tries in range(4, -1, -1):
            await asyncio.sleep_ms(ms)
            try:
                self.i2c.readfrom_into(self.address, buf)
                break
            except OSError:  # it does not acknowledge before it is ready
                if not tries:
                    raise
            ms = 10
        crc = 0
        for byte in buf[:2]:
            crc ^= byte
            for _ in range(8):
                crc = (crc << 1 ^ 0x131) if crc & 0x80 else crc << 1
        if crc != buf[2]:
            raise OSError("damaged answer from 0x%02x: %s" % (self.address, bytes(buf)))
        return (buf[0] << 8 | buf[1]) & 0xFFFC
