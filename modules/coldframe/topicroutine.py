"""Something that is done again and again."""

from .topic import Topic


class TopicRoutine(Topic):
    """Something that is done again and again, with no topic and no broker needed.

    action   function without arguments; sync or async. What it raises is reported, and it is called again next time.
    every    seconds; what takes longer is not started twice. None: it is called once, when the node has started.
    name     for the log, and for the parameter "every NAME".
    Further options: jitter, align, at.
    """

    offline = True

    def __init__(self, action, every=None, name=None, **options):
        if name is None:
            name = getattr(action, "__name__", None) or "routine %x" % id(action)
        if not callable(action):
            raise ValueError("routine %s: expected a function, got %r" % (name, action))
        super().__init__(name, action, None, every, False, **options)
        self._once = every is None and self.timing is None

    def added(self, node):
        """Have it called once, if that is all."""
        if self._once:

            async def once():
                await node.force(self, None, False)

            node.service(self.topic, once, once=True)

    def wants(self, node, value):
        """Nothing is published."""
        return False
