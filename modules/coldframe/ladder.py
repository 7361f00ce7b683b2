"""The rules of the boot record: see coldframe.bootrecord, which has these functions as its own.

Needed for a moment at the start and when something is asked for.
"""

from micropython import const

from . import bootrecord as r
from . import hal

_SAFE = const(4)
_LOOP = const(10)  # ends of lives too short, see the last byte of the record, that are taken for a loop


def begin():
    """To be called once at the start of a boot. Judges how the last one ended. Returns the level, 0 to 4."""
    s = r._load()
    cause = hal.reset_cause()
    doing = s[1] & 15
    layer = s[1] >> 4
    bad = cause in ("watchdog", "crash", "unknown")
    failed = doing == r.FAILED or doing == r.RUNNING and bad
    crashed = r.crashed = failed or doing == r.DIED or doing == r.SOUND and bad
    if doing == r.RUNNING and cause == "soft":
        doing = r.PROGRAM  # the chip tells it: no wrapper around machine.reset() was needed
    before = s[3] & 15
    r.ended = (doing, cause, r.LAYERS[layer] if layer < len(r.LAYERS) else "", before)
    if doing == r.PROGRAM or crashed and not failed:
        s[7] = min(_LOOP, s[7] + 1)
    elif not failed and cause != "power":
        s[7] = 0
    if failed or s[7] >= _LOOP:
        _step(s, layer, s[7] >= _LOOP)
    s[1] = r.IDLE
    count = r.boots() + 1
    s[4] = count & 0xFF
    s[5] = count >> 8 & 0xFF
    now = s[3] & 15
    stamp = None
    if now:
        from .stamp import stamp as make

        stamp = make()
        if now == before and r._filed and len(r._filed) > 8 and stamp != r._filed[8:]:
            s[2] = s[3] = s[6] = 0  # the user has put something new there: everything is tried again
            stamp = b""
    r._save(stamp)
    return s[3] & 15


def _step(s, layer, loop):
    # One more failed boot.
    s[6] = s[6] & 15 | layer << 4
    to = s[3] & 15
    back = s[3] >> 4
    if loop:
        s[7] = 0
    if back:  # everything was tried again, and that was it
        s[2] = 0
        s[3] = max(to, back)
        return
    s[2] = min(255, s[2] + 1)
    if loop or s[2] > 1:
        to = min(_SAFE, to + 1)
        # It is known whose fault it was: what goes at once is that layer.
        s[3] = max(to, layer) if layer < _SAFE else to


def blamed():
    """The layer of the last failed boot: "app", "component", "config", "node", or "" if it is not known."""
    n = r._load()[6] >> 4
    return r.LAYERS[n] if n < len(r.LAYERS) else ""


def hold():
    """Seconds of sound running at a reduced level after which everything is tried again: 1 hour, then 2, 4 ... 24."""
    return 3600 * min(24, 1 << min(5, r._load()[6] & 15))


def ask_safe():
    """Make the next boot one in safe mode."""
    from .stamp import stamp

    s = r._load()
    s[3] = _SAFE
    s[1] = r.ASKED
    r._save(stamp())


def put_back(level):
    """Make the next boot one of that level, as if nothing had been tried since. See configtrial."""
    from .stamp import stamp

    s = r._load()
    s[3] = level
    r._save(stamp())


def clear():
    """Forget the failed boots and the level: the next boot runs everything."""
    s = r._load()
    s[2] = s[3] = s[6] = s[7] = 0
    r._save()


def retry():
    """Let the next boot run everything once more; one failed boot then leads back to the present level."""
    s = r._load()
    s[2] = 0
    s[3] = (s[3] & 15) << 4
    s[6] = s[6] & 0xF0 | min(5, (s[6] & 15) + 1)
    s[1] = r.ASKED
    r._save()


def trust():
    """Everything has run well for long: the next trouble begins with a hold() of an hour again."""
    s = r._load()
    s[6] = s[7] = 0
    r._save()
