"""Log records in a ring of fixed size, which can sit in memory that survives a reset.

coldframe.log gives the ordinary logging API on top of it.
"""

from typing import Any

class Ring:
    """A ring of log records; a new record overwrites the oldest ones.

    buf: a size in bytes (128 or more), or the memory itself, at an address that is a multiple of
        four. Records that are found whole in it are taken up; any other content is overwritten.
    """

    level: int  # of loggers that have none of their own; 20 (INFO) at first. Can be set
    console: int | None  # records from this level on are printed; None (at first): none. Can be set
    dropped: int  # records overwritten since the start, read or not
    recovered: int  # records that were found in buf at the start

    def __init__(self, buf: int | bytearray | memoryview) -> None: ...
    def __len__(self) -> int: ...  # records in the ring
    def write(self, level: int, name: str, text: Any, *args: Any) -> None:
        """Write a record: text, or text % args. A str without args allocates nothing and may be
        written in an interrupt. An exception is written with its traceback. Long text is cut."""

    def reader(self, last: int = ...) -> Reader:
        """A reader that begins at the oldest record, or at the newest `last`."""

    def logger(self, name: str, level: int = 0) -> Logger: ...
    def attach(self, buf: int | bytearray | memoryview) -> None:
        """Go on in another block, after the records found there. The records of this one are
        carried over, and loggers stay as they are; readers begin again at the oldest record."""

    def clear(self) -> None: ...

class Reader:
    """A cursor in a ring. The attributes describe the record that next() has found."""

    time: int  # milliseconds of the machine's clock, modulo 2**32
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

def level_name(level: int) -> str: ...
