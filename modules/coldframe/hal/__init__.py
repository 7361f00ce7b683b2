"""What depends on the chip, behind one set of names. Nothing above this package knows which chip it runs on.

Here is what every start needs, the same for all chips; the one file of this chip that is imported at the end replaces
what is not. What is needed now and then is in more.py, which is imported when it is asked for: soft_reset(),
deepsleep(ms), bootloader(), led(on), uart(config), watchdog(timeout), later(delay, function), ticks(), interrupt(),
note_restarts(); and so are pins(), board(), commit() in image.py. deepsleep() and what is kept over it are in sleep.py.
"""

import sys

try:
    import machine
except ImportError:  # a build without hardware, such as those for tests
    machine = None

# Facts that a chip's file may replace.
RXBUF = 1024  # bytes of the receive buffer of uart()
UART_PINS = True  # whether the pins of a UART can be chosen
LED = None  # name of the pin with the board's own light; None = the one that board.toml names
HARD = "hard"  # what machine.HARD_RESET means in the words of reset_cause()
DOG_LONGEST = 0  # longest time in ms that the hardware watchdog can wait; 0 = none that can be stopped again
SUBSECOND = 0  # how many of the RTC's own parts of a second are a millisecond; 0: it has none
RTC_DRIFTS = False  # the RTC goes wrong by seconds in minutes, and stands still over a reset
DOG_TIMER = None  # number of the timer for the watchdog; None = there are no timers
JOIN_WRITES = False  # whether the flash is written to when the station is told which network to join
MDNS = False  # whether the chip's network stack itself answers for NAME.local
SLEEP_LONGEST = 1 << 30  # ms that machine.deepsleep() takes at most; 12 days
SLEPT = None  # where deep sleep is made up with a reset: whether this start is the end of one

_dog = None
_light = None  # the Pin of led(); False = there is none


def unique_id():
    """The chip's own number as bytes; zeros where it has none."""
    get = getattr(machine, "unique_id", None)
    return bytes(get()) if get else bytes(8)


def reset_cause():
    """Why the chip started: "power", "hard" (the button), "watchdog", "crash", "soft" (a program), "deepsleep" or
    "unknown"."""
    if SLEPT:
        return "deepsleep"
    get = getattr(machine, "reset_cause", None)
    if get:
        cause = get()
        for word, name in (
            ("watchdog", "WDT_RESET"),
            ("soft", "SOFT_RESET"),
            ("deepsleep", "DEEPSLEEP_RESET"),
            (HARD, "HARD_RESET"),
            ("power", "PWRON_RESET"),
        ):
            if getattr(machine, name, None) == cause:
                return word
    return "unknown"


def keep(data):
    """Store up to 8 bytes where a reset (not always a loss of power) leaves them. False if there is no such place."""
    return False


def kept():
    """What keep() stored, None if nothing is there (or another program has written over it)."""
    return None


def reset(why="", safe=False):
    """Restart the chip on purpose: the boot that ends is no failed one.

    why: what asked for it, for the log and coldframe.reset_reason(). safe: the next boot is one in safe mode.
    """
    try:
        from coldframe import bootrecord

        if why:
            from coldframe import log

            log.getLogger("restart").warning(why)
        if safe:
            bootrecord.ask_safe()
        else:
            bootrecord.intend()
    except MemoryError:
        pass  # a full heap is what it may be for
    if hasattr(machine, "reset"):
        machine.reset()
    sys.exit(42)


def dog_off():
    """Stop the hardware watchdog, also one that a soft reset has left running."""


def feed():
    """Tell the watchdog that the program lives. Does nothing if it was not started."""
    if _dog:
        _dog.feed()


def bitten():
    """Whether a KeyboardInterrupt came from the watchdog, and not from a person."""
    return _dog is not None and _dog.bitten


def pause(on):
    """Hold the watchdog while a person works at the REPL (on=True), go on with it afterwards (on=False)."""
    if _dog:
        _dog.pause(on)


def __getattr__(name):
    if not name or name[0] == "_":  # dir() asks for ""
        raise AttributeError(name)
    file = "image" if name in ("board", "commit", "pins") else "more"
    __import__("coldframe.hal." + file)
    more = sys.modules.pop("coldframe.hal." + file)
    globals().pop(file, None)  # it costs more RAM than a further import costs time
    return getattr(more, name)


_p = sys.platform
if _p == "rp2":
    from .rp2 import *
elif _p == "esp32":
    from .esp32 import *
elif _p == "esp8266":
    from .esp8266 import *
elif _p == "coldframe-sim":
    from .unix import *
else:
    from .bare import *
