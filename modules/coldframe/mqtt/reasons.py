"""The names of MQTT's return and reason codes. Loaded only when one has to be told."""

_RETURN = (  # MQTT 3.1.1, section 3.2.2.3
    "unacceptable protocol version",
    "client identifier rejected",
    "server unavailable",
    "bad user name or password",
    "not authorised",
)
# MQTT 5, section 2.4, from 0x80 on.
_REASON = (
    "unspecified error",
    "malformed packet",
    "protocol error",
    "implementation specific error",
    "unsupported protocol version",
    "client identifier not valid",
    "bad user name or password",
    "not authorised",
    "server unavailable",
    "server busy",
    "banned",
    "server shutting down",
    "bad authentication method",
    "keep alive timeout",
    "session taken over",
    "topic filter invalid",
    "topic name invalid",
    "packet identifier in use",
    "packet identifier not found",
    "receive maximum exceeded",
    "topic alias invalid",
    "packet too large",
    "message rate too high",
    "quota exceeded",
    "administrative action",
    "payload format invalid",
    "retain not supported",
    "QoS not supported",
    "use another server",
    "server moved",
    "shared subscriptions not supported",
    "connection rate exceeded",
    "maximum connect time",
    "subscription identifiers not supported",
    "wildcard subscriptions not supported",
)


def reason_text(code):
    """The name of a code: 1 to 5 are return codes of MQTT 3.1.1's CONNACK, 0x80 and above reason codes of MQTT 5."""
    if 1 <= code <= len(_RETURN):
        return _RETURN[code - 1]
    if 0 <= code - 0x80 < len(_REASON):
        return _REASON[code - 0x80]
    return "unknown reason"


def told(packet, version):
    """Why the broker has refused something, as text: name and code, and what it says itself."""
    code = packet.code
    text = "%s (code %s)" % (reason_text(code), code if code < 0x80 else "0x%02X" % code)
    if version == 5:
        said = packet.prop(0x1F)
        if said:
            text = "%s: %s" % (text, said)
    return text
