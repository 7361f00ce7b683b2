"""The node: services under guard, topics over MQTT."""

import asyncio
import json

import coldframe

from . import bootrecord, clock, hal, log
from .callback import arity, call
from .config import PATH, Config, check, keep_good, load
from .topic import Topic

_SOUND = 60000  # ms of running after which a boot is sound
_TRUST = 3600000  # ms of running in safe mode after which the next boot is a normal one
_ERRORS = 8  # texts kept in Node.errors
_QUEUE = 8  # messages that may wait for a slow action


class Service:
    """A long-running coroutine of the node. See Node.service()."""

    task = None
    alive = False
    restarts = 0

    def __init__(self, name, function, once):
        self.name = name
        self.function = function
        self.once = once


class _Listener:
    # Who wants the messages of one topic filter: a Topic with its action (or, function None, to be read), or, topic
    # None, a function.
    queue = None  # list of (topic, payload) while a task of _handle() is at work

    def __init__(self, function, count, topic, qos):
        self.function = function
        self.count = count
        self.topic = topic
        self.qos = qos


class Node:
    """A device on the network: its services, its topics, its connection to the broker.

    config: None for /config.json, the path of another file, a dict with the same content, or a coldframe.config.Config.
    transport: the way to the broker, see coldframe.mqtt.transport; None for the one that config describes.
    Attributes: config; errors (texts, what was wrong lately); id (the chip's number in hex); name; base (what "./"
    stands for); topics; services; client (coldframe.mqtt.Client, None without a broker); dropped (messages lost
    because an action was too slow).
    """

    def __init__(self, config=None, transport=None):
        self.log = log.getLogger("node")
        self.errors = []
        if isinstance(config, Config):
            self.config = config
        elif isinstance(config, dict):
            self.config = Config(check(config, self.errors))
        else:
            self.config, self.errors = load(config or PATH)
        c = self.config
        self._path = PATH if config is None else config if isinstance(config, str) else None
        log.setLevel(c["log.level"])
        log.console(None if c["log.console"] == "OFF" else c["log.console"], c["log.colour"])
        for text in self.errors:
            self.log.error(text)
        self.id = hal.unique_id().hex()
        self.name = "coldframe-" + self.id[-6:]  # what {name} would be in the name itself
        self.name = self.fill(c["name"])
        base = self.fill(c["mqtt.base"]).rstrip("/")
        if "+" in base or "#" in base or not 0 < len(base.encode()) <= 127:  # {name} may have made it longer
            self._error(
                "mqtt.base: expected a topic of 1 to 127 bytes without + and #, got %s"
                % json.dumps(c["mqtt.base"])
            )
            base = "coldframe/" + self.id
        self.base = base
        if c["mqtt.password"] is not None and c["mqtt.user"] is None:
            self._error("mqtt.password: expected mqtt.user with it, MQTT has no password without a user")
        self.topics = []
        self.services = []
        self.client = None
        self._transport = transport
        self.wifi = None
        self.dropped = 0
        self._listeners = {}  # absolute filter -> list of _Listener
        self._wanted = []  # filters that the client has not been told of
        self._started = None  # clock.ms() of start()
        self._prepared = False
        self._sound = False
        self._main = None
        self._asking = False  # _ask_wanted() is at work
        self._greeting = False  # _up() is
        self._end = asyncio.Event()
        coldframe.node = self

    # Names

    def fill(self, text):
        """Replace {id}, {short} and {name} in a text of the configuration."""
        text = text.replace("{id}", self.id).replace("{short}", self.id[-6:])
        return text.replace("{name}", self.name) if "{name}" in text else text

    def resolve(self, topic):
        """The absolute form of a topic: "./x" is below the base."""
        return self.base + topic[1:] if topic.startswith("./") else topic

    # Topics

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
        await self.client.publish(self.resolve(topic), payload, qos, retain)
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
        except Exception as e:
            self.report(topic.topic, e)
        finally:
            topic.busy = False

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

    # Services

    def service(self, name, function, once=False):
        """Add a service: a coroutine function without arguments that runs as long as the node does.

        It runs as a task of its own. An exception in it is logged, and it is started again after 1 second, then 2,
        4 ... up to 5 minutes; the other services go on. once: it is to run only once, even if it fails. Returns a
        Service.
        """
        service = Service(name, function, once)
        self.services.append(service)
        if self._started is not None:
            service.task = asyncio.create_task(self._guard(service))
        return service

    async def _guard(self, service):
        delay = 1
        while True:
            began = clock.ms()
            try:
                service.alive = True
                await service.function()
                return
            except KeyboardInterrupt:
                # Ctrl-C happened to hit this service: it must be there again when the node is resumed.
                service.task = asyncio.create_task(self._guard(service))
                raise
            except Exception as e:
                service.alive = False
                self.report("service " + service.name, e)
            if service.once:
                return
            if clock.ms() - began > _SOUND:
                delay = 1
            await asyncio.sleep(delay)
            delay = min(delay * 2, 300)
            service.restarts += 1

    def report(self, where, exception):
        """Log an exception with its traceback and remember it in errors."""
        self.log.exception("%s failed", where, exc_info=exception)
        self._error("%s: %s: %s" % (where, type(exception).__name__, exception))

    def _error(self, text):
        if text not in self.errors:
            self.errors.append(text)
            del self.errors[:-_ERRORS]

    # Life

    async def start(self):
        """Start the services, in a running event loop; returns at once. Does nothing the second time."""
        if self._started is not None:
            return
        c = self.config
        self._started = clock.ms()
        bootrecord.mark(bootrecord.RUNNING)
        if not self._prepared and c["watchdog.timeout"]:
            try:
                hal.watchdog(c["watchdog.timeout"], self._stuck)
            except OSError as e:
                self.report("watchdog.timeout", e)
        hal.pause(False)
        self._end.clear()
        if not self._prepared:
            self._prepared = True
            self._prepare(c)
        for service in self.services:
            if service.task is None:
                service.task = asyncio.create_task(self._guard(service))
        self.log.info("%s started, base topic %s", self.name, self.base)

    def _prepare(self, c):
        # What every node has.
        self.add(Topic("./SYSINFO", read=self._sysinfo, every=c["sysinfo.every"] or None))
        self.service("pulse", self._pulse)
        if c["wifi.networks"]:
            self.service("wifi", self._run_wifi)
        if self._transport or c["mqtt.host"] or c.given("mqtt.serial"):
            self.service("mqtt", self._run_mqtt)
        else:
            self.log.warning("no broker in the configuration (mqtt.host): running off-line")
        self._prepare_log(c)

    def _prepare_log(self, c):
        # Where the log goes beside the console.
        if c["log.capture"] and not log.capture():
            self._error("log.capture: the board has no place for it (os.dupterm), or it is taken")
        if c["log.file"]:
            from .logfile import LogFile

            self.service("log.file", LogFile(c["log.file"], c["log.file_size"], c["log.file_level"]).run)
        if c["log.mqtt"]:
            from .logmqtt import LogMqtt

            self.service("log.mqtt", LogMqtt(self, c["log.mqtt"]).run)

    def run(self):
        """Run until stop() or Ctrl-C. After Ctrl-C everything stays as it is, and run() goes on with it."""
        if self._main is None or self._main.done():
            self._main = asyncio.create_task(self._run())
        asyncio.get_event_loop().set_exception_handler(self._stray)
        hal.pause(False)
        try:
            asyncio.core.run_until_complete(self._main)
        except KeyboardInterrupt:
            print("The node has stopped. coldframe.resume() goes on, coldframe.status() shows how it is.")
        finally:
            hal.pause(True)
            if not self._sound:
                bootrecord.mark(bootrecord.IDLE)

    def _stuck(self):
        # The watchdog is about to reset the chip.
        self.log.critical("stuck for %d s, restarting", self.config["watchdog.timeout"])
        bootrecord.mark(bootrecord.FAILED)

    def _stray(self, loop, context):
        # An exception that ended a task of the user's own.
        self.report("a task", context["exception"])

    async def _run(self):
        await self.start()
        await self._end.wait()

    async def stop(self):
        """Say good-bye to the broker and end all services. start() or run() starts them again."""
        if self._started is None:
            return
        client = self.client
        if client and client.up.is_set():
            try:
                await asyncio.wait_for(self.publish("./available", "offline", 1, True), 5)
                await asyncio.wait_for(client.disconnect(), 5)
            except Exception as e:
                self.log.warning("good-bye to the broker failed: %s", e)
        me = asyncio.current_task()
        for service in self.services:
            if service.task and service.task is not me:
                service.task.cancel()
            service.task = None
        self._started = None
        self.client = None
        hal.pause(True)  # nobody feeds the watchdog now
        self._end.set()

    async def _pulse(self):
        # The heartbeat of the node: feeds the watchdog, starts the readings that are due, judges the boot.
        while True:
            hal.feed()
            wait = self._read_due()
            if not self._sound and clock.ms() - self._started > (_TRUST if bootrecord.safe() else _SOUND):
                self._judge()
            await asyncio.sleep_ms(wait)

    def _read_due(self):
        # Start the readings that are due, if there is somebody to tell. Returns ms until the next look, 1 to 500.
        wait = 500
        if self.client and self.client.up.is_set():
            now = clock.ms()
            for topic in self.topics:
                if topic.every:
                    if topic.due is None or now >= topic.due:
                        step = int(topic.every * 1000)
                        # Without drift, but what was missed is not made up for.
                        late = topic.due is None or now - topic.due > step
                        topic.due = now + step if late else topic.due + step
                        if not topic.busy:
                            asyncio.create_task(self.force(topic))
                    wait = min(wait, topic.due - now)
        return max(1, wait)

    def _judge(self):
        # The boot is old enough to be called sound, if all services are well.
        if not all(s.alive or s.once for s in self.services):
            return
        self._sound = True
        if bootrecord.safe():
            bootrecord.clear()
        bootrecord.mark(bootrecord.SOUND)
        if self._path:
            try:
                keep_good(self._path)
            except OSError as e:
                self.report("config.bak", e)

    async def _sysinfo(self):
        from .sysinfo import collect

        # Published from here, and nothing returned, so that the topic does not keep it in RAM.
        await self.publish("./SYSINFO", collect(self))

    # Connection

    async def _run_wifi(self):
        try:
            from .wifi import Wifi
        except ImportError as e:
            self.report("wifi.networks", e)  # a board without Wi-Fi: trying again would not help
            return
        self.wifi = self.wifi or Wifi(self.config, self.fill(self.config["wifi.hostname"]))
        await self.wifi.run()

    async def _run_mqtt(self):
        if self.client is None:
            try:
                self.client = self._make_client()
            except ValueError as e:  # trying again would not help
                self.log.error(str(e))
                self._error(str(e))
                return
            self._wanted = list(self._listeners)
        await self.client.run()

    def _make_client(self):
        from .mqtt import Client

        c = self.config
        user, password = c["mqtt.user"], c["mqtt.password"]
        transport = self._transport
        if transport is None:
            if c.given("mqtt.serial"):
                from .mqtt.serial import Serial

                keys = ("uart", "baud", "tx", "rx")
                transport = Serial(hal.uart({k: c["mqtt.serial." + k] for k in keys}), window=hal.RXBUF)
            else:
                from .mqtt.configured import brokers

                transport, user, password = brokers(c)
                coldframe.forget("mqtt.configured")
                if len(transport) == 1:
                    transport = transport[0]
        if user is None:
            password = None
        options = {}
        for key in ("version", "session_expiry"):
            if c.given("mqtt." + key):
                options[key] = c["mqtt." + key]
        if c["mqtt.spill"]:
            from .mqtt.spill import Spill

            options["spill"] = Spill(c["mqtt.spill"], c["mqtt.spill_size"])
        # Whatever the configuration says, the greeting must fit.
        hello = 96 + sum(len(x.encode()) for x in (self.base, self.id, user, password) if x)
        return Client(
            transport,
            self.id,
            keepalive=c["mqtt.keepalive"],
            user=user,
            password=password,
            will=(self.resolve("./available"), b"offline", 1, True),
            buffer=max(c["mqtt.buffer"], hello),
            window=c["mqtt.window"],
            on_message=self._message,
            on_up=self._up,
            **options,
        )

    async def _up(self):
        # The connection has come up: ask for the topics, greet the broker, publish what is read on a schedule.
        if self._greeting:
            return  # since the connection before this one; what it waits for goes out again by itself
        self._greeting = True
        try:
            await self._ask_wanted()
            await self.publish("./available", "online", 1, True)
        except OSError:
            return  # it has gone down again
        finally:
            self._greeting = False
        for topic in self.topics:
            topic.due = None
        self._read_due()

    async def _ask_wanted(self):
        # Tell the client of the filters that it does not know; it repeats them after each reconnect.
        if self._asking:
            return
        self._asking = True
        try:
            while self._wanted:
                topic = self._wanted[0]
                try:
                    await self.client.subscribe(topic, max(x.qos for x in self._listeners[topic]))
                except Exception as e:
                    self.report("subscription to " + topic, e)
                self._wanted.pop(0)
        finally:
            self._asking = False
