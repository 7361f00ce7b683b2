"""The node's part of a configuration on trial: see configtrial. Imported while there is a note.

The broker counts as reached when a message of the node's own has come back from it: connected, and allowed to publish
and to subscribe. It is the message of watchdog.broker, on the same topic, ./WATCHDOG, with another text.
"""

import asyncio
import json

from . import clock, config, configtrial, forget, hal, log

_AGAIN = 2  # s between two such messages

_log = log.getLogger("config")


def start(node):
    """Called at the start of a node while there is a note: see recovery.start()."""
    note = configtrial.read()
    if note is None:
        return
    if note["state"] in ("armed", "trying"):
        node.trying = True
        note["begun"] = clock.ms()
        # Once, because battery mode waits for what runs once before it sleeps; watch() itself does not fail.
        node.service("config.trial", lambda: watch(node, note), once=True)
    else:
        tell(node, note)


async def watch(node, note):
    """Wait for the broker and decide. note: of configtrial, with "begun": clock.ms() of the start."""
    begun = note["begun"]
    limit = note.get("trial", 120)
    word = "TRIAL %s" % note.get("id")
    heard = asyncio.Event()

    def hear(payload):
        if payload == word:
            heard.set()

    read = config._loaded
    if read is None or not read[0].endswith("config.json"):
        return _back(node, note, "it could not be read from the flash", 0)
    node.subscribe("./WATCHDOG", hear)
    while not heard.is_set() and clock.ms() - begun < limit * 1000:
        try:
            client = node.client
            if client and client.up.is_set():
                await asyncio.wait_for(node.publish("./WATCHDOG", word), _AGAIN)
            await asyncio.wait_for(heard.wait(), _AGAIN)
        except Exception:  # the time is over, or the connection, or the heap: it is tried again until the end
            await asyncio.sleep_ms(50)
    after = (clock.ms() - begun) // 1000
    if not heard.is_set():
        why = "the broker was not reached within %d s" % limit
        client = node.client
        if client and client.up.is_set():
            why = "the broker did not send back a message on ./WATCHDOG within %d s" % limit
        elif client and client.why:
            why += ": %s" % client.why
        return _back(node, note, why, after)
    node.unsubscribe("./WATCHDOG", hear)
    configtrial.keep(note, after)
    node.trying = False
    node.proves()
    tell(node, note)


def _back(node, note, why, after):
    note["after"] = after
    note.pop("begun", None)
    node.emit("stop")  # what is to be saved
    configtrial.back(note, why)
    hal.reset("config: back to the configuration before: " + why)


def tell(node, note):
    """Log the outcome, have it in the errors of SYSINFO if it is a failure, and publish it once on ./config/result."""
    state = note["state"]
    if state == "kept":
        _log.info("the new configuration is kept: %s", note.get("why"))
    else:
        text = "config: %s: %s" % (
            "the configuration before is back"
            if state in ("failed", "back")
            else "the configuration was not changed",
            note.get("why"),
        )
        _log.warning(text)
        node._error(text)
    done = False

    async def publish():
        nonlocal done
        if done:
            return
        try:
            await node.publish("./config/result", json.dumps(configtrial.outcome()), 1)
        except OSError:
            return  # at the next connection
        done = True
        configtrial.told()
        forget("configtrial")
        forget("trialwatch")

    node.on("up", publish)
    if node.client and node.client.up.is_set():
        asyncio.create_task(publish())
