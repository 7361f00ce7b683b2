"""Fixtures that several files of host tests use."""

from __future__ import annotations

import pytest
from host.brokers import Mosquitto, Peer


@pytest.fixture
def broker(tmp_path):
    """A real mosquitto on a free port."""
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop()


@pytest.fixture
def peer(broker):
    """Somebody who hears everything on that broker."""
    peer = Peer(broker.port, ["#"])
    yield peer
    peer.close()


@pytest.fixture
def closing():
    """Things to be closed or killed after the test, newest first."""
    things: list = []

    def later(thing):
        things.append(thing)
        return thing

    yield later
    for thing in reversed(things):
        getattr(thing, "close", None) and thing.close()
        getattr(thing, "kill", None) and thing.kill()
