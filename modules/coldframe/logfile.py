"""The log in a file: each line whole or not there at all, and never more than two files of a given size.

    task = asyncio.create_task(LogFile("/log.txt").run())

Lines are gathered and written every few seconds, an ERROR or worse within half a second: flash wears out, and each
write takes the program milliseconds. When the file is full it becomes PATH.1, in place of the one before, by
one rename. A line is written to the end of the file and made safe by closing it; LittleFS keeps the old content
until then.
"""

import asyncio
import os

from micropython import const

from . import clock, log
from .logmore import line

_LOOK = const(500)  # ms between two looks at the ring
_GATHER = const(10000)  # ms that an ordinary line may wait


class LogFile:
    """A reader of the log that writes to a file.

    path: of the file. size: bytes of it that it becomes PATH.1 at. lowest: level (name or number) from which on
    records are written. Attributes: lost (records overwritten before they were written), failed (text of the
    last OSError, None while all is well).
    """

    def __init__(self, path, size=16384, lowest="INFO"):
        self.path = path
        self.size = size
        self.lowest = log.level(lowest)
        self.lost = 0
        self.failed = None
        self._reader = log.ring.since(log.ring.first)
        self._watch = log.ring.since(log.ring.first)
        self._since = None  # when the oldest line that waits was seen
        self._cut = self._cut_short()

    def _cut_short(self):
        # On a file system without LittleFS's promise a power cut may leave half a line; it is ended then.
        try:
            with open(self.path, "rb") as f:
                f.seek(-1, 2)
                return f.read(1) != b"\n"
        except (OSError, ValueError):
            return False  # no file, or an empty one

    def due(self):
        """Whether it is time to write: something waits, and long enough."""
        watch = self._watch
        urgent = False
        while watch.next():
            if watch.level >= self.lowest:
                if self._since is None:
                    self._since = clock.ms()
                urgent = urgent or watch.level >= log.ERROR
        return urgent or self._since is not None and clock.ms() - self._since >= _GATHER

    def write(self):
        """Write all that waits. An OSError is kept in failed; what could not be written is gone."""
        reader = self._reader
        self._since = None
        f = None
        left = 0
        try:
            while reader.next():
                lost = reader.lost
                if lost:
                    self.lost += lost
                if reader.level < self.lowest:
                    continue
                text = line(reader)
                if text is None:
                    self.lost += 1
                    continue
                data = (text.replace("\n", "\n    ") + "\n").encode()
                if lost:
                    data = b"... %d records lost\n" % lost + data
                if f is None or len(data) > left:
                    if f:
                        f.close()
                        f = None
                    left = self._room(len(data))
                    f = open(self.path, "ab")
                    if self._cut:
                        f.write(b"\n")
                        self._cut = False
                f.write(data)
                left -= len(data)
            if f:
                f.close()
                f = None
                sync = getattr(os, "sync", None)
                if sync:
                    sync()
            self.failed = None
        except OSError as e:
            if self.failed is None:
                log.getLogger("log").warning("%s: %s", self.path, e)
            self.failed = str(e)
        finally:
            if f:
                try:
                    f.close()
                except OSError:
                    pass

    def _room(self, n):
        # Bytes that the file may still take; it is put aside if that is less than n.
        try:
            used = os.stat(self.path)[6]
        except OSError:
            used = 0
        if used and used + n > self.size:
            os.rename(self.path, self.path + ".1")
            self._cut = False
            used = 0
        return self.size - used

    async def run(self):
        """Write for ever; what waits is written when the task is cancelled."""
        try:
            while True:
                if self.due():
                    self.write()
                await asyncio.sleep_ms(_LOOK)
        finally:
            self.write()
