"""Topic with one function only: TopicRead, TopicAction."""

from .topic import Topic


class TopicRead(Topic):
    """A Topic with a value to read. Options as for Topic."""

    def __init__(self, topic, read, every=None, **options):
        super().__init__(topic, read, None, every, **options)


class TopicAction(Topic):
    """A Topic with something to do. Options as for Topic."""

    def __init__(self, topic, action, **options):
        super().__init__(topic, None, action, **options)
