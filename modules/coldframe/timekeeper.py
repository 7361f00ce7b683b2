"""The part of the node that keeps the time of day. What it does now and then is in timesync, which does not stay."""

import asyncio
from time import time

from micropython import const

import coldframe

from . import clock

_LOOK = const(60000)  # ms between two looks at the chip's clock
_LOOK_SOON = const(10000)  # while somebody waits for event "clock"
_OFTEN = const(900000)  # ms between two looks at everything else: summer may have begun

state = None  # the Keeper, for those who ask how it is


def start(node):
    """Add the service "time" to a node."""
    global state
    from .timesync import hosts

    state = Keeper(node, hosts(node))
    coldframe.forget("timesync")
    node.service("time", state.run)


class Keeper:
    """What is known of the servers. Attributes: hosts; server (that has answered last), offset (ms by which the clock
    was wrong then), error (why none did, None if one has), failures in a row."""

    server = offset = error = None
    failures = 0
    every = None  # ms, if that is more than the configuration says
    due = 0  # clock.ms() of the next question
    slew = 0  # ms still to be made good
    again = 0  # clock.ms() of the next look at everything

    def __init__(self, node, hosts):
        self.node = node
        self.hosts = hosts

    async def run(self):
        """Keep the time, for ever."""
        epoch = None
        while True:
            now = clock.ms()
            if epoch is None or now >= self.again or abs(time() + epoch - clock.unix_ms() // 1000) > 2:
                from .timesync import look

                epoch = look(self)
                self.again = now + _OFTEN
            if self.hosts and now >= self.due and self._network():
                from .timesync import synchronise

                await synchronise(self)
                now = clock.ms()
            coldframe.forget("timesync")
            wait = _LOOK_SOON if "clock" in self.node._hooks else _LOOK
            if self.slew:
                step = 1 if self.slew > 0 else -1
                clock._offset += step
                self.slew -= step
                wait = 2000  # 500 ppm, as NTP does
            elif self.hosts:
                # While there is no network, look for it every second.
                wait = min(wait, max(1000, self.due - now))
            await asyncio.sleep_ms(wait)

    def _network(self):
        wifi = self.node.wifi
        return wifi.up.is_set() if wifi else not self.node.config["wifi.networks"]
