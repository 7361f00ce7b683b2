"""Home Assistant: the device and all that it has appear there by themselves (docs/discovery.md).

This is the part that stays in RAM, and it only waits for a reason. discoveryrun.py, which is imported then, tells Home
Assistant, with the document of discoverydoc.py.
"""

import asyncio

import coldframe

state = None  # a list, see discoveryrun.py
_task = None


def start(node):
    """Announce the node from now on; or, if discovery was switched off after it had been on, take it back once."""
    global state
    if node.config["discovery.enabled"]:
        state = [None, None, False]
        for event in ("up", "topic", "untopic", "newparam"):
            node.on(event, _wake)
        node.subscribe(node.config["discovery.prefix"] + "/status", _wake)
        return
    from . import store
    from .discoverydoc import MARK, take_back

    if store.exists(MARK):
        node.on("up", lambda: take_back(node))
    coldframe.forget("discoverydoc")
    coldframe.forget("discovery")


def _wake(why=None):
    # why: None = the connection has come up; a Topic or Param that was added or removed; a text of Home Assistant's.
    global _task
    node = coldframe.node
    if why is not None and not isinstance(why, str):
        if state[1] is None and _task is None:
            return  # the connection will come up
        why = "changed"
    from .discoveryrun import plan

    if plan(node, state, why) and _task is None:
        node.telling = True
        _task = asyncio.create_task(_run(node))
    if _task is None:
        coldframe.forget("discoveryrun")


async def _run(node):
    global _task
    from .discoveryrun import run

    try:
        await run(node, state)
    finally:
        node.telling = False
        _task = None
        coldframe.forget("discoveryrun")
        coldframe.forget("discoverydoc")
