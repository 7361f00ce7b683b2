"""What all buttons have in common: something that a message on their topic starts once. They have no state."""

from coldframe.callback import COROUTINE
from coldframe.components import node, topic_of
from coldframe.topic import Topic


class Button:
    """Base class of buttons. A button of your own has press(), sync or async.

    topic          any message here presses it; "./NAME" of the component if it is left out.
    friendly_name  what people call it in Home Assistant.
    Other options are those of coldframe.Topic.
    """

    friendly_name = None

    def __init__(self, topic=None, friendly_name=None, **options):
        if friendly_name is not None:
            self.friendly_name = friendly_name
        topic = Topic(topic_of(self, topic), action=self._pressed, reverse=False, **options)
        topic.meta = self.meta
        self.topic = node().add(topic)

    def press(self):
        """Do it. To be written by the class that is derived from this one."""
        raise NotImplementedError

    async def _pressed(self):
        result = self.press()
        if isinstance(result, COROUTINE):
            await result

    def meta(self):
        """What Home Assistant is told of."""
        name = self.friendly_name
        yield {"kind": "button", "name": self.topic.topic.rsplit("/", 1)[-1] if name is None else name}
