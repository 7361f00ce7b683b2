"""What a node tells about itself: the topic ./SYSINFO, and coldframe.status().

Only what is there is read: the radio, the pins and the heap are left as they are. docs/topics.md lists the fields.
"""

import gc
import json
import os
import sys

import coldframe

from . import bootrecord, clock, hal, log
from .hal.facts import largest_block, temperature, vsys
from .version import __version__

_SPARE = 40  # bytes: numbers may have more digits when they are sent than when they were counted


def rows(node, largest=None, errors=None):
    """Yield (key, value) of what is told; values as json.dumps() takes them. Seconds, bytes, dBm, °C and V.

    largest: hal.largest_block(), None = not to be told; errors: None = those of the node.
    """
    client = node.client
    yield "name", node.name
    yield "id", node.id
    yield "mqtt_base_topic", node.base
    yield "mqtt_client_id", node.id
    yield "board", hal.board()
    yield "version", __version__
    yield "commit", hal.commit()
    yield "uname", uname()
    up = clock.seconds()
    yield "uptime", up
    if clock.valid():
        now = clock.unix_ms() // 1000
        yield "time", now
        yield "last_boot", now - up
    yield "reset_cause", hal.reset_cause()
    yield "boots", bootrecord.boots()
    yield "failed_boots", bootrecord.failed()
    yield "safe", bootrecord.safe()
    if node.power:
        yield "power", node.power.info()
    yield from _network(node)
    yield "connected", bool(client and client.up.is_set())
    yield "reconnects", max(0, client.connections - 1) if client else 0
    yield "downtime", downtime(node)
    yield "subscriptions", len(node._listeners)
    yield "dropped", node.dropped + (client.dropped if client else 0)
    yield "restarts", sum(s.restarts for s in node.services)
    if hasattr(gc, "mem_free"):
        if largest is not None:
            yield "mem_largest", largest
        yield "mem_free", gc.mem_free()
        yield "mem_alloc", gc.mem_alloc()
    try:
        f = os.statvfs("/")
        yield "statvfs", dict(zip(_STATVFS, f))
    except (OSError, AttributeError):
        pass
    yield "logging_level", log.ring.level
    for name, value in (("temperature", temperature()), ("vsys", vsys())):
        if value is not None:
            yield name, value
    if node.remote:
        yield "remote_sessions", len(node.remote.sessions)
        yield "remote_refused", node.remote.refused
    yield "failures", sum(topic.errors for topic in node.topics)
    yield "errors", node.errors if errors is None else errors


_STATVFS = (
    "f_bsize",
    "f_frsize",
    "f_blocks",
    "f_bfree",
    "f_bavail",
    "f_files",
    "f_ffree",
    "f_favail",
    "f_flag",
    "f_namemax",
)


def uname():
    """As os.uname() names it, also where that is missing."""
    get = getattr(os, "uname", None)
    found = get() if get else None
    if not found:
        found = (
            sys.platform,
            sys.platform,
            ".".join(str(n) for n in sys.implementation[1][:3]),
            sys.version,
            getattr(sys.implementation, "_machine", ""),
        )
    return dict(zip(("sysname", "nodename", "release", "version", "machine"), found))


def downtime(node):
    """Seconds without a connection to the broker since the start; 0 where there is no broker."""
    client = node.client
    if client is None:
        return 0
    ms = node.downtime
    if not client.up.is_set():
        ms += clock.ms() - node.down_since
    return ms // 1000


def _network(node):
    wifi = node.wifi
    if not wifi:
        return
    wlan = getattr(wifi, "wlan", None)
    joined = wifi.up.is_set()
    if joined:
        found = {"ssid": wifi.ssid, "rssi": wifi.rssi(), "joins": wifi.joins}
        for name in ("channel", "txpower"):
            try:
                found[name] = wlan.config(name)
            except (AttributeError, OSError, TypeError, ValueError):
                pass  # this radio does not tell
        yield "wifi", found
    try:
        yield "mac", wlan.config("mac").hex()
    except (AttributeError, OSError, TypeError, ValueError):
        pass
    if joined:
        yield "ifconfig", dict(zip(("ip", "subnet", "gateway", "dns"), wlan.ifconfig()))


def collect(node, asked=False):
    """The same as a dict, for a program. asked: mem_largest as well, which takes a little while."""
    return dict(rows(node, largest_block() if asked else None))


async def publish(node, asked):
    """Publish it on ./SYSINFO, in pieces: as a whole it would need 2 KB in one block. asked: as for collect()."""
    client = node.client
    if client is None or not client.up.is_set():
        return
    # The length goes out first. What could make it much longer meanwhile is taken once.
    largest = largest_block() if asked else None
    errors = list(node.errors)
    size = _SPARE
    for part in parts(node, largest, errors):
        size += len(part)
    from .mqtt.streaming import publish_stream  # client.publish_stream() would bring more along

    try:
        await publish_stream(
            client,
            node.resolve("./SYSINFO"),
            lambda: _Source(parts(node, largest, errors), size),
            size,
            node.least_qos,
            False,
        )
    except OSError as e:  # the connection is gone; the next one has its own
        node.log.info("./SYSINFO: %s", e)
    finally:
        coldframe.forget("mqtt.streaming")


def parts(node, largest, errors):
    """Yield the JSON of rows() in pieces, as bytes, but for the bracket that ends it."""
    first = True
    for key, value in rows(node, largest, errors):
        yield (('{"%s": ' if first else ', "%s": ') % key).encode()
        yield json.dumps(value).encode()
        first = False


class _Source:
    # A stream of so many bytes: the parts, the bracket that ends them, and blanks.
    def __init__(self, parts, size):
        self._parts = parts
        self._left = size
        self._part = b""

    def readinto(self, buf):
        part = self._part
        if not part and self._parts:
            part = next(self._parts, None)
            if part is None:
                part = b"}"
                self._parts = None
        if not self._parts and not part:
            part = b" " * min(self._left, len(buf))
        n = min(len(part), len(buf))
        buf[:n] = part[:n]
        self._part = part[n:]
        self._left -= n
        return n
