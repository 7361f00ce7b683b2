"""The WLAN chip and the air around it: which networks exist, which one the board has joined, what gets through.

World: networks: [{"ssid": …, "password": …, …}, …], outage: true, wlan: "none", "on" or "stuck", scan: ms.
See docs/simulator.md.
"""

import _simboard
import simulated
from micropython import const

from . import world

# Link states, with the numbers of the CYW43 driver.
DOWN = const(0)
JOINING = const(1)
NO_ADDRESS = const(2)
UP = const(3)
FAIL = const(-1)
NO_NETWORK = const(-2)
BAD_PASSWORD = const(-3)

_WORDS = {
    DOWN: "idle", JOINING: "connecting", NO_ADDRESS: "no address", UP: "connected", FAIL: "failed",
    NO_NETWORK: "no network", BAD_PASSWORD: "wrong password",
}  # fmt: skip

_OPEN, _SILENT, _OFF = const(0), const(1), const(2)
_BEACON_LOSS = const(500)  # ms after which a station knows that its access point is gone

active = False
state = DOWN
ssid = None  # what the board was told to join
network = None  # the entry of the world that it has joined, or is joining
static = None  # (address, mask, gateway, dns) set by the program instead of DHCP
lease = None  # the address in use, likewise
ap_active = False

_bssid = None
_key = None
_timer = None
_next = None  # what happens when the timer fires
_stuck = False  # nothing but another start of the radio helps
_counts = {}


def wired():
    """True if this board has no WLAN in the world: it is simply on the PC's network."""
    mode = world.data.get("wlan")
    if mode is None:
        return "networks" not in world.data
    return mode == "none"


def networks():
    return [] if wired() else world.data.get("networks") or []


def bssid(entry):
    """The 6 bytes of an entry's BSSID; made from its name if it has none."""
    text = entry.get("bssid")
    if text:
        return bytes(int(part, 16) for part in text.split(":"))
    n = 5381
    for byte in entry["ssid"].encode():
        n = (n * 33 + byte) & 0xFFFFFFFF
    return b"\x02\xcf" + n.to_bytes(4, "big")


def rssi(entry):
    return entry.get("rssi", -60)


def join(name, key, wanted):
    """Begin to join a network; state tells how it goes."""
    global ssid, _key, _bssid
    leave()
    ssid, _key, _bssid = name, key or None, wanted
    count("tries")
    _set(JOINING)
    if _stuck:
        return
    entry = _find()
    if entry and entry.get("glitch"):
        return _after(50, _glitch)
    _after(150 if entry is None else entry.get("join", 150), _associate)


def leave():
    """Leave the network, or stop joining it."""
    global network, lease
    _after(0, None)
    network = lease = None
    _set(DOWN)


def power(on):
    """Switch the station on or off."""
    global active, _stuck
    if active and not on:
        leave()
        _stuck = False
    if on and not active:
        count("starts")
    active = on
    _set(state)


def count(what):
    """Count something for state.json: "starts" of the radio, "scans", "tries" to join a network."""
    _counts[what] = _counts.get(what, 0) + 1
    _simboard.show("wlan." + what, _counts[what])


def access_point(on):
    """Switch our own access point on or off."""
    global ap_active
    ap_active = on
    air()


def _find():
    best = None
    for entry in networks():
        if entry.get("ssid") == ssid and (_bssid is None or bssid(entry) == _bssid):
            if best is None or rssi(entry) > rssi(best):
                best = entry
    return best


def _glitch():
    # As drivers do now and then: a failure is shown that is none.
    _set(BAD_PASSWORD)
    _after(_find().get("glitch"), _anyway)


def _anyway():
    _set(JOINING)
    _after(50, _associate)


def _associate():
    global network
    entry = _find()
    if entry is None:
        return _set(NO_NETWORK)
    if entry.get("refuse"):
        return _set(FAIL)
    if (entry.get("password") or None) != _key:
        return _set(BAD_PASSWORD)
    network = entry
    _set(NO_ADDRESS)
    if static:
        return _configure()
    if entry.get("dhcp", True):
        _after(entry.get("dhcp_delay", 100), _configure)


def _configure():
    global lease
    lease = static or _offer(network)
    _set(UP)


def _offer(entry):
    own = "10.77.%d.%d" % (simulated.unique_id[-2], 2 + simulated.unique_id[-1] % 250)
    gateway = entry.get("gateway", "10.77.0.1")
    return (entry.get("ip", own), entry.get("mask", "255.255.0.0"), gateway, entry.get("dns", gateway))


def _set(new):
    global state
    state = new
    _simboard.show("wlan.state", "off" if not active else _WORDS[new])
    _simboard.show("wlan.ssid", ssid if network else None)
    _simboard.show("wlan.ip", lease[0] if lease else None)
    air()


def _after(ms, function):
    global _timer, _next
    _next = function
    if _timer is None:
        if function is None:
            return
        _timer = world.timer(_fire)
    _simboard.timer(_timer, 0 if function is None else max(1, ms))


def _fire():
    global _next
    function, _next = _next, None
    if function:
        function()


def _lost():
    leave()


def air():
    """Let traffic pass, or not, according to all that is known."""
    if world.data.get("outage"):
        how = _SILENT if wired() or state == UP else _OFF
    elif wired():
        how = _OPEN
    elif state != UP:
        how = _OFF
    else:
        # The access point may have gone without the station knowing yet.
        how = _OPEN if network in networks() else _SILENT
        if static and network.get("static") is False and static[0] != _offer(network)[0]:
            how = _SILENT  # nobody answers to an address that DHCP has not given
    _simboard.air(how, ap_active)
    _simboard.show("air", ("open", "silent", "down")[how])


def _changed(_):
    # The networks of the world have changed: is ours still among them?
    global network, lease
    if network:
        for entry in networks():
            if entry.get("ssid") != ssid or bssid(entry) != bssid(network):
                continue
            if entry.get("password") != network.get("password"):
                break
            network = entry
            if _next is _lost:
                _after(0, None)  # it was away for a moment only
            if state == UP and not static and lease != _offer(entry):
                # Another address: a TCP stack drops the connections that were bound to the old one.
                _simboard.air(_OFF, ap_active)
                _simboard.abort()
                lease = _offer(entry)
            elif state == NO_ADDRESS and entry.get("dhcp", True) and _next is None:
                _after(entry.get("dhcp_delay", 100), _configure)
            return _set(state)
        if _next is not _lost:
            _after(_BEACON_LOSS, _lost)
    air()


def _wlan(mode):
    global _stuck
    if mode == "stuck":
        _stuck = True
        if active:
            leave()
    _changed(None)


def start():
    """Follow the world."""
    world.play("networks", _changed)
    world.play("wlan", _wlan)
    world.play("outage", lambda _: air())
    _set(DOWN)
