"""The file of profiles, the environment, the options: which counts, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from coldframe_cli import profiles
from coldframe_cli.errors import USAGE, CliError
from coldframe_cli.profiles import Broker

KEY, OTHER = "k" * 16, "o" * 20
FILE = f"""
default = "home"

[profiles.home]
broker = ["mqtts://a.example", "mqtts://b.example:8884"]
user = "me"
password = "secret"
ca = "ca.pem"
base = "house/+"
keys = {{ "*" = "{KEY}", "pump-*" = "{OTHER}", "pump-9" = "{KEY}9" }}
tags = {{ garden = ["pump-*"] }}

[profiles.lab]
broker = "10.0.0.5"
key = "{KEY}"
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    for name in ("PROFILE", "BROKER", "USER", "PASSWORD", "CA", "CERT", "CERT_KEY", "BASE", "KEY"):
        monkeypatch.delenv(f"COLDFRAME_{name}", raising=False)
    monkeypatch.setenv("COLDFRAME_CONFIG", str(path))
    return path


def test_the_default_profile(file: Path) -> None:
    home = profiles.load()
    assert (home.name, home.user, home.password) == ("home", "me", "secret")
    assert home.brokers == (Broker("a.example", 8883, True), Broker("b.example", 8884, True))
    assert home.ca == str(file.parent / "ca.pem")  # beside the file, wherever the command is started
    assert home.tags == {"garden": ["pump-*"]}
    assert home.base_of("pump-1") == "house/pump-1"
    assert home.base_of("other/place/pump-1") == "other/place/pump-1"


def test_the_key_of_a_device() -> None:
    home = profiles.load()
    assert home.key_for("house/valve") == KEY
    assert home.key_for("house/pump-9") == f"{KEY}9"  # exactly, before any pattern
    assert profiles.load(key=OTHER).key_for("house/valve") == OTHER
    with pytest.raises(CliError, match="no key for coldframe/x: expected .*--key"):
        profiles.Profile().key_for("coldframe/x")


def test_options_count_more_than_the_environment_and_that_more_than_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLDFRAME_PROFILE", "lab")
    assert profiles.load().brokers == (Broker("10.0.0.5", 1883),)
    assert profiles.load("home").user == "me"
    monkeypatch.setenv("COLDFRAME_BROKER", "env.example:1884")
    monkeypatch.setenv("COLDFRAME_KEY", OTHER)
    lab = profiles.load()
    assert lab.brokers == (Broker("env.example", 1884),) and lab.key_for("coldframe/x") == OTHER
    assert profiles.load(broker="[::1]:99").brokers == (Broker("::1", 99),)
    url = profiles.load(broker="mqtts://you:p%40ss@c.example")
    assert (url.user, url.password, url.brokers[0].tls) == ("you", "p@ss", True)


def test_without_a_file(file: Path) -> None:
    file.unlink()
    assert profiles.load().brokers == (Broker("localhost", 1883),)
    with pytest.raises(CliError, match=r"profile 'x': there is no .*config.toml"):
        profiles.load("x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[profiles.x]\nbrocker = 'a'", "profiles.x: 'brocker' is not known; expected some of .*broker"),
        ("brokers = 'a'", "'brokers' is not known"),
        ("[profiles.x]\nbroker = 5", "broker: expected text in quotes"),
        ("[profiles.x]\nbroker = ''", "''.*expected HOST"),
        ("[profiles.x]\nbroker = 'http://a'", "'http://a': expected HOST"),
        ("[profiles.x]\nbroker = 'a:99999'", "'a:99999': expected HOST"),
        ("[profiles.x]\nbroker = ['a', 'mqtts://b']", "with TLS .* or all without"),
        ("[profiles.x]\nkey = 'short'", "has 5 characters; expected 16 to 64"),
        ("[profiles.x]\nbase = 'home'", "expected a topic with one"),
        ("[profiles.x]\nkeys = 'a'", "keys: expected"),
        ("[profiles.x]\ntags = { a = 'b' }", "tags: expected"),
        ("[profiles.x", "config.toml: "),
        ("default = 'y'\n[profiles.x]\n", "there is no profile 'y'; there is: x"),
    ],
)
def test_what_is_wrong_is_said(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(CliError, match=words) as error:
        profiles.load()
    assert error.value.exit_code == USAGE


def test_devices_that_the_broker_cannot_tell(tmp_path, monkeypatch):
    file = tmp_path / "config.toml"
    monkeypatch.setenv("COLDFRAME_CONFIG", str(file))
    file.write_text('[profiles.default]\nbase = "house/+"\ndevices = ["pump-1", "garden/valve"]\n')
    assert profiles.load().places == ["house/+", "house/pump-1", "garden/valve"]
    file.write_text('[profiles.default]\ndevices = "pump-1"\n')
    with pytest.raises(CliError, match="devices: expected"):
        profiles.load()
