# What is frozen into the images, and in which tier.
#
# Every file is named: the order here is the order in the image, and a folder's own order would differ
# from machine to machine. tests/host/test_manifest.py fails when a file in modules/ is not named.
#
# A board's own manifest.py says include("../../manifest.py", ...), with
#   hal      the hardware layer: the name of a file in modules/coldframe/hal/ (bare: no known chip)
#   tier     "core" (what fits a small board) or "full"
#   wifi     False leaves out what a board without Wi-Fi has no use for
#   ssl      True adds the ssl module; for boards whose MicroPython has the tls module
# coldframe_build (board, version, commit, pins) and coldframe_pages (what web/ holds) are made by scripts/build.py,
# which adds them.

options.defaults(tier="full", hal="bare", ssl=False, wifi=True)

START = ("boot.py", "main.py")

CORE = (
    "__init__.py",
    "backpressure.py",
    "bootrecord.py",
    "brokerdog.py",
    "callback.py",
    "clock.py",
    "codec.py",
    "config.py",
    "configapi.py",
    "configcheck.py",
    "configkeys.py",
    "configload.py",
    "configmask.py",
    "configsave.py",
    "configscan.py",
    "configseal.py",
    "configtrial.py",
    "configwifi.py",
    "core.py",
    "crash.py",
    "discovery.py",
    "discoverydoc.py",
    "discoveryrun.py",
    "ctrlc.py",
    "dns.py",
    "interrupted.py",
    "improv.py",
    "improvrpc.py",
    "led.py",
    "ladder.py",
    "link.py",
    "log.py",
    "logcapture.py",
    "logfile.py",
    "logmore.py",
    "logmqtt.py",
    "logrows.py",
    "nodemore.py",
    "params.py",
    "paramtopics.py",
    "power.py",
    "recovery.py",
    "router.py",
    "schedule.py",
    "screen.py",
    "secrets.py",
    "sntp.py",
    "stamp.py",
    "startup.py",
    "store.py",
    "supervisor.py",
    "sysinfo.py",
    "timekeeper.py",
    "timemqtt.py",
    "timesync.py",
    "timezone.py",
    "timing.py",
    "topic.py",
    "topicchange.py",
    "topicirq.py",
    "topickinds.py",
    "topicmore.py",
    "topicroutine.py",
    "topicset.py",
    "trialwatch.py",
    "values.py",
    "version.py",
    "wallclock.py",
)
WIFI = ("mdns.py", "wifi.py", "wifijoin.py", "wifimore.py", "wifirank.py")
SETUP = (
    "__init__.py",
    "accesspoint.py",
    "captivedns.py",
    "form.py",
    "http.py",
    "portal.py",
    "result.py",
    "trial.py",
)
HAL = ("__init__.py", "dog.py", "facts.py", "image.py", "more.py", "sleep.py", "ticker.py", "words.py")
MQTT = (
    "__init__.py",
    "answers.py",
    "api.py",
    "client.py",
    "configured.py",
    "connection.py",
    "crc.py",
    "files.py",
    "five.py",
    "messages.py",
    "more.py",
    "poller.py",
    "reasons.py",
    "requests.py",
    "serial.py",
    "spill.py",
    "spilled.py",
    "streaming.py",
    "subs.py",
    "transport.py",
)
REMOTE = (
    "__init__.py",
    "admin.py",
    "command.py",
    "configtext.py",
    "configverb.py",
    "content.py",
    "files.py",
    "gate.py",
    "get.py",
    "logverb.py",
    "paths.py",
    "plain.py",
    "put.py",
    "run.py",
    "runner.py",
    "session.py",
)
COMPONENTS = (
    "__init__.py",
    "loader.py",
    "regular.py",
    "sensor.py",
    "switch.py",
    "machine/__init__.py",
    "machine/i2c.py",
    "machine/pin.py",
    "sensors/__init__.py",
    "sensors/htu21d.py",
    "switches/__init__.py",
    "switches/gpio.py",
)
COMPONENTS_FULL = (
    "button.py",
    "sensors/adc.py",
    "sensors/battery.py",
    "sensors/dht22.py",
)
FULL = ("codec_py_checks.py", "codec_py_encode.py", "codec_py.py", "mqtt/writer_py.py")
TLS = ("mqtt/tls.py", "mqtt/tlsdate.py")

# opt=1 drops asserts and `if __debug__`, but keeps line numbers for tracebacks from far away.
include("$(MPY_DIR)/extmod/asyncio")
for name in START:
    module(name, base_path="modules", opt=1)
package("coldframe", CORE, base_path="modules", opt=1)
package("coldframe/hal", HAL + (options.hal + ".py",), base_path="modules", opt=1)
package("coldframe/mqtt", MQTT, base_path="modules", opt=1)
package("coldframe/remote", REMOTE, base_path="modules", opt=1)
package("coldframe/components", COMPONENTS, base_path="modules", opt=1)
if options.wifi:
    package("coldframe", WIFI, base_path="modules", opt=1)
    package("coldframe/setup", SETUP, base_path="modules", opt=1)
if options.tier == "full":
    package("coldframe", FULL, base_path="modules", opt=1)
    package("coldframe/components", COMPONENTS_FULL, base_path="modules", opt=1)
if options.ssl:
    package("coldframe", TLS, base_path="modules", opt=1)
    module("ssl.py", base_path="modules", opt=1)
