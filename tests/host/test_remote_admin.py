"""Remote administration: config, params, log, crash, info, reset, update; what a read-only key may; safe mode."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, free_port, until
from host.remotehost import RemoteHost
from host.simboards import DEADLINE, FARM, image
from kit.simboard import SimBoard

ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
KEY = "a key of the owner, long enough"
READER = "a key that may only read things"

APP = """
def setup(node):
    node.param("threshold", 21.5, low=5, high=30, unit="K")
    node.param("mode", "auto", choices=("auto", "off"))
"""


class Bench:
    """A board with two keys, a broker, and sessions with the board."""

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto(folder / "broker").start()
        self.peer = Peer(self.broker.port, ["#"])
        self.board = SimBoard(image(), folder / "node", unique_id=ID)

    def make(self, speed: int = 1, app: str = APP, **config: Any) -> Bench:
        config = {
            "name": "green",
            "mqtt": {
                "host": f"mqtt://u:hunter2@127.0.0.1:{self.broker.port}",
                "fallback": [{"host": "127.0.0.1", "port": self.broker.port}],
            },
            "remote": {"key": KEY, "keys": [{"name": "bob", "key": READER, "role": "read"}]},
            "watchdog": {"timeout": 30},
            **config,
        }
        self.board.put("config.json", config)
        self.board.put("app.py", app)
        self.board.world(speed=speed)
        self.board.start()
        self.online(1)
        return self

    def online(self, times: int) -> None:
        until(
            lambda: self.peer.payloads(f"{BASE}/available").count(b"online") >= times,
            f"online number {times}",
            2 * DEADLINE,
        )

    def session(self, key: str = KEY) -> RemoteHost:
        return RemoteHost(self.peer, BASE, key).open()

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.board.get("config.json")))

    def close(self) -> None:
        self.board.stop()
        self.peer.close()
        self.broker.stop()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def data_of(host: RemoteHost, ref: int) -> bytes:
    """What a command has sent so far."""
    return b"".join(
        r.body for r in sorted(host.replies(), key=lambda r: r.head) if r.ref == ref and r.head < 0x8000
    )


def ask(
    host: RemoteHost, verb: str, args: dict[str, Any] | None = None, data: bytes | None = None
) -> tuple[str, Any]:
    """Run a command whose output fits the window. Returns its output and its result or error."""
    result = host.call(verb, args, data)
    return data_of(host, host.counter).decode(), result


def fails(host: RemoteHost, verb: str, args: dict[str, Any], code: str, text: str) -> None:
    error = host.call(verb, args)
    assert error.get("code") == code and text in error["text"], error


def test_config_get(bench: Bench) -> None:
    """No password leaves the device, in whatever form it is stored."""
    bench.make(wifi={"networks": [{"ssid": "Farm", "password": "hunter2 of the farm"}, {"ssid": "Open"}]})
    host = bench.session()
    text, result = ask(host, "config", {"op": "get"})
    assert result == {"whole": True}
    shown = json.loads(text)
    assert shown["mqtt"]["host"] == f"mqtt://u:*****@127.0.0.1:{bench.broker.port}"
    assert shown["wifi"]["networks"] == [{"ssid": "Farm", "password": "*****"}, {"ssid": "Open"}]
    assert shown["remote"] == {"key": "*****", "keys": [{"name": "bob", "key": "*****", "role": "read"}]}
    assert "hunter2" not in text and "enc:" not in text and KEY not in text
    for path, value, more in (
        ("mqtt.fallback.0.port", bench.broker.port, {}),
        ("remote.key", "*****", {}),
        ("wifi.networks.0", {"ssid": "Farm", "password": "*****"}, {}),
        ("wifi.networks.0.password", "*****", {}),
        ("mqtt.keepalive", 60, {"default": True}),
        ("log.level", "INFO", {"default": True}),
    ):
        text, result = ask(host, "config", {"op": "get", "path": path})
        assert (json.loads(text), result) == (value, {"whole": True, **more}), path
    # A misspelt key may have hidden a password from the device, but not from its owner's eyes.
    bench.board.put(
        "config.json", {**bench.config(), "x": {"y": "hunter2"}, "mqtt": {"pasword": "hunter2"}, "remote": 1}
    )
    text, _ = ask(host, "config")
    shown = json.loads(text)
    assert shown["mqtt"] == {"pasword": "*****"} and shown["x"] == shown["remote"] == "*****"
    fails(host, "config", {"op": "get", "path": "mqtt.prot"}, "missing", "mqtt.prot")
    fails(host, "config", {"op": "give"}, "args", "apply, get, result, set, validate")


def test_config_set(bench: Bench) -> None:
    """Merged, checked, written; what was hidden is what it was, and nothing is lost."""
    bench.make(wifi={"networks": [{"ssid": "Farm", "password": "hunter2 of the farm"}, {"ssid": "Open"}]})
    host = bench.session()
    before = bench.config()
    shown = json.loads(ask(host, "config", {"op": "get"})[0])
    # All of it back, another order of the networks, one more of them, and one key less.
    shown["wifi"]["networks"] = [
        {"ssid": "New", "password": "secret of new"},
        *reversed(shown["wifi"]["networks"]),
    ]
    del shown["watchdog"]
    assert host.call("config", {"op": "set", "replace": True}, json.dumps(shown).encode()) == {
        "changed": True,
        "restart": True,
    }
    after = bench.config()
    old = {n["ssid"]: n.get("password") for n in before["wifi"]["networks"]}
    new = {n["ssid"]: n.get("password") for n in after["wifi"]["networks"]}
    assert new["Farm"] == old["Farm"] and new["Open"] is None and new["New"].startswith("enc:")
    assert after["mqtt"] == before["mqtt"] and after["remote"] == before["remote"] and "watchdog" not in after
    # A part of it.
    assert host.call("config", {"op": "set", "changes": {"mqtt": {"keepalive": 30}}})["changed"]
    assert bench.config()["mqtt"]["keepalive"] == 30
    assert not host.call("config", {"op": "set", "changes": {"mqtt": {"keepalive": 30}}})["changed"]
    stored = bench.board.get("config.json")
    for changes, code, text in (
        ({"mqtt": {"port": "x"}}, "args", 'mqtt.port: expected 1 to 65535, got "x"'),
        ({"mqtt": {"prot": 1}}, "args", "did you mean mqtt.port?"),
        ({"mqtt": {"password": "*****"}}, "args", "there is none stored"),
        ({"wifi": {"networks": [{"ssid": "Other", "password": "*****"}]}}, "args", "there is none stored"),
        ([], "args", "expected"),
    ):
        fails(host, "config", {"op": "set", "changes": changes}, code, text)
    fails(host, "config", {"op": "set", "file": "/none.json"}, "missing", "/none.json")
    assert bench.board.get("config.json") == stored


def test_config_from_a_file(bench: Bench) -> None:
    """A configuration too large for a message comes as a file, which is gone when it has been taken."""
    bench.make()
    host = bench.session()
    whole = json.loads(ask(host, "config", {"op": "get"})[0])
    whole["components"] = {f"part{n}": {"note": "x" * 50, "none": None} for n in range(40)}
    bench.board.put("upload", whole)
    assert host.call("config", {"op": "set", "file": "/upload"})["changed"]
    assert bench.config()["components"] == whole["components"]
    assert not (bench.board.flash / "upload").exists()
    bench.board.put("upload", "{not json")
    fails(host, "config", {"op": "set", "file": "/upload"}, "args", "not JSON, line 1")
    assert not (bench.board.flash / "upload").exists()  # it may hold readable passwords
    fails(host, "config", {"op": "set", "file": "/../upload"}, "name", "..")
    stored = bench.board.get("config.json")
    assert not host.call("config", {"op": "set", "file": "//config.json"})["changed"]
    assert bench.board.get("config.json") == stored  # its own files are not uploads


def test_config_validate(bench: Bench) -> None:
    bench.make()
    host = bench.session()
    assert ask(host, "config", {"op": "validate"}) == ("", {"ok": True, "errors": 0, "warnings": 0})
    text, result = ask(host, "config", {"op": "validate", "changes": {"mqtt": {"port": 0, "host": None}}})
    assert result == {"ok": False, "errors": 1, "warnings": 1}
    assert text.splitlines() == [
        "mqtt.port: expected 1 to 65535, got 0",
        "warning: mqtt.host: no broker: the device could not be reached again",
    ]
    text, result = ask(host, "config", {"op": "validate", "changes": {"remote": {"key": None, "keys": None}}})
    assert result["ok"] and text == "warning: remote.key: none: remote administration would be off\n"


def applied(bench: Bench, changes: dict[str, Any], trial: int = 20) -> dict[str, Any]:
    """Apply, wait for the outcome, and ask for it in a new session. Returns it."""
    said = bench.session().call("config", {"op": "apply", "changes": changes, "trial": trial})
    assert said["changed"] and said["trial"] == trial, said
    until(lambda: bench.peer.payloads(f"{BASE}/config/result"), "the outcome", 3 * DEADLINE)
    result = bench.session().call("config", {"op": "result"})
    assert json.loads(bench.peer.payloads(f"{BASE}/config/result")[0]) == result
    assert result["id"] == said["id"] and result["trial"] == trial
    return result


def test_apply(bench: Bench) -> None:
    """What cannot be tried is refused; what is tried and good is kept."""
    bench.make(speed=5)
    host = bench.session()
    assert host.call("config", {"op": "result"}) == {}
    apply = {"op": "apply", "changes": {"name": "new"}}
    fails(host, "config", {**apply, "trial": 5}, "args", "10 to 3600")
    fails(host, "config", {**apply, "changes": {"mqtt": {"host": None}}}, "args", "expected a broker")
    fails(host, "config", {**apply, "changes": {"name": 7}}, "args", "name: expected a text")
    result = applied(bench, {"name": "new"})
    assert result["state"] == "kept" and bench.config()["name"] == "new"
    host = bench.session()
    assert json.loads(ask(host, "info")[0])["name"] == "new"
    assert host.call("config", apply) == {"changed": False}  # there is nothing to try
    assert not {"config.trial", "config.before"} & {path.name for path in bench.board.flash.iterdir()}


def test_apply_wrong_broker(bench: Bench) -> None:
    """Nobody listens there: the old configuration is back by itself, and the owner can ask what happened."""
    bench.make(speed=20)
    before = bench.board.get("config.json")
    result = applied(bench, {"mqtt": {"host": "127.0.0.1", "port": free_port(), "fallback": None}})
    assert result["state"] == "failed" and result["after"] >= 20
    assert result["why"].startswith("the broker was not reached within 20 s: ")
    assert bench.board.get("config.json") == before
    info = json.loads(ask(bench.session(), "info")[0])
    assert any("the configuration before is back" in text for text in info["errors"])
    assert info["failed_boots"] == 0


def test_apply_wrong_wifi_password(bench: Bench) -> None:
    """The network does not take it: the old configuration is back by itself."""
    bench.board.world(networks=[FARM])
    bench.make(speed=20, wifi={"networks": [{"ssid": FARM["ssid"], "password": FARM["password"]}]})
    before = bench.board.get("config.json")
    result = applied(bench, {"wifi": {"networks": [{"ssid": FARM["ssid"], "password": "not that one"}]}})
    assert result["state"] == "failed" and bench.board.get("config.json") == before


def test_params(bench: Bench) -> None:
    bench.make()
    host = bench.session()
    text, _ = ask(host, "params", {"op": "get"})
    assert json.loads(text) == {"every SYSINFO": 600, "mode": "auto", "threshold": 21.5}
    assert json.loads(ask(host, "params", {"names": ["mode"]})[0]) == {"mode": "auto"}
    rows = [json.loads(row) for row in ask(host, "params", {"op": "describe"})[0].splitlines()]
    assert rows[2] == {
        "name": "threshold",
        "value": 21.5,
        "kind": "float",
        "default": 21.5,
        "low": 5,
        "high": 30,
        "unit": "K",
    }
    assert host.call("params", {"op": "set", "values": {"threshold": 22, "mode": "off"}}) == {"changed": True}
    assert json.loads(ask(host, "params")[0])["threshold"] == 22
    assert host.call("params", {"op": "drop", "names": ["threshold"]}) == {"changed": True}
    assert json.loads(ask(host, "params")[0])["threshold"] == 21.5
    fails(host, "params", {"op": "set", "values": {"threshold": 99, "mode": "on"}}, "args", "threshold: ")
    fails(host, "params", {"op": "set", "values": {"none": 1}}, "missing", "none")
    fails(host, "params", {"names": ["none"]}, "missing", "none")
    fails(host, "params", {"op": "set"}, "args", "values")


def test_log(bench: Bench) -> None:
    """Lines of the ring, those of a level, those since a number, and what is new."""
    bench.make(
        app='def setup(node):\n    @node.action("./say")\n    def say(text):\n        node.log.warning(text)\n'
    )
    host = bench.session()
    for n in range(5):
        bench.peer.publish(f"{BASE}/say", f"line {n}")
    bench.board.wait_for("line 4", DEADLINE)
    text, result = ask(host, "log", {"lines": 3, "level": "WARNING"})
    assert [row.split(" node: ")[1] for row in text.splitlines()] == ["line 2", "line 3", "line 4"]
    assert result["lost"] == 0
    assert re.fullmatch(r"[-:. \d]+ WARNING  node: line 4", text.splitlines()[2])
    bench.peer.publish(f"{BASE}/say", "line 5")
    bench.board.wait_for("line 5", DEADLINE)
    text, result = ask(host, "log", {"since": result["next"], "level": "WARNING", "number": True})
    assert re.fullmatch(r"\d+ .* node: line 5\n", text)
    # Follow until cancelled.
    host.send(
        "log",
        host.command_bytes("log", json.dumps({"follow": True, "level": "WARNING", "lines": 1}).encode()),
    )
    ref = host.counter
    until(lambda: b"line 5" in data_of(host, ref), "the last line")
    bench.peer.publish(f"{BASE}/say", "line 6")
    until(lambda: data_of(host, ref).count(b"\n") == 2, "the new line")
    assert b"line 6" in data_of(host, ref)
    host.send("cancel", host.command_bytes("cancel"))
    assert json.loads(host.answer(ref).body)["code"] == "cancelled"
    for args, text in (
        ({"level": "LOUD"}, "expected DEBUG"),
        ({"lines": -1}, "lines"),
        ({"since": "x"}, "since"),
    ):
        fails(host, "log", args, "args", text)


def test_log_of_everything(bench: Bench) -> None:
    """To follow the lowest level is no chain reaction: what the connection logs because of it is not sent."""
    bench.make(log={"level": "DEBUG", "console": "OFF"})
    host = bench.session()
    host.send("log", host.command_bytes("log", json.dumps({"follow": True, "lines": 1}).encode()))
    ref = host.counter
    until(lambda: data_of(host, ref), "a line")
    for _ in range(8):  # the window would be full for ever without an acknowledgement
        host.send("ping", host.command_bytes("ping"))
        host.answer(host.counter)
    assert len([r for r in host.replies() if r.ref == ref]) < 6


def test_crash(bench: Bench) -> None:
    """The report of a hang, in safe words and as it is on the flash; and forgotten on request."""
    bench.make(
        speed=60,
        app='def setup(node):\n    @node.action("./hang")\n    def hang():\n        while True: pass\n',
    )
    host = bench.session()
    assert ask(host, "crash") == ("", {"crash": False})
    bench.peer.publish(f"{BASE}/hang", "")
    bench.board.wait_for("stuck for 30 s, restarting", 2 * DEADLINE)
    bench.online(2)
    until(lambda: bench.peer.payloads(f"{BASE}/crash"), "the report", DEADLINE)
    host = bench.session()
    text, result = ask(host, "crash")
    assert result["crash"] and json.loads(text)["cause"].startswith("watchdog: stuck in app.py")
    assert host.call("crash", {"clear": True}) == {"crash": True}
    assert ask(host, "crash") == ("", {"crash": False})
    until(lambda: bench.peer.payloads(f"{BASE}/crash")[-1] == b"", "the retained report taken back")
    # Lines of before the restart are still in the ring.
    text, _ = ask(host, "log", {"before": True, "lines": 0})
    assert "stuck for 30 s, restarting" in text and "start number" not in text.splitlines()[-1]


def test_info_and_update(bench: Bench) -> None:
    bench.make()
    host = bench.session()
    text, _ = ask(host, "info")
    info = json.loads(text)
    assert info["name"] == "green" and info["mqtt_base_topic"] == BASE and info["mem_largest"] > 0
    fails(host, "update", {}, "denied", "no trusted key for updates in this image")


def test_reset(bench: Bench) -> None:
    """Each kind of restart comes after its answer, and says good-bye to the broker before."""
    bench.make()
    fails(bench.session(), "reset", {"mode": "cold"}, "args", "hard, soft, safe, normal, bootloader")
    assert bench.session().call("reset", {"mode": "soft"}) == {"mode": "soft"}
    bench.online(2)
    assert bench.peer.payloads(f"{BASE}/available")[:3] == [b"online", b"offline", b"online"]
    until(lambda: bench.board.reset_cause() == "soft", "the board's note of a soft reset")
    assert bench.session().call("reset") == {"mode": "hard"}
    bench.online(3)
    until(lambda: bench.board.reset_cause() == "hard", "the board's note of a hard reset")
    reason = bench.board.repl("import coldframe; print(coldframe.reset_reason())")
    assert reason.strip() == "restart on purpose: remote reset (hard) by admin"


def test_safe_mode(bench: Bench) -> None:
    """In safe mode all of it works; a configuration that is good leads out of it, and so does reset normal."""
    bench.make(speed=5)
    assert bench.session().call("reset", {"mode": "safe"}) == {"mode": "safe"}
    bench.online(2)
    host = bench.session()
    assert json.loads(ask(host, "info")[0])["safe"] is True
    assert "every SYSINFO" in json.loads(ask(host, "params")[0])
    assert json.loads(ask(host, "config", {"path": "name"})[0]) == "green"
    assert host.call("config", {"op": "set", "changes": {"sysinfo": {"every": 300}}})["changed"]
    assert host.call("reset", {"mode": "normal"}) == {"mode": "normal"}
    bench.online(3)
    host = bench.session()
    assert json.loads(ask(host, "info")[0])["safe"] is False
    assert json.loads(ask(host, "params")[0])["every SYSINFO"] == 300


def test_read_only(bench: Bench) -> None:
    """Everything may be looked at, nothing changed."""
    bench.make()
    before = bench.board.get("config.json")
    host = bench.session(READER)
    for verb, args in (("config", {}), ("params", {}), ("log", {}), ("crash", {}), ("info", {})):
        assert "code" not in ask(host, verb, args)[1], verb
    assert host.call("config", {"op": "validate", "changes": {"name": "x"}})["ok"]
    for verb, args in (
        ("config", {"op": "set", "changes": {"name": "x"}}),
        ("config", {"op": "apply", "changes": {"name": "x"}}),
        ("config", {"op": "validate", "file": "/boot.rec"}),
        ("params", {"op": "set", "values": {"threshold": 9}}),
        ("params", {"op": "drop", "names": ["threshold"]}),
        ("crash", {"clear": True}),
        ("reset", {}),
        ("update", {}),
    ):
        fails(host, verb, args, "denied", "admin")
    assert bench.board.get("config.json") == before
    assert json.loads(ask(host, "params")[0])["threshold"] == 21.5
