"""Every key of /config.json, once. From here come the validator, the defaults and docs/config.md.

A row is (path, kind, default, limits); the comment above it is its documentation (scripts/docs.py reads it).
kind    "str" "int" "bool", with "!" behind it where the key must be given
        "list" (of objects; the rows of its items follow, their paths have ``[]``), "dict" (an object that may be null)
limits  (lowest, highest) of a number, (shortest, longest) of a text in bytes, a tuple of texts = one of these;
        () = any
"""

KEYS = (
    # Name of the device, as people call it. May hold `{id}`, the chip's number in hex, or `{short}`, its end.
    ("name", "str", "coldframe-{short}", (1, 63)),
    # Host name or address of the MQTT broker. Without it (and without `mqtt.serial`) the node runs off-line.
    ("mqtt.host", "str", None, (1, 255)),
    # TCP port of the broker.
    ("mqtt.port", "int", 1883, (1, 65535)),
    # User name for the broker.
    ("mqtt.user", "str", None, (0, 255)),
    # Password for the broker.
    ("mqtt.password", "str", None, (0, 255)),
    # What `./` stands for in topics. May hold `{id}`, `{short}` and `{name}`.
    ("mqtt.base", "str", "coldframe/{id}", (1, 127)),
    # Seconds between signs of life; the broker declares the node `offline` after one and a half times this.
    ("mqtt.keepalive", "int", 60, (5, 65535)),
    # Bytes for an incoming packet; a longer message for an action is refused and logged.
    ("mqtt.buffer", "int", 1024, (128, 65535)),
    # Talk to the broker through a serial line and `coldframe bridge` at its other end, instead of a network.
    ("mqtt.serial", "dict", None, ()),
    # Number of the UART.
    ("mqtt.serial.uart", "int", 0, (0, 9)),
    # Speed of the line in bit/s.
    ("mqtt.serial.baud", "int", 115200, (300, 4000000)),
    # Pin that sends; the board's own default if left out.
    ("mqtt.serial.tx", "int", None, (0, 99)),
    # Pin that receives; the board's own default if left out.
    ("mqtt.serial.rx", "int", None, (0, 99)),
    # Wi-Fi networks, any number; they are tried in this order.
    ("wifi.networks", "list", (), ()),
    # Name of the network.
    ("wifi.networks[].ssid", "str!", None, (1, 32)),
    # Its password; leave it out for an open network.
    ("wifi.networks[].password", "str", None, (0, 64)),
    # Country of use, two capital letters (ISO 3166): the allowed channels depend on it.
    ("wifi.country", "str", None, (2, 2)),
    # Name of the device in the network (DHCP). May hold `{id}`, `{short}` and `{name}`.
    ("wifi.hostname", "str", "{name}", (1, 63)),
    # Least important messages that the log keeps.
    ("log.level", "str", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    # Seconds between two SYSINFO messages; 0 = only when asked for.
    ("sysinfo.every", "int", 600, (0, 604800)),
    # Seconds that the program may be stuck before the chip is reset; without it, never. Looking up the name of
    # the broker may take 20 seconds, so less than 30 is not accepted.
    ("watchdog.timeout", "int", None, (30, 3600)),
)
