"""Log records in a ring of fixed size, which can sit in memory that survives a reset.

coldframe.log gives the ordinary logging API on top of it.
"""

from typing import Any

class Ring:
    """A ring of log records. In a full one the oldest of the least important ones make room for a new record.

    buf: a size in bytes (128 or more), or the memory itself, at an address that is a multiple of
        four. Records that are found whole in it are taken up; any other content is overwritten.
    """

    level: int  # of loggers that have none of their own; 20 (INFO) at first. Can be set
    console: int | None  # records from this level on are printed; None (at first): none. Can be set
    dropped: int  # records overwritten since the start, read or not
    recovered: int  # records that were found in buf at the start
    first: int  # number of the first record written since
    seq: int  # number that the next record gets
    colour: bool  # whether the console's lines are coloured by their levels (ANSI). Can be set
    wall: Any  # whether the time of day is known, False at first. Set to (days since 1970-01-01, ms of the day), as it
    # is now, or None; records of this life then show it, those from before the restart do not
    captured: bool  # records named "print" are not printed: they have been. Can be set; Capture sets it

    def __init__(self, buf: int | bytearray | memoryview) -> None: ...
    def __len__(self) -> int: ...  # records in the ring
    def write(self, level: int, name: str, text: Any, *args: Any) -> None:
        """Write a record: text, or text % args. A str without args, or one of up to 160 bytes with %s, %r
        and %d (of an int) only, allocates nothing and may be written in an interrupt. An exception is written
        with its traceback. Long text is cut: to 1 KB, or half of the ring."""

    def reader(self, last: int = ...) -> Reader:
        """A reader that begins at the oldest record, or at the newest `last`."""

    def since(self, seq: int) -> Reader:
        """A reader that begins at the record of that number. If it is gone, the first read tells how many are
        lost; a number that was not given out yet means the oldest record."""

    def mirror(self, buf: int | bytearray | memoryview) -> None:
        """Write each record into that block, too, from now on; those found there are first written into
        this ring. For memory that survives a reset but is too small to be the ring."""

    def logger(self, name: str, level: int = 0) -> Logger: ...
    def attach(self, buf: int | bytearray | memoryview) -> None:
        """Go on in another block, after the records found there. The records of this one are
        carried over, and loggers stay as they are; readers begin again at the oldest record."""

    def clear(self) -> None: ...

class Reader:
    """A cursor in a ring. The attributes describe the record that next() has found."""

    seq: int  # its number; before the first, the number of the one that is to come
    time: int  # milliseconds of the machine's clock, modulo 2**32
    stamp: (
        str | None
    )  # the time as text: "    12.345", or "2026-11-21 12:34:56.789" if the ring's wall was set
    level: int
    name: str | None  # None: overwritten since next() found it
    text: str | None
    lost: int  # records overwritten between the one before and this one

    def next(self) -> bool:
        """Go to the next record. False: there is none yet."""

class Logger:
    """Writes records under one name. Made by Ring.logger()."""

    name: str
    level: int  # 0: the ring's. Can be set

    def debug(self, msg: Any, *args: Any) -> None: ...
    def info(self, msg: Any, *args: Any) -> None: ...
    def warning(self, msg: Any, *args: Any) -> None: ...
    def error(self, msg: Any, *args: Any) -> None: ...
    def critical(self, msg: Any, *args: Any) -> None: ...
    def log(self, level: int, msg: Any, *args: Any) -> None: ...
    def exception(self, msg: Any, *args: Any, exc_info: BaseException | None = None) -> None:
        """error(), and the traceback of exc_info. exception(exc) writes the traceback alone."""

    def isEnabledFor(self, level: int) -> bool: ...
    def setLevel(self, level: int) -> None: ...

class Capture:
    """A stream for os.dupterm(): each line written to it becomes a record named "print", at that level or, for
    the lines of a traceback, at ERROR. What the ring's own console prints is left out.

    Making one sets ring.captured.
    """

    def __init__(self, ring: Ring, level: int = 20) -> None: ...
    def write(self, data: bytes) -> int: ...

def level_name(level: int) -> str: ...
def persistent() -> memoryview | None:
    """The memory of this chip that a reset leaves alone, as words; None if there is none. It is there once: for
    one Ring, which coldframe.log makes."""

def default(ring: Ring | None) -> None:
    """Let coldframe_log(), for other C modules, write into that ring."""

def log(level: int, name: str, text: str) -> None:
    """Write a record into that ring as coldframe_log() does: if the level passes the ring's, without allocating,
    and not printed before the next record that the program writes otherwise."""
