"""What all switches have in common: commands on TOPIC/set, the state on TOPIC, kept by the broker over restarts."""

from coldframe.components import node, topic_of
from coldframe.topicset import TopicSet


class Switch:
    """Base class of switches. A switch of your own has set(on), sync or async; if it returns False, it was not done.

    topic          where the state goes, ON or OFF; "./NAME" of the component if it is left out. Commands come in on the
                   same with "/set".
    initial        True or False: the state when the broker has none; None leaves the thing alone.
    restore        whether to take the state that the broker has kept, after a restart.
    friendly_name  what people call it in Home Assistant.
    Other options are those of coldframe.topicset.TopicSet.
    """

    friendly_name = None

    def __init__(self, topic=None, initial=None, restore=True, friendly_name=None, **options):
        if initial not in (None, True, False):
            raise ValueError("initial: expected true, false or null, got %r" % (initial,))
        if friendly_name is not None:
            self.friendly_name = friendly_name
        topic = TopicSet(topic_of(self, topic), self.set, initial, kind="bool", restore=restore, **options)
        topic.meta = self.meta
        self.topic = node().add(topic)

    def set(self, on):
        """Do it. To be written by the class that is derived from this one."""
        raise NotImplementedError

    @property
    def state(self):
        """True, False, or None while it is not known."""
        return self.topic.state

    async def on(self):
        """Switch on. Returns whether it was done."""
        return await self.topic.set(True)

    async def off(self):
        """Switch off. Returns whether it was done."""
        return await self.topic.set(False)

    async def toggle(self):
        """Switch off if it is on, else on."""
        return await self.topic.toggle()

    def meta(self):
        """What Home Assistant is told of."""
        name = self.friendly_name
        yield {
            "kind": "switch",
            "name": self.topic.topic.rsplit("/", 1)[-1] if name is None else name,
            "on": "ON",
            "off": "OFF",
        }
