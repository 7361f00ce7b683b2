"""What a node does about a bad end: publishes the report once, says what is left out, tries everything again later.

Imported for a moment at the start (a part of every node), and when something goes wrong.
"""

import asyncio

from . import bootrecord, forget, hal, log, store

WITHOUT = (
    "",
    "your program (boot.py, main.py, app.py)",
    "your program and the components",
    "your program, the components and the newest configuration",
    "anything of yours: safe mode",
)


def start(node):
    """The part: see PARTS in core.py."""
    level = bootrecord.level()
    if level:
        node._error(left_out(level))
    if store.exists("/crash.new"):
        announce(node)
    if store.exists("/config.trial"):
        from .trialwatch import start

        start(node)
    forget("recovery")


def left_out(level):
    """A text that says what does not run at a level, and how to change that."""
    n = bootrecord.failed()
    blamed = bootrecord.blamed()
    return "running without %s%s%s; see coldframe.crash.show(), coldframe.recover()" % (
        WITHOUT[level],
        ", after %d failed boots in a row" % n if n else "",
        " (%s)" % blamed if blamed else "",
    )


def announce(node):
    """Publish the report of the crash as soon as the broker is there."""
    if not node.announces:
        node.announces = True
        node.on("up", lambda: _publish(node))
    if node.client and node.client.up.is_set():
        asyncio.create_task(_publish(node))


async def _publish(node):
    from . import crash

    if not crash.waiting():
        return
    from .mqtt.files import publish_file

    try:
        await publish_file(node.client, node.resolve("./crash"), crash.ROOT + "crash.new", qos=1, retain=True)
        crash.published()
    except OSError as e:
        log.getLogger("recovery").warning("./crash: %s", e)  # at the next connection
    finally:
        forget("mqtt.files")
        forget("crash")


def again(node):
    """Everything has been sound for the time of bootrecord.hold(): try all layers again, or trust them for good."""
    level = bootrecord.level()
    if level or node.lacks:
        hours = bootrecord.hold() // 3600
        bootrecord.retry()
        hal.reset("all is tried again after %d h without %s" % (hours, WITHOUT[level] or WITHOUT[1]))
    bootrecord.trust()
