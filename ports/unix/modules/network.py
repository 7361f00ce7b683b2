"""The network of the simulated board, with the interface of MicroPython's network module on a Pico W."""

import time

import simulated
from micropython import const
from simulated import radio, world

STA_IF = const(0)
AP_IF = const(1)
STAT_IDLE = const(0)
STAT_CONNECTING = const(1)
STAT_WRONG_PASSWORD = const(-3)
STAT_NO_AP_FOUND = const(-2)
STAT_CONNECT_FAIL = const(-1)
STAT_GOT_IP = const(3)
AUTH_OPEN = const(0)
AUTH_WPA_WPA2_PSK = const(4)

# As the CYW43 driver tells it: bits for "encrypted", WPA and WPA2 (which a network with WPA3 has too).
_SECURITY = {"open": 0, "wep": 1, "wpa": 3, "wpa2": 5, "wpa/wpa2": 7, "wpa3": 5}
_NOBODY = ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
_hostname = "coldframe-sim"
_country = "XX"


def hostname(name=None):
    """Read or set the host name, 1 to 32 characters."""
    global _hostname
    if name is None:
        return _hostname
    if not 1 <= len(name) <= 32:
        raise ValueError("hostname: expected 1 to 32 characters")
    _hostname = name
    world._simboard.show("wlan.hostname", name)


def country(code=None):
    """Read or set the two-letter country code."""
    global _country
    if code is None:
        return _country
    if len(code) != 2:
        raise ValueError("country: expected two letters")
    _country = code.upper()
    world._simboard.show("wlan.country", _country)


def ipconfig(name=None, **settings):
    """ipconfig("dns") reads, ipconfig(dns="1.2.3.4") sets, the name server."""
    if name == "dns":
        return _addresses(STA_IF)[3]
    if name is not None:
        raise ValueError("unknown config param")
    if "dns" in settings:
        radio.static = _addresses(STA_IF)[:3] + (settings["dns"],)


def _addresses(interface):
    if interface == AP_IF:
        return ("192.168.4.1", "255.255.255.0", "192.168.4.1", "192.168.4.1")
    return radio.lease or radio.static or _NOBODY


class WLAN:
    """A WLAN interface. There is one object per interface, as on a board."""

    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = const(0x10)
    PM_PERFORMANCE = const(0xA11142)
    PM_POWERSAVE = const(0x11)
    SEC_OPEN = const(0)
    SEC_WPA_WPA2 = const(0x400006)

    def __new__(cls, interface=STA_IF):
        if interface not in (STA_IF, AP_IF):
            raise ValueError("interface: expected network.STA_IF or network.AP_IF")
        if interface not in _objects:
            _objects[interface] = object.__new__(cls)
        return _objects[interface]

    def __init__(self, interface=STA_IF):
        if not hasattr(self, "_if"):
            self._if = interface
            self._settings = {
                "ssid": "PICO%02X%02X" % tuple(simulated.unique_id[-2:]) if interface else "",
                "channel": 6,
                "txpower": 20,
                "pm": self.PM_PERFORMANCE,
                "reconnects": -1,
                "hidden": False,
                "security": 0,
                "key": None,
            }

    def active(self, on=None):
        """Read or set whether the interface is on."""
        if on is None:
            return radio.ap_active if self._if == AP_IF else radio.active
        if self._if == AP_IF:
            radio.access_point(bool(on))
            self._show()
        else:
            radio.power(bool(on))
        return bool(on)

    def _show(self):
        on = radio.ap_active
        show = world._simboard.show
        show("wlan.ap.ssid", self._settings["ssid"] if on else None)
        show("wlan.ap.password", self._settings["key"] if on else None)

    def scan(self):
        """Networks: (ssid, bssid, channel, RSSI, security, hidden), strongest first."""
        if not radio.active:
            raise OSError(1)
        radio.count("scans")
        time.sleep_ms(world.data.get("scan", 100))
        found = []
        for entry in sorted(radio.networks(), key=lambda e: -radio.rssi(e)):
            kind = entry.get("security") or ("wpa2" if entry.get("password") else "open")
            hidden = bool(entry.get("hidden"))
            found.append(
                (
                    b"" if hidden else entry["ssid"].encode(),
                    radio.bssid(entry),
                    entry.get("channel", 6),
                    radio.rssi(entry),
                    _SECURITY.get(kind, 5),
                    hidden,
                )
            )
        return found

    def connect(self, ssid=None, key=None, *, bssid=None, security=None):
        """Begin to join a network; status() and isconnected() tell how it goes."""
        if not radio.active:
            raise OSError(1)
        if isinstance(ssid, bytes):
            ssid = ssid.decode()
        if isinstance(key, bytes):
            key = key.decode()
        radio.join(ssid or radio.ssid, key, bssid)

    def disconnect(self):
        """Leave the network."""
        radio.leave()

    def isconnected(self):
        """Station: joined and with an address. Access point: somebody has joined."""
        if self._if == AP_IF:
            return radio.ap_active and self._stations() > 0
        return radio.state == radio.UP

    def _stations(self):
        return world.data.get("stations") or 0

    def status(self, what=None):
        """The link's state (STAT_…), or status("rssi"), or for the access point status("stations")."""
        if what is None:
            return radio.state if self._if == STA_IF else (radio.UP if radio.ap_active else radio.DOWN)
        if what == "rssi" and self._if == STA_IF:
            return radio.rssi(radio.network) if radio.network else 0
        if what == "stations" and self._if == AP_IF:
            return [(b"\x02\x00\x00\x00\x00" + bytes((n,)),) for n in range(self._stations())]
        raise ValueError("unknown status param")

    def config(self, name=None, **settings):
        """config("mac") reads one setting; config(hostname="x", txpower=8, ...) sets some."""
        if name is not None:
            if name == "mac":
                return b"\x02" + simulated.unique_id[-4:] + bytes((self._if,))
            if name in ("hostname", "dhcp_hostname"):
                return _hostname
            if name == "rssi":
                return self.status("rssi")
            if name in ("ssid", "essid"):
                return self._settings["ssid"] if self._if == AP_IF else radio.ssid or ""
            if name == "channel" and self._if == STA_IF and radio.network:
                return radio.network.get("channel", 6)
            if name in self._settings and name != "key":
                return self._settings[name]
            raise ValueError("unknown config param %r" % name)
        for name, value in settings.items():
            name = {"essid": "ssid", "password": "key", "authmode": "security"}.get(name, name)
            if name in ("hostname", "dhcp_hostname"):
                hostname(value)
            elif name == "mac":
                pass
            elif name in self._settings:
                if name == "key" and value and not 8 <= len(value) <= 63:
                    raise ValueError("key: expected 8 to 63 characters")
                self._settings[name] = value
                if name == "pm":
                    world._simboard.show("wlan.pm", value)
            else:
                raise ValueError("unknown config param %r" % name)
        if self._if == AP_IF:
            self._show()

    def ifconfig(self, addresses=None):
        """(address, mask, gateway, name server); sets a static one if given, "dhcp" goes back."""
        if addresses is None:
            return _addresses(self._if)
        if addresses != "dhcp":
            for text in addresses:
                parts = text.split(".")
                if len(parts) != 4 or not all(p.isdigit() and int(p) < 256 for p in parts):
                    raise ValueError("invalid arguments")
        if self._if == STA_IF:
            radio.static = None if addresses == "dhcp" else tuple(addresses)

    def ipconfig(self, name=None, **settings):
        """ipconfig("addr4") -> (address, mask); also "gw4", "dhcp4", "has_dhcp4". Sets addr4, gw4, dhcp4."""
        a = _addresses(self._if)
        if name is not None:
            if name not in ("addr4", "gw4", "dhcp4", "has_dhcp4"):
                raise ValueError("unknown config param")
            has = self._if == STA_IF and radio.static is None
            return {"addr4": a[:2], "gw4": a[2], "dhcp4": has, "has_dhcp4": has and radio.lease is not None}[
                name
            ]
        if settings.get("dhcp4"):
            radio.static = None
        if "addr4" in settings:
            addr = settings["addr4"]
            if isinstance(addr, str):
                addr, _, bits = addr.partition("/")
                n = 0xFFFFFFFF << 32 - int(bits or 24) & 0xFFFFFFFF
                addr = (addr, ".".join(str(n >> s & 255) for s in (24, 16, 8, 0)))
            radio.static = tuple(addr) + a[2:]
        if "gw4" in settings:
            a = radio.static or a
            radio.static = (a[0], a[1], settings["gw4"], a[3])


_objects = {}
