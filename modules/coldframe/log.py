"""Logging, as in Python's logging module, into a ring in RAM that never grows.

    from coldframe import log

    logger = log.getLogger(__name__)
    logger.info("%d networks found", n)        # formatted only when INFO passes
    logger.exception("sensor", exc_info=e)     # with the traceback

    log.tail(20)                               # the newest records, on the console

A record is (time, level, name, text); writing a text that is ready allocates nothing and may be
done in an interrupt. Other readers (ring.reader()) each have their own place in the ring, and
learn how many records they missed.
"""

from micropython import const
from ringlog import Ring, level_name

CRITICAL = const(50)
ERROR = const(40)
WARNING = const(30)
INFO = const(20)
DEBUG = const(10)
NOTSET = const(0)

_SIZE = const(2048)  # bytes of the ring, some 40 records, until somebody calls ring.attach()
_NAMES = {"CRITICAL": CRITICAL, "ERROR": ERROR, "WARNING": WARNING, "INFO": INFO, "DEBUG": DEBUG}

ring = Ring(_SIZE)
ring.console = INFO
_loggers = {}


def level(value):
    """The number of a level given as its name in any case ("info") or as a number 0 to 255.

    Raises ValueError for anything else.
    """
    if isinstance(value, str):
        number = _NAMES.get(value.upper())
        if number is not None:
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


def console(value):
    """Print records from this level (name or number) on; None switches the console off."""
    ring.console = None if value is None else level(value)


def lines(n=None):
    """Yield the newest n records (all if None), oldest first, as text without a line end."""
    reader = ring.reader() if n is None else ring.reader(n)
    while reader.next():
        text = reader.text
        if text is not None:  # else overwritten by what the caller wrote meanwhile
            ms = reader.time
            yield "%6d.%03d %-8s %s: %s" % (
                ms // 1000, ms % 1000, level_name(reader.level), reader.name, text,
            )  # fmt: skip


def tail(n=20):
    """Print the newest n records."""
    for line in lines(n):
        print(line)


_root = getLogger()
debug = _root.debug
info = _root.info
warning = _root.warning
error = _root.error
critical = _root.critical
exception = _root.exception
log = _root.log
