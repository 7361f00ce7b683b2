"""When messages of QoS 1 and 2 come faster than an action takes them: the broker is made to wait.

They have been acknowledged, so none may be dropped: no more is read from the link until there is room. But an action
may itself wait for an acknowledgement from the broker, which comes behind the messages that are under way already; so
while an answer is outstanding a few are read now and then. And an action that gets nowhere must not make the node deaf:
after a while its messages are dropped, and counted.
"""

import asyncio

from micropython import const

from .mqtt.poller import poller

_SLOW = const(2)  # as in mqtt/client.py: why nothing is read
_QUEUE = const(8)  # as in router.py: messages that may wait for an action
_LOOK = const(20)  # ms between two looks at the queues
_FEW = const(8)  # messages that are read to get at an answer
_room = 0  # messages that are read although a queue is full
PATIENCE = 10000  # ms that one message may take while the broker waits


def wait(node):
    """A queue is full, and has taken one message more. Called for each such message."""
    global _room
    _room -= 1
    if _room <= 0:
        node.client._paused |= _SLOW
    if not node._waiting:
        node._waiting = True
        asyncio.create_task(_watch(node))


async def _watch(node):
    # Until no queue is full.
    global _room
    first = {}  # listener -> [the message it is to have next, ms for which it has been that one]
    full = True
    while full:
        await asyncio.sleep_ms(_LOOK)
        full = False
        for listener in node._listeners.values():
            while listener:
                queue = listener.queue
                if queue is not None and len(queue) >= _QUEUE and not listener.stuck:
                    full = True
                    seen = first.get(listener)
                    if seen is None or seen[0] is not queue[0]:
                        first[listener] = [queue[0], 0]
                    else:
                        seen[1] += _LOOK
                        if seen[1] >= PATIENCE:
                            listener.stuck = True
                            name = listener.topic.topic if listener.topic else "a callback"
                            node.log.error("%s takes too long; what comes for it meanwhile is lost", name)
                listener = listener.next
        client = node.client
        if client is None:
            break
        if full:
            connection = client._connection
            if connection is not None and connection.asking:
                _room = _FEW
                read_on(client)
    node._waiting = False
    _room = 0
    if node.client:
        read_on(node.client)


def read_on(client):
    """Take from the link again what the broker sends."""
    if client._paused & _SLOW:
        client._paused &= ~_SLOW
        if client.poll is not None:
            client._look()
            client.again = poller().again = True  # there may be packets in the buffer
