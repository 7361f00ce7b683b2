"""The report of the last bad end: why, where, whose code, the last lines of the log. For the REPL and for ./crash.

    coldframe.crash.show()     # print it
    coldframe.crash.last()     # as a dict, None if there is none

It is written when the program fails, while that can still be done, else at the next start from what the log has kept
over the reset. /crash.new has not been published yet, /crash.json has. docs/recovery.md tells the format.
"""

import gc
import io
import json
import os
import sys

from micropython import const

from . import bootrecord, clock, hal, log, store
from .version import __version__

ROOT = "/"
_LINES = const(20)  # of the log
_LOG = const(1400)  # bytes of them, without what JSON adds
_TRACE = const(1200)  # bytes of the traceback: its end


def keep(cause, exception=None, layer=""):
    """Write the report of what has just happened. Never raises; a full flash or heap makes it shorter or none.

    cause: a text of one line. exception: its traceback goes into the report. layer: one of bootrecord.LAYERS, "" to
    find it in the traceback. Returns the layer.
    """
    trace = None
    if exception is not None:
        try:
            trace = traceback(exception)
            layer = layer or blame(trace)
        except MemoryError:
            gc.collect()
    report = _facts(cause, layer, bootrecord.boots(), bootrecord.level())
    report["uptime"] = clock.seconds()
    if hasattr(gc, "mem_free"):
        report["heap"] = gc.mem_free()
    if trace:
        report["traceback"] = trace
    _write(report, log.lines)
    import coldframe

    if coldframe.node:
        from .recovery import announce

        announce(coldframe.node)
    return layer


def after_reset():
    """Write the report of a life that ended without one. To be called at the start, if bootrecord.crashed."""
    doing, cause, layer, level = bootrecord.ended
    boot = bootrecord.boots() - 1 & 0xFFFF
    known = last()
    if known and known.get("boot") == boot and doing in (bootrecord.FAILED, bootrecord.DIED):
        return
    if doing in (bootrecord.FAILED, bootrecord.DIED) or cause == "watchdog":
        text = "watchdog: the program was stuck"
    else:
        text = "crash of the chip (%s)" % cause
    report = _facts(text, layer, boot, level)
    report["reset"] = cause
    _write(report, log.before)


def _facts(cause, layer, boot, level):
    report = {
        "cause": cause,
        "layer": layer,
        "level": level,
        "failed": bootrecord.failed(),
        "boot": boot,
        "version": __version__,
        "commit": hal.commit(),
        "board": hal.board(),
        "micropython": ".".join(str(n) for n in sys.implementation[1][:3]),
    }
    if hal.clock_is_set():
        from time import gmtime

        report["time"] = "%d-%02d-%02dT%02d:%02d:%02dZ" % gmtime()[:6]
    return report


def _write(report, source):
    path = ROOT + "crash.new"
    try:
        rows = []
        size = 0
        for text in source(_LINES):
            rows.append(text[:300])
            size += len(rows[-1])
            while size > _LOG:
                size -= len(rows.pop(0))
        report["log"] = rows
    except MemoryError:
        rows = None
    for short in (False, True):
        if short:  # no heap or no flash for all of it
            report.pop("log", None)
            report.pop("traceback", None)
            gc.collect()
        try:
            return store.write(path, lambda f: json.dump(report, f))
        except (OSError, MemoryError):
            pass


def traceback(exception):
    """The traceback of an exception as text; of a long one the end."""
    out = io.StringIO()
    sys.print_exception(exception, out)
    text = out.getvalue().rstrip()
    return text if len(text) <= _TRACE else "..." + text[-_TRACE:]


def frames(text):
    """The (file, "file, line n") of each frame in a traceback, outermost first."""
    for row in text.split("\n"):
        row = row.strip()
        if row.startswith('File "'):
            file = row[6 : row.find('"', 6)]
            yield file, "%s, %s" % (file, row[len(file) + 9 :].split(", in ")[0])


def layer_of(file):
    """Whose file that is: "app", "component" or "node"."""
    if file in ("boot.py", "main.py") or file.startswith(("asyncio/", "<")):
        return "node"  # the frozen ones: the user's begin with a slash
    if file.startswith("coldframe/"):
        return "component" if file.startswith("coldframe/components/") else "node"
    return "component" if file.lstrip("/").startswith("components") else "app"


def stuck(exception):
    """The cause for what the watchdog has interrupted."""
    return "watchdog: stuck in " + (where(traceback(exception)) or "an unknown place")


def blame(text):
    """The layer of a traceback: that of the innermost frame that is not coldframe's own."""
    return _innermost(text)[0]


def where(text):
    """The place of that frame, such as "app.py, line 3"."""
    return _innermost(text)[1]


def _innermost(text):
    found = ("", "")
    component = False
    for file, place in frames(text):
        layer = layer_of(file)
        component = component or layer == "component"
        if layer != "node" or found[0] in ("", "node"):
            found = (layer, place)
    return ("component", found[1]) if component else found  # a component's driver may lie anywhere


def last():
    """The report as a dict, None if there is none that can be read."""
    for name in ("crash.new", "crash.json"):
        try:
            data = store.read(ROOT + name, 8192)
            if data:
                return json.loads(data)
        except (OSError, ValueError, MemoryError):
            pass


def show():
    """Print the report."""
    report = last()
    if report is None:
        print("no crash is known")
        return
    for key in (
        "cause",
        "layer",
        "level",
        "failed",
        "boot",
        "uptime",
        "time",
        "heap",
        "reset",
        "version",
        "board",
    ):
        if key in report:
            print("%-10s%s" % (key, report[key]))
    if "traceback" in report:
        print(report["traceback"])
    for text in report.get("log", ()):
        print("  " + text)


def published():
    """Note that the broker has the report."""
    os.rename(ROOT + "crash.new", ROOT + "crash.json")


def waiting():
    """Whether there is a report that the broker does not have."""
    return store.exists(ROOT + "crash.new")


def reason():
    """Why the device started, for people: what the boot record and the report know beyond the chip's word."""
    doing, cause, layer, level = bootrecord.ended
    if bootrecord.crashed:
        report = last()
        if report and report.get("boot") == (bootrecord.boots() - 1 & 0xFFFF):
            return report.get("cause")
        return "watchdog" if cause == "watchdog" else "crash"
    if doing == bootrecord.PROGRAM:
        return "restart by the program"
    if doing == bootrecord.ASLEEP:
        return "deepsleep"
    if doing == bootrecord.ASKED:
        text = None
        for row in log.before():
            if " restart: " in row:
                text = row.split(" restart: ", 1)[1]
            elif " startup: start number" in row:
                text = None  # of a life before that
        return "restart on purpose" + (": " + text if text else "")
    return cause
