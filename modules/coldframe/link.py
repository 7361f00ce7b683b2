"""The way of a node to its broker."""

import asyncio
import gc

import coldframe

from . import clock
from .schedule import renew


class Link:
    """The part of a Node that connects it."""

    downtime = 0  # ms without a broker before the present connection, or before the last one ended
    down_since = up_since = 0  # clock.ms()

    async def _run_mqtt(self):
        if self.client is None:
            from .mqtt.configured import make_client

            gc.collect()  # what stays for long is to lie beside what does, not behind garbage
            try:
                self.client = make_client(self)
            except ValueError as e:  # trying again would not help
                self.log.error(str(e))
                self._error(str(e))
                return
            finally:
                coldframe.forget("mqtt.configured")
            self._wanted = list(self._listeners)
        if self.power:
            await self.power.network()
        await self.client.run()

    async def _up(self):
        # The connection has come up: ask for the topics, greet the broker, publish what is read on a schedule.
        self.up_since = clock.ms()
        self.downtime += self.up_since - self.down_since
        if (
            not self._greeting
        ):  # else since the connection before this one; what it waits for goes out again by itself
            await self._greet()

    async def _greet(self):
        self._greeting = True
        try:
            await self._ask_wanted()
            await self.publish("./available", "online", 1, True)
            renew(self)
            self.emit("up")
        except OSError:
            pass  # it has gone down again
        except KeyboardInterrupt:  # Ctrl-C: once more when the node goes on
            asyncio.create_task(self._greet())
            raise
        finally:
            self._greeting = False

    def _down(self):
        self.down_since = clock.ms()
        if self.wifi:
            self.wifi.look()  # another address is the reason why connections end that nobody has closed
        self.emit("down")
