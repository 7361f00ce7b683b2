"""Logging, as in Python's logging module, into a ring in RAM that never grows.

    from coldframe import log

    logger = log.getLogger(__name__)
    logger.info("%d networks found", n)        # formatted only when INFO passes
    logger.exception("sensor", exc_info=e)     # with the traceback

    log.tail(20)                               # the newest records, on the console
    log.previous()                             # those of before the restart

A record is (time, level, name, text); writing a text that is ready allocates nothing and may be
done in an interrupt. When the ring is full, DEBUG goes before INFO before WARNING before ERROR.
Other readers (ring.reader()) each have their own place in the ring, and learn how many records
they missed.

Here is what every program needs. The rest is imported when it is first asked for: lines, tail, before, previous,
save (logmore), rows (logrows), capture (logcapture); the file and MQTT are in logfile and logmqtt.
"""

import ringlog
from micropython import const
from ringlog import level_name

from . import small

CRITICAL = const(50)
ERROR = const(40)
WARNING = const(30)
INFO = const(20)
DEBUG = const(10)
NOTSET = const(0)

_SIZE = const(2048)  # bytes of a ring on the heap, some 40 records; a quarter of it where the heap is small
_SMALL = const(1024)  # a memory that survives a reset but is smaller than this holds only the last lines


def _make():
    block = ringlog.persistent()
    size = _SIZE // 4 if small else _SIZE
    if block is None:
        return ringlog.Ring(size)
    if len(block) * 4 >= _SMALL:
        return ringlog.Ring(block)
    made = ringlog.Ring(size)
    made.mirror(block)
    return made


ring = _make()
del _make
ring.console = INFO
ringlog.default(ring)  # C modules write into it, too
_loggers = {}


def level(value):
    """The number of a level given as its name in any case ("info") or as a number 0 to 255.

    Raises ValueError for anything else.
    """
    if isinstance(value, str):
        for number in (DEBUG, INFO, WARNING, ERROR, CRITICAL):
            if value.upper() == level_name(number):
                return number
    elif isinstance(value, int) and 0 <= value <= 255:
        return value
    raise ValueError(
        "log level: expected DEBUG, INFO, WARNING, ERROR, CRITICAL or 0 to 255, got %r" % (value,)
    )


def getLogger(name="root"):
    """The logger of that name: the same one each time.

    It has debug, info, warning, error, critical, log, exception, isEnabledFor and setLevel as
    Python's has. Its level is 0 at first, which means the level of the ring (setLevel() here).
    """
    logger = _loggers.get(name)
    if logger is None:
        logger = _loggers[name] = ring.logger(name)
    return logger


def setLevel(value):
    """Records below this level (name or number) are not written by loggers without their own."""
    ring.level = level(value)


def console(value, colour=None):
    """Print records from this level (name or number) on; None switches the console off.

    colour: True colours the lines by their level (for a terminal that knows ANSI), None leaves that as it is.
    """
    ring.console = None if value is None else level(value)
    if colour is not None:
        ring.colour = colour


def __getattr__(name):
    if name in ("lines", "tail", "before", "previous", "save", "line"):
        from . import logmore as module
    elif name == "rows":
        from . import logrows as module
    elif name == "capture":
        from . import logcapture as module
    else:
        raise AttributeError(name)
    return getattr(module, name)


_root = getLogger()
debug = _root.debug
info = _root.info
warning = _root.warning
error = _root.error
critical = _root.critical
exception = _root.exception
log = _root.log
