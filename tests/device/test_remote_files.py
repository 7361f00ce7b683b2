"""The verbs for files, on the file system of each target; the session is played by the test."""

import asyncio
import hashlib
import json
import os

import minitest
from coldframe import store
from coldframe.remote import files, paths
from coldframe.remote.command import RemoteError
from coldframe.remote.get import get
from coldframe.remote.put import put

TOP = "/rt"


class Session:
    role = "admin"

    def __init__(self):
        self.said = []

    def say(self, head, ref, body, keep=False, kind="out"):
        self.said.append(body)


class Remote:
    writing = ()


class Node:
    remote = Remote()
    config = {
        "mqtt.tls.key": "/keys//me.der",
        "mqtt.fallback": [{"tls": {"key": "./other.der"}}, {"host": "b"}],
    }


class Command:
    """What a verb is given: it gathers what is sent."""

    chunk = 100
    ref = 7
    node = Node()
    on_data = None

    def __init__(self, args, role="admin"):
        self.args = args
        self.session = Session()
        self.session.role = role
        self.sent = b""

    async def send(self, data):
        assert len(data) <= self.chunk
        self.sent += bytes(data)

    async def write(self, text):
        self.sent += text.encode()

    def end(self, code):
        self.task.cancel()


async def run(verb, role="admin", **args):
    cmd = Command(args, role)
    return await verb(cmd), cmd.sent


async def refused(code, verb, role="admin", **args):
    try:
        await run(verb, role, **args)
    except RemoteError as e:
        minitest.equal(e.args[0], code)
        return e.args[1]
    raise AssertionError("%s was not refused" % args)


async def clean():
    try:
        await run(files.rm, path=TOP, recursive=True)
    except RemoteError:
        pass
    os.mkdir(TOP)


def sha(data):
    return hashlib.sha256(data).digest().hex()


def make(size):
    return bytes((i * 7 + (i >> 8)) & 255 for i in range(size))


async def send(path, data, order=None, step=100, resume=False, digest=None, size=None):
    """Put data, its pieces in the order of their numbers given. Returns (result or error, what it said, at)."""
    cmd = Command(
        {
            "path": path,
            "size": len(data) if size is None else size,
            "sha256": digest or sha(data),
            "resume": resume,
        }
    )
    task = asyncio.create_task(put(cmd))
    for _ in range(50):
        if cmd.sent or task.done():
            break
        await asyncio.sleep_ms(10)
    if not task.done():
        at = json.loads(cmd.sent)["at"]
        last = max(1, -(-(len(data) - at) // step))
        for n in order or range(1, last + 1):
            start = at + (n - 1) * step
            cmd.on_data(n, n == last, memoryview(data)[start : start + step])
    else:
        at = None
    try:
        if order and order[-1] != last:
            task.cancel()
        return await task, cmd.session.said, at
    except (RemoteError, asyncio.CancelledError) as e:
        return e.args[0] if e.args else "cancelled", cmd.session.said, at


async def test_names():
    for given, wanted in (
        ("a", "/a"),
        ("/a//b/", "/a/b"),
        ("./a/./b", "/a/b"),
        ("/", "/"),
        ("..a/b..", "/..a/b.."),
        ("ä'\"\\ \U0001f600", "/ä'\"\\ \U0001f600"),
        ("x" * 254, "/" + "x" * 254),
    ):
        minitest.equal(paths.clean({"path": given}), wanted)
    for code, bad in (
        ("args", None),
        ("args", 7),
        ("args", ""),
        ("name", ".."),
        ("name", "a/../../etc/passwd"),
        ("name", "/a/.."),
        ("name", "a\0b"),
        ("name", "a\nb"),
        ("name", "a\x7fb"),
        ("name", json.loads('"\\ud83d\\ude00"')),
        ("name", "x" * 255),
        ("name", "\U0001f600" * 64),
        ("name", "a/" * 128),
    ):
        e = minitest.raises(RemoteError, paths.clean, {"path": bad})
        minitest.equal((bad, e.args[0]), (bad, code))


async def test_folders():
    await clean()
    await run(files.mkdir, path="rt/a/b/c", parents=True)
    await run(files.mkdir, path="rt/a/b/c", parents=True)
    await refused("exists", files.mkdir, path="rt/a/b/c")
    await refused("missing", files.mkdir, path="rt/no/c")
    store.write(TOP + "/a/f", "hello")
    await refused("notdir", files.mkdir, path="rt/a/f/c", parents=True)
    await refused("exists", files.mkdir, path="rt/a/f")
    result, sent = await run(files.ls, path="rt", recursive=True, sha=True)
    rows = sorted(json.loads(line) for line in sent.decode().split("\n")[:-1])
    minitest.equal(rows, [["a", None], ["a/b", None], ["a/b/c", None], ["a/f", 5, sha(b"hello")]])
    minitest.equal(result, {"count": 4})
    minitest.equal(await run(files.ls, path="/rt/a/f"), ({"count": 1}, b'["f", 5]\n'))
    result, sent = await run(files.ls)
    assert b'["rt", null]' in sent
    result = (await run(files.stat, path="rt/a"))[0]
    assert result.pop("free") > 0
    minitest.equal(result, {"size": None, "dir": True})
    result = (await run(files.stat, path="rt/a/f", sha=True))[0]
    del result["free"]
    minitest.equal(result, {"size": 5, "dir": False, "sha256": sha(b"hello")})
    await refused("missing", files.stat, path="rt/none")
    await refused("missing", files.ls, path="rt/none")
    # move
    await refused("missing", files.mv, path="rt/none", to="rt/x")
    await refused("missing", files.mv, path="rt/a/f", to="rt/none/x")
    await refused("args", files.mv, path="rt/a", to="rt/a/b/x")
    await refused("exists", files.mv, path="rt/a/f", to="rt/a/b")
    await refused("exists", files.mv, path="rt/a/b", to="rt/a/f")
    await refused("denied", files.mv, path="/", to="rt/x")
    store.write(TOP + "/g", "old")
    await run(files.mv, path="rt/a/f", to="rt/g")
    minitest.equal(store.read(TOP + "/g"), b"hello")
    await run(files.mv, path="rt/a", to="rt/z")
    # delete
    await refused("notempty", files.rm, path="rt/z")
    await refused("missing", files.rm, path="rt/a")
    await refused("denied", files.rm, path="/", recursive=True)
    for i in range(20):
        store.write("%s/z/b/%d" % (TOP, i), "x")
    minitest.equal((await run(files.rm, path="rt/z", recursive=True))[0], {"removed": 23})
    await run(files.rm, path="rt/g")
    await run(files.rm, path="rt")
    assert not store.exists(TOP)


async def test_who_may_only_read():
    await clean()
    for name in ("/config.bak", "/keys/me.der", "/other.der", "/WIFI.json"):
        assert paths.hidden(Command({}, "read"), name), name
        assert not paths.hidden(Command({}), name)
    for name in ("/main.py", "/rt/config.json", "/keys/ca.der"):
        assert not paths.hidden(Command({}, "read"), name)
    store.write("/config.rt", "secret")
    await refused("denied", get, "read", path="config.rt")
    minitest.equal((await run(files.stat, "read", path="config.rt", sha=True))[0]["sha256"], None)
    minitest.equal((await run(files.ls, "read", path="config.rt", sha=True))[1], b'["config.rt", 6, null]\n')
    minitest.equal((await run(get, path="config.rt"))[1], b"secret")
    store.remove("/config.rt")


async def test_get():
    await clean()
    data = make(950)
    store.write(TOP + "/f", data)
    whole = {"size": 950, "sha256": sha(data)}
    for offset in (0, 1, 949, 950):
        result, sent = await run(get, path="rt/f", offset=offset)
        minitest.equal(sent, data[offset:])
        minitest.equal(result, whole)
    await refused("args", get, path="rt/f", offset=951)
    await refused("args", get, path="rt/f", offset=-1)
    await refused("isdir", get, path="rt")
    await refused("missing", get, path="rt/none")
    store.write(TOP + "/f", b"")
    minitest.equal(await run(get, path="rt/f"), ({"size": 0, "sha256": sha(b"")}, b""))


async def test_get_of_a_file_that_changes():
    await clean()
    store.write(TOP + "/f", make(450))

    class Slow(Command):
        async def send(self, data):
            await super().send(data)
            if len(self.sent) == 100:
                self.change()

    def append():
        with open(TOP + "/f", "ab") as f:
            f.write("more")

    cmd = Slow({"path": "rt/f"})
    cmd.change = append
    minitest.equal(await get(cmd), {"size": 450, "sha256": sha(make(450))})
    minitest.equal(cmd.sent, make(450))

    cmd = Slow({"path": "rt/f"})
    cmd.change = lambda: store.write(TOP + "/f", "other")
    result = await get(cmd)
    assert sha(cmd.sent) != result["sha256"]


async def test_put():
    await clean()
    for size in (0, 1, 100, 950, 5000):
        data = make(size)
        result, said, at = await send("rt/f", data)
        minitest.equal((result, at), ({"size": size, "sha256": sha(data)}, 0))
        minitest.equal(store.read(TOP + "/f"), data)
        last = max(1, -(-size // 100))
        minitest.equal(said, [b"SEQ %d" % n for n in range(8, last, 8)] + [b"SEQ %d" % last])
    minitest.equal(os.listdir(TOP), ["f"])


async def test_put_goes_on_where_it_was_cut_off():
    await clean()
    store.write(TOP + "/f", "old")
    data = make(950)
    result, said, at = await send("rt/f", data, order=(1, 2, 3))
    minitest.equal((result, at), ("cancelled", 0))
    minitest.equal(store.read(TOP + "/f"), b"old")
    result, said, at = await send("rt/f", data, resume=True)
    minitest.equal((result["size"], at), (950, 300))
    minitest.equal(store.read(TOP + "/f"), data)
    # All of it was there already, and another content does not go on with it.
    await send("rt/f", make(400), order=(1, 2, 3))
    await send("rt/f", data, order=(1, 2))
    minitest.equal(len(os.listdir(TOP)), 2)  # the older attempt is gone
    minitest.equal(os.stat("%s/f.%s.part" % (TOP, sha(data)[:8]))[6], 200)
    store.write("%s/f.%s.part" % (TOP, sha(data)[:8]), data)
    result, said, at = await send("rt/f", data, resume=True)
    minitest.equal((result["size"], at), (950, 950))
    minitest.equal(os.listdir(TOP), ["f"])


async def test_put_with_pieces_missing_and_repeated():
    await clean()
    data = make(950)
    result, said, at = await send("rt/f", data, order=(1, 3, 4, 5, 2, 2, 3, 10, 4, 5, 6, 7, 8, 9, 10, 10))
    minitest.equal(result, {"size": 950, "sha256": sha(data)})
    minitest.equal(store.read(TOP + "/f"), data)
    minitest.equal(said, [b"SEQ 1", b"SEQ 1", b"SEQ 3", b"SEQ 3", b"SEQ 10", b"SEQ 10"])


async def test_put_of_something_else_than_was_said():
    await clean()
    store.write(TOP + "/f", "old")
    data = make(950)
    for answer, more in (
        ("hash", {"digest": sha(b"x")}),
        ("size", {"size": 949}),
        ("size", {"size": 951}),
        ("space", {"size": 1 << 29}),
    ):
        result, said, at = await send("rt/f", data, **more)
        minitest.equal(result, answer)
        minitest.equal((store.read(TOP + "/f"), os.listdir(TOP)), (b"old", ["f"]))
    for code, args in (
        ("args", {"size": "7"}),
        ("args", {"size": -1}),
        ("args", {"sha256": "ab"}),
        ("args", {"sha256": "g" * 64}),
        ("args", {"sha256": None}),
        ("name", {"path": "rt/"}),
        ("name", {"path": "/"}),
        ("name", {"path": "rt/" + "x" * 240}),
        ("isdir", {"path": "rt"}),
        ("missing", {"path": "rt/none/f"}),
        ("notdir", {"path": "rt/f/g"}),
    ):
        whole = {"path": "rt/f", "size": 3, "sha256": sha(b"abc")}
        whole.update(args)
        await refused(code, put, **whole)
    minitest.equal(Node.remote.writing, ())


async def test_two_puts_of_one_file():
    await clean()
    first = Command({"path": "rt/f", "size": 3, "sha256": sha(b"abc")})
    task = asyncio.create_task(put(first))
    for _ in range(5):
        await asyncio.sleep_ms(0)
    minitest.equal((await send("rt/f", b"other"))[0], "busy")
    minitest.equal((await send("rt/g", b"other"))[0]["size"], 5)
    first.on_data(1, True, b"abc")
    minitest.equal((await task)["size"], 3)


async def test_a_host_takes_its_own_file_over():
    await clean()
    first = Command({"path": "rt/f", "size": 300, "sha256": sha(make(300))})
    first.task = asyncio.create_task(put(first))
    for _ in range(5):
        await asyncio.sleep_ms(0)
    first.on_data(1, False, make(300)[:200])
    minitest.equal((await send("rt/f", make(300)))[0], "busy")  # it may have begun in vain
    result, said, at = await send("rt/f", make(300), resume=True, step=100)
    minitest.equal((result["size"], at), (300, 200))
    assert first.task.done() and Node.remote.writing == ()


async def test_a_silent_host_is_told_where_to_go_on():
    await clean()
    cmd = Command({"path": "rt/f", "size": 300, "sha256": sha(b"abc")})
    task = asyncio.create_task(put(cmd))
    for _ in range(5):
        await asyncio.sleep_ms(0)
    cmd.on_data(1, False, b"abc")
    await asyncio.sleep(6)
    minitest.equal(cmd.session.said, [b"SEQ 1"] * 2)  # news, and that it has to go back there
    await asyncio.sleep(5)
    minitest.equal(cmd.session.said, [b"SEQ 1"] * 3)
    task.cancel()


minitest.run(globals())
