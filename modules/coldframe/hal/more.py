"""The part of coldframe.hal that is needed now and then; see there."""

import sys

from coldframe import hal
from coldframe.hal import machine

_led = None


def soft_reset():
    """Restart MicroPython, not the chip."""
    if hasattr(machine, "soft_reset"):
        machine.soft_reset()
    sys.exit(0)


def deepsleep(ms):
    """Switch off for ms milliseconds on purpose, then start anew. See sleep.py."""
    from coldframe import bootrecord

    from .sleep import deepsleep

    intend = getattr(bootrecord, "intend", None)
    if intend:
        intend()
    deepsleep(ms)


def bootloader():
    """Restart into the loader that takes a new firmware over USB or serial. RuntimeError where there is none."""
    if not hasattr(machine, "bootloader"):
        raise RuntimeError("this board has no bootloader that can be entered from here")
    machine.bootloader()


def pins():
    """The board's own pins, by purpose, as boards/BOARD/board.toml gives them."""
    return _fact("PINS", {})


def board():
    """Name of the board that this image was built for."""
    return _fact("BOARD", sys.platform)


def commit():
    """Commit of the source that this image was built from; "" if unknown."""
    return _fact("COMMIT", "")


def _fact(name, default):
    try:
        import coldframe_build
    except ImportError:  # the modules were copied to an ordinary MicroPython
        return default
    return getattr(coldframe_build, name, default)


def led(on):
    """Switch the board's own light on or off; does nothing where there is none."""
    global _led
    if _led is None:
        pin = hal.LED
        if pin is None:
            pin = pins().get("led")
        _led = False
        if pin is not None and hasattr(machine, "Pin"):
            _led = machine.Pin(pin, machine.Pin.OUT)
    if _led:
        _led.value(1 if on else 0)


def console():
    """The console as two streams of bytes, (in, out), which change nothing; None where there is none."""
    try:
        return sys.stdin.buffer, sys.stdout.buffer
    except AttributeError:
        return None


def wireless():
    """Whether the board has Wi-Fi."""
    try:
        import network
    except ImportError:
        return False
    return hasattr(network, "WLAN")


def name_servers():
    """IPv4 addresses of the name servers that the network has named; None while there is no network."""
    try:
        import network

        wlan = network.WLAN(network.STA_IF)
        if wlan.active() and not wlan.isconnected():
            return None
        try:
            server = network.ipconfig("dns")
        except (AttributeError, ValueError):  # an older MicroPython
            server = wlan.ifconfig()[3]
    except (ImportError, AttributeError, OSError):
        return []
    return [server] if server and server != "0.0.0.0" and ":" not in server else []


def known_host(name):
    """Addresses of a host that needs no name server, [] if it is known that there is none, None to ask a server."""


def clock_is_set():
    """Whether the date can be right: chips without a battery begin in 2000 or 2021."""
    from time import gmtime

    return gmtime()[0] >= 2025


def set_clock(when, ms=0):
    """Set date and time (UTC) of the chip: (year, month, day, hours, minutes, seconds), milliseconds.

    The program's own time of day is coldframe.clock, set by coldframe.wallclock, which calls this. OSError where there
    is no clock.
    """
    if not hasattr(machine, "RTC"):
        raise OSError(19, "this board has no clock that can be set")
    machine.RTC().datetime(when[:3] + (0,) + when[3:] + (ms * hal.SUBSECOND,))


def uart(config):
    """Open a serial line.

    config: mapping with uart (its number), baud, and tx and rx (pin numbers, or None for the board's own).
    Returns a stream that does not block. Raises OSError or ValueError if the chip cannot.
    """
    if not hasattr(machine, "UART"):
        raise OSError(19, "this board has no UART")
    options = {}
    if hal.UART_PINS:
        # What is to go out waits in a buffer, so that nobody waits for the line.
        options["txbuf"] = 512
        for name in ("tx", "rx"):
            if config[name] is not None:
                options[name] = machine.Pin(config[name])
    # The receive buffer must hold what comes in while the program is at other things.
    return machine.UART(config["uart"], config["baud"], rxbuf=hal.RXBUF, timeout=0, **options)


def watchdog(timeout, before=None):
    """Start the watchdog: if hal.feed() is not called for timeout seconds, the chip is reset.

    before: function that is called before that, if the chip is still able to (a timer does it, in the middle of
    whatever the program is stuck in). Raises OSError where the board has nothing to do it with.
    """
    from .dog import Dog

    hal._dog = Dog(timeout * 1000, before)


def later(delay, function):
    """Call function() once, delay milliseconds from now, whatever program runs. False if no timer is there for it."""
    if hal.DOG_TIMER is None or not hasattr(machine, "Timer"):
        return False
    try:
        machine.Timer(hal.DOG_TIMER).init(
            mode=machine.Timer.ONE_SHOT, period=delay, callback=lambda _: function()
        )
    except OSError:  # there are no more timers
        return False
    return True
