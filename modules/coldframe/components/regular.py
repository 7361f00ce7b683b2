"""Components that run: what is called regularly, and coroutines."""

import asyncio

from coldframe.callback import COROUTINE


def regularly(node, name, function, interval):
    """Call a function every so many seconds, from now on. Returns the Service; what it raises is reported each time."""

    async def run():
        while True:
            await asyncio.sleep(interval)
            try:
                result = function()
                if isinstance(result, COROUTINE):
                    await result
            except Exception as e:
                node.report("components." + name, e)

    return _service(node, name, run)


def forever(node, name, coroutine, args, options):
    """Run a coroutine function as a service of the node. Returns the Service."""
    return _service(node, name, lambda: coroutine(*args, **options))


def _service(node, name, run):
    return node.service("component " + name, run, layer="component")
