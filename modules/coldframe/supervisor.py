"""Services of a node, and the watch over them."""

import asyncio

from . import bootrecord, clock, hal
from .config import keep_good
from .schedule import read_due

_SOUND = 60000  # ms of running after which a boot is sound
_TRUST = 3600000  # ms of running in safe mode after which the next boot is a normal one
_ERRORS = 8  # texts kept in Node.errors


class Service:
    """A long-running coroutine of the node. See Node.service()."""

    task = None
    alive = False
    restarts = 0

    def __init__(self, name, function, once):
        self.name = name
        self.function = function
        self.once = once


class Supervisor:
    """The part of a Node that starts services, watches them and judges the boot."""

    def service(self, name, function, once=False):
        """Add a service: a coroutine function without arguments that runs as long as the node does.

        It runs as a task of its own. An exception in it is logged, and it is started again after 1 second, then 2,
        4 ... up to 5 minutes; the other services go on. once: it is to run only once, even if it fails. Returns a
        Service.
        """
        service = Service(name, function, once)
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
                return
            except KeyboardInterrupt:
                # Ctrl-C happened to hit this service: it must be there again when the node is resumed.
                service.task = asyncio.create_task(self._guard(service))
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
        self.log.exception("%s failed", where, exc_info=exception)
        self._error("%s: %s: %s" % (where, type(exception).__name__, exception))

    def _error(self, text):
        if text not in self.errors:
            self.errors.append(text)
            del self.errors[:-_ERRORS]

    def _stuck(self):
        # The watchdog is about to reset the chip.
        self.log.critical("stuck for %d s, restarting", self.config["watchdog.timeout"])
        bootrecord.mark(bootrecord.FAILED)

    def _stray(self, loop, context):
        # An exception that ended a task of the user's own.
        self.report("a task", context["exception"])

    async def _pulse(self):
        # The heartbeat of the node: feeds the watchdog, starts the readings that are due, judges the boot.
        while True:
            hal.feed()
            wait = read_due(self)
            if not self._sound and clock.ms() - self._started > (_TRUST if bootrecord.safe() else _SOUND):
                self._judge()
            await asyncio.sleep_ms(wait)

    def _judge(self):
        # The boot is old enough to be called sound, if all services are well.
        if not all(s.alive or s.once for s in self.services):
            return
        self._sound = True
        if bootrecord.safe():
            bootrecord.clear()
        bootrecord.mark(bootrecord.SOUND)
        self.emit("sound")
        if self._path:
            try:
                keep_good(self._path)
            except OSError as e:
                self.report("config.bak", e)
