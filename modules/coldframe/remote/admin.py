"""The verbs params, crash, info, reset, update. docs/remote.md tells what each does."""

import asyncio
import json

from coldframe import bootrecord, forget, hal

from .command import RemoteError

MODES = ("hard", "soft", "safe", "normal", "bootloader")


async def params(cmd):
    """Show, describe and change the parameters of the device."""
    op = cmd.args.get("op", "get")
    known = cmd.node.params
    if op == "get":
        names = cmd.args.get("names")
        mark = "{"
        for name in known if names is None else _names(names):
            await cmd.write("%s%s: %s" % (mark, json.dumps(name), json.dumps(_param(known, name).value)))
            mark = ", "
        await cmd.write("}" if mark != "{" else "{}")
        await cmd.flush()
        return
    if op == "describe":
        for name in known:
            await cmd.write(json.dumps(known[name].describe()))
            await cmd.write("\n")
        await cmd.flush()
        return
    if op not in ("set", "drop"):
        raise RemoteError("args", "params: op: expected one of describe, drop, get, set")
    cmd.need_admin("params " + op)
    if op == "drop":
        before = known.values()
        for name in _names(cmd.args.get("names")):
            known.drop(name)
        return {"changed": known.values() != before}
    values = cmd.args.get("values")
    if not isinstance(values, dict):
        raise RemoteError("args", 'params set: expected "values": {"name": value}')
    try:
        return {"changed": known.put(values)}
    except KeyError as e:
        raise RemoteError("missing", "params: %s: there is no such parameter" % e.args[0])
    except ValueError as e:
        raise RemoteError("args", str(e).replace("\n", "; ")[:200])


def _names(names):
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RemoteError("args", 'params: expected "names": ["name", ...]')
    return names


def _param(known, name):
    try:
        return known[name]
    except KeyError:
        raise RemoteError("missing", "params: %s: there is no such parameter" % name)


async def crash(cmd):
    """The report of the last bad end, as it is on the flash; with "clear" it is forgotten, here and at the broker."""
    from coldframe import crash, store

    try:
        root = crash.ROOT
        path = root + "crash.new"
        waiting = store.exists(path)
        if not waiting:
            path = root + "crash.json"
        if cmd.args.get("clear"):
            cmd.need_admin("crash clear")
            found = store.remove(root + "crash.new") | store.remove(root + "crash.json")
            await cmd.node.publish("./crash", b"", 1, True)
            return {"crash": found}
        try:
            with open(path, "rb") as f:
                part = bytearray(128)
                while True:
                    n = f.readinto(part)
                    if not n:
                        break
                    await cmd.write(memoryview(part)[:n])
        except OSError:
            return {"crash": False}
        await cmd.flush()
        return {"crash": True, "published": not waiting}
    finally:
        forget("crash")


async def info(cmd):
    """What ./SYSINFO says, asked for now."""
    from coldframe import sysinfo

    try:
        node = cmd.node
        for part in sysinfo.parts(node, sysinfo.largest_block(), list(node.errors)):
            await cmd.write(part)
        await cmd.write(b"}")
        await cmd.flush()
    finally:
        forget("sysinfo")
        forget("hal.facts")


async def reset(cmd):
    """Restart in one of MODES, after the answer."""
    mode = cmd.args.get("mode", "hard")
    if mode not in MODES:
        raise RemoteError("args", "reset: mode: expected one of %s" % ", ".join(MODES))
    if mode == "bootloader" and not hasattr(hal.machine, "bootloader"):
        raise RemoteError("args", "reset: this board has no bootloader that can be entered from here")
    restart(cmd, "remote reset (%s) by %s" % (mode, cmd.session.key_name), mode)
    return {"mode": mode}


async def update(cmd):
    """Not without a key that updates could be checked against."""
    raise RemoteError("denied", "update: no trusted key for updates in this image")


def restart(cmd, why, mode):
    """Restart the device as soon as the answer to the command has gone out. mode: one of MODES."""
    asyncio.create_task(_restart(cmd.node, why, mode))


async def _restart(node, why, mode):
    try:
        await asyncio.sleep_ms(200)  # the answer is not handed to the client yet
        if node.client:
            await node.client.drain(5)
        await node.stop()
    except Exception as e:
        node.report("reset", e)
    # stop() has let the program that runs the node go on, so there may be no await from here on.
    if mode == "normal":
        bootrecord.clear()
    if mode in ("soft", "bootloader"):
        node.log.warning("restart: %s", why)
        (hal.soft_reset if mode == "soft" else hal.bootloader)()
    hal.reset(why, mode == "safe")
