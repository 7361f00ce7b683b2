"""When Home Assistant is told, and what is done if that fails; imported for that time only. See discovery.py.

The state is a list: [0] clock.ms() of the next announcement, None = there is none to make; [1] that of the last one;
[2] whether the values are to be published after it.
"""

import asyncio
import os

from micropython import const

from . import clock

_SETTLE = const(2000)  # ms without a change before it is told: an app adds one topic after the other
_AGAIN = const(60000)  # ms between two announcements on account of reconnects, and after one that has failed
_JITTER = const(40)  # ms times a random byte: not all devices at once when Home Assistant has started
_DUE, _LAST, _VALUES = 0, 1, 2


def plan(node, state, why):
    """Note down that Home Assistant is to be told.

    why: None (the connection has come up: the broker may have forgotten what it kept), "changed" (a topic or parameter
    was added or removed), "online" (Home Assistant has started); anything else is no reason. Returns whether it is one.
    """
    wait = _SETTLE
    if why == "online":
        state[_VALUES] = True
        wait = 500 + os.urandom(1)[0] * _JITTER
    elif why is None:
        if node.power:
            wait = 0  # it is awake for seconds only
        elif state[_LAST] is not None:
            wait = max(wait, state[_LAST] + _AGAIN - clock.ms())
    elif why != "changed":
        return False
    due = clock.ms() + wait
    if state[_DUE] is None or due > state[_DUE]:
        state[_DUE] = due
    return True


async def run(node, state):
    """Tell Home Assistant when it is time, until there is nothing more to tell."""
    while state[_DUE] is not None:
        wait = state[_DUE] - clock.ms()
        if wait > 0:
            await asyncio.sleep_ms(wait)
            continue
        state[_DUE] = None
        if not node.client or not node.client.up.is_set():
            return  # "up" comes
        try:
            from .discoverydoc import announce

            # The values of new entities have gone out before Home Assistant knew of them.
            if await announce(node):
                state[_VALUES] = True
            state[_LAST] = clock.ms()
            if state[_VALUES]:
                state[_VALUES] = False
                await _values(node)
        except OSError:
            pass  # the connection was lost on the way: "up" comes
        except Exception as e:
            node.report("discovery", e)
            state[_LAST] = clock.ms()  # what has failed now is not tried again with each reconnect
            state[_DUE] = state[_LAST] + _AGAIN


async def _values(node):
    # Home Assistant does not know the values that the broker does not keep.
    if node.power:
        return
    for topic in tuple(node.topics):
        if topic.read and not topic.retain and (topic.meta is not None or topic.topic == "./SYSINFO"):
            await node.force(topic)
            await asyncio.sleep_ms(50)
    if node._params:
        await node.params.publish()
