"""coldframe provision: settings onto a board over its cable, by mpremote and by Improv; what is wrong goes nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from coldframe_cli import settings
from coldframe_cli.improv import Improv, ImprovError
from host import command
from host.cable import Cable
from host.simboards import FARM

CAFE = {"ssid": "Café", "rssi": -70}


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "node", "00000000000000e1")
    cable.board.world(networks=[FARM, CAFE])
    cable.board.start()
    cable.board.wait_for("and open")  # its console is that of a fresh device
    yield cable
    cable.close()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return command.environment(tmp_path, wifi_password="secret99")


def test_settings_by_cable(cable: Cable, env: dict[str, str], tmp_path: Path) -> None:
    args = (
        "--wifi",
        "Farm",
        "--name",
        "Schuppen ☃",
        "--mqtt",
        "127.0.0.1",
        "--set",
        "mqtt.port=18833",
        "--new-key",
    )
    done = command.run("provision", cable.port, *args, "--json", env=env)
    told = command.rows(done.stdout)[-1]
    assert (told["ok"], told["id"], told["board"]) == (True, "00000000000000e1", "UNIX")
    assert len(told["key"]) == 32
    cable.board.wait_for("joined Farm")  # it has restarted with them
    written = json.loads(cable.board.get("config.json"))
    assert written["name"] == "Schuppen ☃"
    assert written["mqtt"] == {"host": "127.0.0.1", "port": 18833}
    assert written["remote"]["key"].startswith("enc:")
    assert b"secret99" not in cable.board.get("config.json")
    # What the firmware on the board does not take, though we would: a text too long in bytes, not in characters.
    before = cable.board.get("config.json")
    done = command.run("provision", cable.port, "--name", "☃" * 40, env=env, code=2)
    assert "the board: name: expected" in done.stderr
    assert cable.board.get("config.json") == before
    # A whole file, as it is written.
    file = tmp_path / "new.json"
    file.write_text('{"name": "whole",\n "wifi": {"networks": [{"ssid": "Café"}]}}\n')
    done = command.run("provision", cable.port, "--config", file, env=env)
    assert "done: UNIX, Coldframe" in done.stdout
    cable.board.wait_for("joined Café")
    assert cable.board.get("config.json") == file.read_bytes()


def test_by_improv(cable: Cable, env: dict[str, str]) -> None:
    told = command.rows(command.run("provision", cable.port, "--scan", "--json", env=env).stdout)
    assert [(row["ssid"], row["rssi"], row["protected"]) for row in told] == [
        ("Farm", -48, True),
        ("Café", -70, False),
    ]
    wrong = env | {"COLDFRAME_WIFI_PASSWORD": "not this one"}
    done = command.run("provision", cable.port, "--improv", "--wifi", "Farm", env=wrong, code=1)
    assert "error: the device cannot connect: wrong password, or the network is not in reach" in done.stderr
    done = command.run("provision", cable.port, "--improv", "--wifi", "Farm", "--name", "Hof", env=env)
    assert re.search(r"^done: connected, http://10\.77\.", done.stdout)
    assert "Coldframe" in done.stderr
    written = json.loads(cable.board.get("config.json"))
    assert (written["name"], written["wifi"]["networks"][0]["ssid"]) == ("Hof", "Farm")


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    for text, expected in (
        ('{"mqtt": {"port": 70000}}', "mqtt.port: expected a whole number of 1 to 65535, got 70000"),
        ('{"mqtt": {"prot": 1883}}', "mqtt.prot: unknown key; did you mean 'port'?"),
        ('{"wifi": {"networks": [{"password": "x"}]}}', "wifi.networks[0]: expected the key 'ssid'"),
        ('{"log": {"level": "LOUD"}}', "log.level: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ('{"name": "a", "name": "b"}', "'name' is given twice"),
        ('{"name": "a"', "not JSON, line 1, column 13"),
        ('{"mqtt": {"keepalive": NaN}}', "NaN is no number of JSON"),
        ("[1]", "expected an object {...}"),
        ('{"remote": {"key": "short"}}', "remote.key: expected a text of 16 to 64"),
    ):
        bad.write_text(text)
        with pytest.raises(settings.SettingsError) as caught:
            settings.read(bad)
        assert expected in str(caught.value)
        assert '"short"' not in str(caught.value)  # a key that somebody has mistyped is not shown


def test_what_is_wrong_goes_nowhere(env: dict[str, str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"mqtt": {"port": 70000}, "nam": 1}')
    port = "/dev/no-such-port"
    done = command.run("provision", port, "--config", bad, env=env, code=2)
    assert re.match(
        r"error: .*bad\.json: mqtt\.port: expected .*\n.*bad\.json: nam: unknown key", done.stderr
    )
    done = command.run("provision", port, "--name", "x", env=env, code=2)
    assert "mpremote failed" in done.stderr
    done = command.run("provision", port, "--improv", "--name", "x", env=env, code=3)
    assert "cannot be opened" in done.stderr
    done = command.run("provision", port, env=env, code=2)
    assert "nothing to do" in done.stderr
    done = command.run("provision", port, "--improv", "--mqtt", "x", env=env, code=2)
    assert "--improv: expected --wifi, --name or both" in done.stderr


def test_passwords_are_not_shown(env: dict[str, str]) -> None:
    args = ("--wifi", "Farm", "--mqtt", "mqtts://me:hidden@broker", "--new-key", "--set", "wifi.hostname=7")
    done = command.run("provision", "-n", *args, env=env)
    assert json.loads(done.stdout) == {
        "wifi": {"networks": [{"ssid": "Farm", "password": "*****"}], "hostname": "7"},
        "mqtt": {"host": "mqtts://me:*****@broker"},
        "remote": {"key": "*****"},
    }
    assert "hidden" not in done.stderr
    assert "secret99" not in done.stderr


def test_assignments() -> None:
    assert settings.assign("mqtt.port=8883") == {"mqtt": {"port": 8883}}
    assert settings.assign("name=null") == {"name": None}
    assert settings.assign("name=17") == {"name": "17"}  # a key that only takes texts
    assert settings.assign("mqtt.password=a=b") == {"mqtt": {"password": "a=b"}}
    assert settings.assign('time.ntp=["a", "b"]') == {"time": {"ntp": ["a", "b"]}}
    for bad in ("mqtt.port", "=3", "a..b=1"):
        with pytest.raises(settings.SettingsError):
            settings.assign(bad)


def test_difference_undoes_merge() -> None:
    old = {"a": 1, "b": {"c": [1], "d": {"e": 1}}, "f": True, "g": {"h": 1}}
    for new in (
        old,
        {},
        {"a": 1.5, "b": {"c": [1, 2], "d": {}}, "f": 1},
        {"a": {"x": 1}, "b": 3, "g": {"h": 1, "i": "n"}},
    ):
        assert settings.merge(old, settings.difference(old, new)) == new
    assert settings.difference(old, old) == {}


class Noisy:
    """A line on which a device answers with what it is given, in small pieces; it misses the first question."""

    def __init__(self, answer: bytes, miss: int) -> None:
        self._answer = answer
        self._miss = miss
        self._waiting = b""

    def write(self, data: bytes) -> int:
        if self._miss:
            self._miss -= 1
        else:
            self._waiting += self._answer
        return len(data)

    def read(self, size: int = 1) -> bytes:
        piece, self._waiting = self._waiting[:3], self._waiting[3:]
        return piece


def packet(kind: int, data: bytes) -> bytes:
    body = b"IMPROV\x01" + bytes((kind, len(data))) + data
    return body + bytes((sum(body) & 0xFF,)) + b"\n"


def test_improv_on_a_bad_line() -> None:
    info = b"\x03" + bytes((8,)) + b"".join(bytes((1,)) + c for c in (b"A", b"B", b"C", b"D"))
    good = packet(4, info)
    damaged = good[:12] + b"?" + good[13:]
    noise = b"boot IMPRO\x01\xff" + damaged
    line = Noisy(b"log\r\n" + packet(1, b"\x02") + good, miss=1)
    device = Improv(line)
    assert device.info(timeout=10).name == "D"
    assert b"log" in device.said
    line = Noisy(noise + good, miss=0)
    assert Improv(line).info(timeout=10).firmware == "A"
    with pytest.raises(ImprovError, match="no answer within"):
        Improv(Noisy(b"", 0)).info(timeout=0.1)
    with pytest.raises(ImprovError, match="does not know this command"):
        Improv(Noisy(packet(2, b"\x02"), 0)).info(timeout=5)
    with pytest.raises(ImprovError, match="1 to 32 bytes"):
        Improv(line).wifi("x" * 33, "")
