"""The connection to the broker: one for everything, kept up in a thread of its own.

    with Link(profile) as link:
        stop = link.listen("coldframe/+/available", lambda topic, payload, retained: ...)
        link.publish("coldframe/a1b2/SYSINFO_", b"")

The broker keeps what is under way while the connection is cut (a persistent session with a random name, deleted
again at the end). All methods may be called from any thread.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from .errors import BrokerError, CliError
from .profiles import Broker, Profile

Callback = Callable[[str, bytes, bool], None]

_KEEPALIVE = 10  # s; a connection that has died without a word is noticed after up to twice that
_RECONNECT = (0.2, 5.0)  # s, the shortest and the longest wait before the next attempt
_CONNECT_TIMEOUT = 5.0  # s for one broker
_GOODBYE = 3.0  # s


class Link:
    """A connection to the first of ``profile.brokers`` that answers; it comes back by itself.

    Args:
        name: the beginning of the MQTT client identifier, which is random otherwise.
        lasting: the broker keeps messages for us while the connection is cut.
    """

    def __init__(self, profile: Profile, *, name: str = "coldframe-cli", lasting: bool = True) -> None:
        self.profile = profile
        self.drops = 0  # connections lost so far
        self._lasting = lasting
        self.client_id = f"{name}-{secrets.token_hex(4)}"  # 23 characters at most, as every broker takes them
        self._up = threading.Event()
        self._changed = threading.Condition()
        self._failures: dict[Broker, str] = {}
        self._refused = ""
        self._listeners: dict[str, list[Callback]] = {}
        self._lock = threading.RLock()
        self._asked: set[int] = set()  # subscriptions that the broker has not answered
        self._closed = False
        self._turn = 0
        self._broker: Broker | None = None
        self._client = _Client(self._next_broker, client_id=self.client_id, clean_session=not lasting)
        self._set_up(self._client)
        self._client.max_inflight_messages_set(1000)
        self._client.max_queued_messages_set(0)
        self._client.on_socket_open = _no_delay
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe

    def __enter__(self) -> Link:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """True while there is a connection to a broker."""
        return self._up.is_set()

    @property
    def broker(self) -> str:
        """The broker that is being talked to, for people; or all of them, before there is one."""
        if self._broker:
            return str(self._broker)
        return ", ".join(map(str, self.profile.brokers))

    def connect(self, timeout: float = 10.0) -> None:
        """Connect, and wait until it is done.

        Raises BrokerError once each broker of the list has failed, or none has answered for ``timeout`` s.
        """
        self._client.start()
        with self._changed:
            self._changed.wait_for(self._settled, timeout)
        if not self._up.is_set():
            reasons = [f"{broker}: {why}" for broker, why in self._failures.items()]
            self.close()
            raise BrokerError(
                "broker " + ("; ".join(reasons) or f"{self.broker}: no answer in {timeout:g} s")
            )

    def wait(self, timeout: float) -> bool:
        """Wait until it is connected, at most ``timeout`` s. Returns whether it is."""
        return self._up.wait(timeout)

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> paho.MQTTMessageInfo:
        """Send a message, at once or as soon as there is a connection; does not wait for the broker.

        ``.wait_for_publish(s)`` of what is returned waits.
        """
        return self._client.publish(topic, payload, qos, retain)

    def listen(self, topic_filter: str, callback: Callback) -> Callable[[], None]:
        """Subscribe, QoS 1. ``callback(topic, payload, retained)`` is called in the connection's thread: it may
        publish, but must not wait. Returns a function that ends it.
        """
        _check(topic_filter)
        with self._lock:
            known = topic_filter in self._listeners
            self._listeners[topic_filter] = [*self._listeners.get(topic_filter, ()), callback]
            up = self._up.is_set()  # else _on_connect subscribes
        if not known:
            self._client.message_callback_add(_matching(topic_filter), self._dispatch(topic_filter))
        if up:  # even if it is known: whoever is new wants the retained messages, too
            self._subscribe([(topic_filter, 1)])
        stopped = False

        def stop() -> None:
            nonlocal stopped
            with self._lock:
                if stopped:
                    return
                stopped = True
                left = [c for c in self._listeners[topic_filter] if c is not callback]
                self._listeners[topic_filter] = left
                if left:
                    return
                del self._listeners[topic_filter]
            self._client.message_callback_remove(_matching(topic_filter))
            if self._up.is_set():
                self._client.unsubscribe(topic_filter)

        return stop

    def close(self) -> None:
        """Disconnect and have the broker forget us. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        known = self._broker
        up = self._up.is_set()
        self._client.end()
        if up and known and self._lasting:
            self._forget(known)

    def _settled(self) -> bool:
        return self._up.is_set() or bool(self._refused) or len(self._failures) == len(self.profile.brokers)

    def _set_up(self, client: paho.Client) -> None:
        profile = self.profile
        client.connect_timeout = _CONNECT_TIMEOUT
        client.reconnect_delay_set(*_RECONNECT)
        if profile.user is not None:
            client.username_pw_set(profile.user, profile.password)
        if profile.brokers[0].tls:
            try:
                context = ssl.create_default_context(cafile=profile.ca)
                if profile.cert:
                    context.load_cert_chain(profile.cert, profile.cert_key)
            except (OSError, ssl.SSLError) as error:
                files = ", ".join(f for f in (profile.ca, profile.cert, profile.cert_key) if f)
                raise CliError(f"TLS files {files}: {getattr(error, 'strerror', None) or error}") from None
            client.tls_set_context(context)

    def _next_broker(self) -> Broker:
        broker = self.profile.brokers[self._turn % len(self.profile.brokers)]
        self._turn += 1
        self._broker = broker
        return broker

    def _dispatch(self, topic_filter: str) -> Callable:
        def called(_client: object, _userdata: object, message: paho.MQTTMessage) -> None:
            for callback in self._listeners.get(topic_filter, ()):
                callback(message.topic, message.payload, message.retain)

        return called

    def _on_connect(self, client, _userdata, _flags, reason, _properties) -> None:
        if reason.is_failure:
            self._failed(_refusal(reason))
            return
        self._turn -= 1  # the same broker again, should it only be a cut
        with self._lock:
            filters = [(topic_filter, 1) for topic_filter in self._listeners]
            # Again even where the broker has kept the session: one that has restarted may have lost it half.
            for start in range(0, len(filters), 50):
                self._subscribe(filters[start : start + 50])
            self._up.set()
        with self._changed:
            self._failures.clear()
            self._changed.notify_all()

    def _on_connect_fail(self, *_: object) -> None:
        self._failed(self._client.why)

    def _failed(self, why: str) -> None:
        with self._changed:
            if self._broker and not self._up.is_set():
                self._failures[self._broker] = why
            self._changed.notify_all()

    def subscribed(self, timeout: float) -> bool:
        """Wait until the broker has confirmed all subscriptions, at most ``timeout`` s; it may take its time, as a
        cluster does. What it keeps (retained messages) comes at about that moment. Returns whether it has.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._asked and self._up.is_set(), timeout)

    def _subscribe(self, filters: list[tuple[str, int]]) -> None:
        with self._changed:  # the answer cannot be taken before its number is here
            number = self._client.subscribe(filters)[1]
            if number is not None:
                self._asked.add(number)

    def _on_subscribe(self, _client, _userdata, number: int, *_: object) -> None:
        with self._changed:
            self._asked.discard(number)
            self._changed.notify_all()

    def _on_disconnect(self, _client, _userdata, _flags, reason, _properties) -> None:
        with self._changed:
            self._asked.clear()
            if self._up.is_set():
                self._up.clear()
                self.drops += not self._closed
            elif self._broker and self._broker not in self._failures and not self._closed:
                self._failures[self._broker] = "the connection was closed at once"
            self._changed.notify_all()

    def _forget(self, broker: Broker) -> None:
        # MQTT 3.1.1 has one way only to end a session: a clean one under the same name.
        with contextlib.suppress(OSError, ValueError):
            client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, clean_session=True)
            self._set_up(client)
            done = threading.Event()
            client.on_connect = lambda *_: done.set()
            client.connect(broker.host, broker.port, _KEEPALIVE)
            deadline = time.monotonic() + _GOODBYE
            while not done.is_set() and time.monotonic() < deadline and not client.loop(0.2):
                pass
            client.disconnect()


class _Client(paho.Client):
    """paho's client, taking another broker for each attempt."""

    def __init__(self, next_broker: Callable[[], Broker], **options: object) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self.why = "no answer"
        self._next_broker = next_broker
        self._ending = False

    def start(self) -> None:
        broker = self._next_broker()
        self._first: Broker | None = broker
        self.connect_async(broker.host, broker.port, _KEEPALIVE)
        self.loop_start()

    def end(self) -> None:
        self._ending = True
        self.disconnect()
        # It waits for its thread, which waits for a broker that may have stopped reading.
        stopper = threading.Thread(target=self.loop_stop, daemon=True)
        stopper.start()
        stopper.join(_GOODBYE)

    def reconnect(self) -> paho.MQTTErrorCode:
        broker, self._first = self._first or self._next_broker(), None
        if self._ending:
            raise OSError("it was closed")
        self.connect_async(broker.host, broker.port, _KEEPALIVE)
        try:
            return super().reconnect()
        except OSError as error:
            self.why = _why(error)
            raise


def _no_delay(_client: object, _userdata: object, sock: socket.socket) -> None:
    # Short messages at once: waiting for more costs up to 40 ms a message.
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, TimeoutError):
        return "no answer"
    return (error.strerror or str(error)).lower()


def _refusal(reason: object) -> str:
    # paho gives the reason codes of MQTT 5 for the return codes of 3.1.1.
    text = str(reason)
    return {
        "Bad user name or password": "wrong user name or password",
        "Not authorized": "not authorised: expected another user name or password",
        "Unsupported protocol version": "it does not speak MQTT 3.1.1",
    }.get(text, text.lower())


def _check(topic_filter: str) -> None:
    """Raise CliError for what no broker takes as a topic filter (MQTT 3.1.1, 4.7): it would end the connection."""
    levels = topic_filter.split("/")
    if (
        not topic_filter
        or "\0" in topic_filter
        or any(level not in ("+", "#") and ("+" in level or "#" in level) for level in levels)
        or "#" in levels[:-1]
    ):
        raise CliError(
            f"topic {topic_filter!r}: expected whole levels for the wildcards + and #, and # at the end only"
        )


def _matching(topic_filter: str) -> str:
    """What the messages' topics match: those of a shared subscription come without $share/GROUP/."""
    return topic_filter.split("/", 2)[2] if topic_filter.startswith("$share/") else topic_filter
