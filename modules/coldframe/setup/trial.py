"""What is typed into the setup page: checked, tried out, saved, put to use."""

import asyncio
import json

from coldframe import hal, log
from coldframe.config import Config, check, load
from micropython import const

_JOIN = const(25)  # s given to the network
_BROKER = const(15)  # s given to the broker

WAITS, GOOD, BAD, SKIPPED = "waits", "good", "bad", "skipped"


class Trial:
    """One attempt. values: the fields of the form.

    Attributes: ssid; host (of the broker, or None); steps: [[name, how, text], ...] for the page, how is one of WAITS,
    "busy", GOOD, BAD, SKIPPED; busy; saved; restart: the device has to restart to use it; address: the one that it had
    in the network; seen: somebody has been shown the result.
    """

    def __init__(self, node, values):
        self.node = node
        self.busy = True
        self.saved = self.restart = False
        self.seen = False
        self.address = None
        self.ssid = values.get("ssid", "")
        self._changes = changes(node.config, values)
        steps = ["wifi"]
        self.host = self._changes["mqtt"].get("host") if "mqtt" in self._changes else None
        if self.host:
            steps.append("broker")
        steps.append("save")
        self.steps = [[name, WAITS, ""] for name in steps]

    async def run(self, anyway=False):
        """Try it out and, if all is well or anyway, save it."""
        try:
            if anyway:
                for step in self.steps[:-1]:
                    if step[1] == WAITS:
                        self._set(step[0], SKIPPED, "not tried")
            else:
                await self._try()
            if anyway or all(step[1] == GOOD for step in self.steps[:-1]):
                self._save()
            if not self.saved:
                self.node.wifi.back()
        except Exception as e:
            self.node.report("setup", e)
            self._set("save", BAD, "An error in the device itself: %s: %s" % (type(e).__name__, e))
        finally:
            self.busy = False

    def _set(self, name, how, text=""):
        for step in self.steps:
            if step[0] == name:
                step[1] = how
                step[2] = text

    async def _try(self):
        self._set("wifi", "busy")
        network = self._changes["wifi"]["networks"][0]
        wifi = self.node.wifi
        error = await wifi.try_join(network["ssid"], network.get("password"), _JOIN)
        if error:
            self._set("wifi", BAD, error)
            if self.host:
                self._set("broker", SKIPPED, "not tried, as there is no network")
            return
        # It stays joined for a while, see Wifi.try_join().
        self.address = wifi.address()
        self._set("wifi", GOOD, "joined, with the address %s" % self.address)
        if self.host:
            self._set("broker", "busy")
            error = await ask_broker(self.node, self._merged())
            if error:
                self._set("broker", BAD, error)
            else:
                self._set("broker", GOOD, "accepts the device")

    def _merged(self):
        # The configuration as it would be.
        return Config(check(merge(self.node.config._data, self._changes), []))

    def _save(self):
        from coldframe.config import PATH, save

        node = self.node
        path = node._path
        if path is None:
            self._set(
                "save", BAD, "The settings of this device are in its program, and cannot be changed here."
            )
            return
        try:
            errors = save(self._changes, path or PATH)
        except OSError as e:
            errors = ["The flash does not take it: %s" % e]
        if errors:
            self._set("save", BAD, "; ".join(errors))
            return
        self.saved = True
        self.restart = (
            node.client is not None or "name" in self._changes or "base" in self._changes.get("mqtt", {})
        )
        self._set("save", GOOD, "saved")

    def use(self):
        """Let the node use what was saved. Does not return if that takes a restart."""
        if self.restart:
            log.getLogger("setup").warning("restarting with the new settings")
            hal.reset()
        use(self.node)


def use(node):
    """Let a node use the networks that its file has now, and the broker if it had none."""
    node.config, errors = load(node._path)
    for text in errors:
        node._error(text)
    node.wifi.networks = node.config["wifi.networks"]
    if node.config["mqtt.host"] and not any(s.name == "mqtt" for s in node.services):
        node.service("mqtt", node._run_mqtt)


async def ask_broker(node, config):
    """Make a real connection to the broker of a configuration. Returns "" or, as a text, what was wrong."""
    from coldframe.mqtt import Client
    from coldframe.mqtt.configured import brokers
    from coldframe.mqtt.connection import connection

    try:
        transports, user, password = brokers(config)
    except ValueError as e:
        return str(e)
    place = transports[0]
    client = Client(
        place,
        node.id,
        version=config["mqtt.version"],
        user=user,
        password=None if user is None else password,
        keepalive=30,
        buffer=256,
        window=1,
    )
    task = asyncio.create_task(connection(client).run())
    try:
        for _ in range(_BROKER * 50):
            if client.up.is_set():
                await client.disconnect()
                return ""
            why = client.why
            if why is not None:
                break
            await asyncio.sleep_ms(20)
        else:
            why = "no answer"
    finally:
        task.cancel()
    if "refused the connection" in why:
        return why[0].upper() + why[1:]
    return "%s cannot be reached: %s" % (place, _plain(why))


def _plain(why):
    # What the numbers of errors mean.
    for number, text in (
        (111, "nothing listens on that port"),
        (104, "nothing listens on that port"),
        (113, "there is no way to that address"),
        (118, "there is no way to that address"),
        (101, "there is no way to that address"),
        (110, "no answer"),
        (116, "no answer"),
    ):
        if "Errno %d]" % number in why or why == str(number):
            return text
    return why


def changes(config, values):
    """What the fields of the form change in /config.json. Raises ValueError with a text for the person.

    An empty field leaves a setting as it is; "full" = "1" says that the page has shown the present ones, so that an
    empty broker means none. An empty password is the stored one, if network or broker and user are the same.
    """
    full = values.get("full") == "1"
    ssid = values.get("ssid", "")
    if not 1 <= len(ssid.encode()) <= 32:
        raise ValueError("Network: expected a name of 1 to 32 bytes")
    password = values.get("password", "")
    n = len(password.encode())
    if n and not (8 <= n <= 63 or n == 64 and all(c in "0123456789abcdefABCDEF" for c in password)):
        raise ValueError("Password of the network: expected 8 to 63 characters (or 64 hexadecimal digits)")
    network = {"ssid": ssid}
    others = []
    for item in config["wifi.networks"]:
        if item["ssid"] != ssid:
            others.append(item)
        elif not password and values.get("open") != "1":
            password = item.get("password")
            network = dict(item)
    if password:
        network["password"] = password
    result = {"wifi": {"networks": [network] + others}}
    name = values.get("name", "").strip()
    if name and name != config["name"]:
        result["name"] = name
    mqtt = {}
    host = values.get("host", "").strip()
    if host == shown(config["mqtt.host"]):
        host = config["mqtt.host"] or ""
    same = host == (config["mqtt.host"] or "")
    if host:
        mqtt["host"] = host
    elif full and not same:
        mqtt["host"] = None
    if host:
        port = values.get("port", "").strip()
        if port:
            if not (port.isdigit() and 0 < int(port) < 65536):
                raise ValueError("Port: expected a number from 1 to 65535")
            mqtt["port"] = int(port)
        elif full:
            mqtt["port"] = None
        user = values.get("user", "")
        same = same and user == (config["mqtt.user"] or "")
        if user or full:
            mqtt["user"] = user or None
        if values.get("secret"):
            mqtt["password"] = values["secret"]
        elif not same:
            mqtt["password"] = None  # what is stored is not for another broker
        if values.get("tls") in ("1", "on", "true"):
            if not config.given("mqtt.tls"):
                mqtt["tls"] = {}
        elif config.given("mqtt.tls"):
            mqtt["tls"] = None
        base = values.get("base", "").strip()
        if base and base != config["mqtt.base"]:
            mqtt["base"] = base
    if mqtt:
        result["mqtt"] = mqtt
    errors = []
    check(json.loads(json.dumps(result)), errors)
    if errors:
        raise ValueError("; ".join(errors))
    return result


def shown(host):
    """What the page shows of mqtt.host: if that is a URL with a password, without it."""
    from coldframe.secrets import url_password

    spot = url_password(host or "")
    return host[: spot[0] - 1] + host[spot[1] :] if spot else host or ""


def merge(data, changes):
    """A copy of data with changes in it: objects are merged, None removes a key."""
    data = dict(data)
    for key, value in changes.items():
        if value is None:
            data.pop(key, None)
        elif isinstance(value, dict):
            old = data.get(key)
            data[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            data[key] = value
    return data
