"""coldframe provision: the first settings onto a board that hangs on this computer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import context, improv, ports, provisioning, settings
from ..errors import CliError
from ..options import App
from ..ports import Port

_WIFI_PASSWORD = "COLDFRAME_WIFI_PASSWORD"


def register(app: App) -> None:
    app.command()(provision)


def provision(
    port: Annotated[
        str | None,
        typer.Argument(metavar="PORT", help="The board's serial port; found out if there is one board only."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="A config.json, which takes the place of the board's."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="A setting, such as mqtt.port=8883. May be repeated."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="The device's name.")] = None,
    wifi: Annotated[
        str | None,
        typer.Option(
            metavar="SSID", help=f"The Wi-Fi network. Asks for its password, or takes {_WIFI_PASSWORD}."
        ),
    ] = None,
    open_wifi: Annotated[bool, typer.Option("--open", help="That network has no password.")] = False,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="HOST|URL", help="The device's broker: a host, or mqtts://user:password@host:8883."
        ),
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make a remote.key for the device, and show it.")
    ] = False,
    over_improv: Annotated[
        bool,
        typer.Option("--improv", help="By the Improv protocol: --wifi and --name only, for any firmware."),
    ] = False,
    scan: Annotated[
        bool, typer.Option("--scan", help="Show the Wi-Fi networks that the board sees (Improv), and end.")
    ] = False,
    baud: Annotated[int, typer.Option(min=300, metavar="N", help="Speed of the port, for Improv.")] = 115200,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "-n", help="Check the settings, show them, passwords covered, and end."),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart/--no-restart", help="Have the board take them up.")
    ] = True,
) -> None:
    """Give a board its settings over USB.

    They are checked before anything is written: here, by the rules of the firmware's config.json, and by the
    firmware on the board. What --set, --name, --wifi and --mqtt say is merged into what the board has;
    --config FILE replaces it. Needs mpremote (pipx inject coldframe mpremote), with --improv pyserial.
    """
    if scan:
        _scan(_port(port), baud)
        return
    if over_improv:
        if config or changes or mqtt or new_key or not (wifi or name):
            raise typer.BadParameter("--improv: expected --wifi, --name or both, and nothing else")
        _improv(_port(port), wifi, None if wifi is None else _password(wifi, open_wifi), name, baud)
        return
    text, data, key = _settings(config, changes or [], name, wifi, open_wifi, mqtt, new_key)
    out = context.current().out
    if dry_run:
        shown = covered(data)
        out.value({"ok": True, "config": shown, "dry_run": True})
        out.text(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    where = _port(port)
    out.note(f"{where}: {'a new config.json' if text is not None else 'settings'}")
    told = provisioning.over_usb(where.name, data if text is None else text, restart=restart)
    answer = {"ok": True, "id": told["id"], "board": told["board"], "version": told["version"]}
    if key:
        answer["key"] = key
    out.value(answer)
    device = data.get("name") or told["id"]
    out.text(f"done: {told['board']}, Coldframe {told['version']}, id {told['id']}", style="green")
    if key:
        out.text(f"remote.key: {key}")
        out.note(f'keep it: in config.toml, under your profile:  keys = {{ "{device}" = "{key}" }}')
    if restart:
        out.note("it restarts; `coldframe ls` shows it once it has reached its broker")


def covered(data: Any, path: str = "") -> Any:
    """A configuration with stars in place of its passwords and keys."""
    if isinstance(data, dict):
        return {key: covered(value, f"{path}.{key}" if path else key) for key, value in data.items()}
    if isinstance(data, list):
        return [covered(value, path) for value in data]
    last = path.rpartition(".")[2]
    if isinstance(data, str) and data and (last == "password" or path in ("remote.key", "remote.keys.key")):
        return "*****"
    if isinstance(data, str) and "://" in data and "@" in data:
        scheme, _, rest = data.partition("://")
        login, _, host = rest.rpartition("@")
        return f"{scheme}://{login.partition(':')[0]}:*****@{host}"
    return data


def _settings(
    config: Path | None,
    assignments: list[str],
    name: str | None,
    wifi: str | None,
    open_wifi: bool,
    mqtt: str | None,
    new_key: bool,
) -> tuple[str | None, dict[str, Any], str | None]:
    # The text of the file (None: changes), what it says, and the new key.
    changes: dict[str, Any] = {}
    for assignment in assignments:
        changes = settings.merge(changes, settings.assign(assignment))
    if name is not None:
        changes["name"] = name
    if wifi is not None:
        network = {"ssid": wifi}
        if password := _password(wifi, open_wifi):
            network["password"] = password
        changes = settings.merge(changes, {"wifi": {"networks": [network]}})
    if mqtt is not None:
        changes = settings.merge(changes, {"mqtt": {"host": mqtt}})
    key = provisioning.new_key() if new_key else None
    if key:
        changes = settings.merge(changes, {"remote": {"key": key}})
    if config is None:
        if not changes:
            raise CliError(
                "nothing to do: expected --config FILE, --set, --name, --wifi, --mqtt or --new-key"
            )
        if wrong := settings.check(changes):
            raise settings.SettingsError(wrong)
        return None, changes, key
    data = settings.read(config)
    if not changes:
        return config.read_text("utf-8").removeprefix("\ufeff"), data, key
    data = settings.merge(data, changes)
    if wrong := settings.check(data):
        raise settings.SettingsError(wrong)
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n", data, key


def _password(ssid: str, open_wifi: bool) -> str:
    if open_wifi:
        return ""
    given = os.environ.get(_WIFI_PASSWORD)
    if given is not None:
        return given
    return str(typer.prompt(f"Password of {ssid}", hide_input=True, err=True))


def _port(name: str | None) -> Port:
    if name is not None:
        return Port(name)
    found = ports.choose(ports.serial_ports(), [], None)
    assert isinstance(found, Port)
    return found


def _scan(port: Port, baud: int) -> None:
    out = context.current().out
    with improv.open_port(port.name, baud) as line:
        found = improv.Improv(line).scan()
    for network in found:
        out.value({"ssid": network.ssid, "rssi": network.rssi, "protected": network.protected})
    out.table(
        ("SSID", "RSSI", "PASSWORD"),
        ((network.ssid, network.rssi, "yes" if network.protected else "no") for network in found),
        right=("RSSI",),
    )
    if not found:
        out.note("the board sees no network")


def _improv(port: Port, wifi: str | None, password: str | None, name: str | None, baud: int) -> None:
    out = context.current().out
    with improv.open_port(port.name, baud) as line:
        device = improv.Improv(line)
        info = device.info()
        out.note(f"{port}: {info.firmware} {info.version} on {info.chip}, {info.name}")
        if name is not None:
            device.name(name)
        url = ""
        if wifi is not None:
            out.note(f"it joins {wifi} …")
            url = device.wifi(wifi, password or "")
    out.value({"ok": True, "firmware": info.firmware, "version": info.version, "chip": info.chip, "url": url})
    out.text("done" + (f": connected, {url}" if url else ""), style="green")
