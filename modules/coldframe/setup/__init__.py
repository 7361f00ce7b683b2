"""The setup access point: opened when no network is configured, or no known one has been seen for long.

Only this file is always there; the rest is imported when the access point opens and let go when it closes.
"""

import asyncio
import sys

from coldframe import hal

_LOOK = 1000  # ms between two looks at the network
_PARTS = ("accesspoint", "captivedns", "form", "http", "portal", "result", "trial")

portal = None  # while the access point is open


def start(node):
    """Add the service that watches over the access point, where there is something to watch over."""
    # A device that reaches its broker through a serial line needs no network.
    if hal.wireless() and (node.config["wifi.networks"] or not node.config.given("mqtt.serial")):
        node.service("setup", lambda: _watch(node))


def wanted(node):
    """Whether the access point should be open now."""
    wifi = node.wifi
    if wifi is None or not wifi.networks:
        return True
    return wifi.seen_none_for() >= node.config["wifi.setup_ap.after"]


async def _watch(node):
    while True:
        if wanted(node):
            try:
                await _open(node)
            finally:
                for name in _PARTS:
                    forget(name)
        await asyncio.sleep_ms(_LOOK)


async def _open(node):
    global portal
    from coldframe.wifi import of

    from .portal import Portal

    of(node)
    portal = Portal(node)
    try:
        await portal.run()
    finally:
        portal = None


def forget(name):
    """Let go of a module of this package, so that the RAM of its functions is free again."""
    sys.modules.pop("coldframe.setup." + name, None)
    globals().pop(name, None)
