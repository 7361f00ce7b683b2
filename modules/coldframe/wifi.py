"""Wi-Fi as a station: joins one of the configured networks and stays joined. docs/wifi.md says what happens when.

    from coldframe import wifi
    w = wifi.of(node)  # the Wifi of a node; it is started with the node

What is needed now and then is in wifimore, the choice among several networks in wifirank; neither stays in RAM.
"""

import asyncio
import sys
from random import getrandbits

import network
from micropython import const

import coldframe

from . import clock, log

_JOIN = const(20000)  # ms given to one attempt, DHCP included
_ERROR = const(1000)  # ms that a failure must be reported before it is believed: drivers show some by mistake
_STALE = const(6000)  # the same for a failure that was there before the attempt began
_LOOK = const(1000)  # ms between two looks at the link
_ADDRESS = const(300)  # looks between two looks at the address, which cost RAM
_LINGER = const(60000)  # ms that a trial's network is kept for what else is to be tried
_LONGEST = const(60)  # s, longest rest after a round


def start(node):
    """Start the Wi-Fi of a node."""
    of(node)


def of(node):
    """The Wifi of a node, made if it has none yet. ImportError on a board without Wi-Fi."""
    if node.wifi is None:
        node.wifi = Wifi(node)
        if node.power:
            node.wifi.first = node.power.first
        node.service("wifi", node.wifi.run)
    return node.wifi


class Wifi:
    """The Wi-Fi connection of a node.

    up: Event, set while joined. state: "off", "scan" (looking which networks are there), "join", "up", "lost", "none"
    (a round is over and no network was joined). ssid: the network that is joined, or was last. joins: how often one was
    joined. cause: why the last attempt failed, "" if it did not. hold: set it to True to keep the radio where it is,
    while somebody uses the board's own access point: no attempts are begun then, and the chip is not reset.
    """

    state = "off"
    ssid = None
    joins = 0
    cause = ""
    hold = False
    failed = 0  # rounds in a row that joined nothing
    wrong = None  # place in networks -> how often its password was called wrong in a row
    seen = None  # what the last scan has found, see nearby()
    static = False  # the interface has an address of ours and not DHCP's
    used = False  # an attempt was made since the radio was started
    told = None  # which network the driver was told last, where each time costs a write to the flash
    first = None  # async function: a short way to try once; gives the SSID that it has joined, or None
    bssid = channel = None  # of the access point, if a scan has told them
    _trial = 0  # 1: somebody wants to try a network, 2: does so, 3: has joined it
    _ip = None
    _item = None  # the network that was joined last, out of networks

    def __init__(self, node):
        self.node = node
        self.log = log.getLogger("wifi")
        self.up = asyncio.Event()
        self._woken = asyncio.Event()  # there is a reason to look again at once
        self._networks = node.config["wifi.networks"]
        self._left = clock.ms()
        self.wlan = network.WLAN(network.STA_IF)
        more("prepare", self)

    # What others may ask

    @property
    def networks(self):
        """The networks that may be joined, as wifi.networks of the configuration. Set it and they are tried at once."""
        return self._networks

    @networks.setter
    def networks(self, networks):
        self._networks = networks
        self.wrong = None
        self.back()

    def address(self):
        """The device's own IP address."""
        return self.wlan.ifconfig()[0]

    def rssi(self):
        """Strength of the signal in dBm, None if it is not known."""
        try:
            return self.wlan.status("rssi")
        except (OSError, ValueError, TypeError):
            return None

    def seen_none_for(self):
        """Seconds since one of the known networks was left; since the start if none was joined yet; 0 while joined."""
        return 0 if self.up.is_set() else (clock.ms() - self._left) // 1000

    def nearby(self, fresh=False):
        """The networks in reach: list of (SSID, RSSI in dBm, "open" or "WEP" or "WPA" ...), strongest first.

        They come from the last scan, or from a new one if there was none, or if fresh. A scan stops everything for two
        or three seconds, so there is none while a network is joined or being joined.
        """
        return more("nearby", self, fresh)

    async def try_join(self, ssid, password, timeout=20, check=None):
        """Try a network. Returns "" if all went well, else why not.

        A network that was joined is left for it. check: async function that is awaited while the network is joined and
        gives "" or what is wrong, too. If all went well the network stays joined for another minute, or until back() is
        called or networks is set; then the known networks are joined again (and if it is one of them now, it is not
        even left). timeout: seconds to join it. RuntimeError if there is a trial already.
        """
        if self._trial:
            raise RuntimeError("wifi: somebody else is trying a network")
        self._trial = 1
        self._woken.set()
        error = "cancelled"
        try:
            self._start()
            while self._trial == 1 and self.state != "off":  # run() is in the middle of something
                await asyncio.sleep_ms(50)
            self._trial = 2
            error = await self._join({"ssid": ssid, "password": password}, None, timeout * 1000)
            if not error:
                self.ssid = ssid
                error = (await check() if check else "") or ""
        finally:
            if error:
                self.back()
            else:
                self._trial = 3
                self._ended = clock.ms() + _LINGER
        return error

    def back(self):
        """End a trial, or a rest between two rounds: the known networks are tried now."""
        self._trial = 0
        self._woken.set()

    def look(self):
        """Look at once whether the link is there and the address still the same."""
        if self.up.is_set():
            self._same()

    # The work

    async def run(self):
        """Join, watch, join again; for ever."""
        try:
            if self.first and self._networks:
                self._start()
                self.ssid = await self.first(self.wlan)
                self.first = None
            while True:
                self._woken.clear()
                if self._trial:
                    await self._give_way()
                elif self._ours():
                    await self._stay()
                elif not self._networks or self.hold:
                    self._enter("off" if not self._networks else "none")
                    await self._rest(_LONGEST)
                else:
                    self._start()
                    if not await self._round() and not self._woken.is_set():
                        self._enter("none")
                        await more("after", self)
                        if not self._woken.is_set():
                            # So that a street of boards does not come back all at once after a power cut.
                            rest = min(1 << min(self.failed, 6), _LONGEST)
                            await self._rest(rest * (192 + getrandbits(7)) / 256)
        finally:
            self.up.clear()
            self._enter("off")

    async def _rest(self, seconds):
        try:
            await asyncio.wait_for_ms(self._woken.wait(), int(seconds * 1000))
        except asyncio.TimeoutError:
            pass

    async def _give_way(self):
        # Let somebody try a network; returns when that is over.
        while self._trial and not (self._trial == 3 and clock.ms() > self._ended):
            if self._trial == 1:
                self._trial = 2
            self._woken.clear()
            await self._rest(1)
        self._trial = 0
        if not self._networks and self.wlan.isconnected():
            self.wlan.disconnect()  # a trial's network that nobody wants

    def _ours(self):
        # Whether a network that we have joined is still (or, after a trial or Ctrl-C, is already) one of the known.
        return (
            self.ssid is not None
            and self.wlan.isconnected()
            and any(n["ssid"] == self.ssid for n in self._networks)
        )

    def _start(self):
        if not self.wlan.active():
            more("start", self)

    def _enter(self, state):
        if state != self.state:
            self.state = state
            self.node.emit("wifi", state)

    async def _round(self):
        # Try the networks that it makes sense to try. True if one was joined.
        if self.failed == 0 and self._item in self._networks:
            # Back to where we were, without a scan; a router that restarts is away for longer than that, though.
            if not await self._attempt(self._item, None):
                return True
        if len(self._networks) == 1 and self.failed % 4 == 0:
            order = ((self._networks[0], None),)  # nothing to choose, and a scan costs seconds
        else:
            self._enter("scan")
            await asyncio.sleep_ms(50)  # for whoever shows what is going on: the scan stops everything
            from .wifirank import rank

            order = rank(self)
            coldframe.forget("wifirank")
            coldframe.forget("wifimore")
        for item, access in order:
            if self._woken.is_set() or self.hold:
                return False
            # Where a network has several access points, the one that was heard best: drivers take the first they hear.
            if not await self._attempt(item, access and access[3] > 1 and access[1] or None):
                if access:
                    _, self.bssid, self.channel, _ = access
                return True
        self.failed += 1
        return False

    async def _attempt(self, item, bssid):
        # One of the known networks. Returns "" or why it could not be joined.
        before = self.cause
        error = await self._join(item, bssid, _JOIN)
        if error:
            more("note", self, item, error, before)
        else:
            self._item = item
            self.ssid = item["ssid"]
            self.failed = 0
            if self.wrong:
                self.wrong.pop(self._networks.index(item), None)
        return error

    async def _join(self, item, bssid, timeout):
        # Returns "" or why the network could not be joined.
        wlan = self.wlan
        self._enter("join")
        self.up.clear()
        if self.used:
            # Whatever was going on: it ends here, and the driver is given the time to know it.
            more("leave", self)
            await asyncio.sleep_ms(1000)
        self.used = True
        try:
            more("connect", self, item, bssid)
        except Exception as e:  # a driver that is busy, a password that it calls impossible
            self.cause = "the driver says %s" % (e or repr(e))
            return self.cause
        began = changed = clock.ms()
        status = first = wlan.status()
        while clock.ms() - began < timeout and self._trial != 1:
            if wlan.isconnected():
                self.cause = ""
                return ""
            now = wlan.status()
            if now != status:
                status = now
                changed = clock.ms()
            elif status not in _BUSY:
                if clock.ms() - changed > (_STALE if status == first else _ERROR):
                    break
            await asyncio.sleep_ms(100)
        self.cause = more("why", self, status)
        more("leave", self)
        return self.cause

    async def _stay(self):
        # Joined: watch the link until it is gone, or somebody wants to try another network.
        wlan = self.wlan
        self.joins += 1
        self.seen = None
        self._ip = self.address()
        self.log.info("joined %s, address %s", self.ssid, self._ip)
        self.up.set()
        self._enter("up")
        looks = 0
        while not self._woken.is_set() or self._trial == 0 and self._ours():
            self._woken.clear()
            await asyncio.sleep_ms(_LOOK)
            if not wlan.isconnected():
                await asyncio.sleep_ms(_LOOK)  # a link that comes back at once was not gone
                if not wlan.isconnected():
                    break
            looks += 1
            if looks == 60 and len(self._networks) > 1:
                more("remember", self)
            if looks % _ADDRESS == 0:
                self._same()
        self._left = clock.ms()
        self.up.clear()
        self.log.warning("left %s" if wlan.isconnected() else "lost %s", self.ssid)
        self._enter("lost")

    def _same(self):
        # Another address ends all connections: the network stack says so to those who use them, and we to the rest.
        ip = self.address()
        if ip != self._ip and ip != "0.0.0.0":
            self.log.warning("address %s instead of %s", ip, self._ip)
            self._ip = ip
            self.node.emit("wifi", "up")


def more(name, *args):
    # Call a function of wifimore, and forget that module: its functions are needed for a moment only.
    __import__("coldframe.wifimore")
    try:
        return getattr(sys.modules["coldframe.wifimore"], name)(*args)
    finally:
        coldframe.forget("wifimore")


# States in which a driver is still at it. 2 is "no address yet" of the Pico W, and a failure on the ESP8266.
_BUSY = (network.STAT_IDLE, network.STAT_CONNECTING, network.STAT_GOT_IP) + (
    (2,) if network.STAT_GOT_IP == 3 else ()
)
