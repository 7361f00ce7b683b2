"""I2C and SPI with the devices that the world has on them."""

import _simboard
from binascii import hexlify, unhexlify
from micropython import const

from . import world

_EIO = const(5)
_ENODEV = const(19)


def _bytes(text):
    try:
        return unhexlify(text.replace(" ", ""))
    except (ValueError, AttributeError):
        raise ValueError("world.json: expected bytes in hexadecimal, got %r" % (text,))


_memory = {}  # (bus, address) -> _Registers


class _Registers:
    # A chip with registers: the first byte written is the register, what follows is stored, reads go on from there.
    def __init__(self, table):
        self.table = table
        self.bytes = {}
        self.at = 0
        self.answer = None
        for register, text in (table.get("regs") or {}).items():
            n = int(register, 0)
            for i, byte in enumerate(_bytes(text)):
                self.bytes[n + i] = byte

    def write(self, data):
        answers = self.table.get("answers")
        if answers:
            # A chip with commands: {"e3": "683aac"} answers to the bytes E3 with these three.
            text = answers.get(hexlify(data).decode())
            if text is not None:
                self.answer = _bytes(text)
                return
        if data:
            self.answer = None
            self.at = data[0]
            for byte in data[1:]:
                self.bytes[self.at] = byte
                self.at += 1

    def read(self, buf):
        for i in range(len(buf)):
            if self.answer is not None:
                buf[i] = self.answer[i] if i < len(self.answer) else 255
            else:
                buf[i] = self.bytes.get(self.at, 0)
                self.at += 1


class I2C:
    """An I2C controller. Devices: world.json, i2c: {"0": {"0x76": {"regs": {"0xD0": "58"}}}}."""

    def __init__(self, id=-1, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._bus = str(id)

    def init(self, *, scl=None, sda=None, freq=400000, timeout=50000):
        pass

    def deinit(self):
        pass

    def _devices(self):
        buses = world.data.get("i2c") or {}
        return buses.get(self._bus) or buses.get("*") or {}

    def _device(self, addr):
        for name, table in self._devices().items():
            if int(name, 0) == addr:
                if table.get("fail"):
                    raise OSError(_EIO)
                key = (self._bus, addr)
                device = _memory.get(key)
                if device is None or device.table != table:
                    device = _memory[key] = _Registers(table)
                return device
        raise OSError(_ENODEV)

    def scan(self):
        """Addresses that answer."""
        return sorted(int(name, 0) for name, table in self._devices().items() if not table.get("fail"))

    def readfrom_into(self, addr, buf, stop=True):
        self._device(addr).read(buf)

    def readfrom(self, addr, nbytes, stop=True):
        buf = bytearray(nbytes)
        self.readfrom_into(addr, buf)
        return bytes(buf)

    def writeto(self, addr, buf, stop=True):
        self._device(addr).write(bytes(buf))
        _simboard.show("i2c.%s.0x%02x" % (self._bus, addr), hexlify(bytes(buf)[:30]).decode())
        return len(buf) + 1

    def writevto(self, addr, vector, stop=True):
        return self.writeto(addr, b"".join(bytes(v) for v in vector))

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        self._device(addr).write(memaddr.to_bytes(addrsize // 8, "big"))
        self._device(addr).read(buf)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        buf = bytearray(nbytes)
        self.readfrom_mem_into(addr, memaddr, buf, addrsize=addrsize)
        return bytes(buf)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self.writeto(addr, memaddr.to_bytes(addrsize // 8, "big") + bytes(buf))


class SoftI2C(I2C):
    def __init__(self, scl=None, sda=None, *, freq=400000, timeout=50000):
        super().__init__(0)


class SPI:
    """An SPI controller. World: spi: {"1": {"answers": {"9f": "ef4018"}}}; unanswered bytes read 00."""

    MSB = const(0)
    LSB = const(1)
    CONTROLLER = const(0)

    def __init__(self, id=-1, baudrate=1000000, **_):
        self._bus = str(id)
        self._answer = b""

    def init(self, baudrate=1000000, **_):
        pass

    def deinit(self):
        pass

    def write(self, buf):
        text = hexlify(bytes(buf)).decode()
        answers = ((world.data.get("spi") or {}).get(self._bus) or {}).get("answers") or {}
        self._answer = _bytes(answers.get(text, ""))
        _simboard.show("spi." + self._bus, text[:60])

    def readinto(self, buf, write=0):
        for i in range(len(buf)):
            buf[i] = self._answer[i] if i < len(self._answer) else 0
        self._answer = self._answer[len(buf) :]

    def read(self, nbytes, write=0):
        buf = bytearray(nbytes)
        self.readinto(buf)
        return bytes(buf)

    def write_readinto(self, out, buf):
        self.write(out)
        self.readinto(buf)


class SoftSPI(SPI):
    def __init__(self, baudrate=500000, **_):
        super().__init__(-1)
