"""From power-on to running: what frozen boot.py and main.py do.

Frozen files of these names win over the user's on most boards, so these two hand over: to /boot.py, to /main.py if
there is one, which is in charge then, and otherwise to a node from /config.json with /app.py.
"""

import gc
import sys
import time

from . import bootrecord, forget, hal, log, store

ROOT = "/"  # where the user's files are
PAUSE = 10  # seconds before the restart after a failure

_log = log.getLogger("startup")
_errors = []  # texts for the node that comes up after a failure
_lacks = False  # a program of the user's has failed
_trying = False  # a new configuration is on trial


def boot(scope):
    """The work of boot.py. scope: the global names in which the user's file runs. Never raises."""
    _hold()
    hal.dog_off()  # a soft reset leaves it running, and nothing would feed it at the REPL
    level = bootrecord.begin()
    hal.note_restarts()
    _life_before()
    if store.exists(ROOT + "config.trial"):
        global _trying

        from . import configtrial

        _trying = configtrial.begin(ROOT)
        level = bootrecord.level()
        forget("configtrial")
    if level:
        from . import recovery

        _log.critical(recovery.left_out(level))
        forget("recovery")
    elif store.exists(ROOT + "boot.py"):
        bootrecord.mark(bootrecord.RUNNING, "app")
        _user(ROOT + "boot.py", scope)
        bootrecord.mark(bootrecord.IDLE, "")


def _hold():
    # Whoever sets up the board through the cable (see improv) may begin to speak before anybody listens, and what is
    # said holds Ctrl-C.
    if hal.reset_cause() in ("power", "hard") and hal.console():
        from . import ctrlc

        ctrlc.hold()


def _release():
    if "coldframe.ctrlc" in sys.modules:
        from . import ctrlc

        ctrlc.release()


def _life_before():
    # A program that ended badly leaves a report, made from its log before new lines take the place.
    if bootrecord.crashed:
        from . import crash

        crash.ROOT = ROOT
        crash.after_reset()
        forget("crash")
    if log.ring.recovered:
        _log.info("start number %d, reset cause: %s", bootrecord.boots(), hal.reset_cause())


def main(scope):
    """The work of main.py. Returns when the REPL is to take over. Never raises."""
    try:
        _main(scope)
    except Exception:  # what is to cope with failures has failed: no heap
        bootrecord.mark(bootrecord.FAILED)
        hal.reset()


def _main(scope):
    _hold()
    app = not bootrecord.level()
    if app and store.exists(ROOT + "main.py"):
        bootrecord.mark(bootrecord.RUNNING, "app")
        # Its boot is sound after the usual time, if there is a timer to tell; else it counts as ended well for now.
        if not hal.later(60000, _sound):
            bootrecord.mark(bootrecord.IDLE)
        if _user(ROOT + "main.py", scope):
            bootrecord.mark(bootrecord.IDLE)
            return
        if bootrecord.doing() == bootrecord.DIED:
            return _restart()  # it has run well before
        app = False  # the program is broken, but the device can still be reached
    run(app)


def run(app=True):
    """Run a node from /config.json until Ctrl-C. app: whether to load app.py."""
    layer = "node"
    node = None
    try:
        from .core import Node

        config, new = _config()
        layer = "config" if new else "node"
        node = Node(config)
        layer = "node"
        node._path = ROOT + "config.json"  # also where the last good copy was taken: what is saved goes there
        node.errors.extend(_errors)
        if not node.config["wifi.improv"]:
            _release()
        node.lacks = _lacks
        if app:
            node.service("app", lambda: _app(node), once=True, layer="app")
        node.run()
    except Exception as e:
        full = isinstance(e, MemoryError)
        if full and layer == "node" and not bootrecord.level():
            layer = "app"  # it is the app that can eat the heap
        if full:
            # Nothing can be reported before there is room again: all that the app has is let go.
            node = None
            _free()
        bootrecord.mark(bootrecord.FAILED, layer)
        _failed("the node", e, layer)
        _restart()


def _free():
    import asyncio

    import coldframe

    coldframe.node = None
    asyncio.new_event_loop()
    sys.modules.pop("app", None)
    gc.collect()


def _config():
    # (What the Node is to be made from, whether the present file has not been proven good).
    path = ROOT + "config.json"
    good = ROOT + "config.bak"
    new = store.exists(path) and store.exists(good) and not store.same(path, good)
    if new and bootrecord.level() >= 3 and not _trying:
        from .config import load

        config, errors = load(path, good=True)
        _errors.extend(errors)
        return config, False
    return path, new


async def _app(node):
    try:
        await load_app(node)
    except Exception as e:
        from . import crash

        sys.modules.pop("app", None)
        crash.keep("%s: %s: %s" % ("app.py", type(e).__name__, e), e, "app")
        node.lacks = True
        raise


async def load_app(node):
    """Import app.py, if there is one, and call its setup(node). The components are there before it."""
    if node.loading:
        await node.loading.wait()
    try:
        import app
    except ImportError:
        if _is_there("app"):
            raise  # it is app.py itself that lacks a module
        return
    setup = getattr(app, "setup", None)
    if setup is None:
        raise ValueError("app.py: expected a function setup(node), there is none")
    from .callback import call

    from .interrupted import back, keep

    kept = keep(node, ("topics", "services", "_hooks", "_listeners"))
    try:
        await call(setup, 1, None, node)
    except KeyboardInterrupt:  # it is called again when the node goes on
        back(kept)
        raise


def _is_there(name):
    for folder in sys.path:
        for end in (".py", ".mpy", ""):
            if store.exists((folder + "/" if folder else "") + name + end):
                return True
    return False


def _user(path, scope):
    # Run one of the user's files; False if it failed.
    _release()
    try:
        try:
            run = execfile
        except NameError:  # ESP8266
            with open(path) as f:
                exec(f.read(), scope)
        else:
            run(path, scope)
        return True
    except KeyboardInterrupt as e:
        if hal.bitten():
            _failed(path, e, "app")
            bootrecord.mark(bootrecord.FAILED, "app")
            hal.reset()
        print("%s was stopped." % path)
        return True
    except SystemExit:
        bootrecord.mark(bootrecord.IDLE)
        raise  # a soft reset on purpose
    except BaseException as e:  # CancelledError is no Exception
        global _lacks

        _failed(path, e, "app")
        bootrecord.mark(bootrecord.FAILED, "app")
        _lacks = True
        return False


def _failed(what, e, layer):
    from . import crash

    text = "%s: %s: %s" % (what, type(e).__name__, e)
    _errors.append(text)
    try:
        _log.exception("%s failed", what, exc_info=e)
    except MemoryError:
        pass
    crash.ROOT = ROOT
    crash.keep(text, e, layer)
    forget("crash")


def _restart():
    # The last resort: a device that does nothing but show a prompt is lost when nobody is near.
    print("Restart in %d s; Ctrl-C leads to the REPL instead." % PAUSE)
    try:
        time.sleep(PAUSE)
    except KeyboardInterrupt:
        return
    hal.reset()


def _sound():
    bootrecord.mark(bootrecord.SOUND)
