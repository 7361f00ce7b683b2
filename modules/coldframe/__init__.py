"""Coldframe: a framework for devices that talk MQTT. Importing it costs little and starts nothing.

    from coldframe import Node, Topic

At the REPL: coldframe.node, coldframe.status(), coldframe.resume(), coldframe.log.tail(20),
coldframe.reset_reason(), coldframe.crash.show(), coldframe.recover().
"""

import gc
import sys

from .version import __version__  # noqa: F401

# Modules that are found as attributes without having been imported, and by "from coldframe import NAME". Not any
# name that is asked for: dir() and the Tab key of the REPL ask for every word that MicroPython knows.
_MODULES = (
    "backpressure",
    "bootrecord",
    "clock",
    "codec",
    "codec_py",
    "components",
    "config",
    "configtrial",
    "core",
    "crash",
    "ctrlc",
    "discovery",
    "dns",
    "hal",
    "improv",
    "improvrpc",
    "interrupted",
    "link",
    "log",
    "logcapture",
    "logfile",
    "logmore",
    "logmqtt",
    "logrows",
    "mqtt",
    "nodemore",
    "params",
    "paramtopics",
    "power",
    "recovery",
    "remote",
    "router",
    "schedule",
    "setup",
    "sntp",
    "startup",
    "store",
    "supervisor",
    "sysinfo",
    "timekeeper",
    "timemqtt",
    "timesync",
    "timezone",
    "timing",
    "topic",
    "topicchange",
    "topicirq",
    "topickinds",
    "topicmore",
    "topicroutine",
    "topicset",
    "values",
    "wallclock",
    "wifi",
)
# Kinds of topics, which are found the same way, and their modules.
_KINDS = (
    ("TopicRead", "topickinds"),
    ("TopicAction", "topickinds"),
    ("TopicOnChange", "topicchange"),
    ("TopicRoutine", "topicroutine"),
    ("TopicIrq", "topicirq"),
    ("TopicSet", "topicset"),
    ("Switch", "topicset"),
    ("Number", "topicset"),
    ("Select", "topicset"),
    ("Text", "topicset"),
)

# On a small heap garbage is collected early, or what stays would lie all over it and leave no large block. On a larger
# one there is no need; one of 64 KB, of which 20 are free, has no block of 1.5 KB then (a message), so it is one, too.
_heap = gc.mem_alloc() + gc.mem_free() if hasattr(gc, "threshold") else 1 << 20
small = _heap < 49152
if _heap < 98304:
    gc.threshold(1024)

node = None  # the node that was made last, or None


def status():
    """Print how the device is doing."""
    try:
        from .screen import show

        show(node)
    finally:
        for name in ("screen", "sysinfo", "hal.facts"):
            forget(name)


def resume():
    """Go on with the node that Ctrl-C has stopped. Returns at the next Ctrl-C."""
    if node is None:
        raise RuntimeError("there is no node yet; Ctrl-D restarts the device, and with it the node")
    node.run()


def reset_reason():
    """Why the device started, in words: "power", "watchdog: stuck in app.py, line 3", "restart on purpose: ..." """
    from .crash import reason

    return reason()


def recover():
    """Forget all failed boots, and restart with everything: the user's program, the components, the newest settings."""
    from . import bootrecord, hal

    bootrecord.clear()
    hal.reset("coldframe.recover()")


def forget(name):
    """Let go of a module of this package that has done its work, so that the RAM of its functions is free again.

    name: without "coldframe.", but with the package between, if there is one: "mqtt.files".
    """
    sys.modules.pop("coldframe." + name, None)
    dot = name.rfind(".")  # the ESP8266 has no rpartition()
    owner = sys.modules.get("coldframe." + name[:dot] if dot > 0 else "coldframe")
    name = name[dot + 1 :]
    if owner:
        owner.__dict__.pop(name, None)


def __getattr__(name):
    # What is asked for is imported then, not before.
    if name == "Node":
        from .core import Node as found
    elif name == "Topic":
        from .topic import Topic as found
    elif name in _MODULES:
        full = "coldframe." + name
        try:
            __import__(full)
        except ImportError as e:
            if full in str(e):  # left out of this image
                raise AttributeError(name)
            raise
        return globals()[name]
    else:
        for kind, module in _KINDS:
            if kind == name:
                full = "coldframe." + module
                __import__(full)
                found = getattr(sys.modules[full], name)
                break
        else:
            raise AttributeError(name)
    globals()[name] = found
    return found
