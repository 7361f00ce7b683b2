"""Wi-Fi as a station: joins one of the configured networks and stays joined. docs/wifi.md says what happens when.

    from coldframe import wifi
    w = wifi.of(node)  # the Wifi of a node; it is started with the node

While a network is joined, this is all that is in RAM. The way there is in wifijoin, the choice among several networks
in wifirank, and what is needed for a moment only in wifimore.
"""

import asyncio
import sys
from random import getrandbits

import network
from micropython import const

import coldframe

from . import clock, log

_LOOK = const(1000)  # ms between two looks at the link
_ADDRESS = const(300)  # looks between two looks at the address, which cost RAM
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
    used = None  # whether an attempt was made since the radio was started; None: it was not started by us
    told = None  # which network the driver was told last, where each time costs a write to the flash
    first = None  # async function: a short way to try once; gives the SSID that it has joined, or None
    bssid = channel = None  # of the access point, if a scan has told them
    woken = False  # there is a reason to look again at once
    trial = 0  # 1: somebody wants to try a network, 2: does so, 3: has joined it
    _ip = None
    item = None  # the network that was joined last, out of networks

    def __init__(self, node):
        self.node = node
        self.log = log.getLogger("wifi")
        self.up = asyncio.Event()
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
        return await join("try_join", self, ssid, password, timeout, check)

    def back(self):
        """End a trial, or a rest between two rounds: the known networks are tried now."""
        self.trial = 0
        self.woken = True

    def look(self):
        """Look at once whether the link is there and the address still the same."""
        if self.up.is_set():
            self._same()

    # The work

    async def run(self):
        """Join, watch, join again; for ever."""
        try:
            if self.first and self._networks:
                self.start()
                self.ssid = await self.first(self.wlan)
                self.first = None
            while True:
                self.woken = False
                if self.trial:
                    await join("give_way", self)
                elif self.ours():
                    await self._stay()
                elif not self._networks or self.hold:
                    self.enter("off" if not self._networks else "none")
                    await self.rest(_LONGEST)
                else:
                    self.start()
                    if not await join("round", self) and not self.woken:
                        self.enter("none")
                        await more("after", self)
                        if not self.woken:
                            # So that a street of boards does not come back all at once after a power cut.
                            rest = min(1 << min(self.failed, 6), _LONGEST)
                            await self.rest(rest * (192 + getrandbits(7)) // 256)
        finally:
            self.up.clear()
            self.enter("off")

    async def rest(self, seconds):
        for _ in range(seconds * 4):
            if self.woken:
                return
            await asyncio.sleep_ms(250)

    def ours(self):
        # Whether a network that we have joined is still (or, after a trial or Ctrl-C, is already) one of the known.
        return (
            self.ssid is not None
            and self.wlan.isconnected()
            and any(n["ssid"] == self.ssid for n in self._networks)
        )

    def start(self):
        # On some chips it is on already, by what the flash says or since before a soft reset, with settings of before.
        if self.used is None or not self.wlan.active():
            more("start", self)

    def enter(self, state):
        if state != self.state:
            self.state = state
            self.node.emit("wifi", state)

    async def _stay(self):
        # Joined: watch the link until it is gone, or somebody wants to try another network.
        wlan = self.wlan
        self.joins += 1
        self.seen = None
        self._ip = self.address()
        self.log.info("joined %s, address %s", self.ssid, self._ip)
        self.up.set()
        self.enter("up")
        looks = 0
        while not self.woken or self.trial == 0 and self.ours():
            self.woken = False
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
        self.enter("lost")

    def _same(self):
        # Another address ends all connections: the network stack says so to those who use them, and we to the rest.
        ip = self.address()
        if ip != self._ip and ip != "0.0.0.0":
            self.log.warning("address %s instead of %s", ip, self._ip)
            self._ip = ip
            self.node.emit("wifi", "up")


def more(name, *args, module="coldframe.wifimore"):
    # Call a function of a module that is then forgotten. (A coroutine has what it needs of it until it ends.)
    __import__(module)
    try:
        return getattr(sys.modules[module], name)(*args)
    finally:
        coldframe.forget(module[10:])


def join(name, *args):
    try:
        return more(name, *args, module="coldframe.wifijoin")
    finally:
        coldframe.forget("wifimore")
