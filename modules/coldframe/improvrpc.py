"""The commands of Improv, see improv. Imported when the first one comes."""

import asyncio
import sys

from . import hal, log
from .version import __version__

_STATE, _ERROR, _RESULT = 1, 2, 4  # types of packets
_READY, _PROVISIONING, _PROVISIONED = 2, 3, 4
_INVALID, _UNKNOWN, _UNABLE, _HOSTNAME, _OTHER = 1, 2, 3, 5, 255
_ONLINE, _HAS_WIFI = 1, 2

_log = log.getLogger("improv")


class _Wrong(Exception):
    pass  # the argument is the number of the error


def take(listener, data, busy):
    """Take a command (the data of its packet). Returns a coroutine that does it, or None if it is done."""
    if len(data) < 2 or data[1] != len(data) - 2:
        return listener.send(_ERROR, bytes((_INVALID,)))
    if busy:
        # While another one is at work, only its state can be asked for.
        if data[0] == 2:
            listener.send(_STATE, bytes((_PROVISIONING,)))
        else:
            listener.send(_ERROR, bytes((_OTHER,)))
        return None
    return _do(listener, data[0], data[2:])


async def _do(listener, command, data):
    send = listener.send
    send(_ERROR, b"\0")
    try:
        function = _COMMANDS.get(command)
        if function is None:
            raise _Wrong(_UNKNOWN)
        result = function(listener, data)
        if hasattr(result, "send"):
            result = await result
        if result is not None:
            send(_RESULT, strings(command, result))
    except _Wrong as e:
        send(_ERROR, bytes((e.args[0],)))
    except Exception as e:
        _log.exception("command %d", command, exc_info=e)
        send(_ERROR, bytes((_OTHER,)))


def strings(command, texts):
    """The data of a result: the command, the length of what follows, each text with its length before it."""
    out = b""
    for text in texts:
        part = text.encode()[:255]
        if len(out) + 1 + len(part) > 253:
            break
        out += bytes((len(part),)) + part
    return bytes((command, len(out))) + out


def _wifi(listener):
    # The Wifi of the node, made if needed. Raises _Wrong where there is none.
    if not hal.wireless():
        raise _Wrong(_UNABLE)
    from .wifi import of

    return of(listener.node)


def _url(node):
    wifi = node.wifi
    return "http://%s" % wifi.address() if wifi and wifi.up.is_set() else None


def _save(listener, changes):
    # Write settings to the file. Raises _Wrong if they cannot be.
    from .config import save

    path = listener.node._path
    if path is None:
        _log.error("the settings of this device are in its program, and cannot be changed here")
        raise _Wrong(_OTHER)
    errors = save(changes, path)
    for text in errors:
        _log.error(text)
    if errors:
        raise _Wrong(_OTHER)


async def _send_wifi(listener, data):
    try:
        n = data[0]
        m = data[n + 1]
        if n + m + 2 != len(data):
            raise IndexError
        ssid = str(data[1 : n + 1], "utf-8")
        password = str(data[n + 2 :], "utf-8")
    except (IndexError, ValueError):
        raise _Wrong(_INVALID)
    node = listener.node
    wifi = _wifi(listener)
    from .setup.trial import changes

    try:
        # Without a password it is an open network, whatever was known before.
        what = changes(node.config, {"ssid": ssid, "password": password, "open": "1"})
    except ValueError as e:
        _log.warning("%s", e)
        raise _Wrong(_INVALID)
    listener.send(_STATE, bytes((_PROVISIONING,)))
    try:
        error = await wifi.try_join(ssid, password or None, 25)
    except RuntimeError as e:  # somebody does so on the setup page
        error = str(e)
    if error:
        _log.warning("%s: %s", ssid, error)
        listener.send(_STATE, bytes((_READY,)))
        raise _Wrong(_UNABLE)
    try:
        _save(listener, {"wifi": {"networks": what["wifi"]["networks"]}})
    except _Wrong:
        wifi.back()
        listener.send(_STATE, bytes((_READY,)))
        raise
    url = "http://%s" % wifi.address()
    from .setup.trial import use

    use(node)
    listener.send(_STATE, bytes((_PROVISIONED,)))
    return (url,)


def _state(listener, data):
    node = listener.node
    url = _url(node)
    listener.send(_STATE, bytes((_PROVISIONED if url else _READY,)))
    if not node.config.given("wifi.led"):
        asyncio.create_task(_blink())
    return (url,) if url else None


async def _blink():
    # So that a person sees which of several boards it is.
    for on in (True, False) * 3:
        hal.led(on)
        await asyncio.sleep_ms(80)


def _info(listener, data):
    board = hal.board()
    chip = board if board.lower() == sys.platform else "%s/%s" % (board, sys.platform)
    version = ".".join(str(n) for n in sys.implementation[1][:3])
    return ("Coldframe", __version__, chip, listener.node.name, "MicroPython", version)


async def _scan(listener, data):
    found = _wifi(listener).nearby(True) if hal.wireless() else ()
    if hasattr(found, "send"):
        found = await found
    for ssid, rssi, security in found[:20]:
        answer = strings(4, (ssid, str(rssi), "NO" if security == "open" else "YES"))
        listener.send(_RESULT, answer)
        await asyncio.sleep_ms(0)
    return ()


def _hostname(listener, data):
    node = listener.node
    if data:
        try:
            name = str(data, "utf-8")
        except ValueError:
            raise _Wrong(_HOSTNAME)
        # RFC 1123, 2.1; longer than 32 is not for every driver.
        good = all("a" <= c <= "z" or c.isdigit() or c == "-" for c in name.lower())
        if not good or not 0 < len(name) <= 32 or name[0] == "-" or name[-1] == "-":
            raise _Wrong(_HOSTNAME)
        _save(listener, {"wifi": {"hostname": name}})
        try:
            import network

            network.hostname(name)
        except (ImportError, AttributeError, ValueError, OSError):
            pass  # from the next start on
        return (name,)
    name = node.config["wifi.hostname"]
    return (node.fill(name),)


def _name(listener, data):
    node = listener.node
    if data:
        try:
            name = str(data, "utf-8")
        except ValueError:
            raise _Wrong(_INVALID)
        if not 0 < len(name.encode()) <= 63:
            raise _Wrong(_INVALID)
        _save(listener, {"name": name})
        return (name,)  # the node bears it from the next start on
    return (node.name,)


def _network(listener, data):
    url = _url(listener.node)
    flags = (_ONLINE if url else 0) | (_HAS_WIFI if hal.wireless() else 0)
    return (str(flags), url) if url else (str(flags),)


_COMMANDS = {1: _send_wifi, 2: _state, 3: _info, 4: _scan, 5: _hostname, 6: _name, 7: _network}
