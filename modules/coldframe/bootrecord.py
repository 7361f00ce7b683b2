"""How the last boots went, and how much of the device is to run: eight bytes that outlive a reset.

Kept where the chip has memory for it (hal.keep), else in a file. A boot has failed if it had begun to run the user's or
our program and then ended in a crash, a watchdog reset or an exception before it was sound (60 seconds). A power
cut, the REPL or a restart on purpose make no boot a failed one, and neither does a network that is away.

Failed boots in a row lead up a ladder that takes away layers, never settings: level 0 = everything runs, 1 = without
the user's program (boot.py, main.py, app.py), 2 = also without components, 3 = also with the last good configuration
instead of the newest, 4 = safe mode. docs/recovery.md tells the rules. Where a loss of power clears the memory, the
level and the count are in a file as well; it is written only when they change, so a healthy device has none.

Here is what is needed all the time; begin(), blamed(), hold(), ask_safe(), put_back(), clear(), retry(), trust() are
in ladder.py.
"""

import sys

from micropython import const

from . import hal, store

FILE = "/boot.rec"
_VERSION = const(2)
_SIZE = const(8)  # the file has two more: the stamp of the user's files, see stamp.py

# What a boot was last seen doing.
IDLE = const(0)  # nothing that counts: ended by itself, or at the REPL
RUNNING = const(1)  # user code or the node is at work, not yet sound
SOUND = const(2)  # has run for a minute
FAILED = const(3)  # ended badly before that
DIED = const(4)  # ended badly after that
ASKED = const(5)  # a restart that a person or coldframe wanted
PROGRAM = const(6)  # a restart by the user's program: machine.reset()
ASLEEP = const(7)  # a deep sleep

LAYERS = ("", "app", "component", "config", "node")  # whose code was running, by number; "" = unknown

_SAFE = const(4)

# version; what (low 4 bits) and whose turn (high); failed boots in a row; level (low) and the level to go back to if a
# new try fails (high); boots (2 bytes, low one first); how often everything was tried again (low), layer of the
# last failure (high); ends of lives in a row of which none was sound for an hour: restarts by the program within the
# first minute, and bad ends after it
_state = None
_filed = None  # what is in the file, as far as is known
_unsaved = False  # the heap was too full for it

crashed = False  # after begin(): whether the program that ran before this start ended badly, soon or late
ended = (
    0,
    "unknown",
    "",
    0,
)  # after begin(): what it was doing, the chip's cause of this start, layer, level


def _load():
    global _state, _filed
    if _state is None:
        data = hal.kept()
        try:
            _filed = store.read(FILE, _SIZE + 2)
        except (OSError, ValueError):
            pass  # a folder, or a damaged file system: as good as no record
        if data is None and _filed:
            data = _filed[:_SIZE]
        if not data or len(data) != _SIZE or data[0] != _VERSION or data[3] & 15 > _SAFE:
            data = bytes((_VERSION, 0, 0, 0, 0, 0, 0, 0))
        _state = bytearray(data)
    return _state


def _save(stamp=None):
    # Writes only what is new.
    global _filed, _unsaved
    _unsaved = True
    try:
        s = bytes(_state)
        if stamp is None:
            stamp = _filed[_SIZE:] if _filed else b""
        if hal.keep(s):
            # For a loss of power: the ladder alone.
            s = bytes((_VERSION, IDLE, s[2], s[3], 0, 0, s[6], 0))
            if not (s[2] or s[3] or s[6] & 15):
                if _filed is not None:
                    _filed = None
                    store.remove(FILE)
                _unsaved = False
                return
        s += stamp
        if s != _filed:
            store.write(FILE, s)
            _filed = s
        _unsaved = False
    except (OSError, MemoryError):
        pass  # neither a full flash nor a full heap must stop a boot, or its end


def level():
    """How much runs: 0 everything, 1 no program of the user's, 2 also no components, 3 also the last good
    configuration, 4 safe mode."""
    return _load()[3] & 15


def safe():
    """Whether this boot is in safe mode."""
    return level() == _SAFE


def failed():
    """How many boots in a row have failed."""
    return _load()[2]


def boots():
    """How many times the device has started, as far as it can remember (see hal.keep); 65535 is followed by 0."""
    s = _load()
    return s[4] | s[5] << 8


def doing():
    """What this boot is doing: IDLE, RUNNING, SOUND ..."""
    return _load()[1] & 15


def mark(what, layer=None):
    """Note what this boot is doing: IDLE, RUNNING, SOUND, FAILED. Writes only what is new.

    layer: whose code it is, one of LAYERS; None = as noted before.
    """
    s = _load()
    now = s[1] & 15
    if now == SOUND:
        if what == RUNNING:
            what = SOUND
        elif what == FAILED:
            what = DIED
        elif what == PROGRAM:
            what = ASKED
    elif now >= FAILED and what >= ASKED:
        return  # the restart is the consequence of what is noted already
    elif now == IDLE and what == PROGRAM:
        what = ASKED  # at the REPL
    value = what | (s[1] & 0xF0 if layer is None else LAYERS.index(layer) << 4)
    if value == s[1] and not _unsaved:
        return
    s[1] = value
    if what == SOUND:
        s[2] = 0
        s[3] &= 15
    _save()


def intend(what=ASKED):
    """Note that the restart which follows is wanted: it makes no boot a failed one, however young that is."""
    mark(what)


def __getattr__(name):
    if name not in ("begin", "blamed", "hold", "ask_safe", "put_back", "clear", "retry", "trust"):
        raise AttributeError(name)
    __import__("coldframe.ladder")
    return getattr(sys.modules.pop("coldframe.ladder"), name)
