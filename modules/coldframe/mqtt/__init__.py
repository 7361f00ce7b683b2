"""MQTT for devices: an asyncio client over TCP or a serial line.

from coldframe.mqtt import Client, Tcp

client = Client(Tcp("10.0.0.5"), "greenhouse")
await client.connect()
await client.publish("greenhouse/temperature", "21.5")
"""

from coldframe.mqtt.client import Client, MQTTError  # noqa: F401


def __getattr__(name):
    # A board uses one transport; the other one shall not cost it memory.
    if name == "Tcp":
        from coldframe.mqtt.transport import Tcp

        return Tcp
    if name == "Serial":
        from coldframe.mqtt.serial import Serial

        return Serial
    raise AttributeError(name)
