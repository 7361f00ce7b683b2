"""Subscriptions of a Client: they are kept here, and restored on each connection that lacks them."""

from asyncio import core

from coldframe.mqtt.client import MQTTError, codec, log
from coldframe.mqtt.connection import wake_all
from micropython import const

# What is known about a filter: the options asked for (QoS in the low two bits); once the broker has answered,
# also _GRANTED, and the QoS granted << 8.
_OPTIONS = const(0x3F)
_GRANTED = const(0x40)
_GONE = const(-1)  # unsubscribed, but the broker does not know yet

_UNSUBACK = const(11)


class Subs:
    """The subscriptions of one client."""

    def __init__(self, client):
        self._client = client
        self.known = {}  # filter -> see _GRANTED
        self.unasked = []  # filters that the broker is to be told about on this connection
        self.asked = {}  # packet identifier -> filter
        self.routes = []  # (filter, callback)

    def restore(self, session):
        """A new connection, which has the session of the one before or not."""
        known = self.known
        for f in list(known):
            if not session:
                if known[f] == _GONE:
                    del known[f]
                    continue
                known[f] &= _OPTIONS
            if known[f] < _GRANTED:
                self.unasked.append(f)

    def over(self):
        """The connection is over."""
        self.unasked.clear()
        self.asked.clear()

    def ask(self):
        """Send the next packet. Returns False when the stream has no room for it."""
        client = self._client
        filter = self.unasked[0]
        options = self.known.get(filter, _GRANTED)
        if options < _GRANTED:  # else it was settled meanwhile
            n = client._new_id()
            buf = bytearray(len(filter.encode()) + 13)
            props = b"" if client._five else None
            if options == _GONE:
                size = codec.unsubscribe(buf, n, filter, props)
            else:
                size = codec.subscribe(buf, n, filter, options if client._five else options & 3, props)
            if client._five:
                try:
                    client._five.check_filter(filter, size)
                except ValueError as er:  # this broker can do less than the one before
                    log.error("%s", er)
                    self.drop(filter)
                    self.unasked.pop(0)
                    return True
            if client._writer.put(bytes(memoryview(buf)[:size])) is None:
                return False
            self.asked[n] = filter
            client._connection.ask(False)
        self.unasked.pop(0)
        return True

    def answer(self, kind, packet):
        """The broker's answer has come."""
        f = self.asked.pop(packet.id, None)
        options = self.known.get(f)
        if f is not None and len(packet.codes) != 1 and (kind != _UNSUBACK or self._client._five):
            raise codec.Malformed(0x82, "expected one code for one filter, got %d" % len(packet.codes))
        if options is not None:
            if kind == _UNSUBACK:
                if options == _GONE:
                    self.drop(f)
            elif packet.codes[0] >= 0x80:
                from coldframe.mqtt.reasons import told

                log.error(
                    "the broker refused the subscription to %s: %s",
                    f,
                    told(packet, 5 if self._client._five else 4),
                )
                self.drop(f)
            elif options != _GONE:
                self.known[f] = options & _OPTIONS | _GRANTED | packet.codes[0] << 8
        self._client._connection.answered()
        wake_all(self._client._turn)

    def drop(self, filter):
        """The broker does not have this subscription."""
        del self.known[filter]
        self.drop_route(filter, None)

    def add_route(self, filter, callback):
        """Have a callback called for the messages of a filter instead of on_message."""
        self.routes.append((filter, callback))
        self._client._route = self.route

    def drop_route(self, filter, callback):
        """The opposite; callback None: all of the filter's. True when the filter has no callback left."""
        self.routes = [r for r in self.routes if r[0] != filter or callback is not None and r[1] != callback]
        if not self.routes:
            self._client._route = None
        for r in self.routes:
            if r[0] == filter:
                return False
        return True

    def route(self, topic, payload, retained):
        """What the client calls for each message while filters have callbacks of their own.

        Returns True when the client is to read no further for the time being.
        """
        client = self._client
        taken = False
        for filter, callback in self.routes:
            if codec.match(filter, topic):
                taken = True
                try:
                    callback(topic, payload, retained)
                except Exception as er:
                    log.exception("callback for %s, topic %s", filter, topic, exc_info=er)
        if not taken and client.on_message is not None:
            client.on_message(topic, payload, retained)
        return client._paused != 0

    async def tell(self, filter, what):
        """Tell the broker, and wait until it has answered or the connection is gone."""
        client = self._client
        if client._live:
            self.unasked.append(filter)
            client._pump()
            while client._live and self.known.get(filter) == what:
                yield wait(client)


def wait(client):
    """``yield`` this to wait until something has changed."""
    client._turn.push(core.cur_task)
    core.cur_task.data = client._turn  # where asyncio, to cancel the task, calls remove()


def subs(client):
    """The Subs of a client, made when it is first asked for."""
    if client._subs is None:
        client._subs = Subs(client)
    return client._subs


async def subscribe(client, filter, qos, callback, options):
    """See Client.subscribe()."""
    if qos != 0 and qos != 1 and qos != 2:
        raise ValueError("%s: expected QoS 0 to 2, got %r" % (filter, qos))
    # Raises when invalid.
    size = codec.subscribe(bytearray(len(filter.encode()) + 13), 1, filter, qos | options, b"")
    if client._five and client._live:
        client._five.check_filter(filter, size)
    s = subs(client)
    s.known[filter] = qos | options
    if callback is not None:
        s.drop_route(filter, None)
        s.add_route(filter, callback)
    await s.tell(filter, qos | options)
    got = s.known.get(filter)
    if got is None:
        raise MQTTError("the broker refused the subscription to " + filter)
    return got >> 8 if got & _GRANTED else None


async def unsubscribe(client, filter):
    """See Client.unsubscribe()."""
    s = subs(client)
    if filter in s.known:
        s.known[filter] = _GONE
        s.drop_route(filter, None)
        await s.tell(filter, _GONE)
