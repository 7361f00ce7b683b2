"""MQTT over TLS, on the unix image, against mosquitto: which certificates are trusted, what is said of the others."""

from __future__ import annotations

import socket
import time

import pytest
from host.brokers import Mosquitto, Peer, free_port, until
from host.certificates import Authority, Certificate
from host.mqttnode import MqttNode
from host.proxy import Proxy
from host.simboards import boards

NAMES = ("DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def ca(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "ca")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger") / "ca")


@pytest.fixture
def serve(tmp_path):
    """Start mosquittos that have a second listener with a certificate."""
    started = []

    def start(certificate: Certificate, *lines: str) -> TlsMosquitto:
        started.append(TlsMosquitto(tmp_path / f"broker{len(started)}", certificate, *lines))
        started[-1].start()
        return started[-1]

    yield start
    for broker in started:
        broker.stop()


class TlsMosquitto(Mosquitto):
    """With TLS on ``tls_port`` beside the plain ``port``."""

    def __init__(self, folder, certificate: Certificate, *lines: str) -> None:
        super().__init__(folder)
        self.tls_port = free_port()
        with (folder / "mosquitto.conf").open("a") as config:
            config.write(f"listener {self.tls_port} 127.0.0.1\n")
            config.write(f"certfile {certificate.pem}\nkeyfile {certificate.key}\n")
            config.write("".join(f"{line}\n" for line in lines))


def node(port: int, name: str = "localhost", **tls: object) -> MqttNode:
    return MqttNode(port, host=name, tls={key: str(value) for key, value in tls.items()})


@pytest.mark.parametrize("form", ["der", "pem"])
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_broker_with_a_certificate_of_our_ca(ca, serve, closing, form, name):
    broker = serve(ca.issue("broker", *NAMES))
    peer = closing(Peer(broker.port, ["out"]))
    n = closing(node(broker.tls_port, name, ca=getattr(ca, form)))
    n.subscribe("in", 1)
    for size in (
        1,
        900,
        5000,
        70000,
    ):  # more than a record of mbedtls, and more than the socket takes at once
        n.tell("pub", "out", "x" * size, 1)
        peer.wait_for("out", "x" * size)
    for i in range(300):
        peer.client.publish("in", f"{i} " * 20, 1)
    for i in range(300):
        n.wait_for(f"MSG in {len(f'{i} ' * 20)}" if len(f"{i} " * 20) >= 50 else f"MSG in b'{i} ")
    until(lambda: n.count("MSG in") == 300, "300 messages")
    assert n.count("not checked") == 0


def test_rsa_certificate(ca, serve, closing):
    broker = serve(ca.issue("broker", *NAMES, rsa=True))
    closing(node(broker.tls_port, ca=ca.der)).wait_for("UP")


def test_records_that_hold_many_packets_and_packets_in_many_records(ca, serve, closing):
    # What is decrypted but not yet read must not wait for the next byte on the wire.
    broker = serve(ca.issue("broker", *NAMES))
    peer = closing(Peer(broker.port))
    proxy = closing(Proxy(broker.tls_port))
    n = closing(node(proxy.port, ca=ca.der))
    n.subscribe("in", 0)
    for _ in range(30):
        for i in range(100):
            peer.client.publish("in", "x" * (10 * i), 0)
    peer.publish("in", "last", 0)
    n.wait_for("MSG in b'last'")
    assert n.count("MSG in") == 3001


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("unknown CA", "it is not signed by the CA given in tls.ca"),
        ("wrong name", "it is not for localhost"),
        ("expired", "it has expired, or the clock is wrong"),
        ("not yet valid", "it is not valid yet, or the clock is wrong"),
    ],
)
def test_certificate_that_is_wrong_is_refused_with_the_reason(ca, stranger, serve, closing, what, said):
    certificate = {
        "unknown CA": lambda: stranger.issue("broker", *NAMES),
        "wrong name": lambda: ca.issue("broker", "DNS:other.example", "IP:127.0.0.2"),
        "expired": lambda: ca.issue("broker", *NAMES, starts=-9, ends=-2),
        "not yet valid": lambda: ca.issue("broker", *NAMES, starts=2, ends=9),
    }[what]()
    broker = serve(certificate)
    n = closing(node(broker.tls_port, ca=ca.der))
    line = n.wait_for("trying on")
    assert f"TLS: the broker's certificate is refused: {said}" in line
    reasons = ("not signed", "not for", "expired", "not valid yet")
    assert [reason in line for reason in reasons] == [reason in said for reason in reasons]
    until(lambda: broker.log.count("New connection") > 2, "another attempt")
    assert n.count("trying on") == 1  # told once
    assert n.count("UP") == 0


def test_name_can_be_given(ca, serve, closing):
    broker = serve(ca.issue("broker", "DNS:broker.example"))
    closing(node(broker.tls_port, ca=ca.der, server_name="broker.example")).wait_for("UP")
    wrong = closing(node(broker.tls_port, ca=ca.der, server_name="broker.example.org"))
    wrong.wait_for("it is not for broker.example.org")


def test_without_a_ca_nothing_is_checked_and_that_is_said_once(stranger, serve, closing):
    broker = serve(stranger.issue("nobody", starts=-9, ends=-2))
    n = closing(node(broker.tls_port))
    n.wait_for("no CA given (tls.ca): the broker's certificate is not checked")
    n.wait_for("UP")
    broker.stop()
    n.wait_for("DOWN")
    broker.start()
    until(lambda: n.count("UP") == 2, "the node to come back")
    assert n.count("not checked") == 1


@pytest.mark.parametrize("form", ["pem", "der"])
def test_client_certificate(ca, serve, closing, form):
    broker = serve(ca.issue("broker", *NAMES), f"cafile {ca.pem}", "require_certificate true")
    own = ca.issue("device")
    cert, key = (own.pem, own.key) if form == "pem" else (own.der, own.key_der)
    n = closing(node(broker.tls_port, ca=ca.der, cert=cert, key=key))
    n.wait_for("UP")
    without = closing(node(broker.tls_port, ca=ca.der))
    line = without.wait_for("trying on")
    assert "does it want a client certificate?" in line or "it may want a client certificate" in line


def test_files_that_are_wrong(ca, tmp_path, closing):
    (tmp_path / "text").write_text("no certificate")
    (tmp_path / "locked").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    own = ca.issue("device")
    for tls, said in (
        ({"ca": tmp_path / "nowhere"}, f"tls.ca: {tmp_path}/nowhere: no such file"),
        ({"ca": tmp_path / "text"}, "tls: invalid cert (in ca): expected DER or PEM"),
        ({"ca": own.key}, "tls.ca: expected a certificate, there is none in it"),
        ({"ca": ca.der, "cert": own.pem, "key": own.pem}, "tls.key: expected a private key, there is none in it"),
        ({"ca": ca.der, "cert": own.pem, "key": ca.der}, "tls: invalid key (in cert or key): expected DER or PEM"),
        ({"ca": ca.der, "cert": own.pem, "key": tmp_path / "locked"}, "expected a key without a passphrase"),
    ):  # fmt: skip
        n = closing(node(1, **tls))
        assert said in n.wait_for("trying on")


def test_port_that_speaks_no_tls(broker, ca, closing):
    n = closing(node(broker.port, ca=ca.der))
    assert "is it TLS that is spoken at this port" in n.wait_for("trying on")


def test_server_that_says_nothing_in_the_handshake_is_given_up(ca, closing):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        n = closing(MqttNode(deaf.getsockname()[1], tls={"ca": str(ca.der)}, response_time=1))
        since = time.monotonic()
        n.wait_for("trying on", 5)
        assert time.monotonic() - since < 4
        assert n.ask("state", answer="STATE").startswith("STATE False")


def test_handshake_that_is_cut_anywhere_is_tried_again(ca, serve, closing):
    broker = serve(ca.issue("broker", *NAMES))
    for limit in (0, 3, 40, 200, 400):
        passed = {"up": 0, "down": 0}
        proxy = closing(Proxy(broker.tls_port))

        def cut(way, data, passed=passed, limit=limit):
            passed[way] += len(data)
            return data if passed[way] <= limit else b""

        proxy.damage = cut
        n = closing(MqttNode(proxy.port, f"n{limit}", tls={"ca": str(ca.der)}, response_time=1))
        n.wait_for("trying on")
        proxy.damage = None
        n.wait_for("UP")
        assert n.count("Traceback") == 0


def test_noise_instead_of_a_handshake(ca, serve, closing):
    broker = serve(ca.issue("broker", *NAMES))
    proxy = closing(Proxy(broker.tls_port))
    proxy.damage = lambda way, data: bytes(b ^ 0x55 for b in data) if way == "down" else data
    n = closing(node(proxy.port, ca=ca.der))
    assert "not TLS" in n.wait_for("trying on")
    proxy.damage = None
    n.wait_for("UP")
    assert n.count("Traceback") == 0


def test_link_that_is_lost_comes_back(ca, serve, closing):
    broker = serve(ca.issue("broker", *NAMES))
    peer = closing(Peer(broker.port, ["out"]))
    proxy = closing(Proxy(broker.tls_port))
    n = closing(MqttNode(proxy.port, tls={"ca": str(ca.der)}, response_time=2))
    for i in range(5):
        n.wait_for("UP")
        until(lambda i=i: n.count("UP") == i + 1, "the node to be up")
        n.ask("pub", "out", f"{i}", 1, answer="DONE")
        if i % 2:
            proxy.cut()
        else:
            proxy.damage = lambda way, data: bytes(b ^ 1 for b in data)
            n.tell("pub", "out", f"again {i}", 1)
            until(lambda i=i: n.count("DOWN") == i + 1, "the damage to be noticed")
            proxy.damage = None
            proxy.cut()
        until(lambda i=i: n.count("DOWN") == i + 1, "the loss to be noticed")
    for i in range(5):
        peer.wait_for("out", f"{i}")
    assert n.count("Traceback") == 0


NODE = """
import asyncio, time
from coldframe.mqtt import Client, Tls

async def main():
    client = Client(Tls("localhost", %d, ca="/ca.der"), "n", on_up=lambda: print("UP", time.gmtime()[:3]))
    await client.connect(6)
    print("IS UP", client.up.is_set(), "YEAR", time.gmtime()[0])

asyncio.run(main())
"""


@pytest.fixture
def make_board(tmp_path):
    yield from boards(tmp_path)


@pytest.mark.parametrize("ours", [True, False], ids=["our CA", "another CA"])
def test_clock_that_is_not_set_begins_with_the_certificate(ca, stranger, serve, make_board, ours):
    broker = serve((ca if ours else stranger).issue("broker", *NAMES))
    board = make_board(NODE % broker.tls_port)
    board.put("ca.der", ca.der.read_bytes())
    board.world(clock="unset")
    board.start()
    if ours:
        board.wait_for("the clock was not set; the broker's certificate sets it to 20", 10)
        board.wait_for("IS UP True", 10)
    else:
        # What a stranger says of the date does not count.
        board.wait_for("not signed by the CA", 10)
        board.wait_for("IS UP False YEAR 2021", 10)
