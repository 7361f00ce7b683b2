"""What is printed goes into the log as well: print(), and tracebacks that nobody has caught."""

import os

import ringlog

from . import log

_stream = None


def capture(on=True):
    """Switch it on or off; see log.capture()."""
    global _stream
    dupterm = getattr(os, "dupterm", None)
    if dupterm is None:
        return False
    if on and _stream is None:
        stream = ringlog.Capture(log.ring)
        other = dupterm(stream)
        if other is not None:  # a terminal: it was there first
            dupterm(other)
            log.ring.captured = False
            return False
        _stream = stream
    elif not on and _stream is not None:
        other = dupterm(None)
        if other is not _stream:
            dupterm(other)  # somebody has taken its place meanwhile
        _stream = None
        log.ring.captured = False
    return True
