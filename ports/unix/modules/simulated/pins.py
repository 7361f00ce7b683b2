"""Pins and what is measured at them: Pin, ADC, PWM."""

import time

import _simboard
from micropython import const, schedule
from umachine import PinBase

from . import world

_COUNT = const(49)  # an ESP32-S3 has pins 0 to 48
_wires = {}
_lines = {}


class _Line:
    # One pin of the chip, however many Pin objects stand for it.
    def __init__(self, number):
        self.number = number
        self.name = "pin.%d" % number
        self.mode = Pin.IN
        self.pull = 0
        self.out = 0
        self.outside = None  # level that the world drives; None: nothing is connected
        self.handler = None
        self.trigger = 0
        self.flags = 0
        self.owner = None
        self.seen = 0
        self.steps = None  # what is left of a waveform: level, ms, level, ms, ...
        self.timer = None

    def level(self):
        if self.mode == Pin.OUT or self.mode == Pin.OPEN_DRAIN and not self.out:
            return self.out
        if self.outside is not None:
            return self.outside
        return 1 if self.pull == Pin.PULL_UP else 0

    def changed(self, soft):
        # After anything that may have moved the level: tell who listens. soft: the program itself did it, so that
        # its handler must wait for its turn as it would on a chip.
        level = self.level()
        if level == self.seen:
            return
        self.seen = level
        if self.mode != Pin.IN:
            _simboard.show(self.name, level)
        edge = Pin.IRQ_RISING if level else Pin.IRQ_FALLING
        if self.handler and self.trigger & edge:
            self.flags = edge
            if soft:
                try:
                    schedule(self.handler, self.owner)
                except RuntimeError:
                    pass  # a chip loses interrupts too when they come too fast
            else:
                self.handler(self.owner)
        if self.number in _wires:
            other = line(_wires[self.number])
            other.outside = level
            other.changed(soft)

    def drive(self, value):
        # value: 0, 1, None (disconnected) or a waveform [level, ms, level, ms, ...]
        if isinstance(value, list):
            self.steps = list(value)
            if self.timer is None:
                self.timer = world.timer(self._wave)
            self._wave()
            return
        if value not in (None, 0, 1):
            raise ValueError(
                "pin %d: expected 0, 1, null or [level, ms, level, ...], got %r" % (self.number, value)
            )
        self._stop()
        self.outside = value
        self.changed(False)

    def _wave(self):
        steps = self.steps
        while steps:
            self.outside = 1 if steps.pop(0) else 0
            self.changed(False)
            if steps:
                ms = steps.pop(0)
                if steps and ms > 0:
                    _simboard.timer(self.timer, ms)
                    return
        self._stop()

    def _stop(self):
        if self.timer is not None:
            world.release(self.timer)
            self.timer = None


def number(name):
    """Pin number for what programs call it: 5, "5", "GP5", "GPIO5", "D5", "LED"."""
    if isinstance(name, Pin):
        return name._line.number
    n = name
    if isinstance(name, str):
        if name == "LED":
            import coldframe_build

            n = coldframe_build.PINS.get("led", 2)
        else:
            digits = name.lstrip("GPIOD")
            n = int(digits) if digits.isdigit() else -1
    if not isinstance(n, int) or not 0 <= n < _COUNT:
        raise ValueError("invalid pin: %r" % (name,))
    return n


def line(n):
    if n not in _lines:
        _lines[n] = _Line(n)
    return _lines[n]


class Pin(PinBase):
    """A digital pin, with the interface and the constants of the rp2 port."""

    IN = const(0)
    OUT = const(1)
    OPEN_DRAIN = const(2)
    ALT = const(3)
    PULL_UP = const(1)
    PULL_DOWN = const(2)
    IRQ_FALLING = const(4)
    IRQ_RISING = const(8)

    def __init__(self, id, mode=-1, pull=-1, *, value=None, drive=None, alt=None):
        self._line = line(number(id))
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=None, alt=None):
        """Change mode (IN, OUT, OPEN_DRAIN), pull (PULL_UP, PULL_DOWN, None) and level; -1 leaves as it is."""
        ln = self._line
        if value is not None:
            ln.out = 1 if value else 0
        if mode not in (-1, None):
            ln.mode = mode
        if pull != -1:
            ln.pull = pull or 0
        if ln.mode != self.IN:
            _simboard.show(ln.name, ln.level())
        ln.changed(True)

    def value(self, x=None):
        """Without argument: the level, 0 or 1. With one: set it."""
        ln = self._line
        if x is None:
            return ln.level()
        ln.out = 1 if x else 0
        ln.changed(True)

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    high = on
    low = off

    def toggle(self):
        self.value(not self._line.out)

    def mode(self, mode=None):
        if mode is None:
            return self._line.mode
        self.init(mode)

    def pull(self, pull=-1):
        if pull == -1:
            return self._line.pull or None
        self.init(pull=pull)

    def irq(self, handler=None, trigger=12, *, hard=False, wake=None):
        """Call handler(pin) on falling and/or rising edges; None ends it."""
        ln = self._line
        ln.handler, ln.trigger, ln.owner = handler, trigger, self
        return _Irq(ln)

    def __repr__(self):
        return "Pin(%d, mode=%s)" % (self._line.number, ("IN", "OUT", "OPEN_DRAIN", "ALT")[self._line.mode])

    def __eq__(self, other):
        return isinstance(other, Pin) and other._line is self._line

    def __hash__(self):
        return self._line.number


class _Irq:
    def __init__(self, ln):
        self._line = ln

    def flags(self):
        return self._line.flags

    def trigger(self, trigger=None):
        old = self._line.trigger
        if trigger is not None:
            self._line.trigger = trigger
        return old

    def __call__(self):
        self._line.handler(self._line.owner)


class ADC:
    """An analogue input. World: adc: {"26": 32768} in 1/65535 of full scale, or "1.65V" of 3.3 V; default 0."""

    CORE_TEMP = const(4)
    ATTN_0DB = const(0)
    ATTN_2_5DB = const(1)
    ATTN_6DB = const(2)
    ATTN_11DB = const(3)
    WIDTH_12BIT = const(3)

    def __init__(self, pin, *, atten=None, sample_ns=None):
        self._name = str(number(pin))

    def _get(self):
        v = (world.data.get("adc") or {}).get(self._name)
        if v is None:
            return 14022 if self._name == "4" else 0  # the RP2040's sensor at 27 degrees
        if isinstance(v, str) and v.endswith("V"):
            v = float(v[:-1]) / 3.3 * 65535
        return max(0, min(65535, int(v)))

    def read_u16(self):
        """0 to 65535."""
        return self._get()

    def read(self):
        """0 to 4095."""
        return self._get() >> 4

    def read_uv(self):
        """Microvolts, of 3.3 V."""
        return self._get() * 3300000 // 65535

    def init(self, **_):
        pass

    def atten(self, _):
        pass

    def width(self, _):
        pass


class PWM:
    """A pulse-width output; state.json shows pwm.N.freq and pwm.N.duty_u16."""

    def __init__(self, pin, *, freq=None, duty_u16=None, duty_ns=None, duty=None, invert=False):
        self._name = "pwm.%d." % number(pin)
        self._freq, self._duty = 1000, 0
        self.init(freq=freq, duty_u16=duty_u16, duty_ns=duty_ns, duty=duty)

    def init(self, *, freq=None, duty_u16=None, duty_ns=None, duty=None, invert=False):
        if freq is not None:
            self.freq(freq)
        if duty_u16 is not None:
            self.duty_u16(duty_u16)
        if duty_ns is not None:
            self.duty_ns(duty_ns)
        if duty is not None:
            self.duty(duty)

    def deinit(self):
        _simboard.show(self._name + "freq", None)
        _simboard.show(self._name + "duty_u16", None)

    def freq(self, hz=None):
        if hz is None:
            return self._freq
        if not 1 <= hz <= 40000000:
            raise ValueError("freq: expected 1 to 40000000 Hz")
        self._freq = hz
        _simboard.show(self._name + "freq", int(hz))

    def duty_u16(self, duty=None):
        if duty is None:
            return self._duty
        self._duty = max(0, min(65535, int(duty)))
        _simboard.show(self._name + "duty_u16", self._duty)

    def duty(self, duty=None):
        """In 1/1023, as on ESP8266 and ESP32."""
        if duty is None:
            return self._duty * 1023 // 65535
        self.duty_u16(duty * 65535 // 1023)

    def duty_ns(self, ns=None):
        if ns is None:
            return self._duty * 1000000000 // 65535 // self._freq
        self.duty_u16(ns * self._freq * 65535 // 1000000000)


def bitstream(pin, encoding, timing, buf):
    """What WS2812 lights are fed with; state.json shows the first bytes in hex as bits.N."""
    import binascii

    _simboard.show("bits.%d" % number(pin), binascii.hexlify(bytes(buf[:36])).decode())


def dht_readinto(pin, buf):
    """World: dht: {"4": [degrees, percent]}: a DHT22 on pin 4."""
    at = (world.data.get("dht") or {}).get(str(number(pin)))
    if at is None:
        time.sleep_ms(1)
        raise OSError(110)
    t, h = round(at[0] * 10), round(at[1] * 10)
    if t < 0:
        t = -t | 0x8000
    buf[0], buf[1], buf[2], buf[3] = h >> 8, h & 255, t >> 8, t & 255
    buf[4] = (buf[0] + buf[1] + buf[2] + buf[3]) & 255


def _drive(table):
    table = table or {}
    for name, value in table.items():
        if name not in _driven or _driven[name] != value:
            line(number(name)).drive(value)
    for name in _driven:
        if name not in table:
            line(number(name)).drive(None)
    _driven.clear()
    _driven.update(table)


def _connect(pairs):
    # wires: [[5, 6], ...]: what pin 5 puts out, pin 6 gets
    _wires.clear()
    for a, b in pairs or ():
        _wires[number(a)] = number(b)
        line(number(b)).outside = line(number(a)).level()
        line(number(b)).changed(False)


_driven = {}
world.play("wires", _connect)
world.play("pins", _drive)
