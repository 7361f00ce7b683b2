"""What a Node can do beyond the usual, loaded with its first use: node.routine() is routine(node) here, and so on.

The decorators leave the function as it is; find() gives the Topic that was made.
"""

import asyncio

from .topic import Topic


def params(node):
    """The parameters: a coldframe.params.Params."""
    if node._params is None:
        from .params import Params

        node._params = Params(node)
    return node._params


def param(node, name, default, *args, **options):
    """Declare a parameter; see coldframe.params.Params.add(). Returns a Param."""
    return params(node).add(name, default, *args, **options)


def has_broker(node):
    """Whether the configuration names a broker."""
    return bool(node._transport or node.config["mqtt.host"] or node.config.given("mqtt.serial"))


def busy(node):
    """Whether an action or a reading is at work, or waits for its turn, or somebody is administering the node."""
    gate = node.remote and node.remote.gate
    if gate and gate.busy():
        return True
    for listener in node._listeners.values():
        while listener:
            if listener.queue is not None:
                return True
            listener = listener.next
    return node.telling or any(topic.busy for topic in node.topics)


def find(node, name):
    """The Topic of a name ("./x" or absolute), None if there is none."""
    for topic in node.topics:
        if topic.topic == name or node.resolve(topic.topic) == name:
            return topic


# Decorators.


def _decorator(node, make):
    def decorate(function):
        node.add(make(function))
        return function

    return decorate


def on_change(node, name, **options):
    """Decorator: the function reads a TopicOnChange. Options as for it."""
    from .topicchange import TopicOnChange

    return _decorator(node, lambda function: TopicOnChange(name, function, **options))


def routine(node, every=None, **options):
    """Decorator: the function is a TopicRoutine. Options as for it."""
    from .topicroutine import TopicRoutine

    return _decorator(node, lambda function: TopicRoutine(function, every, **options))


def irq(node, name, pin, **options):
    """Decorator: the function is called for each edge of a TopicIrq. Options as for it."""
    from .topicirq import TopicIrq

    return _decorator(node, lambda function: TopicIrq(name, pin, action=function, **options))


def state(node, name, **options):
    """Decorator: the function is the action of a TopicSet. Options as for it."""
    from .topicset import TopicSet

    return _decorator(node, lambda function: TopicSet(name, function, **options))


def switch(node, name, **options):
    """Decorator: the function is the action of a Switch. Options as for TopicSet."""
    from .topicset import Switch

    return _decorator(node, lambda function: Switch(name, function, **options))


def number(node, name, **options):
    """Decorator: the function is the action of a Number. Options as for it."""
    from .topicset import Number

    return _decorator(node, lambda function: Number(name, function, **options))


def select(node, name, choices, **options):
    """Decorator: the function is the action of a Select. Options as for it."""
    from .topicset import Select

    return _decorator(node, lambda function: Select(name, choices, function, **options))


def text(node, name, **options):
    """Decorator: the function is the action of a Text. Options as for it."""
    from .topicset import Text

    return _decorator(node, lambda function: Text(name, function, **options))


# Taking away.


def remove(node, topic, clear=False):
    """Take a Topic away: it is not read any more, not listened to, and not announced.

    topic: a Topic, or the name of one. clear: also have the broker forget its retained value. Returns the Topic.
    Raises ValueError if the node has no such topic.
    """
    found = topic if isinstance(topic, Topic) else find(node, topic)
    if found not in node.topics:
        raise ValueError("topic %r: there is none of that name" % topic)
    node.topics.remove(found)
    for name in (found.command, found.reverse if found.read else None):
        if name:
            _leave(node, node.resolve(name), lambda listener: listener.topic is found)
    if found.removed:
        found.removed(node)
    if clear and found.read and node.client:
        asyncio.create_task(_clear(node, found))
    node.emit("untopic", found)
    return found


def unsubscribe(node, topic, callback):
    """Take back what subscribe() has asked for. Returns False if it has not."""
    return _leave(
        node, node.resolve(topic), lambda listener: listener.topic is None and listener.function == callback
    )


def _leave(node, name, unwanted):
    # Take listeners of a filter away; the last one takes the subscription along.
    found = False
    kept = None
    listener = node._listeners.get(name)
    while listener:
        following = listener.next
        if unwanted(listener):
            found = True
            if listener.queue:
                del listener.queue[:]
        else:
            listener.next = None
            if kept is None:
                kept = last = listener
            else:
                last.next = listener
                last = listener
        listener = following
    if kept:
        node._listeners[name] = kept
    elif found:
        del node._listeners[name]
        if node.client:
            asyncio.create_task(_unsubscribe(node, name))
    return found


async def _unsubscribe(node, name):
    try:
        await node.client.unsubscribe(name)
        if name in node._listeners:  # added again meanwhile
            node._wanted.append(name)
            await node._ask_wanted()
    except Exception as e:
        node.report("end of the subscription to " + name, e)


async def _clear(node, topic):
    # Behind whatever is under way, so that nothing retained comes after it.
    while topic.busy:
        await asyncio.sleep_ms(50)
    try:
        await node.client.publish(node.resolve(topic.topic), b"", 1, True)
    except Exception as e:
        node.report(topic.topic, e)


FUNCTIONS = (
    param,
    has_broker,
    busy,
    find,
    on_change,
    routine,
    irq,
    state,
    switch,
    number,
    select,
    text,
    remove,
    unsubscribe,
)
NAMES = (
    "param",
    "has_broker",
    "busy",
    "find",
    "on_change",
    "routine",
    "irq",
    "state",
    "switch",
    "number",
    "select",
    "text",
    "remove",
    "unsubscribe",
)


def lookup(node, name):
    """An attribute that Node itself does not have."""
    if name == "params":
        return params(node)
    if name in NAMES:
        function = FUNCTIONS[NAMES.index(name)]
        return lambda *args, **options: function(node, *args, **options)
    raise AttributeError("%s: a Node has no such attribute" % name)
