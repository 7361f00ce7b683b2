"""Ctrl-C: what a KeyboardInterrupt has torn, so that the node can go on afterwards. Imported only then.

It is raised wherever the program happens to be. A coroutine that it hits is over; asyncio knows nothing of that, as
its loop was left in the middle. A task that was just taken from the queue is in no queue any more.
"""

from asyncio import core


def mend(node):
    """Give the task that was interrupted back to the event loop; without effect the second time."""
    if node._wanted and not node._asking and node.client and node.client.up.is_set():
        core.create_task(node._ask_wanted())
    task = core.cur_task
    if task is None or not task.state or task.data is not None:
        return  # none, or it is done, or it waits for something
    queue = core._task_queue
    tasks = []
    while queue.peek():
        tasks.append(queue.pop())
    for other in tasks:
        queue.push(other, other.ph_key)
    if task not in tasks and not _waits(task):
        # If its coroutine is over, the loop sees now that it is, and tells those who wait for it.
        queue.push(task)


def _waits(task):
    for waiting in core._io_queue.map.values():
        if task in waiting[:2]:
            return True
    return False


def keep(node, names=None):
    """What back() needs to undo what is done to a node from now on. names: only these attributes, None = all."""
    return (
        node,
        names,
        {name: _copy(value) for name, value in node.__dict__.items() if not names or name in names},
    )


def back(kept):
    """Undo what was done since keep(), as it was interrupted and will be done again. Services that are new end."""
    node, names, kept = kept
    services = kept["services"]
    for service in node.services:
        if service not in services and service.task:
            service.task.cancel()
    if not names:
        for name in list(node.__dict__):
            if name not in kept:
                delattr(node, name)
    for name in kept:
        setattr(node, name, kept[name])
    node._wanted = list(node._listeners)


def _copy(value):
    if isinstance(value, list):
        return list(value)
    if isinstance(value, dict):
        return {k: list(v) if isinstance(v, list) else v for k, v in value.items()}
    return value
