"""The way into a network; see wifi. Forgotten while one is joined. w: the node's Wifi."""

import asyncio

import coldframe
import network
from micropython import const

from . import clock
from .wifimore import connect, leave, note, why

_JOIN = const(20000)  # ms given to one attempt, DHCP included
_ERROR = const(1000)  # ms that a failure must be reported before it is believed: drivers show some by mistake
_STALE = const(6000)  # the same for a failure that was there before the attempt began
_LINGER = const(60000)  # ms that a trial's network is kept for what else is to be tried


async def round(w):
    """Try the networks that it makes sense to try. Returns True if one was joined."""
    if w.failed == 0 and w.item in w.networks:
        # Back to where we were, without a scan; a router that restarts is away for longer than that, though.
        if not await _attempt(w, w.item, None):
            return True
    if len(w.networks) == 1 and w.failed % 4 == 0:
        order = ((w.networks[0], None),)  # nothing to choose, and a scan costs seconds
    else:
        w.enter("scan")
        await asyncio.sleep_ms(50)  # for whoever shows what is going on: the scan stops everything
        from .wifirank import rank

        order = rank(w)
        coldframe.forget("wifirank")
        coldframe.forget("wifimore")
    for item, access in order:
        if w.woken or w.hold:
            return False
        # Where a network has several access points, the one that was heard best: drivers take the first they hear.
        if not await _attempt(w, item, access and access[3] > 1 and access[1] or None):
            if access:
                _, w.bssid, w.channel, _ = access
            return True
    w.failed += 1
    return False


async def _attempt(w, item, bssid):
    # One of the known networks. Returns "" or why it could not be joined.
    before = w.cause
    error = await _join(w, item, bssid, _JOIN)
    if error:
        note(w, item, error, before)
    else:
        w.item = item
        w.ssid = item["ssid"]
        w.failed = 0
        if w.wrong:
            w.wrong.pop(w.networks.index(item), None)
    return error


async def _join(w, item, bssid, timeout):
    # Returns "" or why the network could not be joined.
    wlan = w.wlan
    # States in which a driver is still at it. 2 is "no address yet" on the Pico W, and a failure on the ESP8266.
    busy = (network.STAT_IDLE, network.STAT_CONNECTING, network.STAT_GOT_IP)
    if network.STAT_GOT_IP == 3:
        busy += (2,)
    w.enter("join")
    w.up.clear()
    if w.used:
        # Whatever was going on: it ends here, and the driver is given the time to know it.
        leave(w)
        await asyncio.sleep_ms(1000)
    w.used = True
    try:
        connect(w, item, bssid)
    except Exception as e:  # a driver that is busy, a password that it calls impossible
        w.cause = "the driver says %s" % (e or repr(e))
        return w.cause
    began = changed = clock.ms()
    status = first = wlan.status()
    while clock.ms() - began < timeout and w.trial != 1:
        if wlan.isconnected():
            w.cause = ""
            return ""
        now = wlan.status()
        if now != status:
            status = now
            changed = clock.ms()
        elif status not in busy and clock.ms() - changed > (_STALE if status == first else _ERROR):
            break
        await asyncio.sleep_ms(100)
    w.cause = why(w, status)
    leave(w)
    return w.cause


async def try_join(w, ssid, password, timeout, check):
    """See Wifi.try_join()."""
    if w.trial:
        raise RuntimeError("wifi: somebody else is trying a network")
    w.trial = 1
    w.woken = True
    error = "cancelled"
    try:
        w.start()
        while w.trial == 1 and w.state != "off":  # run() is in the middle of something
            await asyncio.sleep_ms(50)
        w.trial = 2
        error = await _join(w, {"ssid": ssid, "password": password}, None, timeout * 1000)
        if not error:
            w.ssid = ssid
            error = (await check() if check else "") or ""
    finally:
        if error:
            w.back()
        else:
            w.trial = 3
            w.ended = clock.ms() + _LINGER
    return error


async def give_way(w):
    """Let somebody try a network; returns when that is over."""
    while w.trial and not (w.trial == 3 and clock.ms() > w.ended):
        if w.trial == 1:
            w.trial = 2
        w.woken = False
        await w.rest(1)
    w.trial = 0
    if not w.networks and w.wlan.isconnected():
        leave(w)  # a trial's network that nobody wants
