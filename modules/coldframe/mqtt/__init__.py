"""MQTT for devices: an asyncio client over TCP, TLS or a serial line.

from coldframe.mqtt import Client, Tcp

client = Client(Tcp("10.0.0.5"), "greenhouse")
await client.connect()
await client.publish("greenhouse/temperature", "21.5")
"""

from coldframe.mqtt.client import Client, MQTTError  # noqa: F401


def __getattr__(name):
    # A board uses one transport; the other ones shall not cost it memory.
    if name == "Tcp":
        from coldframe.mqtt.transport import Tcp

        return Tcp
    if name == "Tls":
        try:
            from coldframe.mqtt.tls import Tls
        except ImportError:
            raise ImportError("this image has no TLS; docs/boards.md tells which one has")
        return Tls
    if name == "Serial":
        from coldframe.mqtt.serial import Serial

        return Serial
    raise AttributeError(name)
