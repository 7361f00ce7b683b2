"""In which order known networks are tried. Needed for a moment only, see wifi."""

from . import store
from .wifimore import LAST, scan

_BONUS = 12  # dB by which another network must be stronger than the one that was joined last
_PATIENCE = (
    3  # a network whose password is wrong is tried in every second round at first, in every eighth in the end
)


def rank(w):
    """The networks to try: list of (item of wifi.networks, access or None), the best first.

    access: [RSSI, BSSID, channel, how many access points the network has], of the one that was heard best. The best
    network is the one that was heard best, with some favour for the one that was joined last. Those that were not heard
    follow, if some network keeps its name to itself, and in every fourth round anyway: an attempt costs seconds, and on
    an ESP8266 a write to the flash.
    """
    last = w.ssid
    if last is None:
        try:
            last = (store.read(LAST, 64) or b"").decode()
        except (OSError, ValueError):
            pass
    best = {}  # SSID -> access
    doubt = w.failed % 4 == 0
    for ssid, bssid, channel, rssi, _, _ in scan(w):
        if not ssid:
            doubt = True
        known = best.get(ssid)
        if known is None:
            best[ssid] = [rssi, bssid, channel, 1]
        else:
            known[3] += 1
            if rssi > known[0]:
                known[:3] = rssi, bssid, channel
    found = []
    for n, item in enumerate(w.networks):
        ssid = item["ssid"]
        times = w.wrong.get(n, 0) if w.wrong else 0
        if times and w.failed % (1 << min(times, _PATIENCE)):
            continue
        access = best.get(ssid)
        if not (access or doubt):
            continue
        rssi = access[0] if access else -200
        if times:
            rssi -= 100
        elif ssid == last:
            rssi += _BONUS
        found.append((-rssi, n, item, access))
    found.sort(key=lambda f: f[:2])
    return [f[2:] for f in found]
