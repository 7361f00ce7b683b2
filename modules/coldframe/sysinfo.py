"""What a node tells about itself."""

import gc
import os
import sys

from . import bootrecord, clock, hal
from .version import __version__


def collect(node):
    """The content of the SYSINFO topic as a dict. Reads only what is there: the radio and the pins are left alone.

    uptime in seconds; memory and flash in bytes; rssi in dBm.
    """
    info = {
        "name": node.name,
        "id": node.id,
        "board": hal.board(),
        "version": __version__,
        "commit": hal.commit(),
        "micropython": ".".join(str(n) for n in sys.implementation[1][:3]),
        "uptime": clock.seconds(),
        "reset_cause": hal.reset_cause(),
        "boots": bootrecord.boots(),
        "failed_boots": bootrecord.failed(),
        "safe": bootrecord.safe(),
        "dropped": node.dropped,
        "restarts": sum(s.restarts for s in node.services),
        "errors": node.errors,
    }
    if node.power:
        info["power"] = node.power.info()
    if hasattr(gc, "mem_free"):
        info["mem_free"] = gc.mem_free()
        info["mem_alloc"] = gc.mem_alloc()
    try:
        f = os.statvfs("/")
        info["flash"] = {"total": f[1] * f[2], "free": f[1] * f[3]}
    except (OSError, AttributeError):
        pass
    wifi = node.wifi
    if wifi and wifi.up.is_set():
        info["wifi"] = {"ssid": wifi.ssid, "rssi": wifi.rssi(), "joins": wifi.joins}
        info["ip"] = wifi.address()
    return info


def show(node):
    """Print a screen for a person at the REPL."""
    print("coldframe %s on %s, %s" % (__version__, hal.board(), sys.version.split(";")[-1].strip()))
    print(
        "started by: %s; boot %d, failed in a row %d%s"
        % (
            hal.reset_cause(),
            bootrecord.boots(),
            bootrecord.failed(),
            ", SAFE MODE" if bootrecord.safe() else "",
        )
    )
    print(
        "up %d s, memory free %d of %d bytes"
        % (clock.seconds(), gc.mem_free(), gc.mem_free() + gc.mem_alloc())
    )
    if node is None:
        print("no node")
        return
    print("node %s (%s), base topic %s" % (node.name, node.id, node.base))
    if node.wifi:
        w = node.wifi
        print("wifi: %s" % ("%s, %s" % (w.ssid, w.address()) if w.up.is_set() else "not joined"))
    c = node.client
    print("broker: %s" % ("none" if c is None else "connected" if c.up.is_set() else "not connected"))
    print(
        "services: %s"
        % ", ".join("%s%s" % (s.name, "" if s.alive or s.once else " (failed)") for s in node.services)
    )
    for t in node.topics:
        print("  %-24s %s" % (t.topic, "" if t.value is None else str(t.value)[:48]))
    for text in node.errors:
        print("error: " + text)
