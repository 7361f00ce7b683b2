"""Records of the log for a program far away, which asks again and again: what is new since last time?"""

from . import log


def rows(since=0, most=50, lowest=0):
    """Records from number `since` on, as a dict that json.dumps() takes.

    since: the "next" of the answer before, 0 for all. most: highest number of rows, which bounds the RAM.
    lowest: level below which records are passed over, a name or a number.
    Returns {"next": number for the next call, "lost": records that were overwritten before they could be read,
    "first": number of the first record since the restart, "rows": [[number, ms, level name, name, text], ...]}.
    A number from before a loss of power starts from the oldest record.
    """
    lowest = log.level(lowest)
    reader = log.ring.since(since)
    found = []
    lost = 0
    at = reader.seq
    while len(found) < most and reader.next():
        # A reader that begins anew has missed nothing.
        lost += reader.lost if since else 0
        at = reader.seq + 1
        if reader.level >= lowest:
            text = reader.text
            if text is None:
                lost += 1
            else:
                found.append([reader.seq, reader.time, log.level_name(reader.level), reader.name, text])
    return {"next": at & 0xFFFFFFFF, "lost": lost, "first": log.ring.first, "rows": found}
