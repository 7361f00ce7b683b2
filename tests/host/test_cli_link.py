"""The command's connection and sessions: TLS, passwords, several brokers, what the broker keeps, forged hints."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from coldframe_cli import transfer
from coldframe_cli.errors import BrokerError, Incomplete, SessionLost
from coldframe_cli.link import Link
from coldframe_cli.profiles import Broker as Address
from coldframe_cli.profiles import Profile
from host.brokers import Mosquitto, Peer, until
from host.brokers.base import free_port
from host.certificates import Authority
from host.proxy import Proxy
from host.remoteboard import BASE, RemoteBoard
from host.test_mqtt_tls import TlsMosquitto
from paho.mqtt.enums import CallbackAPIVersion


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteBoard]:
    folder = tmp_path_factory.mktemp("link")
    broker = Mosquitto(folder / "broker").start()
    board = RemoteBoard(broker, folder / "node").up()
    yield board
    board.stop()
    broker.stop()


def test_tls(tmp_path: Path, closing) -> None:
    ca, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    broker = TlsMosquitto(tmp_path / "broker", ca.issue("broker", "DNS:localhost"))
    broker.start()
    closing(broker)
    profile = Profile(brokers=(Address("localhost", broker.tls_port, True),), ca=str(ca.pem))
    with Link(profile) as link:
        assert link.connected
    with pytest.raises(BrokerError, match="its certificate is not accepted: .*"):
        Link(replace(profile, ca=str(other.pem))).connect(10)
    with pytest.raises(BrokerError, match=r"its certificate is not accepted: .*127\.0\.0\.1"):
        Link(replace(profile, brokers=(Address("127.0.0.1", broker.tls_port, True),))).connect(10)


def test_passwords(tmp_path: Path, closing) -> None:
    broker = closing(Mosquitto(tmp_path / "broker", users={"me": "right"}).start())
    profile = Profile(brokers=(Address("localhost", broker.port),), user="me", password="right")
    with Link(profile) as link:
        assert link.connected
    with pytest.raises(BrokerError, match=f"localhost:{broker.port}: .*(authori|password)"):
        Link(replace(profile, password="wrong")).connect(10)


def test_the_next_broker_of_the_list_is_taken(tmp_path: Path, closing) -> None:
    first, second = (Mosquitto(tmp_path / name) for name in "ab")
    closing(first).start()
    closing(second).start()
    addresses = [Address("127.0.0.1", p) for p in (free_port(), first.port, second.port)]
    with Link(Profile(brokers=tuple(addresses))) as link:
        assert link.broker == str(addresses[1])
        heard = threading.Event()
        link.listen("hello", lambda *_: heard.set())
        first.kill()
        until(lambda: link.connected and link.broker == str(addresses[2]), "the next broker")
        peer = closing(Peer(second.port))
        until(lambda: peer.publish("hello", "x") or heard.wait(0.2), "its messages")


def test_the_broker_keeps_nothing_of_us_afterwards(board: RemoteBoard) -> None:
    with board.link() as link:
        link.listen("something", lambda *_: None)
        name = link.client_id
    present: list[bool] = []
    again = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    again.on_connect = lambda _c, _u, flags, *_: present.append(flags.session_present)
    again.connect("127.0.0.1", board.broker.port)
    until(lambda: again.loop(0.1) or present, "a connection")
    again.disconnect()
    assert present == [False]


def test_a_forged_hint_ends_nothing_and_runs_nothing_twice(board: RemoteBoard, closing) -> None:
    forger = closing(Peer(board.broker.port))
    with board.session() as session:
        topic = f"{BASE}/reply/err/{session.id}"

        def forge(data: bytes) -> None:
            if b"begun" in data:
                for code in ("session", "stale", "key", "busy", "session"):
                    forger.publish(topic, b"\xff\xff" + bytes(8) + b'{"code": "%s"}' % code.encode())

        said = bytearray()
        code = b"import time\ntry: times += 1\nexcept NameError: times = 1\nprint('begun')\n"
        code += b"for i in range(30): time.sleep_ms(100)\nprint('ended', times)"

        def on_data(data: bytes) -> None:
            said.extend(data)
            forge(data)

        told = session.call("exec", {}, code, on_data=on_data)
        assert told["ok"] and said.decode().split() == ["begun", "ended", "1"], said
        assert session.reopened == 0


def test_rubbish_under_its_topics_does_not_disturb_a_transfer(board: RemoteBoard, closing) -> None:
    forger = closing(Peer(board.broker.port))
    hint = b"\xff\xff" + bytes(8)
    rubbish = [b"", b"\xff", bytes(26), hint, hint + b"[" * 150, hint + b'{"code": ' + b"9" * 150 + b"}"]
    rubbish += [hint + b'{"code": null}', b"[" * 100_000, bytes(range(256)) * 20]

    with board.session() as session:

        def forge(_done: int, _total: int | None) -> None:
            for kind in ("out", "err", "other"):
                for data in rubbish:
                    forger.client.publish(f"{BASE}/reply/{kind}/{session.id}", data, 1)

        transfer.put(session, b"new" * 50_000, "/rubbish.bin", progress=forge)
        assert board.get("rubbish.bin") == b"new" * 50_000 and session.reopened == 0
        assert session.call("ping")["uptime"] >= 0


@pytest.mark.parametrize("number", [0, 1], ids=["in the middle", "at the end"])
def test_lost_output_is_noticed_wherever_it_was(board: RemoteBoard, number: int) -> None:
    code = b"import time\nprint('one')\nfor i in range(8): time.sleep_ms(100)\nprint('two')"
    with board.session() as session:
        session.call("ping")
        take = session._on_message

        def lossy(topic: str, payload: bytes, retained: bool) -> None:
            if topic.endswith("out/" + session.id) and int.from_bytes(payload[:2], "big") == number:
                return
            take(topic, payload, retained)

        session._stop()
        session._stop = session.link.listen(f"{BASE}/reply/+/{session.id}", lossy)
        got, lost = bytearray(), []
        told = session.call("exec", {}, code, on_data=got.extend, on_lost=lost.append)
        assert told["ok"] and lost == [1] and got.split() == [b"two", b"one"][number : number + 1]
        with pytest.raises(Incomplete, match="lost on the way"):
            session.call("exec", {}, code, on_data=got.extend)


def test_what_changes_something_is_not_run_again_after_a_restart(board: RemoteBoard) -> None:
    begun: list[bytes] = []

    def on_data(data: bytes) -> None:
        if not begun:
            begun.append(data)
            board.cut_power()
            board.up()

    code = b"open('/ran', 'a').write('x')\nprint('begun')\nimport asyncio\nawait asyncio.sleep(60)"
    with board.session() as session:
        with pytest.raises(SessionLost, match="does not know the session any more"):
            session.call("exec", {}, code, on_data=on_data)
        assert begun and board.get("ran") == b"x"
        assert session.call("ping")["uptime"] < 60  # the next call begins anew by itself


@pytest.mark.parametrize("verb", ["exec", "put", "get"])
def test_a_command_whose_first_message_is_lost_is_run_once(board: RemoteBoard, closing, verb: str) -> None:
    proxy = closing(Proxy(board.broker.port))
    spoilt: list[bytes] = []

    def spoil(way: str, data: bytes) -> bytes:
        # The device cannot prove such a message any more, and leaves it, and those that repeat it too late.
        at = data.find(f"/cmd/{verb}/".encode())
        if way == "up" and at >= 0 and len(spoilt) < 2:
            at = data.find(b"{", at)
            if at >= 0:
                spoilt.append(data)
                return data[:at] + b"[" + data[at + 1 :]
        return data

    board.put("once", b"0123456789" * 3000)
    (board.flash / "ran").unlink(missing_ok=True)
    with board.session(proxy.port) as session:
        proxy.damage = spoil
        if verb == "exec":
            assert session.call("exec", {}, b"open('/ran', 'a').write('x')", timeout=20)["ok"]
            assert board.get("ran") == b"x"
        elif verb == "put":
            transfer.put(session, b"new" * 10_000, "/once", patience=20)
            assert board.get("once") == b"new" * 10_000
        else:
            sink = io.BytesIO()
            transfer.get(session, "/once", sink, patience=20)
            assert sink.getvalue() == board.get("once")
        assert len(spoilt) == 2 and session.reopened == 0
