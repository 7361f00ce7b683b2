"""coldframe.remote: sessions, and commands in them. VECTORS is the example of docs/remote-protocol.md, in hex."""

import asyncio
import json
import sys
from binascii import hexlify, unhexlify
from collections import OrderedDict

import coldframe
import minitest
from coldframe import Node
from membroker import Broker, until

minitest.DEADLINE = 40
NEED = 34000  # bytes of heap for a node and all of this; tests/device/test_remote_memory.py does with less

KEY = "correct horse battery staple"
BASE = "home/greenhouse"
SID = "Ab3-_xYz"
NONCE_C = bytes(range(16))
NONCE_D = bytes(range(16, 32))
VECTORS = {
    "key id": "ed0cc98b",
    "Kc": "ac93e67532b87491c07e5b308985c369a0ba43841bad1fd2291741934c21fcf2",
    "hello": "8000434631ed0cc98b000102030405060708090a0b0c0d0e0fbd5d91a6056a0c220fd14a5a1a2521f8",
    "open": "800000000001ed0cc98b000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f1c52"
    "56041309607e0625b6f97fe6b48d",
    "opened": "800000000001000000017b7dff3f924b6d6ae238f19ca25b88a04b10",
    "command": "8000000000027b226c696d6974223a20357d0a7072696e742836202a2037291d68e788da5090a020d1ce349e"
    "b259ce",
    "data": "0000000000020000000234320af14aaa9ef606505c757c12154fe30fa9",
    "ack": "8000000000035345512030906b39849354b6e0ee5b0875f82cdbc8",
    "result": "800100000003000000027b226f6b223a20747275652c202276616c7565223a20302c20226d73223a20317d"
    "0b9552e389545ecde10f839e2a6638aa",
    "unknown": "8000000000047b7d37afb4d97f90c04d075bc8d79e83c396",
}
OUT = BASE + "/reply/out/" + SID
ERR = BASE + "/reply/err/" + SID


def vector(name):
    return unhexlify(VECTORS[name])


def test_the_proofs_are_those_of_the_example():
    from coldframe.remote.gate import mac, pads, same

    key = pads(KEY.encode())
    minitest.equal(hexlify(mac(key, "coldframe key id")[:4]).decode(), VECTORS["key id"])
    kc = mac(key, "c2d\0", BASE, b"\0", SID, b"\0", NONCE_C, NONCE_D)
    minitest.equal(hexlify(kc).decode(), VECTORS["Kc"])
    m = vector("command")
    proof = mac(pads(kc), BASE + "/cmd/eval/" + SID, b"\0", m[:-16])
    assert same(proof, m[-16:])
    for i in range(16):
        assert not same(proof, m[-16 : i - 16] + bytes((m[i - 16] ^ 1,)) + m[i - 15 :][: 15 - i])


class Verbs:
    """A module of verbs, in the place of one of the node's own."""


async def begin(**remote):
    """A connected node with one key, and its broker."""
    import gc

    coldframe.node = None
    gc.collect()
    if gc.mem_free() < NEED:
        minitest.skip("%d bytes of heap are free, this test wants %d" % (gc.mem_free(), NEED))
    broker = Broker()
    remote["key"] = remote.get("key", KEY)
    config = {
        "mqtt": {"base": BASE},
        "sysinfo": {"every": 0},
        "remote": remote,
        "discovery": {"enabled": False},
    }
    node = Node(config, transport=broker)
    await node.start()
    await until(lambda: broker.got(BASE + "/available"), "connection")
    return node, broker


async def opened(node, broker):
    """The session of the example."""
    say(broker, "hello", vector("hello"))
    await until(lambda: broker.got(OUT), "the welcome")
    node.remote.gate._nonce = lambda *args: NONCE_D
    say(broker, "open", vector("open"))
    await until(lambda: len(broker.got(OUT)) == 2, "the session")


def say(broker, verb, m):
    broker.id = getattr(broker, "id", 0) + 1
    broker.publish(BASE + "/cmd/" + verb + "/" + SID, m, 1, broker.id)


def sealed(node, verb, counter, body, head=0x8000):
    """A message of the host's in the session of the example."""
    from coldframe.remote.gate import mac

    topic = BASE + "/cmd/" + verb + "/" + SID
    m = head.to_bytes(2, "big") + counter.to_bytes(4, "big") + body
    return m + mac(node.remote.sessions[SID]._kc, topic, b"\0", m)[:16]


def body(m):
    return json.loads(m[10:-16])


async def test_the_example_is_what_a_node_says():
    verbs = Verbs()

    async def eval_(cmd):
        minitest.equal((cmd.args, cmd.data), ({"limit": 5}, b"print(6 * 7)"))
        await cmd.write("42\n")
        return OrderedDict((("ok", True), ("value", 0), ("ms", 1)))

    verbs.eval_ = eval_
    sys.modules["coldframe.remote.run"] = verbs
    try:
        node, broker = await begin()
        await opened(node, broker)
        welcome = broker.got(OUT)[0]
        from coldframe.remote.gate import mac, pads

        minitest.equal(welcome[:5], b"\xff\xffCF1")
        minitest.equal(welcome[-16:], mac(pads(KEY.encode()), OUT, b"\0", welcome[:-16], NONCE_C)[:16])
        said = json.loads(welcome[21:-16])
        minitest.equal((said["role"], said["name"], said["ahead"]), ("admin", node.name, 32))
        assert said["in"] > 400 and said["out"] >= 512 and said["window"] >= 4
        minitest.equal(hexlify(broker.got(OUT)[1]).decode(), VECTORS["opened"])

        say(broker, "eval", vector("command"))
        await until(lambda: len(broker.got(OUT)) == 4, "the answer")
        say(broker, "ack", vector("ack"))
        minitest.equal(hexlify(broker.got(OUT)[2]).decode(), VECTORS["data"])
        minitest.equal(hexlify(broker.got(OUT)[3]).decode(), VECTORS["result"])

        # The host has not heard it, and says the same again: nothing is run twice.
        say(broker, "eval", vector("command"))
        await until(lambda: len(broker.got(OUT)) == 5, "the answer again")
        minitest.equal(broker.got(OUT)[4][10:-16], broker.got(OUT)[3][10:-16])
        minitest.equal(broker.got(OUT)[4][2:6], b"\0\0\0\4")

        say(broker, "juggle", vector("unknown"))
        await until(lambda: broker.got(ERR), "the error")
        minitest.equal((body(broker.got(ERR)[0])["code"], broker.got(ERR)[0][6:10]), ("unknown", b"\0\0\0\4"))
        minitest.equal(node.remote.refused, 0)
        await node.stop()
    finally:
        sys.modules.pop("coldframe.remote.run", None)


async def test_windows_pieces_and_ends():
    verbs = Verbs()
    seen = []
    ran = []

    async def ls(cmd):
        for n in range(40):
            await cmd.send(b"%d" % n)

    async def put(cmd):
        cmd.on_data = lambda seq, last, part: seen.append((seq, last, bytes(part)))
        while not seen or not seen[-1][1]:
            await asyncio.sleep_ms(5)

    async def get(cmd):
        ran.append(1)
        await asyncio.sleep(3600)

    async def stat(cmd):
        return None if cmd.session.role == "read" else cmd.need_admin("this")

    verbs.ls, verbs.put, verbs.get, verbs.stat = ls, put, get, stat
    for name in ("files", "put", "get"):
        sys.modules["coldframe.remote." + name] = verbs
    try:
        node, broker = await begin()
        await opened(node, broker)
        session = node.remote.sessions[SID]
        window = session.window
        say(broker, "ls", sealed(node, "ls", 2, b""))
        for n in range(window - 1, 39 + window, window):
            most = min(n + 1, 40)
            await until(lambda: len(broker.got(OUT)) >= 2 + most, "data")
            await asyncio.sleep_ms(50)
            if most < 40:
                minitest.equal(len(broker.got(OUT)), 2 + most)  # and no more
            say(broker, "ack", sealed(node, "ack", 3 + n, b"SEQ %d" % (most - 1)))
        await until(lambda: len(broker.got(OUT)) == 43, "the result")
        minitest.equal([m[10:-16] for m in broker.got(OUT)[2:]], [b"%d" % n for n in range(40)] + [b"{}"])
        counters = [int.from_bytes(m[2:6], "big") for m in broker.got(OUT)[1:]]
        minitest.equal(counters, list(range(1, 43)))

        # Pieces that come right behind the first message.
        say(broker, "put", sealed(node, "put", 100, b"{}", 0))
        for n in (1, 2, 3):
            say(broker, "put", sealed(node, "put", 100 + n, b"p%d" % n, n | (0x8000 if n == 3 else 0)))
        await until(lambda: len(broker.got(OUT)) == 44, "the result")
        minitest.equal(seen, [(1, False, b"p1"), (2, False, b"p2"), (3, True, b"p3")])

        # Ended before its first turn, and in the middle.
        for turns in (0, 1):
            broker.messages.clear()
            ran.clear()
            say(broker, "get", sealed(node, "get", 200 + 10 * turns, b""))
            if turns:
                await until(lambda: ran, "the command")
            else:
                say(broker, "ls", sealed(node, "ls", 201, b""))
            say(broker, "cancel", sealed(node, "cancel", 202 + 10 * turns, b""))
            await until(lambda: len(broker.got(ERR)) == 2 - turns, "the error")
            minitest.equal(sorted(body(m)["code"] for m in broker.got(ERR)), ["busy", "cancelled"][turns:])
            minitest.equal(session.command, None)
        say(broker, "stat", sealed(node, "stat", 220, b'{"path": "/"}'))
        await until(lambda: len(broker.got(OUT)) == 2, "the result")
        say(broker, "stat", sealed(node, "stat", 221, b"[1]"))
        await until(lambda: len(broker.got(ERR)) == 2, "the error")
        minitest.equal(body(broker.got(ERR)[1])["code"], "args")
        await node.stop()
    finally:
        for name in ("files", "put", "get"):
            sys.modules.pop("coldframe.remote." + name, None)


async def test_more_answers_than_the_window_takes():
    # The broker is slow: more are waiting for room in the client's window than it has.
    verbs = Verbs()

    async def ls(cmd):
        while True:
            await cmd.send(b"x")

    verbs.ls = ls
    sys.modules["coldframe.remote.files"] = verbs
    try:
        node, broker = await begin()
        await opened(node, broker)
        broker.held = []
        say(broker, "ls", sealed(node, "ls", 2, b""))
        for n in range(30):
            say(broker, "ping", sealed(node, "ping", 3 + n, b""))
            await asyncio.sleep_ms(5)
        say(broker, "cancel", sealed(node, "cancel", 50, b""))
        await until(lambda: len(broker.held) == node.client._size, "a full window")
        await asyncio.sleep_ms(100)
        broker.release()
        await until(lambda: len(broker.got(ERR)) == 1, "the end of the command")

        def refs():
            return {int.from_bytes(m[6:10], "big") for m in broker.got(OUT)[1:]}

        await until(lambda: refs() >= set(range(3, 33)) | {50}, "all answers")
        said = [m[1] for m in broker.messages if m[0] in (OUT, ERR) and m[1][2:5] != b"CF1"]
        counters = [int.from_bytes(m[2:6], "big") for m in said]
        minitest.equal(counters, list(range(1, len(said) + 1)))
        say(broker, "ping", sealed(node, "ping", 51, b""))
        await until(lambda: 51 in refs(), "a further answer")
        await node.stop()
    finally:
        sys.modules.pop("coldframe.remote.files", None)


async def test_a_key_that_may_only_read():
    keys = [{"name": "eye", "key": KEY, "role": "read"}]
    node, broker = await begin(key=None, keys=keys)
    await opened(node, broker)
    minitest.equal(json.loads(broker.got(OUT)[0][21:-16])["role"], "read")
    minitest.equal(node.remote.sessions[SID].key_name, "eye")
    from coldframe.remote.command import VERBS

    counter = 2
    refused = []
    for verb in sorted(row[0] for row in VERBS if row[2] == "admin"):
        broker.messages.clear()
        say(broker, verb, sealed(node, verb, counter, b'{"path": "/x"}'))
        await until(lambda: broker.got(ERR), "an error")
        minitest.equal(body(broker.got(ERR)[0])["code"], "denied")
        refused.append(verb)
        counter += 1
    minitest.equal(refused, ["eval", "exec", "mkdir", "mv", "put", "reset", "rm", "update"])
    assert not [name for name in sys.modules if name.startswith("coldframe.remote.run")]
    await node.stop()


async def test_sessions_make_room_and_end():
    from coldframe import clock

    node, broker = await begin(sessions=1, idle=10)
    await opened(node, broker)
    gate = node.remote.gate
    first = node.remote.sessions[SID]
    minitest.equal(gate._room("admin"), False)  # it has only just been heard
    first.used -= 11000
    minitest.equal((gate._room("admin"), list(node.remote.sessions)), (True, []))
    node.remote.sessions[SID] = first
    first.used = clock.ms() - 11000
    await until(lambda: not node.remote.sessions, "the end of an idle session")
    gate.used -= 11000
    await until(lambda: node.remote.gate is None, "the end of the code")
    minitest.equal([n for n in sys.modules if n.startswith("coldframe.remote.")], [])
    await node.stop()


async def test_stopping_the_node_ends_the_sessions():
    node, broker = await begin()
    await opened(node, broker)
    assert node.busy()
    await node.stop()
    minitest.equal(node.remote.sessions, {})


async def test_off_without_a_key():
    node, broker = await begin(key=None)
    minitest.equal(node.remote, None)
    assert BASE + "/cmd/#" not in broker.filters
    await node.stop()


minitest.run(globals())
