"""Where the broker is, and which key opens which device: options, environment and the file of profiles.

~/.config/coldframe/config.toml (COLDFRAME_CONFIG names another file)::

    default = "home"                          # the profile if none is asked for

    [profiles.home]
    broker = "mqtts://broker.example:8883"    # or a list of them, tried in turn
    user = "me"
    password = "secret"
    ca = "/etc/ssl/my-ca.pem"                 # cert = ..., cert_key = ... for a certificate of our own
    base = "coldframe/+"                      # where the devices are; + stands for the device's name
    keys = { "*" = "the key of most", "pump-*" = "another" }
    tags = { garden = ["pump-*", "valve1"] }
    devices = ["pump-1", "house/valve1"]      # only for a broker that cannot be asked which there are: RabbitMQ
"""

from __future__ import annotations

import os
import tomllib
import unicodedata
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

import platformdirs

from .errors import CliError

BASE = "coldframe/+"
KEY_LENGTH = range(16, 65)  # characters of remote.key, as the device checks them
_SCHEMES = {"mqtt": (False, 1883), "tcp": (False, 1883), "mqtts": (True, 8883), "ssl": (True, 8883)}


@dataclass(frozen=True)
class Broker:
    """One broker's address."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


@dataclass(frozen=True)
class Profile:
    """Everything that is needed to reach devices. File names are paths on this computer."""

    name: str = ""
    brokers: tuple[Broker, ...] = (Broker("localhost", 1883),)
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    cert: str | None = None
    cert_key: str | None = None
    base: str = BASE
    keys: dict[str, str] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    devices: tuple[str, ...] = ()

    @property
    def places(self) -> list[str]:
        """The MQTT filters of the base topics of all devices: ``base``, and those of ``devices``."""
        return [self.base, *(self.base_of(device) for device in self.devices)]

    def base_of(self, device: str) -> str:
        """The base topic of a device: its name below ``base``, or ``device`` itself if it is a topic."""
        # A broker closes the connection on a topic with control characters, or with what is no UTF-8.
        if not device or any(c in "+#" or unicodedata.category(c) in ("Cc", "Cs") for c in device):
            raise CliError(
                f"device {device!r}: expected a name such as pump1, or a base topic such as home/pump1"
            )
        return device.rstrip("/") if "/" in device else self.base.replace("+", device, 1)

    def key_for(self, base: str, *names: str) -> str:
        """The key of the device at ``base``: the first whose pattern is that topic, its last level, or one of
        ``names``. Raises CliError if there is none.
        """
        called = (base, base.rsplit("/", 1)[-1], *names)
        for name in called:
            if name in self.keys:
                return self.keys[name]
        for pattern, key in self.keys.items():
            if any(fnmatchcase(name, pattern) for name in called):
                return key
        raise CliError(
            f"no key for {base}: expected the device's remote.key in --key, in COLDFRAME_KEY, or under `keys` of "
            f"the profile in {config_file()}"
        )


def config_file() -> Path:
    """The file of profiles, whether it exists or not."""
    named = os.environ.get("COLDFRAME_CONFIG")
    return Path(named) if named else Path(platformdirs.user_config_dir("coldframe")) / "config.toml"


def load(name: str | None = None, **options: str | None) -> Profile:
    """The profile called ``name`` (else COLDFRAME_PROFILE, else the file's default, else the one called
    "default"), with what the environment (COLDFRAME_BROKER, COLDFRAME_KEY, ...) and then ``options`` say.

    ``options``: broker, user, password, ca, cert, cert_key, base, key; None leaves it as it is.
    Raises CliError if something is wrong with the file or a value.
    """
    profile = _from_file(name or os.environ.get("COLDFRAME_PROFILE") or None)
    said = {o: os.environ.get(f"COLDFRAME_{o.upper()}") or None for o in _OPTIONS}
    said.update({o: value for o, value in options.items() if value is not None})
    changes: dict[str, object] = {o: said[o] for o in _PLAIN if said[o] is not None}
    if said["broker"] is not None:
        changes["brokers"] = brokers([b.strip() for b in said["broker"].split(",")], "--broker")
        user = urlsplit(said["broker"].split(",")[0])
        if user.username:
            changes.setdefault("user", unquote(user.username))
            changes.setdefault("password", unquote(user.password or ""))
    if said["key"] is not None:
        changes["keys"] = {"*": said["key"]}
    return _checked(replace(profile, **changes), "the options" if changes else str(config_file()))


def brokers(texts: list[str], where: str) -> tuple[Broker, ...]:
    """Read addresses: HOST, HOST:PORT, mqtt://HOST[:PORT] or mqtts://HOST[:PORT]. Raises CliError."""
    found = []
    for text in texts:
        scheme, colon, _ = text.partition("://")
        try:
            parts = urlsplit(text if colon else f"mqtt://{text}")
            host, port = parts.hostname, parts.port
            tls, default_port = _SCHEMES[parts.scheme]
            if not host or port == 0 or parts.path.strip("/"):
                raise ValueError
        except (KeyError, ValueError):
            raise CliError(f"{where}: {text!r}: expected HOST, HOST:PORT or mqtts://HOST:PORT") from None
        found.append(Broker(host, port or default_port, tls))
    if len({broker.tls for broker in found}) > 1:
        raise CliError(f"{where}: expected all brokers with TLS (mqtts://) or all without")
    if not found:
        raise CliError(f"{where}: expected at least one broker")
    return tuple(found)


_PLAIN = ("user", "password", "ca", "cert", "cert_key", "base")
_OPTIONS = (*_PLAIN, "broker", "key")


def _from_file(name: str | None) -> Profile:
    path = config_file()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if name:
            raise CliError(f"profile {name!r}: there is no {path}") from None
        return Profile()
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CliError(f"{path}: {error}") from None
    profiles = data.get("profiles", {})
    if unknown := sorted(set(data) - {"default", "profiles"}):
        raise CliError(f"{path}: {unknown[0]!r} is not known; expected `default` and [profiles.NAME]")
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise CliError(f"{path}: expected [profiles.NAME]")
    wanted = name or data.get("default")
    if wanted is None:
        if "default" not in profiles:
            if len(profiles) != 1:
                return Profile()
            wanted = next(iter(profiles))
        else:
            wanted = "default"
    if wanted not in profiles:
        known = ", ".join(profiles) or "none"
        raise CliError(f"{path}: there is no profile {wanted!r}; there is: {known}")
    return _profile(str(wanted), profiles[wanted], f"{path}: profiles.{wanted}")


def _profile(name: str, data: dict, where: str) -> Profile:
    known = {f.name for f in fields(Profile)} - {"name", "brokers"} | {"broker", "key"}
    if unknown := sorted(set(data) - known):
        raise CliError(f"{where}: {unknown[0]!r} is not known; expected some of {', '.join(sorted(known))}")
    for option in (*_PLAIN, "key"):
        if not isinstance(data.get(option, ""), str):
            raise CliError(f"{where}: {option}: expected text in quotes")
    values: dict[str, object] = {o: data[o] for o in _PLAIN if o in data}
    for file in ("ca", "cert", "cert_key"):
        if file in values:
            values[file] = str(config_file().parent / Path(str(values[file])).expanduser())
    if "broker" in data:
        texts = data["broker"] if isinstance(data["broker"], list) else [data["broker"]]
        if not all(isinstance(text, str) for text in texts):
            raise CliError(f"{where}: broker: expected text in quotes, or a list of it")
        values["brokers"] = brokers(texts, f"{where}: broker")
    keys = data.get("keys", {})
    tags = data.get("tags", {})
    if not isinstance(keys, dict) or not all(isinstance(k, str) for k in keys.values()):
        raise CliError(f'{where}: keys: expected {{ "PATTERN" = "KEY", ... }}')
    if not isinstance(tags, dict) or not all(
        isinstance(t, list) and all(isinstance(p, str) for p in t) for t in tags.values()
    ):
        raise CliError(f'{where}: tags: expected {{ TAG = ["PATTERN", ...], ... }}')
    if "key" in data:
        keys = {**keys, "*": data["key"]}
    devices = data.get("devices", [])
    if not isinstance(devices, list) or not all(isinstance(d, str) for d in devices):
        raise CliError(f'{where}: devices: expected ["NAME or base topic", ...]')
    profile = Profile(name=name, keys=keys, tags=tags, devices=tuple(devices), **values)
    return _checked(profile, where)


def _checked(profile: Profile, where: str) -> Profile:
    for pattern, key in profile.keys.items():
        if len(key) not in KEY_LENGTH:
            least, most = KEY_LENGTH[0], KEY_LENGTH[-1]
            raise CliError(
                f"{where}: the key for {pattern!r} has {len(key)} characters; expected {least} to {most}, "
                "the device's remote.key"
            )
    if "+" not in profile.base.split("/"):
        raise CliError(
            f"{where}: base {profile.base!r}: expected a topic with one + for the name, such as {BASE}"
        )
    return profile
