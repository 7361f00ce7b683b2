"""The setup access point: opened when no network is configured, or no known one has been seen for long.

Nothing of this package is in RAM while it is closed. See wifimore.after() for who opens it again.
"""

import asyncio

import coldframe
from coldframe import hal

_AGAIN = 60000  # ms until the next attempt after the driver has refused
_PARTS = ("accesspoint", "captivedns", "form", "http", "portal", "result", "trial")

portal = None  # while the access point is open


def start(node):
    """Open it at the start of a node that has no network configured."""
    # A device that reaches its broker through a serial line needs none.
    if hal.wireless() and not node.config["wifi.networks"] and not node.config.given("mqtt.serial"):
        look(node)
    else:
        coldframe.forget("setup")


def look(node):
    """Open it if it should be open and is not."""
    if not any(s.name == "setup" for s in node.services):
        node.service("setup", lambda: _run(node))


def wanted(node):
    """Whether the access point should be open now."""
    wifi = node.wifi
    return not wifi.networks or wifi.seen_none_for() >= node.config["wifi.setup_ap.after"]


async def _run(node):
    from coldframe.wifi import of

    of(node)
    while wanted(node):
        try:
            await _open(node)
        except OSError as e:
            node.report("setup access point", e)
            await asyncio.sleep_ms(_AGAIN)
    for service in list(node.services):
        if service.name == "setup":
            node.services.remove(service)
    for name in _PARTS:
        coldframe.forget("setup." + name)
    coldframe.forget("setup")


async def _open(node):
    global portal
    from .portal import Portal

    portal = Portal(node)
    try:
        await portal.run()
    finally:
        portal = None
