"""Three nodes of RabbitMQ on one machine that are one broker, as an ordinary user, apart from any service."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from host.brokers.rabbitmq import PortMapper, RabbitMQ

# A session that outlives its connection has a queue that is on a majority of the nodes, and so outlives a node as well.
# A member that has gone is looked for again soon: the tests do not want to wait a minute.
_SETTINGS = """\
mqtt.durable_queue_type = quorum
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
cluster_partition_handling = ignore
"""


class RabbitCluster:
    """RabbitMQ on several nodes: ``nodes`` are Brokers, each with a port, to be crashed and started one by one."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        self._mapper = PortMapper()
        self.nodes = [RabbitMQ(folder / f"node{i}", self._mapper) for i in range(count)]
        names = "".join(
            f"cluster_formation.classic_config.nodes.{i} = {node.node}\n"
            for i, node in enumerate(self.nodes, 1)
        )
        for node in self.nodes:
            node.configure(_SETTINGS + names)
            cookie = node.folder / ".erlang.cookie"  # its home is its folder; who has the same one may join
            cookie.write_text("coldframecoldframe")
            cookie.chmod(0o400)

    @property
    def ports(self) -> list[int]:
        """Where the nodes take MQTT connections."""
        return [node.port for node in self.nodes]

    def start(self) -> Self:
        """Start all nodes; returns once each takes connections and knows the others."""
        try:
            for node in self.nodes:
                node.start(wait=False)
            for node in self.nodes:
                node.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End all."""
        for node in self.nodes:
            node.close()
        self._mapper.close()
