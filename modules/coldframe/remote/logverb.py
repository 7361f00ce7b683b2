"""The verb log: the lines of the ring, those of before the restart among them, and what is logged from now on."""

import asyncio

from coldframe import forget
from coldframe import log as logs
from micropython import const

from .command import RemoteError

_LINES = const(50)
_LOOK = const(300)  # ms between two looks at the ring


async def log(cmd):
    """See remote/command.py; args: docs/remote-protocol.md."""
    args = cmd.args
    try:
        lowest = logs.level(args.get("level", 0))
    except ValueError as e:
        raise RemoteError("args", str(e))
    count = args.get("lines", _LINES)
    since = args.get("since")
    for name, value in (("lines", count), ("since", since or 0)):
        if not isinstance(value, int) or value < 0:
            raise RemoteError("args", "log: %s: expected a whole number from 0 on" % name)
    try:
        return await _run(cmd, lowest, count, since)
    finally:
        forget("logmore")
        logs.__dict__.pop("logmore", None)


async def _run(cmd, lowest, count, since):
    ring = logs.ring
    args = cmd.args
    first = ring.first
    before = args.get("before")
    number = args.get("number")
    skip = 0
    if since is not None:
        reader = ring.since(since)
    else:
        reader = ring.reader()
        if count:
            while reader.next() and not (before and reader.seq >= first):
                skip += reader.level >= lowest
            skip = max(0, skip - count)
            reader = ring.reader()
    from coldframe.logmore import line

    lost = 0
    own = first  # records of the connection before this number were written while lines were sent
    at = reader.seq
    fresh = started = False
    while True:
        if not reader.next():
            if before or not args.get("follow"):
                break
            if fresh:
                await cmd.flush()
                fresh = False
                own = ring.seq
            await asyncio.sleep_ms(_LOOK)
            continue
        if before and reader.seq >= first:
            break
        gone = reader.lost if since or started else 0  # a reader that begins has missed nothing
        started = True
        lost += gone
        at = reader.seq + 1
        if gone and not skip:
            await cmd.write(" ... %d lines lost\n" % gone)
        if reader.level < lowest:
            continue
        if skip:
            skip -= 1
            continue
        if reader.seq < own and reader.name == "mqtt":
            continue
        text = line(reader)
        if text is None:
            lost += 1
            continue
        fresh = True
        if number:
            text = "%d %s" % (reader.seq, text)
        seq = ring.seq
        await cmd.write(text)
        await cmd.write("\n")
        if ring.seq != seq:
            own = ring.seq
    await cmd.flush()
    return {"next": at & 0xFFFFFFFF, "lost": lost, "first": first}
