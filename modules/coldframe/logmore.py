"""The records of the log as text: see coldframe.log, which has these functions as its own."""

from .log import level_name, ring


def line(reader):
    """The record that a reader has found as one text without a line end; None if it is gone by now."""
    text = reader.text
    if text is None:
        return None
    return "%s %-8s %s: %s" % (reader.stamp, level_name(reader.level), reader.name, text)


def lines(n=None):
    """Yield the newest n records (all if None), oldest first, as text without a line end."""
    reader = ring.reader() if n is None else ring.reader(n)
    while reader.next():
        text = line(reader)
        if text is not None:  # else overwritten by what the caller wrote meanwhile
            yield text


def tail(n=20):
    """Print the newest n records."""
    for text in lines(n):
        print(text)


def before(n=None):
    """Yield the newest n records (all if None) of before the restart, as lines() does, while they are there.

    There are some where the chip has memory that a reset leaves alone; ring.recovered tells how many were found.
    """
    reader = ring.reader()
    first = ring.first
    found = 0
    while reader.next() and reader.seq < first:
        found += 1
    reader = ring.reader()
    while reader.next() and reader.seq < first:
        found -= 1
        if n is None or found < n:
            text = line(reader)
            if text is not None:
                yield text


def previous(n=None):
    """Print the newest n records (all if None) of before the restart that are still there."""
    for text in before(n):
        print(text)


def save(path):
    """Write the records of before the restart to a file, atomically. Returns how many. Raises OSError."""
    from . import store

    count = 0

    def feed(f):
        nonlocal count
        for text in before():
            f.write(text)
            f.write("\n")
            count += 1

    if ring.recovered:
        store.write(path, feed)
    return count
