"""From the configuration to the MQTT client and the ways to its brokers. Needed once, at the start."""

import gc

from coldframe import hal, small
from micropython import const

_ROOMY = const(120000)  # bytes of free heap, beside which the buffer for large pieces is nothing
_LARGE = const(5120)
_TLS = ("ca", "cert", "key", "server_name")


def make_client(node):
    """The MQTT client that the configuration of a node describes. Raises ValueError with a text for the user."""
    from . import Client

    c = node.config
    user, password = c["mqtt.user"], c["mqtt.password"]
    transport = node._transport
    if transport is None:
        if c.given("mqtt.serial"):
            from .serial import Serial

            keys = ("uart", "baud", "tx", "rx")
            transport = Serial(hal.uart({k: c["mqtt.serial." + k] for k in keys}), window=hal.RXBUF)
        else:
            transport, user, password = brokers(c)
            if len(transport) == 1:
                transport = transport[0]
    if user is None:
        password = None
    options = {}
    for key in ("version", "session_expiry"):
        if c.given("mqtt." + key):
            options[key] = c["mqtt." + key]
    if (
        node.power and "session_expiry" not in options
    ):  # what comes while it sleeps must be kept for longer than that
        options["session_expiry"] = 86400 + 3 * max(c["power.sleep"], c["power.sleep_max"])
    if c["mqtt.spill"]:
        from .spill import Spill

        options["spill"] = Spill(c["mqtt.spill"], c["mqtt.spill_size"])
    return Client(
        transport,
        node.id,
        keepalive=c["mqtt.keepalive"],
        user=user,
        password=password,
        will=(node.resolve("./available"), b"offline", 1, True),
        buffer=buffer_size(node, user, password),
        window=c["mqtt.window"],
        on_message=node._message,
        on_up=node._up,
        on_down=node._down,
        **options,
    )


def buffer_size(node, user, password):
    """Bytes of the client's buffer, for a node and what it logs in with."""
    c = node.config
    size = c["mqtt.buffer"]
    if not size:
        size = 512 if small else 1024
        if node.remote:  # files and programs come in pieces of this size
            size += size // 2
            if not small and gc.mem_free() > _ROOMY:
                # Brokers have some 20 messages under way at once: so many pieces for each round trip.
                size = _LARGE
        if c["remote.insecure"]:
            # mqboard's pieces have 1402 bytes, whatever the board; the rest is for the topic.
            size = max(size, 1536 + len(node.base))
    # Whatever the configuration says, the greeting must fit.
    size = max(size, 96 + sum(len(x.encode()) for x in (node.base, node.id, user, password) if x))
    if node.remote:
        node.remote.buffer = size
    return size


def address(text, path):
    """Take apart what stands for a broker: a name or an address, or a URL mqtt://… or mqtts://….

    path: the key that it comes from, for the message. Returns (tls, user, password, host, port): tls True, False, or
    None when it does not say; the others None where it does not. Raises ValueError, whose text never has the password.
    """
    scheme, mark, rest = _cut(text, "://", text.find("://"))
    tls = user = password = port = None
    if mark:
        if scheme.lower() not in ("mqtt", "mqtts"):
            raise ValueError(
                "%s: expected a host, mqtt://HOST or mqtts://HOST, got a URL that begins with %s"
                % (path, scheme[:12])
            )
        tls = scheme.lower() == "mqtts"
    else:
        rest = text
    if "@" in rest:
        user, _, rest = _cut(rest, "@", rest.rfind("@"))
        user, mark, password = _cut(user, ":", user.find(":"))
        user = _decoded(user)
        password = _decoded(password) if mark else None
    if rest.endswith("/"):
        rest = rest[:-1]
    host = rest
    if rest.startswith("["):  # an IPv6 address
        host, _, rest = _cut(rest[1:], "]", rest[1:].find("]"))
        if rest:
            port = rest[1:] if rest[0] == ":" else ""
    elif rest.count(":") == 1:
        host, _, port = _cut(rest, ":", rest.find(":"))
    if not host or any(c in "/?#@[] " for c in host):
        raise ValueError("%s: expected a host, mqtt://HOST or mqtts://HOST, got something else" % path)
    if port is not None:
        if not (port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(
                "%s: expected a port from 1 to 65535 behind the colon, got something else" % path
            )
        port = int(port)
    return tls, user, password, host, port


def brokers(config):
    """The transports that the configuration describes, the first one first, and user and password.

    Returns ([transport, ...], user, password). What a fallback broker does not say is as for the first one, TLS
    above all: nothing goes out in the clear because one broker is away. Raises ValueError with a text for the user.
    """
    tls, user, password, host, port = address(config["mqtt.host"], "mqtt.host")
    if config["mqtt.user"] is not None:
        user = config["mqtt.user"]
        password = config["mqtt.password"]
    options = {k: config["mqtt.tls." + k] for k in _TLS} if config.given("mqtt.tls") else None
    if tls is False and options is not None:
        raise ValueError("mqtt.host: expected mqtts:// or no scheme, as there is mqtt.tls")
    if tls and options is None:
        options = {}
    if config.given("mqtt.port"):
        port = config["mqtt.port"]
    found = [_transport(host, port, options)]
    n = 0
    for item in config["mqtt.fallback"]:
        path = "mqtt.fallback[%d].host" % n
        n += 1
        tls, name, _, host, other = address(item["host"], path)
        if name is not None:
            raise ValueError("%s: expected no user, as mqtt.user is used for all brokers" % path)
        own = options
        if item.get("tls") is not None:
            own = {k: item["tls"].get(k) for k in _TLS}
        if tls is False:
            own = None
        elif tls and own is None:
            own = {}
        # A port says what is spoken there: that of the first broker only counts if it is the same here.
        if item.get("port") is not None:
            other = item["port"]
        elif other is None and (own is None) == (options is None):
            other = port
        found.append(_transport(host, other, own))
    return found, user, password


def _cut(text, mark, at):
    # What partition() gives, which the ESP8266 does not have.
    return (text[:at], mark, text[at + len(mark) :]) if at >= 0 else (text, "", "")


def _transport(host, port, options):
    if options is None:
        from coldframe.mqtt.transport import Tcp

        return Tcp(host, port or 1883)
    try:
        from coldframe.mqtt.tls import Tls
    except ImportError:
        raise ValueError("mqtt.tls: expected an image with TLS; docs/boards.md tells which one has it")
    return Tls(host, port or 8883, **options)


def _decoded(text):
    # %XX stands for a byte (RFC 3986, 2.1).
    parts = text.split("%")
    out = parts[0].encode()
    for part in parts[1:]:
        try:
            out += bytes((int(part[:2], 16),)) + part[2:].encode()
        except ValueError:
            out += b"%" + part.encode()
    return out.decode()
