# On the unix image: decodes and encodes the packets of packet_oracle.js (lines of JSON on stdin) with both codecs.
# Prints the lines again with the bytes of our own encoders, once per codec; what differs is an exception.
import io
import json
import sys
from binascii import hexlify, unhexlify

import mqttpacket
from coldframe import codec_py

CMDS = (
    "", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe", "suback", "unsubscribe",
    "unsuback", "pingreq", "pingresp", "disconnect", "auth",
)  # fmt: skip
BUF = bytearray(8192)


def same(line, what, got, expected):
    if got != expected:
        raise AssertionError("%s: got %r, expected %r in %s" % (what, got, expected, line))


def check_decoded(codec, line, packet, data, version):
    d = codec.Decoder(BUF, 0, version)
    d.fill(io.BytesIO(data))
    same(line, "cmd", CMDS[d.next()], packet["cmd"])
    for key, expected in packet.items():
        if key in ("id", "topic", "qos", "retain", "dup", "keepalive", "session"):
            same(line, key, getattr(d, key), expected)
        elif key == "code" or key == "options":
            same(line, key, d.code, expected)
        elif key == "codes":
            same(line, key, list(d.codes), expected)
        elif key == "payload":
            same(line, key, d.payload_bytes, unhexlify(expected))
        elif key == "client":
            same(line, key, d.topic, expected)
        elif key == "clean":
            same(line, key, d.session, expected)
        elif key == "props":
            for number, value in expected:
                value = unhexlify(value["hex"]) if isinstance(value, dict) else value
                same(line, number, d.prop(number), tuple(value) if isinstance(value, list) else value)
            same(line, "user", d.user_properties(), [tuple(v) for n, v in expected if n == 38])
    same(line, "rest", d.next(), 0)


def block(codec, props):
    # Properties as the encoders take them; None for MQTT 3.1.1.
    if props is None:
        return None
    buf, at = bytearray(4096), 0
    for number, value in props:
        value = unhexlify(value["hex"]) if isinstance(value, dict) else value
        at = codec.put_prop(buf, at, number, tuple(value) if isinstance(value, list) else value)
    return bytes(buf[:at])


def encode(codec, p):
    cmd, props = p["cmd"], block(codec, p.get("props"))
    if cmd == "connect":
        will, password = p.get("will"), p.get("password")
        options = {}
        if will:
            options = {
                "will_topic": will["topic"], "will_payload": unhexlify(will["payload"]), "will_qos": will["qos"],
                "will_retain": will["retain"],
            }  # fmt: skip
            if props is not None:
                options["will_props"] = block(codec, will["props"])
        options["password"] = None if password is None else unhexlify(password)
        return codec.connect(
            BUF, p["client"], p["keepalive"], p["clean"], p.get("user"), props=props, **options
        )
    if cmd == "connack":
        return codec.connack(BUF, p["session"], p["code"], props)
    if cmd == "publish":
        return codec.publish(
            BUF, p["topic"], unhexlify(p["payload"]), p["qos"], p["retain"], p["dup"], p["id"], props
        )
    if cmd == "subscribe":
        return codec.subscribe(BUF, p["id"], p["topic"], p["options"], props)
    if cmd == "unsubscribe":
        return codec.unsubscribe(BUF, p["id"], p["topic"], props)
    if cmd == "suback":
        return codec.suback(BUF, p["id"], bytes(p["codes"]), props)
    if cmd == "unsuback" and props is not None:
        return codec.unsuback(BUF, p["id"], bytes(p["codes"]), props)
    if cmd == "disconnect":
        return codec.disconnect(BUF, p.get("code", 0), props)
    if cmd == "auth":
        return codec.auth(BUF, p["code"], props)
    if cmd in ("pingreq", "pingresp"):
        BUF[:2] = bytes((CMDS.index(cmd) << 4, 0))
        return 2
    return codec.ack(BUF, CMDS.index(cmd), p["id"], p["code"], props)


for line in sys.stdin:
    item = json.loads(line)
    for codec in (mqttpacket, codec_py):
        check_decoded(codec, line, item["packet"], unhexlify(item["hex"]), item["version"])
        n = encode(codec, item["packet"])
        item["hex"], theirs = hexlify(BUF[:n]).decode(), item["hex"]
        print(json.dumps(item))
        item["hex"] = theirs
