"""A light that shows how the connection is. Imported only where wifi.led is configured; docs/wifi.md has the patterns.

While it shines or is dark for long, it costs nothing; a pattern wakes the device five times a second.
"""

import asyncio

from micropython import const

from . import bootrecord, hal

_UNIT = const(50)  # ms
_SLICE = const(200)  # ms, longest wait before a new pattern is shown

# On and off in turn, in units; one number: for good.
_DARK = b"\0"
_LIT = b"\1"
_SAFE = b"\x24\x04"  # shines, with a short gap every 2 s
_TRYING = b"\x02\x02"
_NONE = b"\x02\x26"  # one flash every 2 s
_NO_BROKER = b"\x02\x04\x02\x20"  # two
_WRONG = b"\x02\x04\x02\x04\x02\x1a"  # three
_SETUP = b"\x0a\x0a"


def start(node):
    """Start the light of a node."""
    node.service("led", Light(node).run)


class Light:
    """The light. node: whose connection it shows."""

    _over = False  # the node has been stopped

    def __init__(self, node):
        c = node.config
        pins = hal.pins()
        pin = c["wifi.led.pin"]
        low = c["wifi.led.active_low"]
        if pin is None:
            pin = pins.get("led") if hal.LED is None else hal.LED
            if pin is None:
                raise ValueError("wifi.led.pin: expected a pin, this board has no light of its own")
            if low is None:
                low = pins.get("led_active_low")
        self._node = node
        self._low = bool(low)
        self._pin = hal.machine.Pin(pin, hal.machine.Pin.OUT)
        self._steady = _LIT if c["wifi.led.steady"] else _DARK
        self._online = self._open = self._flick = False
        self._news = asyncio.Event()
        self._look()
        node.on("wifi", self._look)
        node.on("up", self._up)
        node.on("down", self._down)
        node.on("setup", self._setup)
        node.on("stop", self._end)
        if c["wifi.led.pulse"]:
            node.on("message", self._pulse)

    def _up(self):
        self._online = True
        self._look()

    def _down(self):
        self._online = False
        self._look()

    def _setup(self, is_open):
        self._open = is_open
        self._look()

    def _end(self):
        self._over = True  # the good-bye to the broker is no news
        self._set(False)  # at once: nobody waits for the task, which is cancelled next

    def _pulse(self):
        if len(self._steps) == 1:
            self._flick = True
            self._news.set()

    def _look(self, state=None):
        if self._over:
            return
        wifi = self._node.wifi
        if state is None and wifi:
            state = wifi.state
        if self._open:
            steps = _SETUP
        elif self._online:
            steps = _SAFE if bootrecord.safe() else self._steady
        elif state in ("scan", "join", "lost"):
            steps = _TRYING
        elif state == "none":
            steps = _WRONG if wifi.cause == "wrong password" else _NONE
        elif state == "off":
            steps = _DARK
        elif self._node.client or self._node.config["mqtt.host"]:
            steps = _NO_BROKER
        else:
            steps = self._steady  # there is no broker to wait for
        self._steps = steps
        self._news.set()

    def _set(self, on):
        self._pin.value(on != self._low)

    async def run(self):
        """Show it, for ever."""
        self._over = False
        self._look()
        while True:
            steps = self._steps
            if len(steps) > 1:
                await self._blink(steps)
                continue
            self._set(steps[0])
            await self._news.wait()
            self._news.clear()
            if self._flick:
                self._flick = False
                self._set(not steps[0])
                await asyncio.sleep_ms(_UNIT)
                self._set(steps[0])
                await asyncio.sleep_ms(_UNIT)  # so that many messages look like many

    async def _blink(self, steps):
        # Once through a pattern, or until there is another one.
        on = True
        for count in steps:
            self._set(on)
            on = not on
            left = count * _UNIT
            while left > 0:
                if self._steps is not steps:
                    return
                await asyncio.sleep_ms(min(left, _SLICE))
                left -= _SLICE
