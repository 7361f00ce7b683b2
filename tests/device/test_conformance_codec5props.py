# The properties of MQTT 5.0, on both codecs: which packet may have which, how often, and with which values.
import minitest
from bothcodecs import CODECS, decode, encoded, malformed, packet, refused, string
from minitest import equal

# identifier: (a valid value as bytes, packets that a server may send it in, packets that a client may). The letters:
# c CONNECT, w its will, a CONNACK, p PUBLISH, k PUBACK PUBREC PUBREL PUBCOMP, s SUBSCRIBE, S SUBACK, u UNSUBSCRIBE,
# U UNSUBACK, d DISCONNECT, h AUTH. From the table in section 2.2.2.2 and the sections of the packets; where a packet
# goes both ways, the codec knows no direction (0x0B in PUBLISH, 0x11 and 0x1C in DISCONNECT): there, the client keeps
# to its half, see tests/conformance/.
PROPERTIES = {
    0x01: (b"\x01", "p", "wp"),
    0x02: (b"\x00\x00\x00\x05", "p", "wp"),
    0x03: (b"\x00\x01t", "p", "wp"),
    0x08: (b"\x00\x01t", "p", "wp"),
    0x09: (b"\x00\x01\xff", "p", "wp"),
    0x0B: (b"\x80\x01", "p", "sp"),
    0x11: (b"\x00\x00\x00\x05", "ad", "cd"),
    0x12: (b"\x00\x01i", "a", ""),
    0x13: (b"\x00\x05", "a", ""),
    0x15: (b"\x00\x01m", "ah", "ch"),
    0x16: (b"\x00\x01\xff", "ah", "ch"),
    0x17: (b"\x01", "", "c"),
    0x18: (b"\x00\x00\x00\x05", "", "w"),
    0x19: (b"\x01", "", "c"),
    0x1A: (b"\x00\x01r", "a", ""),
    0x1C: (b"\x00\x01r", "ad", "d"),
    0x1F: (b"\x00\x01r", "akSUdh", "kdh"),
    0x21: (b"\x00\x05", "a", "c"),
    0x22: (b"\x00\x05", "a", "c"),
    0x23: (b"\x00\x05", "p", "p"),
    0x24: (b"\x01", "a", ""),
    0x25: (b"\x01", "a", ""),
    0x26: (b"\x00\x01k\x00\x01v", "apkSUdh", "cwpksudh"),
    0x27: (b"\x00\x00\x01\x00", "a", "c"),
    0x28: (b"\x00", "a", ""),
    0x29: (b"\x00", "a", ""),
    0x2A: (b"\x00", "a", ""),
}
METHOD = b"\x15\x00\x01m"  # authentication data needs it beside it


def received(where, props):
    # A packet of a server with these properties.
    props = bytes((len(props),)) + props
    if where == "a":
        return packet(0x20, b"\x00\x00", props)
    if where == "p":
        return packet(0x30, string("a"), props)
    if where in "4567":
        return packet(ord(where) - 48 << 4 | (2 if where == "6" else 0), b"\x00\x01\x00", props)
    if where in "SU":
        return packet(0x90 if where == "S" else 0xB0, b"\x00\x01", props, b"\x00")
    return packet(0xE0, b"\x00", props) if where == "d" else packet(0xF0, b"\x18", props)


def sending(c, where, props):
    # An encoder and its arguments, for a packet of a client with these properties.
    if where == "c":
        return c.connect, ("id", 0), {"props": props}
    if where == "w":
        return c.connect, ("id", 0), {"will_topic": "w", "props": b"", "will_props": props}
    if where == "p":
        return c.publish, ("a", b""), {"props": props}
    if where in "4567":
        return c.ack, (ord(where) - 48, 1), {"props": props}
    if where == "s":
        return c.subscribe, (1, "a", 0), {"props": props}
    if where == "u":
        return c.unsubscribe, (1, "a"), {"props": props}
    return (c.disconnect, (0,), {"props": props}) if where == "d" else (c.auth, (0x18, props), {})


def with_method(where, identifier, props):
    # Authentication data without a method is an error of its own, and AUTH needs the method in any case.
    return props if identifier == 0x15 or not (identifier == 0x16 or where == "h") else METHOD + props


def expanded(letters):
    return letters.replace("k", "4567")


def test_what_a_server_may_send():
    for c in CODECS:
        for identifier, (value, allowed, _) in PROPERTIES.items():
            for where in "ap4567SUdh":
                props = with_method(where, identifier, bytes((identifier,)) + value)
                if where not in "ah" and identifier == 0x16:
                    props = bytes((identifier,)) + value
                data = received(where, props)
                if where in expanded(allowed):
                    d = decode(c, data, 5)
                    if identifier == 0x26:
                        equal(d.user_properties(), [("k", "v")])
                    else:
                        got = d.prop(identifier)
                        if isinstance(got, str):
                            got = string(got)
                        elif isinstance(got, (bytes, bytearray)):
                            got = string(bytes(got))
                        elif identifier == 0x0B:
                            got = bytes((got & 127 | 128, got >> 7))
                        else:
                            got = got.to_bytes(len(value), "big")
                        equal(got, value)
                    equal(bytes(d.props), props)
                    for absent in (0x01, 0x24, 0x1C):
                        if absent != identifier:
                            equal(d.prop(absent), None)
                else:
                    malformed(c, data, 5)


def test_what_a_client_may_send():
    for c in CODECS:
        for identifier, (value, _, allowed) in PROPERTIES.items():
            for where in "cwp4567sudh":
                props = bytes((identifier,)) + value
                if where in "ch":
                    props = with_method(where, identifier, props)
                call, args, kwargs = sending(c, where, props)
                if where in expanded(allowed):
                    assert props in encoded(call, *args, **kwargs), (where, identifier)
                else:
                    refused(call, *args, **kwargs)


def test_each_property_once():
    for c in CODECS:
        for identifier, (value, allowed, own) in PROPERTIES.items():
            props = bytes((identifier,)) + value
            for where in expanded(allowed):
                data = received(where, with_method(where, identifier, props) + props)
                if identifier == 0x26 or (identifier == 0x0B and where == "p"):  # a message may match several
                    decode(c, data, 5)
                else:
                    malformed(c, data, 5, 0x82)
            for where in expanded(own):
                call, args, kwargs = sending(c, where, with_method(where, identifier, props) + props)
                if identifier == 0x26 or (identifier == 0x0B and where == "p"):
                    encoded(call, *args, **kwargs)
                else:
                    refused(call, *args, **kwargs)


def test_values():
    # covers 5:MQTT-3.3.2-8 5:MQTT-3.3.2-14
    for c in CODECS:
        for where, props in (
            ("p", b"\x01\x02"), ("p", b"\x0b\x00"), ("p", b"\x23\x00\x00"), ("p", b"\x08\x00\x01+"),
            ("a", b"\x21\x00\x00"), ("a", b"\x24\x02"), ("a", b"\x25\x02"), ("a", b"\x27\x00\x00\x00\x00"),
            ("a", b"\x28\x02"), ("a", b"\x29\x02"), ("a", b"\x2a\x02"),
        ):  # fmt: skip
            malformed(c, received(where, props), 5)
        for where, props in (
            ("c", b"\x17\x02"), ("c", b"\x19\x02"), ("c", b"\x21\x00\x00"), ("c", b"\x27\x00\x00\x00\x00"),
            ("p", b"\x01\x02"), ("p", b"\x23\x00\x00"), ("s", b"\x0b\x00"), ("w", b"\x01\x02"),
            ("p", b"\x08\x00\x01#"), ("w", b"\x08\x00\x01#"),
        ):  # fmt: skip
            call, args, kwargs = sending(c, where, props)
            refused(call, *args, **kwargs)
        for where, props in (("p", b"\x02\x00\x00\x00\x00"), ("a", b"\x11\x00\x00\x00\x00"), ("a", b"\x13\x00\x00"),
                             ("a", b"\x22\x00\x00"), ("p", b"\x09\x00\x00"), ("p", b"\x03\x00\x00")):  # fmt: skip
            decode(c, received(where, props), 5)


def test_properties_end_with_their_block():
    # covers 5:MQTT-1.5.5-1
    for c in CODECS:
        for identifier, (value, allowed, _) in PROPERTIES.items():
            props = bytes((identifier,)) + value
            for where in allowed.replace("k", "4"):
                if where == "h" and identifier != 0x15:
                    continue
                for n in range(1, len(props)):
                    malformed(c, received(where, props[:n]), 5, 0x81)
        # The block may not reach past its packet.
        malformed(c, packet(0x30, string("a"), b"\x06", b"\x01\x00"), 5, 0x81)
        malformed(c, packet(0x40, b"\x00\x01\x00\x06", b"\x1f\x00\x00"), 5, 0x81)


def test_identifiers_that_do_not_exist():
    for c in CODECS:
        for identifier in range(128):
            if identifier not in PROPERTIES:
                malformed(c, received("p", bytes((identifier, 0))), 5)
                refused(c.publish, "a", b"", props=bytes((identifier, 0)))


def test_put_prop():
    # covers 5:MQTT-1.5.7-1 5:MQTT-1.5.4-1
    for c in CODECS:
        buf = bytearray(64)
        n = c.put_prop(buf, 0, 0x01, 1)
        n = c.put_prop(buf, n, 0x02, 258)
        n = c.put_prop(buf, n, 0x09, b"\xff")
        n = c.put_prop(buf, n, 0x08, "a/b")
        n = c.put_prop(buf, n, 0x26, ("k", "\xe5"))
        n = c.put_prop(buf, n, 0x0B, 300)
        equal(
            bytes(buf[:n]),
            b"\x01\x01\x02\x00\x00\x01\x02\x09\x00\x01\xff\x08\x00\x03a/b\x26\x00\x01k\x00\x02\xc3\xa5\x0b\xac\x02",
        )
        for identifier, value in (
            (0x01, 2), (0x23, 0), (0x23, 65536), (0x02, -1), (0x02, 1 << 32), (0x0B, 0), (0x0B, 268435456),
            (0x08, b"\xff"), (0x08, "a/+"), (0x26, ("k", b"\xff")), (0x26, ("k\0", "v")), (0x7F, 1), (0, 1),
        ):  # fmt: skip
            minitest.raises(ValueError, c.put_prop, buf, 0, identifier, value)
        minitest.raises(ValueError, c.put_prop, buf, 60, 0x02, 5)


minitest.run(globals())
