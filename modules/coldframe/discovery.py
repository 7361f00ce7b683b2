"""Home Assistant: the device and all that it has appear there by themselves (docs/discovery.md).

This is the part that stays in RAM, and it only waits for a reason. discoveryrun.py, which is imported then, tells Home
Assistant, with the document of discoverydoc.py.
"""

import asyncio

import coldframe

MARK = "/discovery.rec"  # what Home Assistant has been told: discoverydoc.mark()
state = None  # a list, see discoveryrun.py
_task = None


def start(node):
    """Announce the node from now on; or, if discovery was switched off after it had been on, take it back once."""
    global state
    if node.config["discovery.enabled"]:
        state = [None, None, False]
        node.on("up", _up)
        for event in ("topic", "untopic", "newparam"):
            node.on(event, _changed)
        node.subscribe(node.config["discovery.prefix"] + "/status", _status)
        return
    from . import store

    if store.exists(MARK):

        async def take_back():
            from .discoverydoc import take_back

            await take_back(node)
            coldframe.forget("discoverydoc")

        node.on("up", take_back)
    coldframe.forget("discovery")


def _up():
    _wake("up")


def _changed(_):
    if state[1] is not None or _task:  # else _up() comes anyway
        _wake("changed")


def _status(payload):
    _wake(payload)


def _wake(why):
    global _task
    from .discoveryrun import plan

    if plan(coldframe.node, state, why) and _task is None:
        coldframe.node.telling = True
        _task = asyncio.create_task(_run())
    elif _task is None:
        coldframe.forget("discoveryrun")


async def _run():
    global _task
    from .discoveryrun import run

    try:
        await run(coldframe.node, state)
    finally:
        coldframe.node.telling = False
        _task = None
        coldframe.forget("discoveryrun")
        coldframe.forget("discoverydoc")
