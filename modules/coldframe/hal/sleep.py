"""Deep sleep, and the little that is known after it. Imported only where a program sleeps."""

from coldframe import hal, store
from micropython import const

FILE = "/wake.rec"  # for chips without memory that lasts through the sleep
LONGEST = const(96)  # bytes of a stash
_MAGIC = b"\xc0\xf4"


def deepsleep(ms):
    """Switch off for ms milliseconds, then start anew with reset_cause() "deepsleep".

    On chips that have no deep sleep the processor waits with its clocks low and is then reset. The sleep may be
    shorter than asked for (hal.SLEEP_LONGEST). RuntimeError on a machine that has neither.
    """
    from coldframe import bootrecord

    machine = hal.machine
    hal.dog_off()
    dog = hal._dog
    if dog and dog._timer:
        dog._timer.deinit()  # its looks would take a long sleep for a program that hangs
    bootrecord.intend(bootrecord.ASLEEP)
    if hal.SLEPT is not None:  # there is no real one
        hal.doze(ms)
    elif hasattr(machine, "deepsleep"):
        machine.deepsleep(min(ms, hal.SLEEP_LONGEST))
    raise RuntimeError("this board has no deep sleep")


def stash(data):
    """Store up to 96 bytes where deep sleep leaves them: at the end of machine.RTC().memory(), else in a file.

    What a program of the user's has stored in front of it is kept. The file is written only when it changes. Raises
    ValueError if there is no room, OSError.
    """
    if len(data) > LONGEST:
        raise ValueError("stash: expected at most %d bytes, got %d" % (LONGEST, len(data)))
    if in_ram():
        hal.machine.RTC().memory(_others() + data + bytes((len(data), _sum(data))) + _MAGIC)
    elif store.read(FILE) != data:
        store.write(FILE, data)


def stashed():
    """What stash() has stored, None if there is nothing (or something else has been written over it)."""
    if not in_ram():
        try:
            return store.read(FILE, LONGEST)
        except (OSError, ValueError):
            return None
    memory = hal.machine.RTC().memory()
    if memory[-2:] != _MAGIC or len(memory) < 4 + memory[-4]:
        return None
    data = memory[-4 - memory[-4] : -4]
    return data if _sum(data) == memory[-3] else None


def in_ram():
    """Whether a stash costs no flash."""
    return hasattr(getattr(hal.machine, "RTC", None), "memory")


def _others():
    # What is in front of our stash.
    memory = hal.machine.RTC().memory()
    if memory[-2:] == _MAGIC and len(memory) >= 4 + memory[-4]:
        return memory[: -4 - memory[-4]]
    return memory


def _sum(data):
    return (sum(data) ^ 0x5A) & 0xFF
