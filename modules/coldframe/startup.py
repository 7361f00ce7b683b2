"""From power-on to running: what frozen boot.py and main.py do.

Frozen files of these names win over the user's on most boards, so these two hand over: to /boot.py, to /main.py if
there is one, which is in charge then, and otherwise to a node from /config.json with /app.py.
"""

import sys
import time

from . import bootrecord, hal, log, store

ROOT = "/"  # where the user's files are
CRASH = "crash.log"  # there: the log of the life before, if that ended badly
PAUSE = 10  # seconds before the restart after a failure of the node itself

_log = log.getLogger("startup")
_errors = []  # texts for the node that comes up after a failure


def boot(scope):
    """The work of boot.py. scope: the global names in which the user's file runs. Never raises."""
    hal.dog_off()  # a soft reset leaves it running, and nothing would feed it at the REPL
    safe = bootrecord.begin()
    _life_before()
    if safe:
        _log.critical("safe mode after %d failed boots: no file of yours is run", bootrecord.failed())
    elif store.exists(ROOT + "boot.py"):
        bootrecord.mark(bootrecord.RUNNING)
        _user(ROOT + "boot.py", scope)
        bootrecord.mark(bootrecord.IDLE)


def _life_before():
    # The log of a program that ended badly is kept in a file, before new lines take its place.
    if log.ring.recovered:
        if bootrecord.crashed:
            try:
                log.save(ROOT + CRASH)
            except OSError as e:
                _log.warning("%s: %s", CRASH, e)
        _log.info("start number %d, reset cause: %s", bootrecord.boots(), hal.reset_cause())


def main(scope):
    """The work of main.py. Returns when the REPL is to take over. Never raises."""
    app = not bootrecord.safe()
    if app and store.exists(ROOT + "main.py"):
        bootrecord.mark(bootrecord.RUNNING)
        # Its boot is sound after the usual time, if there is a timer to tell; else it counts as ended well for now.
        if not hal.later(60000, _sound):
            bootrecord.mark(bootrecord.IDLE)
        if _user(ROOT + "main.py", scope):
            bootrecord.mark(bootrecord.IDLE)
            return
        app = False  # the program is broken, but the device can still be reached
    run(app)


def run(app=True):
    """Run a node from /config.json until Ctrl-C. app: whether to load app.py."""
    try:
        from .core import Node

        node = Node(ROOT + "config.json")
        node.errors.extend(_errors)
        if app:
            node.service("app", lambda: load_app(node), once=True)
        node.run()
    except Exception as e:
        _failed("the node", e)
        bootrecord.mark(bootrecord.FAILED)
        _restart()


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

    await call(setup, 1, None, node)


def _is_there(name):
    for folder in sys.path:
        for end in (".py", ".mpy", ""):
            if store.exists((folder + "/" if folder else "") + name + end):
                return True
    return False


def _user(path, scope):
    # Run one of the user's files; False if it failed.
    try:
        try:
            run = execfile
        except NameError:  # ESP8266
            with open(path) as f:
                exec(f.read(), scope)
        else:
            run(path, scope)
        return True
    except KeyboardInterrupt:
        print("%s was stopped." % path)
        return True
    except SystemExit:
        bootrecord.mark(bootrecord.IDLE)
        raise  # a soft reset on purpose
    except BaseException as e:  # CancelledError is no Exception
        _failed(path, e)
        bootrecord.mark(bootrecord.FAILED)
        return False


def _failed(what, e):
    _log.exception("%s failed", what, exc_info=e)
    _errors.append("%s: %s: %s" % (what, type(e).__name__, e))


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
