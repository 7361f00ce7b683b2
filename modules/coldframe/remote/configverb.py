"""The verb config: show, check and change /config.json from afar; apply tries a change out and goes back if need be.

docs/remote.md tells what each does; configtrial how a trial works.
"""

import gc
import json

from coldframe import config as settings
from coldframe import configtrial, forget, store
from coldframe.config import PATH

from .command import RemoteError

_TRIAL = 120  # s
_LONGEST = 3600
_SHORTEST = 10


async def config(cmd):
    """See remote/command.py; args: docs/remote-protocol.md."""
    op = cmd.args.get("op", "get")
    function = _OPS.get(op)
    if function is None:
        raise RemoteError("args", "config: op: expected one of %s" % ", ".join(sorted(_OPS)))
    if op in ("set", "apply"):
        cmd.need_admin("config " + op)
    try:
        gc.collect()
        return await function(cmd)
    finally:
        for name in ("remote.configtext", "configtrial", "secrets"):
            forget(name)
        for name in ("check", "keys", "load", "save", "scan", "seal"):
            forget("config" + name)


def _file(cmd):
    path = cmd.node._path
    if path is None:
        raise RemoteError(
            "denied", "config: the configuration of this device is in its program, not in a file"
        )
    return path


def _stored(path):
    # (what the file holds, passwords as they are there; whether it is the file, not the last good copy).
    from coldframe.configsave import base_of

    return base_of(path)


async def _get(cmd):
    from .configtext import pieces

    node = cmd.node
    whole = True
    if node._path is None:
        value = node.config._data
    else:
        value, whole = _stored(node._path)
    result = {"whole": whole}
    path = cmd.args.get("path") or ""
    place = ""
    if path:
        if not isinstance(path, str):
            raise RemoteError("args", "config: path: expected a text such as mqtt.host")
        known = settings.row(path) or settings.is_section(path)
        for part in path.split("."):
            if isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
                place += "[]"
            else:
                value = value.get(part) if isinstance(value, dict) else None
                place += ("." if place else "") + part
        if value is None:
            if not known:
                raise RemoteError("missing", "config: %s: there is no such key" % path)
            found = settings.row(path)
            value = found[2] if found else {}
            result["default"] = True
        if isinstance(value, tuple):
            value = list(value)
    for piece in pieces(value, place):
        await cmd.write(piece)
    await cmd.flush()
    return result


def _wanted(cmd, base):
    # (changes, whether they are the whole configuration), what was hidden in them filled in.
    args = cmd.args
    whole = True
    if "file" in args:
        cmd.need_admin(
            "config %s of a file" % args["op"]
        )  # else its errors would tell what a secret file holds
        from .paths import clean

        args["file"] = clean(args, "file")
        changes = _uploaded(args["file"])
    elif args.get("replace"):
        if not cmd.last:
            raise RemoteError("size", "config: expected all of it in one message; put a longer one to a file")
        changes = _parsed(cmd.data, "replace")
    else:
        whole = False
        changes = args.get("changes")
    if not isinstance(changes, dict):
        raise RemoteError(
            "args", 'config: expected "changes": {...}, or "replace" or "file" with a JSON object'
        )
    errors = []
    from .configtext import filled

    filled(changes, base, "", errors)
    if errors:
        raise RemoteError("args", _joined(errors))
    forget("remote.configtext")
    cmd.data = None
    gc.collect()
    return changes, whole


def _uploaded(path):
    # What an uploaded file holds. It has done its work then, right or wrong, and may hold readable passwords; the files
    # of the configuration itself can be named as well, and stay.
    from coldframe.configload import raw

    try:
        data = raw(path)
    except ValueError as e:
        raise RemoteError("size", str(e))
    if data is None:
        raise RemoteError("missing", "config: %s: there is no such file" % path)
    if not path.startswith("/config.") or path == "/config.new":
        store.remove(path)
    return _parsed(data, path)


def _parsed(data, what):
    from coldframe.configload import parse

    errors = []
    found = parse(data, what, errors, [])
    if found is None:
        raise RemoteError("args", _joined(errors))
    return found


def _joined(errors):
    return "; ".join(errors)[:200]


def _checked(changes, whole):
    # The errors in them. whole: they are changed by it, for there may be no room for a copy.
    from coldframe.configcheck import check

    errors = []
    check(changes if whole else json.loads(json.dumps(changes)), errors)
    gc.collect()
    return errors


def _then(base, changes, whole, path):
    # What the configuration would have at a path.
    for part in path.split("."):
        if isinstance(changes, dict) and part in changes:
            changes = changes[part]
            if changes is None:
                return None
            base = base.get(part) if isinstance(base, dict) else None
            if not isinstance(changes, dict):
                return changes
        else:
            changes = None
            base = base.get(part) if isinstance(base, dict) and not whole else None
            whole = False  # below here only what is stored counts
        if base is None and changes is None:
            return None
    return changes if changes is not None else base


def _named(base, changes, whole):
    # Whether it would name a way to a broker.
    return any(_then(base, changes, whole, path) is not None for path in ("mqtt.host", "mqtt.serial"))


def _warnings(base, changes, whole):
    # What is allowed, and yet the end of remote administration.
    if not _named(base, changes, whole):
        yield "mqtt.host: no broker: the device could not be reached again"
    if not any(
        _then(base, changes, whole, path) for path in ("remote.key", "remote.keys", "remote.insecure")
    ):
        yield "remote.key: none: remote administration would be off"


async def _validate(cmd):
    path = _file(cmd)
    base, whole_file = _stored(path)
    args = cmd.args
    if "file" in args or args.get("replace") or "changes" in args:
        changes, whole = _wanted(cmd, base)
    else:
        changes, whole = base, True
    warnings = list(_warnings(base, changes, whole))
    errors = _checked(changes, whole)
    if changes is base and not whole_file:
        errors.insert(0, "%s: not JSON; the last good copy was checked instead" % path)
    for text in errors:
        await cmd.write(text + "\n")
    for text in warnings:
        await cmd.write("warning: %s\n" % text)
    await cmd.flush()
    return {"ok": not errors, "errors": len(errors), "warnings": len(warnings)}


def _save(path, changes, whole):
    # Raises RemoteError with what was wrong.
    errors = settings.save(changes, path, whole)
    if errors:
        last = errors[-1]
        code = (
            "space"
            if "the flash is full" in last
            else "memory"
            if "too large for the memory" in last
            else "args"
        )
        raise RemoteError(code, _joined(errors))


async def _set(cmd):
    path = _file(cmd)
    if path == PATH and configtrial.running():
        raise RemoteError("busy", "config set: a configuration is on trial, and may be taken back")
    base = _stored(path)[0]
    changes, whole = _wanted(cmd, base)
    base = None
    before = _digest(path)
    _save(path, changes, whole)
    changed = _digest(path) != before
    return {"changed": changed, "restart": changed}


def _digest(path):
    from coldframe.configload import digest

    return digest(path) if store.exists(path) else None


async def _apply(cmd):
    import os

    path = _file(cmd)
    if path != PATH:
        raise RemoteError("denied", "config apply: only for %s, this device uses %s" % (PATH, path))
    trial = cmd.args.get("trial", _TRIAL)
    if not isinstance(trial, int) or isinstance(trial, bool) or not _SHORTEST <= trial <= _LONGEST:
        raise RemoteError("args", "config apply: trial: expected %d to %d seconds" % (_SHORTEST, _LONGEST))
    if configtrial.running():
        raise RemoteError("busy", "config apply: another configuration is on trial")
    base = _stored(path)[0]
    changes, whole = _wanted(cmd, base)
    errors = _checked(changes, whole)
    if errors:
        raise RemoteError("args", _joined(errors))
    if not _named(base, changes, whole):
        raise RemoteError(
            "args", "config apply: mqtt.host: expected a broker, without one no trial can go well"
        )
    base = None
    name = os.urandom(4).hex()
    configtrial.arm(name, trial)
    try:
        _save(path, changes, whole)
    except Exception:
        if not configtrial.changed():  # else it is on the flash, and the next start tries it
            configtrial.disarm()
        raise
    if not configtrial.changed():
        configtrial.disarm()
        return {"changed": False}
    from .admin import restart

    restart(cmd, "config apply %s: a new configuration is tried" % name, "hard")
    return {"changed": True, "id": name, "trial": trial}


async def _result(cmd):
    return configtrial.outcome()


_OPS = {"get": _get, "set": _set, "validate": _validate, "apply": _apply, "result": _result}
