"""Ready-made parts of a device that config.json can put together without a line of code: docs/components.md.

loader.py makes them; sensor.py, switch.py and button.py have the classes that they have in common.
"""

import coldframe

making = None  # name of the component that the loader is making


def topic_of(thing, given):
    """The topic of a component: the one that was given, else "./" and its name, else "./" and that of its class."""
    return given or "./" + (making or type(thing).__name__.lower())


def node():
    """The node that a component belongs to. RuntimeError if there is none yet."""
    if coldframe.node is None:
        raise RuntimeError("expected a coldframe.Node() before the first component, there is none")
    return coldframe.node
