"""Battery mode: wake, read, publish, sleep. Imported only where power.mode is "battery". docs/power.md tells all of it.

What is to be known at the next wake is stashed where deep sleep leaves it (hal.stash): counters, the access point that
was joined last, and the address that it gave.
"""

import asyncio
import struct
from random import getrandbits

from micropython import const

from . import bootrecord, clock, hal, log
from .hal.sleep import in_ram, stash, stashed

_VERSION = const(1)
# version, outages in a row, wakes, messages lost, seconds left of a long sleep, seconds that the address has been used,
# seconds with a layer left out; mark of the network, channel, BSSID; address, mask, gateway, name server
_FORMAT = "<BBHHIIIIB6s4s4s4s4s"
_JOIN = const(4000)  # ms for the fast way into the network
_PROOF = const(6000)  # ms after it in which the broker must have answered
_LOOK = const(20)  # ms between two looks at what a wake waits for
_DISCOVER = const(48)  # wakes between two times that the node introduces itself anew
_TRIAL = const(10)  # s that a sleep may last while a new configuration is on trial
_GRACE = const(3)  # s after the limit that the orderly end may take
_NONE = bytes(4)
_NOWHERE = (0, 0, bytes(6), _NONE, _NONE, _NONE, _NONE)  # what is remembered of a network, when nothing is

_log = log.getLogger("power")


def start(node):
    """See coldframe.core.PARTS."""
    if node.config["power.mode"] != "battery":
        return
    if not (node.config["wifi.networks"] or node.config.given("mqtt.serial") or node._transport):
        _log.warning("power.mode: no network in the configuration, so the node stays awake")
        return
    node.power = Power(node)
    node.power.begin()


class Power:
    """One wake of a node on a battery.

    open: the node is kept awake and is an ordinary node meanwhile. outages: wakes in a row that could not deliver.
    wakes, lost: wakes, and messages that were lost, since the battery was put in; both start again after 65535.
    """

    open = False

    def __init__(self, node):
        self.node = node
        self.config = c = node.config
        self._until = 0  # clock.ms() up to which the node is to stay awake
        self._cleared = 0  # empty messages on ./awake that are ours
        self._greeted = asyncio.Event()
        self._readings = []  # tasks: until the value is acknowledged
        self._reused = False  # the address in use is the one of before
        self._pin = None
        self._since = clock.ms()
        state = stashed()
        self.woken = False  # by the end of a sleep; else by power, a reset, a button
        if state is not None and len(state) == struct.calcsize(_FORMAT) and state[0] == _VERSION:
            _, self.outages, self.wakes, self.lost, self.left, self.age, self.held, *join = struct.unpack(
                _FORMAT, state
            )
            self.join = tuple(join)
            self.woken = hal.reset_cause() == "deepsleep"
        else:
            self.outages = self.wakes = self.lost = self.left = self.age = self.held = 0
            self.join = _NOWHERE
        if bootrecord.crashed:
            self.held = 0  # sound hours before the failure say nothing about what was left out since
        if not (self.left and self.woken):
            self.wakes = self.wakes + 1 & 0xFFFF
        if c["power.pin"] is not None:
            self._pin = hal.machine.Pin(c["power.pin"], hal.machine.Pin.OUT)
            self._gate(True)

    def info(self):
        """For SYSINFO."""
        return {"wakes": self.wakes, "outages": self.outages, "lost": self.lost}

    def spares(self, name):
        """Whether a part of the node is left out on this wake, see coldframe.core.PARTS."""
        if not self.woken:
            return False
        # An access point would empty the battery. What discovery has published the broker keeps; yet not for ever.
        return name in ("setup", "improv") or name == "discovery" and self.wakes % _DISCOVER != 0

    def begin(self):
        """Take over the node, before its services start."""
        if self.left and self.woken:
            self._deepsleep(self.left)  # the chip cannot sleep so long in one go
        node = self.node
        node.least_qos = 1
        self._awake_for(self.config["power.awake_limit"])
        for service in list(node.services):
            if service.name == "pulse":  # nothing feeds the watchdog: it is what ends a wake that hangs
                node.services.remove(service)
                if service.task:  # the node has begun to start
                    service.task.cancel()
        for topic in node.topics:
            if topic.topic == "./SYSINFO" and not topic.every:
                topic.wake = False
        node.subscribe("./awake", self._flag, 1)
        node.on("up", self._greeted.set)
        node.service("power", self._run, once=True)

    def _gate(self, on):
        if self._pin is not None:
            self._pin.value(on != self.config["power.pin_low"])

    # A wake

    async def _run(self):
        went_well = await self._try()
        if not went_well and await self._helped():
            went_well = await self._try()
        if went_well and self._until > clock.ms():
            await self._stay()
        await self._sleep(went_well)

    async def _try(self):
        limit = self.config["power.awake_limit"]
        try:
            await asyncio.wait_for(self._wake(), limit)
            return True
        except asyncio.TimeoutError:
            _log.warning("awake for %d s, and not all is said", limit)

    async def _helped(self):
        # After power-on somebody is near, who may need the setup access point. Returns whether a network was joined.
        wifi = self.node.wifi
        if wifi is None or hal.reset_cause() != "power":
            return False
        end = self._since + self.config["power.awake_max"] * 1000
        while not wifi.joins:
            if clock.ms() > end:
                return False
            hal.feed()
            await asyncio.sleep_ms(500)
        hal.feed()
        return not self._greeted.is_set()

    async def network(self):
        """Wait for the network, as the rest after a vain attempt to connect would cost up to a second."""
        if self.config["wifi.networks"]:
            while not (self.node.wifi and self.node.wifi.up.is_set()):
                await asyncio.sleep_ms(_LOOK)

    async def _wake(self):
        node = self.node
        c = self.config
        begun = clock.ms()
        while clock.ms() - begun < c["power.awake_limit"] * 500 and any(
            s.once and s.task and not s.task.done() and s.name != "power" for s in node.services
        ):
            await asyncio.sleep_ms(_LOOK)  # the app may still be adding its topics
        settle = c["power.settle"] - (clock.ms() - self._since) if self._pin is not None else 0
        if settle > 0:
            await asyncio.sleep_ms(settle)
        while node.client is None:  # the mqtt service is about to make it
            await asyncio.sleep_ms(_LOOK)
        for task in self._readings:  # of an attempt before; the one that it waited for was cancelled with it
            task.cancel()
        self._readings.clear()
        for topic in node.topics:
            if self._due(topic):
                self._readings.append(asyncio.create_task(node.force(topic)))
        for task in self._readings:
            await task
        await self._greeted.wait()
        while node.busy():
            await asyncio.sleep_ms(_LOOK)
        await node.client.drain()

    def _due(self, topic):
        every = topic.read and self._every(topic)
        return every and not (self.wakes - 1) % every

    def _every(self, topic):
        # On which wakes a topic is read: 1 = on each, 2 = on every second one ..., 0 = on none.
        if topic.wake is not None:
            return int(topic.wake)
        return 1 if topic.every is None else max(1, round(topic.every / self.config["power.sleep"]))

    # The window for a person

    def _flag(self, payload):
        # A message on ./awake: seconds, "on", or what ends it.
        text = payload.strip().lower() if isinstance(payload, str) else "?"
        longest = self.config["power.awake_max"]
        if text in ("", "0", "off"):
            seconds = 0
        elif text == "on":
            seconds = longest
        else:
            try:
                seconds = max(0, min(longest, int(float(text))))
            except (ValueError, OverflowError):
                _log.warning('./awake: expected seconds, "on" or "off", got %r', text[:20])
                return
        if not text and self._cleared:
            self._cleared -= 1
            return  # our own
        self._until = clock.ms() + seconds * 1000
        asyncio.create_task(self._acknowledge(seconds, text != "on" and text))

    async def _acknowledge(self, seconds, clear):
        try:
            await self.node.publish("./awake_", str(seconds), 1)
            if clear:
                self._cleared += 1
                await self.node.publish("./awake", "", 1, True)
        except OSError:
            pass  # the connection has ended

    async def _stay(self):
        node = self.node
        _log.info("staying awake for %d s", (self._until - clock.ms()) // 1000)
        self.open = True
        pulse = asyncio.create_task(node._pulse())  # with which it is an ordinary node
        while clock.ms() < self._until:
            await asyncio.sleep_ms(200)
        pulse.cancel()
        self.open = False
        hal.feed()  # the last time

    # The fast way into the network

    async def first(self, wlan):
        """For Wifi.first: join what was joined last, at once and with the same address. Returns its SSID, else None."""
        mark, _, bssid, *addresses = self.join
        for item in self.config["wifi.networks"]:
            if mark == _mark(item):
                break
        else:
            return None
        begun = clock.ms()
        wifi = self.node.wifi
        wifi.used = True
        try:
            if addresses[0] != _NONE and self.age < self.config["power.lease"]:
                wlan.ifconfig(tuple("%d.%d.%d.%d" % tuple(a) for a in addresses))
                self._reused = wifi.static = True
                options = {"bssid": bssid} if any(bssid) else {}
                wlan.connect(item["ssid"], item.get("password") or None, **options)
            else:
                _more("connect", wifi, item, bssid if any(bssid) else None)
            failures = _failures()
            while not wlan.isconnected():
                if clock.ms() - begun > _JOIN or clock.ms() - begun > 1000 and wlan.status() in failures:
                    raise OSError("it does not answer")
                await asyncio.sleep_ms(_LOOK)
        except Exception as e:
            _log.info("%s not joined the fast way: %s", item["ssid"], e)
            self._give_up(wlan)
            return None
        if self._reused:
            asyncio.create_task(self._prove(wlan))
        return item["ssid"]

    async def _prove(self, wlan):
        # The address may be somebody else's by now.
        try:
            await asyncio.wait_for_ms(self._greeted.wait(), _PROOF)
        except asyncio.TimeoutError:
            _log.info("no answer from the broker with the address of before; asking for one")
            self._give_up(wlan)

    def _give_up(self, wlan):
        # What is remembered does not lead into the network: let Wifi join as if nothing were (and ask for an address).
        self.join = _NOWHERE
        self._reused = False
        try:
            wlan.disconnect()
        except OSError:
            pass

    def _remember(self, seconds):
        # What has led into the network this time.
        wifi = self.node.wifi
        if not (wifi and self._greeted.is_set()):
            self.join = _NOWHERE
            return
        if not wifi.up.is_set():
            return
        for item in wifi.networks:
            if item["ssid"] == wifi.ssid:
                break
        mark = _mark(item)
        channel, bssid = wifi.channel, wifi.bssid
        if bssid is None and mark == self.join[0] and any(self.join[2]):
            _, channel, bssid, *_ = self.join
        if bssid is None:
            channel, bssid = self._listen(wifi)
        addresses = (_NONE,) * 4
        if in_ram() and not (wifi.static and not self._reused):  # in a file, each new age would cost a write
            self.age = (self.age if self._reused else 0) + (clock.ms() - self._since) // 1000 + seconds
            addresses = tuple(bytes(int(n) for n in a.split(".")) for a in wifi.wlan.ifconfig())
        self.join = (mark, channel or 0, bssid or bytes(6)) + addresses

    def _listen(self, wifi):
        # Which access point it is: a network that was joined by its name does not tell. Once, as a scan takes seconds.
        found = [n for n in _more("scan", wifi) if n[0] == wifi.ssid]
        if not found:
            return 0, None
        best = max(found, key=lambda n: n[3])
        return best[2], best[1]

    # To sleep

    def _awake_for(self, seconds):
        try:
            hal.watchdog(seconds + _GRACE, self._hung, self._stuck)
        except OSError as e:
            self.node.report("power.awake_limit", e)

    def _seconds(self):
        # How long to sleep. Each wake that could not deliver doubles it.
        c = self.config
        seconds = c["power.sleep"]
        if self.outages:
            seconds = max(seconds, min(c["power.sleep_max"], seconds << min(self.outages, 16)))
        if c["power.jitter"]:
            seconds += getrandbits(24) % (c["power.jitter"] + 1)
        return min(seconds, _TRIAL) if self.node.trying else seconds

    def _counting(self):
        # Whether some topic is not read on each wake.
        return any(t.read and self._every(t) > 1 for t in self.node.topics)

    async def _sleep(self, went_well):
        node = self.node
        client = node.client
        node.emit("stop")
        self.outages = 0 if went_well else min(255, self.outages + 1)
        if not went_well and client is not None and not self.config["mqtt.spill"]:
            lost = max(len(client._window), sum(not task.done() for task in self._readings))
            self.lost = self.lost + lost & 0xFFFF
        if client is not None:
            try:
                await asyncio.wait_for(client.disconnect(), 2)  # so that there is no will
            except Exception as e:
                _log.warning("good-bye to the broker failed: %s", e)
        seconds = self._seconds()
        self._remember(seconds)
        if node.wifi:
            node.wifi.wlan.active(False)
        self._judge(seconds)
        _log.info("sleeping for %d s after %d ms", seconds, clock.ms() - self._since)
        self._deepsleep(seconds)

    def _judge(self, seconds):
        # A wake is over long before a boot is old enough to be called sound, so it is judged now.
        node = self.node
        now = clock.ms()
        node._judge(now)
        if node._unproven and self._greeted.is_set():
            node._prove()
        self.held += (now - self._since) // 1000 + seconds
        if self.held >= bootrecord.hold():
            self.held = 0
            if bootrecord.level():
                _log.info("all is tried again at the next wake")
                bootrecord.retry()
            else:
                bootrecord.trust()

    def _stuck(self):
        # From the watchdog: the program hangs in something that should long be over. It gets a KeyboardInterrupt.
        _log.critical("awake for %d s and stuck", (clock.ms() - self._since) // 1000)
        bootrecord.mark(bootrecord.FAILED)
        return True

    def _hung(self):
        # Not even that was of any help.
        self.outages = min(255, self.outages + 1)
        self._deepsleep(self._seconds())

    def _deepsleep(self, seconds):
        self._gate(False)
        now = min(seconds, hal.SLEEP_LONGEST // 1000)
        self.left = seconds - now
        counts = self.wakes
        if not in_ram() and not self._counting():
            counts = 0  # nobody needs the number: spare the flash
        state = struct.pack(
            _FORMAT, _VERSION, self.outages, counts, self.lost, self.left, self.age, self.held, *self.join
        )
        try:
            stash(state)
        except (OSError, ValueError) as e:
            self.node.report("power", e)
        hal.deepsleep(now * 1000)


def _more(name, *args):
    from .wifi import more  # not on a board without Wi-Fi

    return more(name, *args)


def _mark(item):
    # A number that tells a network and its password from another one.
    n = 5381
    for byte in (item["ssid"] + "\n" + (item.get("password") or "")).encode():
        n = (n * 33 ^ byte) & 0xFFFFFFFF
    return n


def _failures():
    import network

    names = ("STAT_NO_AP_FOUND", "STAT_WRONG_PASSWORD", "STAT_CONNECT_FAIL")
    return [getattr(network, name) for name in names if hasattr(network, name)]
