"""Wi-Fi as a station: joins one of the configured networks and stays joined."""

import asyncio

import network

from . import log

_JOIN = 15000  # ms given to one network
_LOOK = 1000  # ms between two looks at the link
_REST = 60  # s, longest rest after a round through all networks


class Wifi:
    """The Wi-Fi connection of a node.

    config: the node's Config; hostname: the name of the device in the network. up: Event, set while joined.
    ssid: the network that is joined, or was last. joins: how often a network was joined.
    """

    first = None  # async function: a short way to try once; gives the SSID that it has joined, or None
    bssid = channel = None  # of the access point, if they are known

    def __init__(self, config, hostname):
        self.log = log.getLogger("wifi")
        self.up = asyncio.Event()
        self.ssid = None
        self.joins = 0
        self._networks = config["wifi.networks"]
        # What the driver does not like must not cost the connection.
        for setting, value in (("country", config["wifi.country"]), ("hostname", _host(hostname))):
            if value:
                try:
                    getattr(network, setting)(value)
                except Exception as e:
                    self.log.warning("wifi.%s: %s not accepted: %s", setting, value, e)
        self.wlan = network.WLAN(network.STA_IF)

    async def run(self):
        """Join, watch, join again; for ever."""
        wlan = self.wlan
        wlan.active(True)
        rest = 1
        joined = self.first and await self.first(wlan)
        while True:
            for item in self._networks:
                if joined and joined != item["ssid"]:
                    continue
                if joined or await self._join(item):
                    joined = None
                    rest = 1
                    self.joins += 1
                    self.ssid = item["ssid"]
                    self.log.info("joined %s, address %s", self.ssid, self.address())
                    self.up.set()
                    while wlan.isconnected():
                        await asyncio.sleep_ms(_LOOK)
                    self.up.clear()
                    self.log.warning("lost %s", self.ssid)
                    break  # from the first network again
            else:
                self.log.warning("none of the %d network(s) can be joined", len(self._networks))
                await asyncio.sleep(rest)
                rest = min(rest * 2, _REST)

    async def _join(self, item):
        wlan = self.wlan
        if wlan.isconnected():
            wlan.disconnect()
        try:
            wlan.connect(item["ssid"], item.get("password"))
        except (
            Exception
        ) as e:  # a driver that is busy, a password that it calls impossible: the next one, then again
            self.log.warning("%s: %s", item["ssid"], e)
            return False
        for _ in range(_JOIN // 100):
            if wlan.isconnected():
                return True
            await asyncio.sleep_ms(100)
        try:
            wlan.disconnect()
        except OSError:
            pass
        self.log.info("%s: not joined in %d s (state %s)", item["ssid"], _JOIN // 1000, wlan.status())
        return False

    def address(self):
        """The device's own IP address."""
        return self.wlan.ifconfig()[0]

    def rssi(self):
        """Strength of the signal in dBm, None if it is not known."""
        try:
            return self.wlan.status("rssi")
        except (OSError, ValueError, TypeError):
            return None


def _host(name):
    # What host names may hold: letters, digits and hyphens, 32 at most on the smallest chip.
    text = "".join(c if c.isalpha() and c < "{" or c.isdigit() else "-" for c in name)
    return text[:32].strip("-") or "coldframe"
