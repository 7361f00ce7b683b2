"""A paho-mqtt client, the other side of a conversation with the firmware's client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import paho.mqtt.client as paho
from host.brokers.base import DEADLINE, until
from paho.mqtt.enums import CallbackAPIVersion


@dataclass(frozen=True)
class Message:
    """What a Peer has received."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Peer:
    """A paho client that connects again by itself and remembers what it has received.

    Args:
        filters: what it subscribes to, with ``qos``.
        client_id: with one, it has a session that outlives its connections.
        user: name and password.
        sink: called with each message, in paho's thread, which is not remembered then.
        version: 4 for MQTT 3.1.1, or 5.
    """

    def __init__(
        self,
        port: int,
        filters: Iterable[str] = (),
        *,
        client_id: str = "",
        user: tuple[str, str] | None = None,
        qos: int = 1,
        sink: Callable[[Message], None] | None = None,
        version: int = 4,
    ) -> None:
        self.messages: list[Message] = []
        self._filters = list(filters)
        self._ready = threading.Event()
        self._qos = qos
        self._sink = sink
        self._granted = 0
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if version == 5 else paho.MQTTv311,
            clean_session=not client_id if version == 4 else None,
        )
        self.client.reconnect_delay_set(1, 1)
        if user:
            self.client.username_pw_set(*user)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_disconnect = lambda *_: self._ready.clear()
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it is connected and has its subscriptions."""
        assert self._ready.wait(DEADLINE), "the peer could not connect and subscribe"

    def publish(self, topic: str, payload: bytes | str, qos: int = 1, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        self.client.publish(topic, payload, qos, retain).wait_for_publish(DEADLINE)

    def payloads(self, topic: str) -> list[bytes]:
        """The payloads received under ``topic``, in order."""
        return [m.payload for m in self.messages if m.topic == topic]

    def wait_for(self, topic: str, payload: bytes | str, deadline: float = DEADLINE) -> Message:
        """Wait for a message; those that came before count, too."""
        wanted = payload.encode() if isinstance(payload, str) else payload

        def found() -> list[Message]:
            return [m for m in self.messages if m.topic == topic and m.payload == wanted]

        until(found, f"{payload!r} under {topic}; got {self.messages[-5:]}", deadline)
        return found()[0]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, client, _userdata, _flags, _code, _properties) -> None:
        self._granted = 0
        for f in self._filters:
            client.subscribe(f, self._qos)
        if not self._filters:
            self._ready.set()

    def _on_subscribe(self, *_args) -> None:
        self._granted += 1
        if self._granted == len(self._filters):
            self._ready.set()

    def _on_message(self, _client, _userdata, message) -> None:
        got = Message(message.topic, message.payload, message.qos, message.retain)
        if self._sink is None:
            self.messages.append(got)
        else:
            self._sink(got)
