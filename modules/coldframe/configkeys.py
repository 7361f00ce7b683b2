"""Every key of /config.json, once. From here come the validator, the defaults and docs/config.md.

A row is (path, kind, default, limits); the comment above it is its documentation (scripts/docs.py reads it).
kind    "str" "int" "bool", "num" (whole or not)
        "strs" "ints" "nums": a list of such values
        "dict" (an object that may be null; the rows of its keys follow), "list" (of objects; the rows of its items
        follow, their paths have ``[]``)
        "free" (an object whose content is the user's own), "any" (any JSON value); a reader gets these as they are
        behind it "!" where the key must be given, "*" where it is a password: encrypted in the file, and never shown;
        "@" where it is a URL that may hold one
limits  (lowest, highest) of a number, (shortest, longest) of a text in bytes, a tuple of texts = one of these, in
        whatever case (a reader gets the spelling of the table); () = any. Those of a list hold for each of its items.
"""

KEYS = (
    # For editors: where `config.schema.json` is. The device does not look at it.
    ("$schema", "str", None, (0, 255)),
    # Name of the device, as people call it. May hold `{id}`, the chip's number in hex, or `{short}`, its end.
    ("name", "str", "coldframe-{short}", (1, 63)),
    # Host name or address of the MQTT broker, or a URL: `mqtt://host`, `mqtts://user:password@host:8883`. Without it
    # (and without `mqtt.serial`) the node runs off-line.
    ("mqtt.host", "str@", None, (1, 255)),
    # TCP port of the broker. With `mqtt.tls` and without this key it is 8883.
    ("mqtt.port", "int", 1883, (1, 65535)),
    # Version of the protocol: 4 is MQTT 3.1.1, 5 is MQTT 5.0. With 5, a broker that does not know it is spoken to in
    # 3.1.1.
    ("mqtt.version", "int", 4, (4, 5)),
    # User name for the broker.
    ("mqtt.user", "str", None, (0, 255)),
    # Password for the broker.
    ("mqtt.password", "str*", None, (0, 255)),
    # What `./` stands for in topics. May hold `{id}`, `{short}` and `{name}`.
    ("mqtt.base", "str", "coldframe/{id}", (1, 127)),
    # TLS: `{}` or an object with the keys below. See [MQTT](mqtt.md).
    ("mqtt.tls", "dict", None, ()),
    # File with the certificates that the broker's must come from, DER or PEM. Without it nothing is checked.
    ("mqtt.tls.ca", "str", None, (1, 127)),
    # File with this device's own certificate, for brokers that ask for one.
    ("mqtt.tls.cert", "str", None, (1, 127)),
    # File with the private key of that certificate.
    ("mqtt.tls.key", "str", None, (1, 127)),
    # The name that the broker's certificate must bear, if it is not the one in `mqtt.host`.
    ("mqtt.tls.server_name", "str", None, (1, 255)),
    # Brokers that are tried, in this order, when the first one cannot be reached. Port and TLS are those of the first
    # one, user and password as well, unless it says otherwise.
    ("mqtt.fallback", "list", (), ()),
    # As `mqtt.host`; `mqtt://` stands for no TLS.
    ("mqtt.fallback[].host", "str!@", None, (1, 255)),
    # As `mqtt.port`.
    ("mqtt.fallback[].port", "int", None, (1, 65535)),
    # As `mqtt.tls`.
    ("mqtt.fallback[].tls", "dict", None, ()),
    # As `mqtt.tls.ca`.
    ("mqtt.fallback[].tls.ca", "str", None, (1, 127)),
    # As `mqtt.tls.cert`.
    ("mqtt.fallback[].tls.cert", "str", None, (1, 127)),
    # As `mqtt.tls.key`.
    ("mqtt.fallback[].tls.key", "str", None, (1, 127)),
    # As `mqtt.tls.server_name`.
    ("mqtt.fallback[].tls.server_name", "str", None, (1, 255)),
    # Seconds between signs of life; the broker declares the node `offline` after one and a half times this.
    ("mqtt.keepalive", "int", 60, (5, 65535)),
    # Bytes for an incoming packet; a longer message for an action is refused and logged. Without it, 1024; 512 on an
    # ESP8266; with `remote` half as much again, and 5120 where 120 KB of heap are free.
    ("mqtt.buffer", "int", None, (128, 65535)),
    # How many messages of QoS 1 and 2 may be under way at once.
    ("mqtt.window", "int", 8, (1, 64)),
    # Seconds that a broker of MQTT 5 keeps subscriptions and messages for the device while it is away; without it, a
    # day.
    ("mqtt.session_expiry", "int", None, (0, 4294967295)),
    # File on the flash for messages of QoS 1 and 2 that cannot go out now: they survive a restart. Without it they wait
    # in RAM.
    ("mqtt.spill", "str", None, (1, 127)),
    # Bytes that this file may have.
    ("mqtt.spill_size", "int", 16384, (1024, 1048576)),
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
    # Wi-Fi networks, any number. The strongest is joined, see [Wi-Fi](wifi.md).
    ("wifi.networks", "list", (), ()),
    # Name of the network.
    ("wifi.networks[].ssid", "str!", None, (1, 32)),
    # Its password; leave it out for an open network.
    ("wifi.networks[].password", "str*", None, (0, 64)),
    # Join only this one of its access points: its MAC address, such as `02:cf:00:12:34:56`.
    ("wifi.networks[].bssid", "str", None, (17, 17)),
    # As `wifi.address`, for this network.
    ("wifi.networks[].address", "dict", None, ()),
    # As `wifi.address.ip`.
    ("wifi.networks[].address.ip", "str", None, (7, 15)),
    # As `wifi.address.mask`.
    ("wifi.networks[].address.mask", "str", "255.255.255.0", (7, 15)),
    # As `wifi.address.gateway`.
    ("wifi.networks[].address.gateway", "str", None, (7, 15)),
    # As `wifi.address.dns`.
    ("wifi.networks[].address.dns", "str", None, (7, 15)),
    # A fixed address in all networks, instead of the one that the network gives (DHCP).
    ("wifi.address", "dict", None, ()),
    # The device's own address, such as `10.0.0.7`; without it, the others are not used either.
    ("wifi.address.ip", "str", None, (7, 15)),
    # Network mask.
    ("wifi.address.mask", "str", "255.255.255.0", (7, 15)),
    # Address of the router, the way to other networks.
    ("wifi.address.gateway", "str", None, (7, 15)),
    # Address of the name server; that of the router if left out.
    ("wifi.address.dns", "str", None, (7, 15)),
    # Country of use, two capital letters (ISO 3166): the allowed channels depend on it.
    ("wifi.country", "str", None, (2, 2)),
    # Name of the device in the network (DHCP, and `NAME.local`). May hold `{id}`, `{short}` and `{name}`.
    ("wifi.hostname", "str", "{name}", (1, 63)),
    # Open the setup access point when no network is configured, or no known one has been seen for long. See
    # [Setup](setup.md).
    ("wifi.setup_ap.enabled", "bool", True, ()),
    # Name of that network. May hold `{id}`, `{short}` and `{name}`.
    ("wifi.setup_ap.ssid", "str", "coldframe-{short}", (1, 63)),
    # Its password, at least 8 characters; without it, one of the device's own, which the console shows.
    ("wifi.setup_ap.password", "str*", None, (8, 63)),
    # Seconds without a known network after which it opens; the known networks are tried all the same.
    ("wifi.setup_ap.after", "int", 300, (10, 604800)),
    # Let a program at the other end of the console's cable set up the Wi-Fi (Improv): some seconds after power-on, and
    # always while no network is configured.
    ("wifi.improv", "bool", True, ()),
    # Let the radio sleep between the router's beacons: less current, but answers may take seconds.
    ("wifi.power_save", "bool", False, ()),
    # Seconds without any network after which the chip is restarted, as the last resort, and once only: not again until
    # it has been in a network. 0 = never.
    ("wifi.reset_after", "int", 7200, (0, 604800)),
    # Answer questions for `NAME.local` and for devices of the kind `_coldframe._tcp` (mDNS). Pico W and ESP32 answer
    # for their name in any case.
    ("wifi.mdns", "bool", False, ()),
    # A light that shows how the connection is, see [Wi-Fi](wifi.md#the-light); `{}` is the board's own.
    ("wifi.led", "dict", None, ()),
    # Its pin.
    ("wifi.led.pin", "int", None, (0, 99)),
    # Whether it shines when the pin is low. For the board's own light this is known.
    ("wifi.led.active_low", "bool", None, ()),
    # Whether it shines while all is well; if not, it is dark then.
    ("wifi.led.steady", "bool", True, ()),
    # Blink once for every message that comes in.
    ("wifi.led.pulse", "bool", False, ()),
    # Least important messages that the log keeps.
    ("log.level", "str", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    # Least important messages that are printed on the console; `OFF` = none.
    ("log.console", "str", "INFO", ("OFF", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    # Print them in the colours of their levels, for a terminal that knows ANSI.
    ("log.colour", "bool", False, ()),
    # Least important messages that are sent to `./log/LEVEL`; without it, none are.
    ("log.mqtt", "str", None, ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    # A file for the log, such as `/log.txt`; when it is full, it becomes `/log.txt.1`. Without it, no file is written.
    ("log.file", "str", None, (1, 100)),
    # Bytes that the file may have; with the one before it on the flash, twice that.
    ("log.file_size", "int", 16384, (512, 16777216)),
    # Least important messages that are written to the file.
    ("log.file_level", "str", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    # Take what is printed into the log as well, uncaught exceptions included.
    ("log.capture", "bool", False, ()),
    # Seconds between two writes of changed parameters to the flash, at least. See [Parameters](params.md).
    ("params.save", "int", 10, (0, 3600)),
    # NTP servers: names or addresses, `:PORT` behind them if it is not 123; they are tried in this order. `[]` = none.
    # Without this key `pool.ntp.org` if there are Wi-Fi networks, else none. See [time](time.md).
    ("time.ntp", "strs", None, (1, 127)),
    # Time zone as a POSIX string, such as `CET-1CEST,M3.5.0,M10.5.0/3`; without it, UTC.
    ("time.tz", "str", None, (4, 63)),
    # Seconds between two questions to an NTP server.
    ("time.every", "int", 7200, (64, 604800)),
    # Topic on which somebody tells the time; the device asks for it on the same topic with `_` behind it. FmPyIOT's is
    # `/FmPyIOT/datetime`.
    ("time.mqtt", "str", None, (1, 127)),
    # Key of remote administration, from 16 to 64 bytes, see [Remote administration](remote.md): who has it can do
    # everything. Without it and without `remote.keys`, remote administration is off.
    ("remote.key", "str*", None, (16, 64)),
    # Further keys, one for each person or program.
    ("remote.keys", "list", (), ()),
    # Whose key it is, for the log.
    ("remote.keys[].name", "str!", None, (1, 31)),
    # The key itself.
    ("remote.keys[].key", "str!*", None, (16, 64)),
    # `read`: may look at everything, and change nothing. Without it, `admin`.
    ("remote.keys[].role", "str", None, ("admin", "read")),
    # Also obey commands in the form of mqrepl, which needs no key: anybody who can publish on the broker can run any
    # program on the device.
    ("remote.insecure", "bool", False, ()),
    # How many sessions there may be at once; without it 4, on an ESP8266 2.
    ("remote.sessions", "int", None, (1, 16)),
    # Seconds without a message after which a session is over.
    ("remote.idle", "int", 300, (10, 86400)),
    # The sensors, switches and other things on the board's pins, by name. See [Components](components.md).
    ("components", "free", None, ()),
    # Tell Home Assistant about the device and all that it has. See [Home Assistant](discovery.md).
    ("discovery.enabled", "bool", True, ()),
    # The first part of the topics that Home Assistant listens to, as it is set there.
    ("discovery.prefix", "str", "homeassistant", (1, 63)),
    # Name of the device in Home Assistant. May hold `{id}`, `{short}` and `{name}`.
    ("discovery.name", "str", "{name}", (1, 63)),
    # Area (room) that Home Assistant proposes for it.
    ("discovery.area", "str", None, (1, 63)),
    # Seconds between two SYSINFO messages; 0 = only when asked for.
    ("sysinfo.every", "int", 600, (0, 604800)),
    # Seconds that the program may be stuck before the chip is reset; 0 = no watchdog. A TLS handshake keeps a small
    # chip busy for seconds, and a network that names no name server for 20: less than 30 is taken as 30.
    ("watchdog.timeout", "int", 120, (0, 3600)),
    # Restart the device if the broker has not sent back one of its own messages for so many seconds, whatever the
    # reason; without it, never. The message goes to `./WATCHDOG`. Such a restart is no failed boot. See
    # [Recovery](recovery.md).
    ("watchdog.broker", "int", None, (60, 86400)),
    # `battery`: the node wakes, reads, publishes and sleeps again. See [battery mode](power.md).
    ("power.mode", "str", "normal", ("normal", "battery")),
    # Battery mode: seconds of sleep between two wakes.
    ("power.sleep", "int", 600, (1, 604800)),
    # Up to so many seconds more, at random, so that not all devices wake at once.
    ("power.jitter", "int", 0, (0, 86400)),
    # Each wake that cannot deliver doubles the next sleep, up to this many seconds.
    ("power.sleep_max", "int", 3600, (1, 604800)),
    # Seconds that a wake may last; then the node sleeps, whatever is unsaid.
    ("power.awake_limit", "int", 30, (5, 600)),
    # The most seconds that a message on `./awake` can keep the node awake.
    ("power.awake_max", "int", 600, (10, 86400)),
    # Seconds for which the address that DHCP gave is used again without asking; 0 = ask each time.
    ("power.lease", "int", 3600, (0, 604800)),
    # Pin that is on while the node is awake, for the power of its sensors.
    ("power.pin", "int", None, (0, 99)),
    # `true` where that power is on when the pin is low.
    ("power.pin_low", "bool", False, ()),
    # Milliseconds from switching that pin on to the first reading.
    ("power.settle", "int", 0, (0, 60000)),
)
