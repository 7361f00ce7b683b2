"""Messages that are files: received straight to the flash, published straight from it.

    client = Client(..., on_large=ToFile("/image.jpg", done))
    await publish_file(client, "camera/image", "/image.jpg", qos=1)

Neither needs more RAM than the client's own buffer.
"""

import os

from coldframe import store
from coldframe.log import getLogger

log = getLogger("mqtt")


class ToFile:
    """An ``on_large`` callback: stores messages that are larger than the client's buffer, each whole or not at all.

    Args:
        path: of the file, or a function (topic) -> path, or None for a topic that is not wanted.
        done: called with (topic, path, size) when a message is complete and in its place; may be None.
        limit: bytes; what is longer is not stored. 0: any.

    The content goes to ``PATH.tmp``, which takes the place of an older file by a rename when the last byte is there.
    A message that is cut off (the connection is lost, the flash is full) leaves the old file as it is, which is
    logged. ``stored`` and ``failed`` count.
    """

    def __init__(self, path, done=None, limit=0):
        self.path = path
        self.done = done
        self.limit = limit
        self.stored = self.failed = 0
        self._file = None
        self._target = None
        self._next = 0  # offset of the part that comes next

    def __call__(self, topic, offset, part, more):
        try:
            if part is None:
                if self._file is not None:
                    self._drop(topic, "the connection was lost")
                return
            if not offset:
                self._begin(topic, len(part) + more)
            if self._file is None:
                return
            if offset != self._next:
                raise OSError("part at %d, expected %d" % (offset, self._next))
            if self._file.write(part) != len(part):
                raise OSError(28)  # ENOSPC
            self._next += len(part)
            if not more:
                self._finish(topic)
        except OSError as er:
            self._drop(topic, er)

    def _begin(self, topic, size):
        if self._file is not None:  # the one before has never ended
            self._drop(topic, "another one began")
        target = self.path(topic) if callable(self.path) else self.path
        if target is None:
            return
        self._target = target
        self._next = 0
        if self.limit and size > self.limit:
            raise OSError("%d bytes, expected %d at most" % (size, self.limit))
        self._file = open(target + ".tmp", "wb")

    def _finish(self, topic):
        f = self._file
        f.flush()
        self._file = None
        f.close()
        sync = getattr(os, "sync", None)
        if sync:
            sync()  # the content must be on the flash before the name is
        os.rename(self._target + ".tmp", self._target)
        self.stored += 1
        if self.done is not None:
            self.done(topic, self._target, self._next)

    def _drop(self, topic, why):
        f = self._file
        self._file = None
        self.failed += 1
        if f is not None:
            try:
                f.close()
            except OSError:
                pass
        if self._target is not None:
            store.remove(self._target + ".tmp")
        log.error("%s: not stored in %s: %s", topic, self._target, why)


async def publish_file(client, topic, path, qos=0, retain=False):
    """Publish the content of a file, read as it is sent; with QoS 1 and 2 again from its start after a lost connection.

    Raises OSError when the file cannot be read, and what Client.publish_stream() raises.
    """
    size = os.stat(path)[6]
    with open(path, "rb") as f:
        await client.publish_stream(topic, f, size, qos, retain)
