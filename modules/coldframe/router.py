"""Topics of a node: what it publishes, what it listens to, and who gets which message."""

import asyncio
import json

from .callback import arity, call
from .topic import Topic

_QUEUE = 8  # messages that may wait for a slow action


class _Listener:
    # Who wants the messages of one topic filter: a Topic with its action (or, function None, to be read), or, topic
    # None, a function.
    queue = None  # list of (topic, payload) while a task of _handle() is at work

    def __init__(self, function, count, topic, qos):
        self.function = function
        self.count = count
        self.topic = topic
        self.qos = qos


class Router:
    """The part of a Node that has to do with topics."""

    least_qos = 0  # that is published and subscribed with

    def add(self, topic):
        """Add a Topic; works before and after the start. Returns it. ValueError if one of that name is there."""
        for other in self.topics:
            if other.topic == topic.topic:
                raise ValueError("topic %r: is there already" % topic.topic)
        self.topics.append(topic)
        if topic.action:
            self._listen(topic.command, _Listener(topic.action, topic.action_args, topic, topic.qos))
        if topic.read and topic.reverse:
            self._listen(topic.reverse, _Listener(None, 0, topic, topic.qos))
        self.emit("topic", topic)
        return topic

    def topic(self, name, **options):
        """Decorator: the function reads the topic. Options as for Topic. The function itself is left as it is."""

        def decorate(function):
            self.add(Topic(name, read=function, **options))
            return function

        return decorate

    def action(self, name, **options):
        """Decorator: the function is called for messages on the topic. Options as for Topic."""

        def decorate(function):
            self.add(Topic(name, action=function, **options))
            return function

        return decorate

    async def publish(self, topic, payload, qos=0, retain=False):
        """Send a message.

        topic: "./x" or absolute. payload: str and bytes as they are, anything else as JSON, None sends nothing.
        Returns True once it is handed over (QoS 1: acknowledged), False if there is no broker or nothing to send.
        """
        if payload is None or self.client is None:
            return False
        if not isinstance(payload, (str, bytes, bytearray, memoryview)):
            payload = json.dumps(payload)
        await self.client.publish(self.resolve(topic), payload, qos or self.least_qos, retain)
        return True

    def subscribe(self, topic, callback, qos=0):
        """Call callback for each message on a topic ("./x" or absolute, wildcards allowed), at once or once connected.

        callback: takes (topic, payload), (payload) or nothing; sync or async. Several may listen to one topic.
        """
        self._listen(topic, _Listener(callback, arity(callback), None, qos))

    async def force(self, topic, payload=None):
        """Read a Topic and publish the value now. payload: what its read function gets, if it takes anything."""
        if topic.busy:
            return  # a reading is on its way out already
        topic.busy = True
        try:
            value = await call(topic.read, topic.read_args, topic.topic, payload)
            if value is not None:
                topic.value = value
                await self.publish(topic.topic, value, topic.qos, topic.retain)
                if self._hooks:
                    self.emit("value", topic, value)
        except Exception as e:
            self.report(topic.topic, e)
        finally:
            topic.busy = False

    def busy(self):
        """Whether a reading or an action is at work."""
        return any(t.busy for t in self.topics) or any(
            one.queue is not None for some in self._listeners.values() for one in some
        )

    def _listen(self, topic, listener):
        topic = self.resolve(topic)
        others = self._listeners.get(topic)
        if others:
            others.append(listener)
        else:
            self._listeners[topic] = [listener]
        self._wanted.append(topic)
        if self.client and self.client.up.is_set() and not self._asking:
            asyncio.create_task(self._ask_wanted())

    def _message(self, topic, payload, retained):
        # From the client's reader: never waits, so that one slow action holds up nothing else.
        if self._hooks:
            self.emit("message")
        found = self._listeners.get(topic)
        if found:
            self._pass(found, topic, payload)
        for wanted in self._listeners:
            if ("+" in wanted or "#" in wanted) and wanted != topic:
                from .codec import match

                if match(wanted, topic):
                    self._pass(self._listeners[wanted], topic, payload)

    def _pass(self, listeners, topic, payload):
        data = bytes(payload)  # the client's buffer is used again for the next message
        try:
            data = data.decode()
        except ValueError:
            pass
        for listener in listeners:
            queue = listener.queue
            if queue is None:
                listener.queue = [(topic, data)]
                asyncio.create_task(self._handle(listener))
            elif len(queue) < _QUEUE:
                queue.append((topic, data))
            else:
                self.dropped += 1
                self.log.warning("%s: message dropped, %d are waiting for the action", topic, _QUEUE)

    async def _handle(self, listener):
        # Hand the waiting messages to one listener, in order.
        topic = listener.topic
        try:
            while listener.queue:
                name, payload = listener.queue.pop(0)
                if not listener.function:
                    await self.force(topic, payload)
                    continue
                try:
                    result = await call(listener.function, listener.count, name, payload)
                    if topic is None:
                        continue
                    if topic.read:
                        if result is None:
                            await self.force(topic)
                        else:
                            await self.publish(topic.topic, result, topic.qos, topic.retain)
                    elif topic.reverse:
                        await self.publish(topic.reverse, result, topic.qos, topic.retain)
                except Exception as e:
                    self.report(name, e)
        finally:
            listener.queue = None

    async def _ask_wanted(self):
        # Tell the client of the filters that it does not know; it repeats them after each reconnect.
        if self._asking:
            return
        self._asking = True
        try:
            while self._wanted:
                topic = self._wanted[0]
                try:
                    qos = max(x.qos for x in self._listeners[topic])
                    await self.client.subscribe(topic, qos or self.least_qos)
                except Exception as e:
                    self.report("subscription to " + topic, e)
                self._wanted.pop(0)
        finally:
            self._asking = False
