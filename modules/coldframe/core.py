"""The node: services under guard, topics over MQTT."""

import asyncio
import gc
import json
import sys

import coldframe

from . import bootrecord, clock, hal, log
from .callback import COROUTINE
from .config import PATH, Config
from .link import Link
from .router import Router
from .supervisor import Supervisor
from .topic import Topic

# What a node starts beside its own: rows of (condition, module). The condition is a path of the configuration that must
# have a value, the same with "?" before it if it is enough that the configuration says something there, or "" = always.
# start(node) of the module adds its topics, services and hooks; a part that fails is reported and stops no other.
PARTS = (
    ("", "recovery"),
    ("watchdog.broker", "brokerdog"),
    ("?power", "power"),
    ("?wifi.led", "led"),
    ("wifi.mdns", "mdns"),
    ("wifi.networks", "wifi"),
    ("", "timekeeper"),
    ("time.mqtt", "timemqtt"),
    ("?remote", "remote"),
    ("", "components.loader"),
    ("", "discovery"),
    ("wifi.setup_ap.enabled", "setup"),
    ("wifi.improv", "improv"),
)
SAFE_PARTS = (
    "recovery",
    "power",
    "led",
    "mdns",
    "wifi",
    "setup",
    "improv",
    "timekeeper",
    "remote",
    "web",
)  # those of safe mode


class Node(Router, Supervisor, Link):
    """A device on the network: its services, its topics, its connection to the broker.

    config: None for /config.json, the path of another file, a dict with the same content, or a coldframe.config.Config.
    transport: the way to the broker, see coldframe.mqtt.transport; None for the one that config describes.
    Attributes: config; errors (texts, what was wrong lately); id (the chip's number in hex); name; base (what "./"
    stands for); topics; services; client (coldframe.mqtt.Client, None without a broker); dropped (messages lost
    because an action was too slow).
    """

    power = None  # coldframe.power.Power in battery mode
    remote = None  # coldframe.remote.Remote, if somebody may administer the node over MQTT
    components = ()  # name -> (component, list of its topics and services), see component()
    loading = None  # an Event while components are being made
    telling = False  # Home Assistant is to be told something

    def __init__(self, config=None, transport=None):
        self.log = log.getLogger("node")
        self.errors = []
        if isinstance(config, Config):
            self.config = config
        elif isinstance(config, dict):
            from .config import check

            self.config = Config(check(config, self.errors))
        else:
            from .config import load

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
        self._hooks = {}  # event -> list of functions
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

    def component(self, name):
        """What the configuration calls by that name: docs/components.md. KeyError if there is none, or it failed."""
        if name not in self.components:
            raise KeyError(
                "component %s: expected one of %s" % (name, ", ".join(sorted(self.components)) or "none")
            )
        return self.components[name][0]

    # Hooks

    def on(self, event, function):
        """Call function whenever something happens, in the order of the calls of on().

        event: "up", "down" (the connection to the broker), "message" (one has come in; no arguments), "wifi" (state),
        "topic", "untopic" (a Topic was added, removed), "value" (Topic, the value that was published), "newparam",
        "param" (a Param was declared, has changed), "clock" (seconds by which the time of day was moved), "sound" (the
        boot is), "stop".
        function: sync or async. What it raises is reported and stops nothing.
        """
        self._hooks.setdefault(event, []).append(function)

    def emit(self, event, *args):
        """Call what on() has asked for. A coroutine runs as a task of its own."""
        for function in self._hooks.get(event, ()):
            try:
                result = function(*args)
                if isinstance(result, COROUTINE):
                    asyncio.create_task(self._hooked(event, result))
            except Exception as e:
                self.report("on " + event, e)

    async def _hooked(self, event, coroutine):
        try:
            await coroutine
        except Exception as e:
            self.report("on " + event, e)

    # Life

    async def start(self):
        """Start the services, in a running event loop; returns at once. Does nothing the second time."""
        if self._started is not None:
            return
        c = self.config
        self._started = clock.ms()
        bootrecord.mark(bootrecord.RUNNING)
        if (
            not self._prepared and c["watchdog.timeout"]
        ):  # battery mode sets it to its own time, if it is possible
            try:
                hal.watchdog(max(30, c["watchdog.timeout"]), None, self._stuck)
            except OSError as e:
                if c.given("watchdog.timeout"):
                    self.report("watchdog.timeout", e)
        hal.pause(False)
        self._end.clear()
        if not self._prepared:
            from .interrupted import back, keep

            kept = keep(self)
            try:
                self._prepare(c)
            except BaseException:  # Ctrl-C: resume() starts from the beginning
                self._started = None
                back(kept)
                raise
            self._prepared = True
            coldframe.forget("interrupted")
        for service in self.services:
            if service.task is None:
                service.task = asyncio.create_task(self._guard(service))
        self.log.info("%s started, base topic %s", self.name, self.base)

    def _prepare(self, c):
        small = coldframe.small
        if small:
            gc.collect()
        # What every node has.
        self.add(Topic("./SYSINFO", read=self._sysinfo, every=c["sysinfo.every"] or None))
        self._prepare_params()
        self.service("pulse", self._pulse)
        if self._transport or c["mqtt.host"] or c.given("mqtt.serial"):
            self.service("mqtt", self._run_mqtt)
        else:
            self.log.warning("no broker in the configuration (mqtt.host): running off-line")
        self._prepare_log(c)
        for condition, name in PARTS:
            if bootrecord.safe() and name not in SAFE_PARTS:
                continue
            if self.power and self.power.spares(name):
                continue
            if not condition or (c.given(condition[1:]) if condition[0] == "?" else c[condition]):
                try:
                    full = "coldframe." + name
                    __import__(full)
                    sys.modules[full].start(self)
                except Exception as e:
                    if full not in str(e):  # else it is left out of this image
                        self.report("part " + name, e)
                if small:
                    gc.collect()
        if small and "asyncio.event" in sys.modules and "ThreadSafeFlag" not in asyncio.__dict__:
            # Of this module only Event is in use. Who asks for the other class gets it, from a fresh import.
            sys.modules.pop("asyncio.event").__dict__.pop("ThreadSafeFlag", None)

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
        if self._main and not self._main.done() and not self.paused:
            raise RuntimeError("the node is running")  # and this is a part of it, see remote/runner.py
        asyncio.get_event_loop().set_exception_handler(self._stray)
        hal.pause(False)
        self.paused = False
        interrupted = None
        try:
            while True:
                if self._main is None or self._main.done():
                    self._main = asyncio.create_task(self._run())
                asyncio.core.run_until_complete(self._main)
                if self._end.is_set():
                    break  # else an interrupt had hit _run()
        except KeyboardInterrupt as e:
            if hal.bitten():
                self.fail(None, e)  # the watchdog's, not a person's
            interrupted = e
        finally:
            self._halt(interrupted)

    def _halt(self, interrupted):
        # The loop stands still. Another Ctrl-C may come in here: people and tools send several.
        while True:
            try:
                self.paused = True
                hal.pause(True)
                if interrupted:
                    from .interrupted import mend

                    mend(self)
                    coldframe.forget("interrupted")
                if not self._sound:
                    bootrecord.mark(bootrecord.IDLE)
                if interrupted:
                    print(
                        "The node has stopped. coldframe.resume() goes on, coldframe.status() shows how it is."
                    )
                return
            except KeyboardInterrupt:
                pass

    async def _run(self):
        await self.start()
        await self._end.wait()

    async def stop(self):
        """Say good-bye to the broker and end all services. start() or run() starts them again."""
        if self._started is None:
            return
        self.emit("stop")
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

    async def _sysinfo(self, payload):
        from .sysinfo import publish

        # Published from there, and nothing returned, so that the topic does not keep it in RAM.
        try:
            await publish(self, payload is not None and payload != "short")
        finally:
            coldframe.forget("sysinfo")
            coldframe.forget("hal.facts")
