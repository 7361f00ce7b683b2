"""Fixtures of the session tests: brokers and nodes that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conformance.node import Node
from conformance.rawbroker import RawBroker


@pytest.fixture
def things() -> Iterator[list]:
    """What is to be closed after the test, newest first."""
    found: list = []
    yield found
    for thing in reversed(found):
        thing.close()


@pytest.fixture
def make_broker(things: list) -> Callable[[int], RawBroker]:
    """Makes a broker that speaks version 4 or 5."""

    def make(version: int) -> RawBroker:
        things.append(RawBroker(version))
        return things[-1]

    return make


@pytest.fixture
def make_node(things: list) -> Callable[..., Node]:
    """Makes a node that connects to a broker: make_node(broker, client_id="node", **settings of the client)."""

    def make(*brokers: RawBroker, client_id: str = "node", **settings: Any) -> Node:
        settings.setdefault("version", brokers[0].version)
        if settings["version"] == 4:
            del settings["version"]
        things.append(Node([broker.port for broker in brokers], client_id, **settings))
        return things[-1]

    return make


@pytest.fixture(params=[4, 5], ids=["mqtt311", "mqtt5"])
def broker(request: pytest.FixtureRequest, make_broker: Callable[[int], RawBroker]) -> RawBroker:
    """A broker of each version: the test runs with both."""
    return make_broker(request.param)
