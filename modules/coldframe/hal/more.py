"""The part of coldframe.hal that is needed now and then; see there."""

import io
import os
import sys

from coldframe import hal
from coldframe.hal import machine


class _CtrlC(io.IOBase):
    # A terminal at which somebody presses Ctrl-C.

    def readinto(self, data):
        data[0] = 3
        return 1

    def write(self, data):
        return len(data)


def soft_reset():
    """Restart MicroPython, not the chip."""
    from coldframe import bootrecord

    bootrecord.intend()
    if hasattr(machine, "soft_reset"):
        machine.soft_reset()
    sys.exit(0)


def deepsleep(ms):
    """Switch off for ms milliseconds on purpose, then start anew. See sleep.py."""
    from coldframe import bootrecord

    from .sleep import deepsleep

    bootrecord.intend(bootrecord.ASLEEP)
    deepsleep(ms)


def bootloader():
    """Restart into the loader that takes a new firmware over USB or serial. RuntimeError where there is none."""
    if not hasattr(machine, "bootloader"):
        raise RuntimeError("this board has no bootloader that can be entered from here")
    from coldframe import bootrecord

    bootrecord.intend()
    machine.bootloader()


def led(on):
    """Switch the board's own light on or off; does nothing where there is none."""
    if hal._light is None:
        pin = hal.LED
        if pin is None:
            pin = hal.pins().get("led")
        hal._light = False
        if pin is not None and hasattr(machine, "Pin"):
            hal._light = machine.Pin(pin, machine.Pin.OUT)
    if hal._light:
        hal._light.value(1 if on else 0)


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


def watchdog(timeout, before=None, stuck=None):
    """Start the watchdog: if hal.feed() is not called for timeout seconds, the chip is reset.

    stuck: function that is called before that, if the chip is still able to (a timer does it, in the middle of
    whatever the program is stuck in). If it returns True, that program gets a KeyboardInterrupt, and five seconds to
    end. before: function that is called right before the reset. Raises OSError where the board has nothing to do it
    with.
    """
    from .dog import Dog

    dog = hal._dog or Dog()
    dog.start(timeout * 1000, before, stuck)
    hal._dog = dog


def later(delay, function):
    """Call function() once, about delay milliseconds from now, whatever program runs. False if no timer is there."""
    from .dog import Dog

    if hal.DOG_TIMER is None or not hasattr(machine, "Timer"):
        return False
    hal._dog = hal._dog or Dog()
    try:
        hal._dog.later(delay, function)
    except OSError:  # there are no more timers
        return False
    return True


def ticks(period, function):
    """Call function(_) every period milliseconds, whatever program runs, until deinit() of what this returns.

    Uses the watchdog's timer where the chip has few. None where there is no timer.
    """
    from .ticker import start

    return start(period, function)


def interrupt():
    """Raise KeyboardInterrupt in the program that runs, from within a timer's callback, as its very last action.

    No jump may follow in that callback, or the exception is raised there. Does nothing where there is no way.
    """
    notify = getattr(os, "dupterm_notify", None)
    if notify is None:
        return
    from micropython import kbd_intr

    kbd_intr(3)  # it may be a character like any other now, of which notify() would never see the end
    before = os.dupterm(_CtrlC())
    notify(None)
    os.dupterm(before)
    return


def note_restarts():
    """See that machine.reset() and the like, called by the user's program, are known for what they are.

    Does nothing where the machine module is in ROM and cannot be changed; there the chip tells (ESP8266).
    """
    from coldframe import bootrecord

    def wrap(name, what):
        function = getattr(machine, name, None)
        if function is None:
            return

        def noted(*args):
            try:
                bootrecord.intend(what)
            except MemoryError:
                pass
            if what == bootrecord.ASLEEP:
                hal.dog_off()
            return function(*args)

        try:
            setattr(machine, name, noted)
        except AttributeError:
            pass

    wrap("reset", bootrecord.PROGRAM)
    wrap("bootloader", bootrecord.PROGRAM)
    wrap("deepsleep", bootrecord.ASLEEP)
