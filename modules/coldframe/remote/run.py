"""eval and exec: Python code of the host's, run on the device; what it prints goes to the host while it runs."""

import asyncio
import gc

import runcode
from micropython import const

from .. import clock
from .command import RemoteError

_LIMIT = const(60)  # s that code may run for, unless the host says otherwise
_TURN = const(20)  # tenths of a second to wait for the end of another session's code
_UPLOAD = const(30)  # s to wait for the next piece of long code
_FILE = "<remote>"


async def eval_(cmd):
    """The value of an expression; code that is none is run as exec does."""
    return await _run(cmd, True)


async def exec_(cmd):
    """Run code."""
    return await _run(cmd, False)


async def _run(cmd, expression):
    limit = cmd.args.get("limit", _LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit < 0:
        raise RemoteError("args", "limit: expected seconds, 0 for none")
    file = cmd.args.get("name", _FILE)
    if not isinstance(file, str) or not 0 < len(file.encode()) <= 64:
        raise RemoteError("args", "name: expected 1 to 64 bytes of text")
    code = cmd.data if cmd.last else await _rest(cmd)
    cmd.data = b""
    remote = cmd.node.remote
    await _turn(remote)
    names = __import__("__main__").__dict__
    names.setdefault("node", cmd.node)
    there = list(names)
    from .runner import Runner

    runner = remote.running = Runner(cmd, names, limit)
    try:
        began = clock.ms()
        runner.start()
        # In a task of its own, since the stack is short: it begins anew there.
        work = asyncio.create_task(_work(runner, code, file, expression, there))
        code = None
        done, value = await work
        runner.stop()
        ms = clock.ms() - began
        await runner.finish()
        if runner.ended == "cancelled":
            raise asyncio.CancelledError
        if not done and runner.ended:
            why = "ran for longer than %s s" % limit if runner.ended == "limit" else "no heap for its output"
            raise RemoteError(runner.ended, "%s: %s" % (cmd.verb, why))
    finally:
        runner.stop()
        remote.running = None
        gc.collect()
    if done:
        return {"ok": True, "value": value, "ms": ms}
    return {"ok": False, "error": value, "ms": ms}


async def _turn(remote):
    # Two pieces of code at once would be one inside the other.
    for _ in range(_TURN):
        if remote.running is None:
            return
        await asyncio.sleep_ms(100)
    other = remote.running.cmd
    raise RemoteError("busy", "%s of %s is at work" % (other.verb, other.session.key_name))


def _compiled(runner, code, file, expression):
    # Returns (whether it went well, the function or the exception, whether it is an expression).
    if expression:
        if isinstance(code, bytes):
            code = code.strip()
        done, value = runner.step(runcode.compile, code, file, True, runner.names)
        if done or not isinstance(value, SyntaxError):
            return done, value, True
    done, value = runner.step(runcode.compile, code, file, False, runner.names)
    return done, value, False


async def _work(runner, code, file, expression, there):
    # Returns (True, bytes of the value at the end of the output) or (False, the error as text).
    runner.begin()
    done, value, expression = _compiled(runner, code, file, expression)
    code = None
    length = 0
    if done:
        done, value = runner.step(value)
        if done:
            done, value = await runner.awaited(value)
        if done and expression and value is not None:
            length = runner.length()
            done, value = runner.show(value)
            length = runner.length() - length & 0x3FFFFFFF
    if done:
        return True, length
    if isinstance(value, MemoryError):
        # What the code has made is what fills the heap, and nobody could say so, or do anything else.
        for name in list(runner.names):
            if name not in there:
                del runner.names[name]
        gc.collect()
    return False, _told(runner, value)


def _told(runner, exception):
    # Prints the traceback; returns the exception as one line.
    runner.trace(exception)
    done, text = runner.step(str, exception)
    name = type(exception).__name__
    return "%s: %s" % (name, text[:100]) if done and text else name


async def _rest(cmd):
    # Code that does not fit into one message.
    code = bytearray(cmd.data)
    every = max(1, cmd.session.window // 2)
    news = asyncio.Event()
    at = [0, False]  # the number of the newest piece that is in its place; whether it was the last
    said = 0  # the number that the host was told last
    again = 0  # pieces that came out of turn

    def piece(seq, last, body):
        nonlocal again
        if at[1]:
            return
        if seq == at[0] % 0x7FFF + 1:
            try:
                code.extend(body)
            except MemoryError:
                at[0] = -1
                news.set()
                return
            at[0] = seq
            at[1] = last
            again = 0
            if last or seq % every == 0:
                news.set()
        else:
            if again % every == 0:
                news.set()
            again += 1

    cmd.on_data = piece
    while not at[1]:
        try:
            await asyncio.wait_for(news.wait(), _UPLOAD)
        except asyncio.TimeoutError:
            raise RemoteError("gone", "%s: the rest of the code did not come" % cmd.verb)
        news.clear()
        if at[0] < 0:
            raise RemoteError("memory", "%s: the code does not fit into the heap" % cmd.verb)
        n = at[0]
        if again and n != said:
            await cmd.notify(b"SEQ %d" % n)  # twice: it goes back to the next one where a number is repeated
        said = n
        await cmd.notify(b"SEQ %d" % n)
    return code
