"""Services of a node, and the watch over them."""

import asyncio
import gc
import sys

from micropython import const

from . import bootrecord, clock, hal
from .schedule import read_due

_SOUND = 60000  # ms of running after which a boot is sound
_SILENT = const(60000)  # ms without a beat() after which a service that had given one is taken for stuck
_ERRORS = 8  # texts kept in Node.errors
_HUNGRY = const(5)  # times that the heap may be full with nothing left to free, before the device restarts


class Service:
    """A long-running coroutine of the node. See Node.service()."""

    task = None
    alive = False
    done = False  # it has come to its end without a failure
    restarts = 0
    beaten = None  # clock.ms() of the last beat(), None if it gives none
    silent = False  # it was started anew because it had stopped giving them

    def __init__(self, name, function, once, layer):
        self.name = name
        self.function = function
        self.once = once
        self.layer = layer

    def beat(self):
        """Prove life. A service that has called this once must go on to do so at least once a minute."""
        self.beaten = clock.ms()
        self.silent = False


class Supervisor:
    """The part of a Node that starts services, watches them and judges the boot."""

    lacks = False  # a program of the user's has failed to start, and the node runs without it
    announces = False  # see recovery.announce()
    trying = False  # the configuration is on trial, see configtrial
    _unproven = False  # the configuration is not yet known to be good
    _trial = None  # clock.ms() at which all layers are tried again, or trusted for good
    _hungry = 0  # how often the heap was full lately
    _hungry_since = 0

    def service(self, name, function, once=False, layer="node"):
        """Add a service: a coroutine function without arguments that runs as long as the node does.

        It runs as a task of its own. An exception in it is logged, and it is started again after 1 second, then 2,
        4 ... up to 5 minutes; the other services go on. once: it is to run only once, even if it fails. layer: whose
        code it is, "node", "component" or "app": what is left out if it makes the device crash again and again.
        Returns a Service; if its code loops, it should call beat() of that, so that a loop that hangs is noticed.
        """
        service = Service(name, function, once, layer)
        self.services.append(service)
        if self._started is not None:
            service.task = asyncio.create_task(self._guard(service))
        return service

    async def _guard(self, service):
        delay = 1
        while True:
            began = clock.ms()
            try:
                service.alive = True
                await service.function()
                service.done = True
                return
            except KeyboardInterrupt:
                # Ctrl-C happened to hit this service: it must be there again when the node is resumed.
                service.task = asyncio.create_task(self._guard(service))
                raise
            except asyncio.CancelledError:
                if not service.silent or service.task is None:
                    raise
            except Exception as e:
                service.alive = False
                self.report("service " + service.name, e)
            if service.once:
                return
            if clock.ms() - began > _SOUND:
                delay = 1
            await asyncio.sleep(delay)
            delay = min(delay * 2, 300)
            service.restarts += 1

    def report(self, where, exception, topic=None):
        """Log an exception with its traceback and remember it in errors. topic: the Topic whose function has failed."""
        if topic:
            topic.errors += 1
        if isinstance(exception, MemoryError):
            gc.collect()
            if self._low():
                self._starve(where, exception)
        try:
            self.log.exception("%s failed", where, exc_info=exception)
            self._error("%s: %s: %s" % (where, type(exception).__name__, exception))
        except MemoryError:
            gc.collect()
        except Exception:  # raised by the exception's own __str__()
            self._error("%s: %s" % (where, type(exception).__name__))

    def _low(self):
        # Whether less than a twentieth of the heap is free.
        return hasattr(gc, "mem_free") and gc.mem_free() < (gc.mem_free() + gc.mem_alloc()) // 20

    def _starve(self, where, exception):
        # One allocation that was too large is an error like others. But if the heap is full and nothing can be freed,
        # the node cannot work, and only a restart helps.
        now = clock.ms()
        if not self._hungry or now - self._hungry_since > 300000:
            self._hungry_since = now
            self._hungry = 0
        self._hungry += 1
        if self._hungry >= _HUNGRY:
            self.fail("the heap is full: " + where, exception)

    def fail(self, cause, exception=None, layer=""):
        """Restart the device because of a failure: with a report (see crash.keep()), and as a failed boot.

        cause: None for the watchdog: what is stuck is told by the traceback.
        """
        gc.collect()
        if self._low():
            # Nothing can be noted before there is room again: all that the program has is let go. It is the one that
            # eats, whoever was left without.
            if not bootrecord.level():
                layer = "app"
            for x in (self.topics, self._listeners, self._hooks):
                x.clear()
            for service in self.services:
                service.function = service.task = None
            sys.modules.pop("app", None)
            asyncio.new_event_loop()
            gc.collect()
        try:
            from . import crash

            layer = crash.keep(cause or crash.stuck(exception), exception, layer)
        except MemoryError:
            gc.collect()
        bootrecord.mark(bootrecord.FAILED, layer)
        hal.reset()

    def _error(self, text):
        if text not in self.errors:
            self.errors.append(text)
            del self.errors[:-_ERRORS]

    def _stuck(self):
        # From the watchdog, in the middle of what does not end: the next is a KeyboardInterrupt there.
        self.log.critical("stuck for %d s, restarting", max(30, self.config["watchdog.timeout"]))
        bootrecord.mark(bootrecord.FAILED)
        return True

    def _stray(self, loop, context):
        # An exception that ended a task of the user's own.
        self.report("a task", context["exception"])

    async def _pulse(self):
        # The heartbeat of the node: feeds the watchdog, starts the readings that are due, judges the boot.
        while True:
            now = clock.ms()
            hal.feed()
            self._look_after(now)
            wait = read_due(self)
            if not self._sound:
                if now - self._started > _SOUND:
                    self._judge(now)
            elif self._trial and now > self._trial:
                self._trial = None
                from .recovery import again

                again(self)
            elif self._unproven and (self.client.up.is_set() if self.client else not self._wants_broker()):
                self._prove()
            await asyncio.sleep_ms(wait)

    def _prove(self):
        self._unproven = False
        from .config import keep_good

        try:
            keep_good(self._path)
        except (OSError, MemoryError) as e:
            self.report("config.bak", e)

    def _wants_broker(self):
        return any(s.name == "mqtt" for s in self.services)

    def _look_after(self, now):
        # A service that does not live is started anew. If that is no help and the node cannot do without it, the device
        # is.
        for service in self.services:
            task = service.task
            if task and task.done():
                if service.alive and not service.once and not service.done:
                    service.task = asyncio.create_task(self._guard(service))  # its guard was lost: no heap
            elif service.beaten is not None and now - service.beaten > _SILENT:
                text = "service %s: no sign of life for a minute" % service.name
                self.log.error(text)
                self._error(text)
                if service.silent and service.layer == "node":
                    self.fail(text, None, "node")
                service.silent = True
                service.beaten = now
                task.cancel()

    def _judge(self, now):
        # The boot is old enough to be called sound, if all services are well.
        if not all(s.alive or s.once for s in self.services):
            return
        self._sound = True
        self._trial = now + bootrecord.hold() * 1000
        bootrecord.mark(bootrecord.SOUND)
        self.proves()
        self.emit("sound")

    def proves(self):
        # The configuration has proven good when the boot is sound and the broker it names has been reached with it; one
        # that is on trial must have passed that first.
        self._unproven = self._sound and not self.trying and self._path is not None and bootrecord.level() < 3
