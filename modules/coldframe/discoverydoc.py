"""The document that tells Home Assistant about a device: one message, retained, of any size, never whole in RAM.

The device form of MQTT discovery (Home Assistant 2024.11 and later), with the short names of the keys:
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload

It is made twice, piece by piece: once for its length and once while it is sent; so nothing that can change on the way
is in it but what was noted down before (Plan).
"""

import asyncio
import json
import sys

import coldframe

from . import hal, store
from .hal.facts import temperature
from .version import __version__

MARK = "/discovery.rec"  # what Home Assistant has been told: mark()
URL = "https://github.com/coldframe/coldframe"
_PAUSE = 5  # seconds between the document that removes entities and the one that has forgotten them

_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
KINDS = ("sensor", "binary_sensor", "switch", "number", "button", "select", "text", "light")
_OF_PARAM = {"bool": "switch", "int": "number", "float": "number", "str": "text", "choice": "select"}
# What Topic.meta calls it, what Home Assistant does.
_KEYS = (
    ("unit", "unit_of_meas"),
    ("device_class", "dev_cla"),
    ("state_class", "stat_cla"),
    ("icon", "ic"),
    ("low", "min"),
    ("high", "max"),
    ("step", "step"),
    ("options", "ops"),
    ("category", "ent_cat"),
    ("precision", "sug_dsp_prc"),
    ("on", "pl_on"),
    ("off", "pl_off"),
)
# Values of SYSINFO: (key, template, name, unit, device class, state class).
_SYSTEM = (
    ("uptime", "uptime", "Uptime", "s", "duration", "total_increasing"),
    ("memory", "mem_free", "Free memory", "B", "data_size", "measurement"),
    ("boots", "boots", "Starts", None, None, "total_increasing"),
    ("reset", "reset_cause", "Last start by", None, None, None),
    ("rssi", "wifi.rssi", "Wi-Fi signal", "dBm", "signal_strength", "measurement"),
    ("ip", "ifconfig.ip", "IP address", None, None, None),
    ("temperature", "temperature", "Chip temperature", "°C", "temperature", "measurement"),
)
_WIFI = ("rssi", "ip")  # those that are there with Wi-Fi only


def slug(text):
    """A text as part of an identifier: what is neither a letter of English nor a digit becomes "_"."""
    return "".join(c if c in _PLAIN else "_" for c in text)


def short(text):
    """A text as Home Assistant writes it in an entity_id: "Shed 1" is "shed_1"."""
    return "_".join(word for word in slug(text).lower().split("_") if word)


def cid_of(topic, key=""):
    """The identifier of an entity, from its topic: two topics never have the same, and it lasts as long as the topic.

    "./a/b_c" is "a-b_c", with the key "x" "a-b_c--x"; names with other characters get a number that tells them apart.
    """
    name = topic[2:]
    if topic[:2] == "./" and name.replace("/", "_") == slug(name):
        text = name.replace("/", "-")
    else:
        from .mqtt.crc import crc32

        text = "%s-%08x" % (slug(topic).strip("_"), crc32(topic.encode()))
    return text + "--" + slug(key) if key else text


class Plan:
    """What is to be told, noted down once so that both passes say the same."""

    def __init__(self, node):
        c = node.config
        self.node = node
        self.topics = [(t, t.every) for t in node.topics if t.meta is not None]
        self.params = node._params.declared() if node._params else ()
        self.system = c["sysinfo.every"]
        self.wifi = bool(c["wifi.networks"])
        self.warm = temperature() is not None  # whether the chip can measure how warm it is
        self.gone = ()  # rows (id, kind) of what is to be removed
        name = node.fill(c["discovery.name"]).lower()
        self.slug = short(name) or "coldframe_" + node.id[-6:]
        self.errors = []
        self.asleep = None
        if c.get("power.mode") == "battery":
            self.asleep = 3 * max(c.get("power.sleep", 0), c.get("power.sleep_max", 0))

    def entities(self):
        """Yield (id, dict) for each entity, in an order that does not change."""
        for topic, every in self.topics:
            meta = topic.meta
            meta = meta() if callable(meta) else (meta,) if isinstance(meta, dict) else meta
            for one in meta:
                try:
                    yield self.entity(topic, every, one)
                except ValueError as e:
                    text = "discovery: %s: %s" % (topic.topic, e)
                    if text not in self.errors:
                        self.errors.append(text)
        if self.system:
            for key, path, name, unit, device_class, state_class in _SYSTEM:
                if self.wifi if key in _WIFI else self.warm or key != "temperature":
                    d = self.base("sensor", "SYSINFO_" + key, name)
                    d["stat_t"] = self.node.resolve("./SYSINFO")
                    d["val_tpl"] = "{{ value_json.%s }}" % path
                    d["ent_cat"] = "diagnostic"
                    for short, value in (
                        ("unit_of_meas", unit),
                        ("dev_cla", device_class),
                        ("stat_cla", state_class),
                    ):
                        if value:
                            d[short] = value
                    self.expire(d, self.system)
                    yield "SYSINFO_" + key, d
            d = self.base("binary_sensor", "SYSINFO_errors", "Errors")
            d["stat_t"] = self.node.resolve("./SYSINFO")
            d["val_tpl"] = "{{ 'ON' if value_json.errors else 'OFF' }}"
            d["dev_cla"] = "problem"
            d["ent_cat"] = "diagnostic"
            yield "SYSINFO_errors", d
        for p in self.params:
            yield self.param(p)

    def base(self, kind, cid, name):
        """What every entity has."""
        return {
            "p": kind,
            "uniq_id": self.node.id + "_" + cid,
            "def_ent_id": "%s.%s_%s" % (kind, self.slug, short(cid)),
            "name": name,
        }

    def expire(self, d, every):
        """After this many seconds without a value, the last one counts no more."""
        if self.asleep:
            d["exp_aft"] = int(self.asleep)
        elif every:
            d["exp_aft"] = round(every * 2.1) + 5

    def entity(self, topic, every, meta):
        """(id, dict) for one entity of a topic. Raises ValueError if its meta cannot be."""
        if not isinstance(meta, dict):
            raise ValueError("expected a dict for meta, got %r" % (meta,))
        kind = meta.get("kind")
        if kind is None:
            kind = "button" if not topic.read else "switch" if topic.action else "sensor"
        if kind not in KINDS:
            raise ValueError("kind: expected one of %s, got %r" % (", ".join(KINDS), kind))
        key = meta.get("key", "")
        cid = cid_of(topic.topic, key)
        resolve = self.node.resolve
        d = self.base(kind, cid, str(meta.get("name") or cid))
        if topic.read and kind != "button":
            d["stat_t"] = resolve(topic.topic)
            template = meta.get("template")
            if not template and key:
                template = "{{ value_json[%s] }}" % json.dumps(key)
            elif not template and kind in ("switch", "binary_sensor", "light") and "on" not in meta:
                template = "{{ 'ON' if value|lower in ('on','true','1') else 'OFF' }}"
            if template:
                d["stat_val_tpl" if kind == "light" else "val_tpl"] = template
        if kind in ("sensor", "binary_sensor"):
            if not topic.read:
                raise ValueError("a %s needs something to read" % kind)
            if not topic.wants:  # else it goes out only when it has changed
                self.expire(d, every)
        else:
            command = topic.command
            if not command or "+" in command or "#" in command:
                raise ValueError("a %s needs an action on a topic without wildcards" % kind)
            d["cmd_t"] = resolve(command)
        for name, short in _KEYS:
            value = meta.get(name)
            if value is not None:
                d[short] = value
        if meta.get("enabled") is False:
            d["en"] = False
        if kind == "number":
            number(d)
        elif kind == "select" and not d.get("ops"):
            raise ValueError("a select needs options")
        more = meta.get("more")
        if more:
            d.update(more)
        return cid, d

    def param(self, p):
        """(id, dict) for a parameter."""
        kind = _OF_PARAM[p.kind]
        cid = "PARAMS--" + cid_of("./" + p.name)
        d = self.base(kind, cid, p.name)
        quoted = json.dumps(p.name)
        value = "{{ value_json[%s] }}" % quoted
        command = "{%s: {{ value | tojson }}}" % quoted
        if kind == "switch":
            value = "{{ 'ON' if value_json[%s] else 'OFF' }}" % quoted
            command = "{%s: {{ 'true' if value == 'ON' else 'false' }}}" % quoted
        elif kind == "select":
            d["ops"] = [str(x) for x in p.choices]
        else:
            for short, limit in (("min", p.low), ("max", p.high)):
                if limit is not None:
                    d[short] = limit
            if kind == "text":
                d["max"] = min(255, d.get("max", 255))
            else:
                number(d, p.kind == "int")
                if p.unit:
                    d["unit_of_meas"] = p.unit
        d["stat_t"] = self.node.resolve("./PARAMS")
        d["cmd_t"] = self.node.resolve("./SET_PARAMS")
        d["ent_cat"] = "config"
        d["val_tpl"] = value
        d["cmd_tpl"] = command
        return cid, d

    def parts(self):
        """Yield the document as texts."""
        node = self.node
        c = node.config
        device = {
            "ids": [node.id],
            "name": node.fill(c["discovery.name"]),
            "mf": "Coldframe",
            "mdl": hal.board(),
            "sw": __version__,
            "sn": node.id,
        }
        hw = getattr(sys.implementation, "_machine", None)
        if hw:
            device["hw"] = hw
        if c["discovery.area"]:
            device["sa"] = c["discovery.area"]
        if c.get("web.enabled") and self.wifi:
            device["cu"] = "http://%s.local" % node.fill(c["wifi.hostname"])
        yield '{"dev":' + json.dumps(device)
        yield ',"o":' + json.dumps({"name": "Coldframe", "sw": __version__, "url": URL})
        yield ',"avty_t":' + json.dumps(node.resolve("./available")) + ',"cmps":{'
        comma = ""
        for cid, d in self.entities():
            yield '%s"%s":' % (comma, cid)
            comma = "{"
            for key in d:  # in small pieces: a heap that is nearly full has no room for large ones
                yield '%s"%s":%s' % (comma, key, json.dumps(d[key]))
                comma = ","
            yield "}"
        for cid, kind in self.gone:
            yield '%s"%s":{"p":"%s"}' % (comma, cid, kind)
            comma = ","
        yield "}}"


def number(d, whole=False):
    """What Home Assistant needs to know of a number, where nobody has said it."""
    if "min" not in d or "max" not in d:
        d["mode"] = "box"
        d.setdefault("min", -1000000)
        d.setdefault("max", 1000000)
    if d["min"] > d["max"]:
        raise ValueError("low: expected at most high")
    if "step" not in d:
        d["step"] = (
            1
            if whole or "mode" not in d and isinstance(d["min"], int) and isinstance(d["max"], int)
            else 0.001
        )


class Stream:
    """The document as a stream that can be read, and read again from its beginning."""

    def __init__(self, plan, size):
        self.plan = plan
        self.size = size
        self.seek(0)

    def seek(self, offset):
        """Begin anew; offset must be 0."""
        self.left = self.size
        self.texts = self.plan.parts()
        self.rest = b""

    def readinto(self, buf):
        """The next bytes; returns how many. Never more or fewer in all than size: the packet has begun."""
        n = 0
        while n < len(buf) and self.left:
            if not self.rest:
                try:
                    self.rest = memoryview(next(self.texts).encode())
                except StopIteration:
                    self.rest = b" " * self.left  # JSON does not mind
            k = min(len(buf) - n, len(self.rest), self.left)
            buf[n : n + k] = self.rest[:k]
            self.rest = self.rest[k:]
            n += k
            self.left -= k
        return n


async def size_of(plan):
    """Bytes of the document. Others run meanwhile."""
    size = 0
    for text in plan.parts():
        size += len(text.encode())
        if text == "}":
            await asyncio.sleep(0)
    return size


def topic_of(node):
    """Where the document goes."""
    return "%s/device/%s/config" % (node.config["discovery.prefix"], node.id)


async def send(node, plan):
    """Publish the document, retained, QoS 1. Raises OSError when the connection is given up."""
    size = await size_of(plan)
    from .mqtt.streaming import publish_stream  # client.publish_stream() would bring more along

    try:
        await publish_stream(node.client, topic_of(node), Stream(plan, size), size, 1, True)
    finally:
        coldframe.forget("mqtt.streaming")
    node.log.debug("told Home Assistant in %d bytes", size)


def compare(plan, old):
    """Compare with what Home Assistant has been told.

    old: a bytearray with lines "id kind", marked in place. Returns whether there is anything new, and sets plan.gone.
    """
    new = False
    for cid, d in plan.entities():
        i = old.find(("\n%s %s\n" % (cid, d["p"])).encode())
        if i < 0:
            new = True
        else:
            old[i + 1] = 0x20
    plan.gone = [
        tuple(line.decode().split(" ")) for line in bytes(old).split(b"\n")[1:] if line and line[0] != 0x20
    ]
    return new


def mark(plan, gone):
    """Write down what Home Assistant is being told: first the topic, then a line for each entity."""

    def feed(f):
        f.write(topic_of(plan.node) + "\n")
        for cid, d in plan.entities():
            f.write("%s %s\n" % (cid, d["p"]))
        for cid, kind in gone:
            f.write("%s %s\n" % (cid, kind))

    try:
        store.write(MARK, feed)
    except OSError as e:
        plan.node.log.warning("%s: cannot be written (error %s)", MARK, e.args[0])


async def announce(node):
    """Tell Home Assistant what there is, and what is no more. Returns whether there was anything new.

    Raises OSError when the connection is lost.
    """
    plan = Plan(node)
    old = bytearray(store.read(MARK) or b"")
    topic = bytes(old[: max(0, old.find(b"\n"))]).decode()
    if topic and topic != topic_of(node):
        await node.client.publish(topic, b"", 1, True)  # the prefix is another one now
        old = bytearray()
    new = compare(plan, old)
    del old
    for text in plan.errors:
        if text not in node.errors:
            node.log.error(text)
            node._error(text)
    gone = plan.gone
    if new or gone or not topic:
        mark(plan, gone)  # first of all: a power cut must not make us forget what is to be removed
    await send(node, plan)
    if gone:
        await asyncio.sleep(_PAUSE)
        plan = Plan(node)
        compare(plan, bytearray(store.read(MARK) or b""))
        still = [row for row in plan.gone if row not in gone]
        plan.gone = still
        await send(node, plan)
        mark(plan, still)
    return new


async def take_back(node):
    """Remove the device from Home Assistant."""
    old = store.read(MARK)
    if old:
        await node.client.publish(old.split(b"\n")[0].decode(), b"", 1, True)
        store.remove(MARK)
