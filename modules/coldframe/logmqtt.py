"""The log over MQTT: records from a level on go to ./log/LEVEL, one after the other.

While there is no connection they wait in the ring; what was overwritten there meanwhile is counted and told. Lines
go with QoS 1, so none is lost with the connection. But some brokers end the connection when a topic is not allowed,
and a QoS 1 message would then come back at once, for ever: so the first line of each level goes with QoS 0, and the
sending is given up when that has cost the connection three times. What the sending itself makes the MQTT client
log is not sent.
"""

import asyncio

from micropython import const

from . import log

_LOOK = const(500)  # ms between two looks at the ring
_SOON = const(3000)  # ms; a connection lost so soon after the first line was perhaps lost because of it
_STRIKES = const(3)


class LogMqtt:
    """A reader of the log that publishes.

    node: the Node. lowest: level (name or number) from which on records are sent.
    Attributes: sent, lost (records overwritten before they could be sent), given_up.
    """

    def __init__(self, node, lowest="WARNING"):
        self.node = node
        self.lowest = log.level(lowest)
        self.sent = self.lost = 0
        self.given_up = False
        self._told = 0  # of lost
        self._reader = log.ring.since(log.ring.first)
        self._good = []  # levels of which a line has gone well
        # Records of the MQTT client before this number were written while a line was sent.
        self._own = log.ring.first

    async def run(self):
        """Send for ever, or until given up."""
        reader = self._reader
        while not self.given_up:
            if not self._up() or not reader.next():
                await asyncio.sleep_ms(_LOOK)
                continue
            self.lost += reader.lost
            if reader.level < self.lowest:
                continue
            text = reader.text
            if text is None:
                self.lost += 1
                continue
            name = reader.name
            if reader.seq < self._own and name == "mqtt":
                continue
            ms = reader.time
            told = self.lost
            gap = "(%d records lost) " % (told - self._told) if told > self._told else ""
            text = "%d.%03d %s%s: %s" % (ms // 1000, ms % 1000, gap, name, text)
            level = log.level_name(reader.level)
            if await self._send(level, self.line(level, text)):
                self.sent += 1
                self._told = told
            self._own = log.ring.seq

    def _up(self):
        client = self.node.client
        return client is not None and client.up.is_set()

    def where(self, level):
        """The topic for the lines of a level."""
        return "./log/" + level

    def line(self, level, text):
        """What is sent of a record."""
        return text

    async def _send(self, level, text):
        topic = self.where(level)
        strikes = 0
        while True:
            try:
                if level in self._good:
                    return await self.node.publish(topic, text, 1)
                client = self.node.client
                connections = client.connections
                await self.node.publish(topic, text)
                await asyncio.sleep_ms(_SOON)
                if self._up() and client is self.node.client and client.connections == connections:
                    self._good.append(level)
                    return True
            except (OSError, ValueError):
                return False  # the client has been stopped, or the line is too long for it
            strikes += 1
            if strikes >= _STRIKES:
                self.given_up = True
                log.getLogger("log").error(
                    "log.mqtt: the connection ends after each line on %s; given up", topic
                )
                return False
            while not self._up():
                await asyncio.sleep_ms(_LOOK)
