"""Numbered messages both ways between a node and a peer, through a proxy that does harm by a seeded plan."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from host.brokers import Broker, Message, Peer
from host.mqttnode import MqttNode
from host.proxy import Proxy
from host.witness import Witness

_NODE = Path(__file__).parent / "scripts" / "mqtt_traffic.py"
# Messages of the peer that the broker has not acknowledged yet, at most: paho sends all of them again after a
# reconnect, and mosquitto throws out who sends more than 20 of QoS 2.
_UNDER_WAY = 16


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong; ``name`` says what, ``seconds`` how long, ``n`` how much."""

    name: str
    seconds: float = 0.0
    n: int = 0

    def __str__(self) -> str:
        return f"{self.name} {self.n or ''} {self.seconds:.1f} s"


#: What a plan draws from: name -> (seconds from, to), (n from, to)
KINDS: dict[str, tuple[tuple[float, float], tuple[int, int]]] = {
    "cut": ((0, 0), (0, 0)),
    "stall": ((0.5, 3), (0, 0)),
    "truncate up": ((0, 0), (1, 400)),
    "truncate down": ((0, 0), (1, 400)),
    "delay": ((1, 3), (100, 800)),  # ms
    "slow": ((2, 4), (300, 300)),  # bytes/s
    "refuse": ((0.1, 1), (0, 0)),
    "take away": ((0.5, 3), (0, 0)),
    "restart": ((0, 0), (0, 0)),
}


def plan(seed: int, count: int, kinds: Iterable[str] = KINDS) -> list[Fault]:
    """``count`` faults: each kind as often as the others, in an order and with lengths that the seed decides."""
    chance = random.Random(seed)
    names = [name for _, name in zip(range(count), _cycle(list(kinds)), strict=False)]
    chance.shuffle(names)
    return [
        Fault(name, round(chance.uniform(*KINDS[name][0]), 2), chance.randint(*KINDS[name][1]))
        for name in names
    ]


def inflict(fault: Fault, proxy: Proxy, broker: Broker) -> None:
    """Let it happen, and end it when its time is over."""
    match fault.name:
        case "cut":
            proxy.cut()
        case "stall":
            proxy.stall()
        case "truncate up" | "truncate down":
            proxy.truncate(fault.name.split()[1], fault.n)
        case "delay":
            proxy.delay = fault.n / 1000
        case "slow":
            proxy.rate = fault.n
        case "refuse":
            proxy.refuse()
        case "take away":
            proxy.take_away()
        case "restart":
            broker.stop()
            broker.start()
    time.sleep(fault.seconds)  # how long it lasts is what it is
    if not fault.name.startswith("truncate"):
        proxy.heal()


class Traffic:
    """Rounds of ``n`` messages of each QoS in ``qos`` each way. The node goes through the proxy, the peer does not.

    Args:
        broker: a running one.
        tasks: how many tasks of the node publish at once; 0 publishes without waiting for each message.
        rate: messages a second of each QoS and way, at most; None: as fast as it goes.
        every: seconds from one look at the node to the next; each costs it a collection of its heap.
        command: the image and its options; the 64-bit unix image when empty.
        settings: for the node's client.
    """

    def __init__(
        self,
        broker: Broker,
        n: int,
        qos: Sequence[int] = (1, 2),
        *,
        tasks: int = 8,
        rate: float | None = None,
        every: float = 0.05,
        command: Sequence[str | Path] = (),
        **settings: object,
    ) -> None:
        self.n = n
        self.qos = qos
        self.broker = broker
        self.proxy = Proxy(broker.port)
        version = settings.get("version", 4)
        assert isinstance(version, int)
        self._witness = Witness(version)
        self.proxy.tap = self._witness.hear
        # Between broker and peer nothing goes wrong but what the broker's restarts do.
        self._peer_witness = Witness()
        self._peer_proxy = Proxy(broker.port)
        self._peer_proxy.tap = self._peer_witness.hear
        self.round = 0
        self.came = {
            q: bytearray(n) for q in qos
        }  # number -> how often it has come from the node in this round
        self.late = dict.fromkeys(qos, 0)  # how many of earlier rounds came from the node
        self.states: list[dict] = []
        self._rate = rate
        self._every = every
        self._limit = 0
        self._came = 0
        self._node_got = 0
        self._ended = threading.Event()
        self._feeder: threading.Thread | None = None
        self._fed = self._acknowledged = 0  # the one is counted by the feeder, the other in paho's thread
        self.peer = Peer(
            self._peer_proxy.port,
            [f"traffic/out{q}" for q in qos],
            client_id="peer",  # not one that begins as the node's does: aedes' store would mix up their queues
            qos=max(qos),
            sink=self._arrived,
            user=broker.login,
        )
        self.peer.client.on_publish = self._on_publish
        if broker.login:
            settings.update(user=broker.login[0], password=broker.login[1])
        pause = int(1000 * max(tasks, 1) / rate) if rate else 0
        settings.update(n=n, qos=list(qos), tasks=tasks, pause=pause)
        self.node = MqttNode(self.proxy.port, "traffic", script=_NODE, command=command, **settings)

    def start(self, part: float = 1) -> None:
        """Begin a round, of which ``part`` is allowed at once."""
        self.round += 1
        for count in self.came.values():
            count[:] = bytes(self.n)
        self._came = self._node_got = 0
        self.late = dict.fromkeys(self.qos, 0)
        self._witness.forget()
        self._peer_witness.forget()
        self.allow(part)
        self.node.ask("go", self.round, answer="GOING")
        self._feeder = threading.Thread(target=self._feed, args=(self.round,), daemon=True)
        self._feeder.start()

    def allow(self, part: float) -> None:
        """Let all senders go on up to that part of the round."""
        self._limit = min(math.ceil(part * self.n), self.n)
        self.node.tell("limit", self._limit)

    def state(self) -> dict:
        """What the node says of itself now."""
        line = self.node.ask("state", answer="STATE")
        got = json.loads(line.removeprefix("STATE "))
        self._node_got = sum(got["received"].values())
        self.states.append(got)
        return got

    def progress(self) -> float:
        """How much of the round has arrived, 0 to 1."""
        self.state()
        return (self._node_got + self._came) / (2 * self.n * len(self.qos))

    def run(
        self,
        faults: Sequence[Fault],
        deadline: float,
        say: Callable[[str], None] = print,
        *,
        settle: float | None = None,
    ) -> None:
        """A round: spread the faults evenly over the traffic, and wait until all messages are there.

        So that none hits the calm after the last message, the senders wait for the faults: each happens with one
        to two shares of the messages (there is one share more than faults) still to arrive.

        AssertionError: not after ``deadline`` seconds. With ``settle``, for brokers that lose messages, it also goes
        on when none has arrived for that many seconds, and is over when the node has been told that all of its
        messages are there.
        """
        since = time.monotonic()
        share = 1 / (len(faults) + 1)
        self.start(2 * share)
        reached, quiet = 0.0, since

        def at(wanted: float) -> bool:
            nonlocal reached, quiet
            if (now := self.progress()) != reached:
                reached, quiet = now, time.monotonic()
            return reached >= wanted or settle is not None and time.monotonic() - quiet > settle

        def over() -> bool:
            sent = sum(self.states[-1]["sent"].values()) if self.states else 0
            return self.complete() or at(2) and sent >= self.n * len(self.qos)

        for i, fault in enumerate(faults):
            # Each in its turn, and none before something has come through again after the one before.
            wanted = max((i + 0.5) * share, reached + 1e-6)
            self._wait(lambda w=wanted: at(w), f"{wanted:.1%} of the messages", since + deadline)
            inflict(fault, self.proxy, self.broker)
            self.allow((i + 3) * share)
            reached, quiet = self.progress(), time.monotonic()
            say(f"{time.monotonic() - since:6.1f} s {reached:7.2%}  {fault}")
        self._wait(over, "all messages", since + deadline)
        say(f"{time.monotonic() - since:6.1f} s complete; {self}")

    def complete(self) -> bool:
        """All messages have arrived, and all publishers know."""
        state = self.state()
        whole = self.n * len(self.qos)
        return self._came >= whole and self._node_got >= whole and sum(state["sent"].values()) >= whole

    def lost(self, qos: int) -> int:
        """Messages of that QoS in this round, both ways, that have not arrived."""
        return self.came[qos].count(0) + self.n - self.states[-1]["received"][str(qos)]

    def doubled(self, qos: int) -> tuple[int, int]:
        """How many messages of that QoS came again: from the node, to the node."""
        last = self.states[-1]
        out = sum(max(0, k - 1) for k in self.came[qos]) + self.late[qos]
        return out, last["again"][str(qos)] + last["late"][str(qos)]

    def blame(self, who: str) -> list[str]:
        """The messages that the "node", the "broker" or the "peer" has lost, or doubled although their QoS is 2.

        A message is lost by the last one that has said to have it, or else by the one that should have sent it; it is
        doubled by the first one that has sent it as a new one, or else by the one that got it.
        """
        line = self.node.ask("seen", answer="SEEN")
        seen = {q: bytes.fromhex(word) for q, word in zip(self.qos, line.split()[1:], strict=True)}
        found = []
        for way, counts in (("up", self.came), ("down", seen)):
            # Who sends the message, over which two links, as each witness calls the direction, and who gets it.
            if way == "up":
                names = ("node", "broker", "peer")
                links = ((self._witness, "up"), (self._peer_witness, "down"))
            else:
                names = ("peer", "broker", "node")
                links = ((self._peer_witness, "up"), (self._witness, "down"))
            for q in self.qos:
                for i, count in enumerate(counts[q]):
                    key = q, f"{self.round}.{i}".encode()
                    if count == 0:
                        passed = [witness.settled(direction, key) for witness, direction in links]
                        guilty = names[2 if passed[1] else 1 if passed[0] else 0]
                    elif count > 1 and q == 2:
                        anew = [witness.sent_anew(direction, key) for witness, direction in links]
                        guilty = names[0 if anew[0] else 1 if anew[1] else 2]
                    else:
                        continue
                    if guilty == who:
                        found.append(f"{way}, QoS {q}, number {i}: came {count} times")
        return found

    def close(self) -> None:
        self._ended.set()
        self.node.kill()
        self.peer.close()
        self._peer_proxy.close()
        self.proxy.close()

    def __str__(self) -> str:
        words = [f"QoS {q}: {self.lost(q)} lost, {self.doubled(q)} doubled" for q in self.qos if self.states]
        said = [line for line in self.node.lines if not line.startswith("STATE")]
        return f"{', '.join(words)}; {self.states[-1:]}; the node said:\n" + "\n".join(said[-8:])

    def _wait(self, condition: Callable[[], object], what: str, end: float) -> None:
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}: {self}"
            self._ended.wait(self._every)

    def _arrived(self, message: Message) -> None:
        qos = int(message.topic[-1])
        turn, i = map(int, message.payload.split(b"."))
        if turn != self.round:
            self.late[qos] += 1
            return
        count = self.came[qos]
        if count[i] == 0:
            self._came += 1
        count[i] = min(count[i] + 1, 255)

    def _on_publish(self, *_: object) -> None:
        self._acknowledged += 1

    def _feed(self, turn: int) -> None:
        begun = time.monotonic()
        for i in range(self.n):
            for q in self.qos:
                while (
                    i >= self._limit
                    or self._fed - self._acknowledged >= _UNDER_WAY
                    or (self._rate and i > (time.monotonic() - begun) * self._rate)
                ):
                    if self._ended.wait(0.002):
                        return
                self._fed += 1
                self.peer.client.publish(f"traffic/in{q}", f"{turn}.{i}", q)


def _cycle(names: list[str]) -> Iterable[str]:
    while True:
        yield from names
