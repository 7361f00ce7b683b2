"""What the Wi-Fi of a node needs for a moment only; see wifi. Every function's first argument is the node's Wifi."""

import asyncio

import network

from . import hal, store

LAST = "/wifi.last"  # name of the network that was joined last, where there are several
_ROUNDS = (5, 10, 30)  # failed rounds after which the radio is restarted; from the last on, every so many


def prepare(w):
    """Tell the network module what must be known before the radio starts."""
    c = w.node.config
    country = c["wifi.country"]
    name = host(w, w.node.fill(c["wifi.hostname"]))
    # What the driver does not like must not cost the connection.
    for setting, value in (("country", country and country.upper()), ("hostname", name)):
        if value:
            try:
                getattr(network, setting)(value)
            except Exception as e:
                w.log.warning("wifi.%s: %s not accepted: %s", setting, value, e)
    ap = network.WLAN(network.AP_IF)
    if ap.active():
        ap.active(False)  # MicroPython opens one on a new ESP8266, with a password that everybody knows


def host(w, name):
    """What a host name may hold of a name: letters, digits and hyphens, 32 at most on the smallest chip."""
    text = "".join(c if c.isalpha() and c < "{" or c.isdigit() else "-" for c in name)
    return text[:32].strip("-") or "coldframe"


def start(w):
    """Switch the radio on, with its settings."""
    wlan = w.wlan
    wlan.active(True)
    w.used = w.static = False
    save = w.node.config["wifi.power_save"]
    for settings in (
        # Saving power costs up to seconds of delay: the radio listens now and then only.
        {"pm": getattr(network.WLAN, "PM_POWERSAVE" if save else "PM_NONE", None)},
        # ESP32: the driver is not to try again behind our back, or it says "connecting" for ever and hides why.
        {"reconnects": 0},
    ):
        try:
            if None not in settings.values():
                wlan.config(**settings)
        except (OSError, ValueError, TypeError):
            pass  # not every chip has it


def leave(w):
    """Leave the network, or stop joining it."""
    try:
        w.wlan.disconnect()
    except OSError:
        pass


def connect(w, item, bssid):
    """Begin to join a network. Raises OSError, ValueError, RuntimeError if the driver does not want to."""
    if not _fixed(w, item.get("address")) and w.static:
        w.static = False
        w.wlan.ipconfig(dhcp4=True)
    options = {}
    text = item.get("bssid")
    if text:
        bssid = bytes(int(part, 16) for part in text.split(":"))
    if bssid:
        options["bssid"] = bssid
    what = (item["ssid"], item.get("password") or None, bssid)
    if hal.JOIN_WRITES and what == w.told:
        w.wlan.connect()
        return
    w.wlan.connect(what[0], what[1], **options)
    if hal.JOIN_WRITES:
        w.told = what


def _fixed(w, own):
    # Give the interface the address that the configuration has for this network or for all. False if it has none.
    if not own:
        c = w.node.config
        own = {key: c["wifi.address." + key] for key in ("ip", "mask", "gateway", "dns")}
    ip = own.get("ip")
    if not ip:
        return False
    gateway = own.get("gateway") or "0.0.0.0"
    try:
        w.wlan.ifconfig((ip, own.get("mask") or "255.255.255.0", gateway, own.get("dns") or gateway))
    except (OSError, ValueError) as e:
        # Without it the device can at least be reached, and repaired.
        w.node.report("wifi.address", e)
        return False
    w.static = True
    return True


def why(w, status):
    """In words, why a network was not joined; status as the driver gives it."""
    for names, text in (
        (("WRONG_PASSWORD", "HANDSHAKE_TIMEOUT"), "wrong password"),
        (("NO_AP_FOUND", "NO_AP_FOUND_IN_RSSI_THRESHOLD"), "not in reach"),
        (
            ("NO_AP_FOUND_IN_AUTHMODE_THRESHOLD", "NO_AP_FOUND_W_COMPATIBLE_SECURITY"),
            "its security is not ours",
        ),
        (("CONNECT_FAIL",), "it refused"),
        (("IDLE", "CONNECTING"), "no answer in time"),
    ):
        for name in names:
            if getattr(network, "STAT_" + name, None) == status:
                return text
    # ESP32 gives the reason of IEEE 802.11 (table 9-49): 15 is a 4-way handshake that timed out, which is what most
    # access points do about a wrong password. The Pico W says 2 while it has no address.
    if network.STAT_CONNECTING == 1001:
        return "wrong password" if status == 15 else "it refused (reason %d)" % status
    return "it gives no address (DHCP)" if status == 2 else "it refused (status %d)" % status


def note(w, item, error, before):
    """Log that a network could not be joined, once as long as the cause is the same, and count wrong passwords."""
    if w.trial == 1:
        return  # it was interrupted
    if error == "wrong password":
        if w.wrong is None:
            w.wrong = {}
        n = w.networks.index(item)
        w.wrong[n] = w.wrong.get(n, 0) + 1
    new = w.failed == 0 or error != before
    (w.log.warning if new else w.log.debug)("%s not joined: %s", item["ssid"], error)


async def after(w):
    """After a round that joined nothing: what helps a radio, and in the end a chip, that has lost its way."""
    if w.failed == 1:
        w.log.warning("none of the %d network(s) can be joined", len(w.networks))
    c = w.node.config
    power = w.node.power
    # An access point would empty a battery.
    mains = not (power and power.spares("setup"))
    if mains and c["wifi.setup_ap.enabled"] and w.seen_none_for() >= c["wifi.setup_ap.after"]:
        from .setup import look

        look(w.node)
    if w.hold:
        return
    limit = c["wifi.reset_after"]
    # Only a chip that has been in a network since it started: for others, another start would change nothing. So an
    # outage of any length costs one reset.
    if limit and w.joins and w.seen_none_for() >= limit:
        hal.reset("no network for %d s" % w.seen_none_for())
    if w.failed in _ROUNDS or w.failed % _ROUNDS[-1] == 0:
        (w.log.info if w.failed == _ROUNDS[0] else w.log.debug)("restarting the radio")
        wlan = w.wlan
        wlan.active(False)
        if hasattr(wlan, "deinit") and not network.WLAN(network.AP_IF).active():
            wlan.deinit()  # Pico W: takes the power from the radio, its program is loaded anew
        await asyncio.sleep_ms(1000)
        start(w)


def nearby(w, fresh):
    """See Wifi.nearby()."""
    if (w.seen is None or fresh) and not w.up.is_set() and w.state != "join":
        w.start()
        found = {}
        for ssid, _, _, rssi, kind, _ in scan(w):
            if ssid and (ssid not in found or rssi > found[ssid][1]):
                found[ssid] = (ssid, rssi, _security(kind))
        w.seen = sorted(found.values(), key=lambda n: -n[1])
    return w.seen or []


def scan(w):
    """Networks as the driver finds them, names as texts ("" for a hidden one). It stops everything for 2 or 3 s."""
    try:
        return [(_text(n[0]),) + tuple(n[1:6]) for n in w.wlan.scan()]
    except (OSError, RuntimeError) as e:
        w.log.warning("scan: %s", e)
        return []


def _text(ssid):
    try:
        return bytes(ssid).strip(b"\0").decode()
    except ValueError:
        return ""  # not UTF-8: nobody can have it in a configuration


def _security(kind):
    if network.STAT_GOT_IP == 3:  # Pico W: bits for WEP (or any encryption), WPA, WPA2
        return "open" if kind == 0 else "WEP" if kind == 1 else "WPA" if kind & 6 == 2 else "WPA2"
    words = ("open", "WEP", "WPA", "WPA2", "WPA/WPA2", "WPA2-Enterprise", "WPA3", "WPA2/WPA3")
    return words[kind] if 0 <= kind < len(words) else "WPA"


def remember(w):
    """Note on the flash which network it is, for the next start. Writes only what is new."""
    try:
        if store.read(LAST, 64) != w.ssid.encode():
            store.write(LAST, w.ssid)
    except (OSError, ValueError):
        pass  # the next start has the signals to go by
