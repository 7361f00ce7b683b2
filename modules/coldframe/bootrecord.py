"""How the last boots went: six bytes that outlive a reset.

Kept where the chip has memory for it (hal.keep), else in a file. A boot is failed if it had begun to run the
user's or our program and then ended in a crash or a watchdog reset before it was sound (60 seconds). A power cut, the
REPL or a restart on purpose make no boot a failed one, and neither does a network that is away.
"""

from micropython import const

from . import hal, store

FILE = "/boot.rec"  # where the chip has no memory for it
_VERSION = const(1)

# What a boot was last seen doing.
IDLE = const(0)  # nothing that counts: ended on purpose, or at the REPL
RUNNING = const(1)  # user code or the node is at work, not yet sound
SOUND = const(2)  # has run for a minute
FAILED = const(3)  # ended in an exception

SAFE_AFTER = const(3)  # failed boots in a row

_state = (
    None  # bytes: version, what this boot is doing, failed boots in a row, 0, boots (2 bytes, low one first)
)


crashed = False  # after begin(): whether the program that ran before this start ended badly, soon or late


def _load():
    global _state
    if _state is None:
        data = hal.kept()
        if data is None:
            try:
                data = store.read(FILE, 6)
            except (OSError, ValueError):
                pass  # a folder, or a damaged file system: as good as no record
        if not data or len(data) != 6 or data[0] != _VERSION:
            data = bytes((_VERSION, IDLE, 0, 0, 0, 0))
        _state = bytearray(data)
    return _state


def _save():
    try:
        if not hal.keep(bytes(_state)):
            store.write(FILE, _state)
    except OSError:
        pass  # a full flash must not stop a boot


def begin():
    """To be called once at the start of a boot. Judges how the last one ended. Returns True for safe mode."""
    global crashed
    state = _load()
    cause = hal.reset_cause()
    failed = state[1] == FAILED or state[1] == RUNNING and cause in ("watchdog", "soft", "unknown")
    crashed = failed or state[1] == SOUND and cause == "watchdog"
    if failed:
        state[2] = min(255, state[2] + 1)
    state[1] = IDLE
    count = boots() + 1
    state[4] = count & 0xFF
    state[5] = count >> 8 & 0xFF
    _save()
    return safe()


def safe():
    """Whether this boot is in safe mode: no file of the user's is run."""
    return _load()[2] >= SAFE_AFTER


def failed():
    """How many boots in a row have failed."""
    return _load()[2]


def boots():
    """How many times the device has started, as far as it can remember (see hal.keep); 65535 is followed by 0."""
    state = _load()
    return state[4] | state[5] << 8


def mark(what):
    """Note what this boot is doing: IDLE, RUNNING, SOUND or FAILED. Writes only what is new."""
    state = _load()
    if state[1] == what or state[1] == SOUND and what == RUNNING:
        return
    state[1] = what
    if what == SOUND and not safe():
        state[2] = 0
    _save()


def clear():
    """Forget the failed boots, so that the next boot is not in safe mode."""
    state = _load()
    state[2] = 0
    _save()
