"""Topics of a node: what it publishes, what it listens to, and who gets which message."""

import asyncio
import json

import coldframe

from micropython import const

from . import clock, store
from .callback import arity, call
from .topic import Topic

_QUEUE = 8  # messages that may wait for a slow action
_LOOK = const(50)  # ms between two looks whether the reading before is over
_PATIENCE = const(600)  # of them, for one that may hang


class _Listener:
    # Who wants the messages of one topic filter: a Topic with its action (or, function None, to be read), or, topic
    # None, a function; with neither, the parameters do.
    function = topic = None
    count = qos = 0
    queue = None  # list of (topic, payload) while a task of _handle() is at work
    next = None  # the _Listener of the same filter that was added after it
    stuck = False  # its action takes so long that even messages of QoS 1 and 2 are dropped

    def __init__(self, function, count, topic, qos):
        if function:
            self.function = function
        if count:
            self.count = count
        if topic:
            self.topic = topic
        if qos:
            self.qos = qos


class Router:
    """The part of a Node that has to do with topics. What is rarely needed is in nodemore.py: see its NAMES."""

    least_qos = 0  # that is published and subscribed with
    paused = False  # Ctrl-C has led to the REPL; no task runs
    due = 0  # clock.ms() when the schedule looks at the topics again
    _params = None  # the Params, once they are needed
    _restoring = None  # absolute topic -> Topic that waits for its last value
    _waiting = False  # whether the broker is made to wait

    def __getattr__(self, name):
        from .nodemore import lookup

        if coldframe.small:
            coldframe.forget("nodemore")
        return lookup(self, name)

    def add(self, topic):
        """Add a Topic; works before and after the start. Returns it. ValueError if one of that name is there."""
        for other in self.topics:
            if other.topic == topic.topic:
                raise ValueError("topic %r: is there already" % topic.topic)
        if topic.added:
            topic.added(self)  # what it raises leaves nothing behind
        self.topics.append(topic)
        if self._params:
            self._params.apply(topic)
        command = topic.command
        if command:
            self._listen(command, _Listener(topic.action, topic.action_args, topic, topic.qos))
        reverse = topic.reverse
        if topic.read and reverse:
            self._listen(reverse, _Listener(None, 0, topic, topic.qos))
        if topic.timing:
            from .timing import watch

            watch(self)
        self.due = 0
        self.emit("topic", topic)
        return topic

    def _prepare_params(self):
        # Parameters cost RAM from the moment on when one is declared, was saved, or comes by MQTT.
        for name in ("./PARAMS_", "./SET_PARAM", "./SET_PARAMS"):
            self._listen(name, _Listener(None, 0, None, 0))
        if store.exists("/params.json") and self._params is None:
            try:
                self.params  # reads the file
            except Exception as e:
                self.report("/params.json", e)

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

    async def publish(self, topic, payload, qos=0, retain=False, wait=True):
        """Send a message.

        topic: "./x" or absolute. payload: str and bytes as they are, anything else as JSON, None sends nothing.
        wait: False: with QoS 1 and 2, not until it is acknowledged, only until the client has taken it.
        Returns True once it is handed over (QoS 1: acknowledged), False if there is no broker or nothing to send.
        """
        if payload is None or self.client is None:
            return False
        if not isinstance(payload, (str, bytes, bytearray, memoryview)):
            payload = json.dumps(payload)
        await self.client.publish(self.resolve(topic), payload, qos or self.least_qos, retain, wait)
        return True

    def subscribe(self, topic, callback, qos=0):
        """Call callback for each message on a topic ("./x" or absolute, wildcards allowed), at once or once connected.

        callback: takes (topic, payload), (payload) or nothing; sync or async. Several may listen to one topic.
        """
        self._listen(topic, _Listener(callback, arity(callback), None, qos))

    async def force(self, topic, payload=None, publish=True, scheduled=False):
        """Read a Topic and publish the value now.

        payload: what its read function gets, if it takes anything. publish: False only reads. scheduled: whether
        the topic may find that the value is not worth publishing.
        """
        patience = _PATIENCE
        while topic.busy:
            # What is being read may be older than what has led here, and is perhaps not even published.
            if scheduled or not patience:
                return
            patience -= 1
            await asyncio.sleep_ms(_LOOK)
        topic.busy = True
        try:
            value = await call(topic.read, topic.read_args, topic.topic, payload)
            if value is not None:
                topic.value = value
                topic.time = clock.seconds()
                wanted = topic.wants is None or topic.wants(self, value)
                if publish and (wanted or not scheduled):
                    await self.send(topic, value)
        except Exception as e:
            self.report(topic.topic, e, topic)
        finally:
            topic.busy = False
            if topic.event:
                topic.event.set()
                topic.event.clear()

    async def send(self, topic, value):
        """Publish a value of a Topic, with its QoS and retain. None: nothing. Never raises for the network."""
        try:
            if await self.publish(topic.topic, value, topic.qos, topic.retain, topic.waits) and self._hooks:
                self.emit("value", topic, value)
        except Exception as e:
            self.report(topic.topic, e, topic)

    def _listen(self, topic, listener):
        topic = self.resolve(topic)
        others = self._listeners.get(topic)
        if others:
            while others.next:
                others = others.next
            others.next = listener
        else:
            self._listeners[topic] = listener
        self._wanted.append(topic)
        if self.client and self.client.up.is_set() and not self._asking:
            asyncio.create_task(self._ask_wanted())

    def _message(self, topic, payload, retained):
        # From the client's reader: never waits, so that one slow action holds up nothing else. Returns True when the
        # client is to read no further for the time being.
        if self._hooks:
            self.emit("message")
        if self.remote and (
            topic.startswith(self.remote.prefix)
            or self.remote.plain
            and topic.startswith(self.remote.plain.prefix)
        ):
            self.remote.message(topic, payload, retained)  # as it is: commands are not text
            return self.client._paused != 0
        if retained and self._restoring:
            waiting = self._restoring.pop(topic, None)
            if waiting:
                waiting.restored(bytes(payload))
        found = self._listeners.get(topic)
        if found:
            self._pass(found, topic, payload)
        for wanted in self._listeners:
            if ("+" in wanted or "#" in wanted) and wanted != topic:
                from .codec import match

                if match(wanted, topic):
                    self._pass(self._listeners[wanted], topic, payload)
        return self._waiting and self.client._paused != 0

    def _pass(self, listener, topic, payload):
        data = bytes(payload)  # the client's buffer is used again for the next message
        try:
            data = data.decode()
        except ValueError:
            pass
        while listener:
            queue = listener.queue
            if queue is None:
                listener.queue = [(topic, data)]
                asyncio.create_task(self._handle(listener))
            elif len(queue) < _QUEUE:
                queue.append((topic, data))
            elif self.client.packet.qos and not listener.stuck:
                from .backpressure import wait

                queue.append((topic, data))
                wait(self)
            else:
                self.dropped += 1
                self.log.warning("%s: message dropped, %d are waiting for the action", topic, _QUEUE)
            listener = listener.next

    async def _handle(self, listener):
        # Hand the waiting messages to one listener, in order.
        topic = listener.topic
        try:
            while listener.queue:
                name, payload = listener.queue.pop(0)
                if topic and not listener.function:
                    await self.force(topic, payload)
                    continue
                try:
                    if not listener.function:
                        from .paramtopics import message

                        await message(self, name, payload)
                        continue
                    result = await call(listener.function, listener.count, name, payload)
                    if topic is None:
                        continue
                    if topic.read:
                        if result is None:
                            await self.force(topic)
                        else:
                            topic.value = result
                            topic.time = clock.seconds()
                            await self.send(topic, result)
                    elif topic.reverse:
                        await self.publish(topic.reverse, result, topic.qos, topic.retain)
                except Exception as e:
                    self.report(name, e, topic)
        finally:
            listener.queue = None
            if listener.stuck:
                listener.stuck = False

    async def _ask_wanted(self):
        # Tell the client of the filters that it does not know; it repeats them after each reconnect.
        if self._asking:
            return
        self._asking = True
        try:
            while self._wanted:
                topic = self._wanted[0]
                try:
                    qos = 0
                    listener = self._listeners.get(topic)  # None: it has been removed meanwhile
                    if listener:
                        while listener:
                            qos = max(qos, listener.qos)
                            listener = listener.next
                        from .mqtt.subs import subscribe  # client.subscribe() would bring more along

                        await subscribe(self.client, topic, qos or self.least_qos, None, 0)
                except Exception as e:
                    self.report("subscription to " + topic, e)
                self._wanted.pop(0)
        finally:
            self._asking = False
