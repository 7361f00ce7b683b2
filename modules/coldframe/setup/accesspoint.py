"""The device's own Wi-Fi network: WPA2 always, never open."""

from os import urandom

import network
from coldframe import store
from micropython import const

KEY = "/setup.key"  # the password, if the configuration has none

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is easily taken for another one
_LENGTH = const(10)


class AccessPoint:
    """The access point. ssid, password: what to join it with; address: the device's own in that network."""

    def __init__(self, node):
        c = node.config
        self.ssid = _cut(node.fill(c["wifi.setup_ap.ssid"]), 32)
        self.password = c["wifi.setup_ap.password"] or own_password()
        self.address = None
        self._wlan = network.WLAN(network.AP_IF)

    def open(self):
        """Switch it on. Raises OSError if the driver does not do it, or would do it without encryption."""
        wlan = self._wlan
        try:
            try:
                self._configure()
                wlan.active(True)
            except Exception:
                # Some drivers only take settings of an interface that is on.
                wlan.active(True)
                self._configure()
            if _open(wlan):
                raise OSError("the driver has opened it without encryption")
            self.address = wlan.ifconfig()[0]
        except Exception as e:
            self.close()
            raise e if isinstance(e, OSError) else OSError(str(e))

    def _configure(self):
        kind = getattr(network.WLAN, "SEC_WPA_WPA2", None)
        if kind is None:
            kind = getattr(network, "AUTH_WPA2_PSK", 3)
        try:
            self._wlan.config(ssid=self.ssid, key=self.password, security=kind)
        except (ValueError, TypeError):  # the names before MicroPython 1.20
            self._wlan.config(essid=self.ssid, password=self.password, authmode=kind)

    def close(self):
        """Switch it off."""
        try:
            self._wlan.active(False)
        except OSError:
            pass

    def stations(self):
        """How many have joined it; 1 if some have and the driver does not count."""
        try:
            return len(self._wlan.status("stations"))
        except (ValueError, OSError, TypeError):
            return 1 if self._wlan.isconnected() else 0


def own_password(path=KEY):
    """The device's own password: made once by chance, and the same after each start.

    Not made from the chip's number: on many chips that is the Wi-Fi address, which everybody nearby can see. If the
    flash cannot keep it, it is another one after the next start.
    """
    try:
        known = store.read(path, 63)
        if known and len(known) >= _LENGTH and all(chr(b) in _LETTERS for b in known):
            return known.decode()
    except (OSError, ValueError):
        pass
    made = ""
    while len(made) < _LENGTH:
        b = urandom(1)[0]
        if b < 256 // len(_LETTERS) * len(_LETTERS):  # or some letters would come more often
            made += _LETTERS[b % len(_LETTERS)]
    try:
        store.write(path, made)
    except OSError:
        pass
    return made


def _cut(text, most):
    # At most so many bytes of UTF-8, and no half character at the end.
    data = text.encode()[:most]
    while data:
        try:
            return data.decode()
        except ValueError:
            data = data[:-1]
    return "coldframe"


def _open(wlan):
    for name in ("security", "authmode"):
        try:
            return wlan.config(name) == 0
        except (ValueError, OSError, TypeError):
            pass
    return False
