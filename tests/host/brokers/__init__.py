"""Real brokers for the tests, each started from the test, and a paho-mqtt client as the other side."""

from host.brokers.aedes import Aedes
from host.brokers.amqtt import Amqtt
from host.brokers.base import DEADLINE, Broker, free_port, until
from host.brokers.cluster import RabbitCluster
from host.brokers.mosquitto import Mosquitto
from host.brokers.peer import Message, Peer
from host.brokers.rabbitmq import RabbitMQ

ALL = {broker.name: broker for broker in (Mosquitto, RabbitMQ, Amqtt, Aedes)}

__all__ = [
    "ALL",
    "DEADLINE",
    "Aedes",
    "Amqtt",
    "Broker",
    "Message",
    "Mosquitto",
    "Peer",
    "RabbitCluster",
    "RabbitMQ",
    "free_port",
    "until",
]
