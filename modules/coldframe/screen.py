"""The screen of coldframe.status(): what is wrong first, with what to do about it, then how things are.

It fits 80 columns and costs no RAM when it is not shown.
"""

import gc
import os


from . import bootrecord, clock, hal
from .version import __version__

_WIDTH = 79
_MOST = 20  # topics and parameters shown


def show(node):
    """Print it. node: the Node, or None."""
    _head(node)
    wrong = list(_wrong(node))
    if wrong:
        for text, advice in wrong:
            _wrap("! ", text)
            if advice:
                _wrap("    ", advice)
    elif node:
        print("All is well.")
    if node:
        for name, part in _PARTS:
            try:
                part(node)
            except Exception as e:  # a part that is at work, or not there yet, must not cost the others
                _line(name, "%s: %s" % (type(e).__name__, e))
    _memory()
    if node and getattr(node, "paused", False):
        print("The node stands still: coldframe.resume() goes on with it.")


def _head(node):
    left = "Coldframe %s on %s" % (__version__, hal.board())
    right = node.name if node else ""
    print(left + " " * max(2, _WIDTH - len(left) - len(right)) + right)


def _wrong(node):
    # Yield (what is wrong, what to do).
    level = bootrecord.level()
    if level:
        what = (
            "",
            "without your program",
            "also without components",
            "with the last good configuration",
            "SAFE MODE",
        )
        yield (
            "%s after %d failed boots (%s): %s"
            % (
                "SAFE MODE" if level > 3 else "reduced",
                bootrecord.failed(),
                bootrecord.blamed() or "cause unknown",
                "only network, broker and this console run" if level > 3 else "the node runs " + what[level],
            ),
            "mend what failed (coldframe.crash.show()), then coldframe.bootrecord.clear() and restart",
        )
    if node is None:
        yield (
            "no node has been made",
            "Ctrl-D restarts the device; or node = coldframe.Node() and node.run()",
        )
        return
    if node._started is None:
        yield "the node is not started", "coldframe.resume()"
    for text in node.errors:
        yield text, _advice(text)
    for s in node.services:
        if not s.alive and s.task and not s.once and not getattr(s, "done", False):
            yield (
                "service %s has failed, %d restarts" % (s.name, s.restarts),
                "coldframe.log.tail(20) has its traceback",
            )
    c = node.config
    wifi = node.wifi
    if wifi and not wifi.up.is_set():
        cause = getattr(wifi, "cause", "")
        yield (
            "wifi: not joined (%s)%s" % (getattr(wifi, "state", "?"), ": " + cause if cause else ""),
            "it goes on trying; coldframe.node.wifi.nearby() lists what is in reach",
        )
    client = node.client
    if client is None and not _broker(c):
        yield "no broker is configured", '{"mqtt": {"host": "..."}} in /config.json'
    elif not (wifi and not wifi.up.is_set()) and not (client and client.up.is_set()):
        why = getattr(client, "why", None)
        yield (
            "broker %s: not connected%s" % (_address(node), ": " + why if why else " yet"),
            "it goes on trying" if client else None,
        )


def _advice(text):
    if text.startswith("/") and ".json" in text:
        return "mend the file, then machine.reset()"
    if text.startswith("service ") or text.startswith("./") or text.startswith("a task"):
        return "coldframe.log.tail(20) has its traceback"
    return None


def _node(node):
    _line("node", "%s, base topic %s" % (node.name, node.base))
    _line("", "chip %s" % node.id)
    _line(
        "up", "%s; start number %d, by: %s" % (_span(clock.seconds()), bootrecord.boots(), hal.reset_cause())
    )


def _time(node):
    from . import timezone

    t = timezone.local()
    text = "%04d-%02d-%02d %02d:%02d:%02d " % t[:6] + timezone.name()
    if clock.valid():
        source = clock.source or "the chip's own clock"
        if clock.when is not None:
            source += ", %s ago" % _span((clock.ms() - clock.when) // 1000)
        _line("time", "%s (%s)" % (text, source))
    else:
        _line("time", "not known; the clock says %s" % text)


def _wifi(node):
    w = node.wifi
    if w is None:
        if node.config["wifi.networks"]:
            _line("wifi", "not started")
        return
    if not w.up.is_set():
        _line("wifi", w.state)
        return
    rssi = w.rssi()
    strength = "" if rssi is None else ", %d dBm" % rssi
    again = ", joined %d times" % w.joins if w.joins > 1 else ""
    _line("wifi", "%s%s, address %s%s" % (w.ssid, strength, w.address(), again))


def _mqtt(node):
    client = node.client
    if client is None:
        _line("broker", "%s: starting" % _address(node) if _broker(node.config) else "none")
        return
    from .sysinfo import downtime

    up = client.up.is_set()
    text = "%s: %s" % (_address(node), "connected" if up else "not connected")
    if up:
        text += " for %s" % _span((clock.ms() - node.up_since) // 1000)
    if client.connections > 1:
        text += ", %d reconnects" % (client.connections - 1)
    _line("broker", text)
    dropped = node.dropped + client.dropped
    more = []
    if downtime(node):
        more.append("%s without it" % _span(downtime(node)))
    if dropped:
        more.append("%d messages dropped" % dropped)
    if more:
        _line("", ", ".join(more))


def _services(node):
    good = []
    for s in node.services:
        if s.once:
            good.append("%s (done)" % s.name if getattr(s, "done", False) else "%s (once)" % s.name)
        else:
            good.append(
                s.name
                + (" (%d restarts)" % s.restarts if s.restarts else "")
                + ("" if s.alive else " FAILED")
            )
    _wrap("services  ", ", ".join(good))


def _topics(node):
    now = clock.seconds()
    for n, t in enumerate(node.topics):
        if n == _MOST:
            _line("", "and %d more: coldframe.node.topics" % (len(node.topics) - n))
            break
        value = "" if t.value is None else str(t.value)
        time = getattr(t, "time", None)
        age = "" if time is None or t.value is None else "  %s ago" % _span(now - time)
        failed = "  %d errors" % t.errors if getattr(t, "errors", 0) else ""
        _line("topics" if not n else "", "%-24s %s" % (t.topic, value), age + failed)


def _params(node):
    params = getattr(node, "params", None)
    if params:
        n = 0
        for name in params:
            if n == _MOST:
                _line("", "and more: coldframe.node.params.show()")
                break
            _line("" if n else "params", "%-24s %s" % (name, params[name].value))
            n += 1


def _components(node):
    names = getattr(node, "components", None)
    if names:
        _wrap("parts     ", ", ".join(sorted(names)))


def _crash(node):
    from . import crash

    report = crash.last()
    if report:
        _line("crash", "%s, in start number %s" % (report.get("cause"), report.get("boot")))
        _line("", "coldframe.crash.show() shows all of it")


_PARTS = (
    ("node", _node),
    ("time", _time),
    ("wifi", _wifi),
    ("broker", _mqtt),
    ("services", _services),
    ("topics", _topics),
    ("params", _params),
    ("parts", _components),
    ("crash", _crash),
)


def _memory():
    text = ""
    if hasattr(gc, "mem_free"):
        gc.collect()
        free = gc.mem_free()
        text = "%d of %d bytes free" % (free, free + gc.mem_alloc())
    try:
        f = os.statvfs("/")
        text += "%sflash %d of %d KB free" % ("; " if text else "", f[1] * f[3] // 1024, f[1] * f[2] // 1024)
    except (OSError, AttributeError):
        pass
    _line("memory", text)


def _broker(c):
    return c["mqtt.host"] or c.given("mqtt.serial")


def _address(node):
    c = node.config
    if node.client and node.client._connection:
        return str(node.client._transport)
    return "on the serial line" if c.given("mqtt.serial") else str(c["mqtt.host"]).split("@")[-1]


def _span(seconds):
    # A time that people can read: two units at most.
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            rest = seconds % size
            for small, unit in ((3600, "h"), (60, "min"), (1, "s")):
                if small < size and rest >= small and small * 60 >= size // 24:
                    return "%d %s %d %s" % (seconds // size, name, rest // small, unit)
            return "%d %s" % (seconds // size, name)
    return "%d s" % seconds


def _line(name, text, end=""):
    # One line; what is too long is cut before its end.
    line = "%-10s%s" % (name, text.replace("\n", " ").replace("\r", ""))
    if len(line) + len(end) > _WIDTH:
        line = line[: _WIDTH - len(end) - 3] + "..."
    print(line + end)


def _wrap(head, text):
    # Several lines, broken at blanks.
    line = head
    rest = " " * len(head)
    for word in text.split():
        while len(line) + len(word) > _WIDTH:
            if line.strip():
                print(line)
                line = rest
            if len(word) > _WIDTH - len(rest):
                print(rest + word[: _WIDTH - len(rest)])
                word = word[_WIDTH - len(rest) :]
        line += word + " "
    if line.strip():
        print(line[:-1])
