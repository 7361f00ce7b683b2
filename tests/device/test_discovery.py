"""The document for Home Assistant: made twice, the same each time, and read in pieces of any size."""

import asyncio
import json

import coldframe
import minitest
from coldframe import Topic
from membroker import make


def node_with(count):
    node, _ = make(name="Grün", discovery={"area": 'a "b"'})
    for n in range(count):
        topic = node.add(Topic("./s%d" % n, read=lambda: 1, every=60))
        topic.meta = {"unit": "°C", "device_class": "temperature", "name": "Wärme %d" % n}
    return node


async def test_document():
    from coldframe.discoverydoc import Plan

    plan = Plan(node_with(2))
    plan.gone = [("old", "sensor")]
    found = json.loads("".join(plan.parts()))
    minitest.equal(found["cmps"]["old"], {"p": "sensor"})
    minitest.equal(sorted(found["cmps"]), ["old", "s0", "s1"])
    minitest.equal((found["dev"]["name"], found["dev"]["sa"]), ("Grün", 'a "b"'))
    s0 = found["cmps"]["s0"]
    minitest.equal((s0["name"], s0["exp_aft"], s0["stat_t"]), ("Wärme 0", 131, "b/s0"))


async def test_stream():
    from coldframe.discoverydoc import Plan, Stream, size_of

    plan = Plan(node_with(2))
    whole = "".join(plan.parts()).encode()
    size = len(whole)
    minitest.equal(await size_of(plan), size)
    for piece in (1, 7, 200):
        stream = Stream(plan, size)
        buf = memoryview(bytearray(piece))
        stream.readinto(buf)
        stream.seek(0)  # as after a lost connection
        at = 0
        while True:
            n = stream.readinto(buf)
            if not n:
                break
            assert whole[at : at + n] == buf[:n], (piece, at)
            at += n
        minitest.equal(at, size)
    # What has become shorter meanwhile is filled up: the length has been announced.
    stream = Stream(plan, size + 5)
    at = 0
    while at < size:
        at += stream.readinto(buf[: min(200, size - at)])
    minitest.equal((stream.readinto(buf), bytes(buf[:5]), stream.readinto(buf)), (5, b"     ", 0))


async def test_compare():
    from coldframe.discoverydoc import Plan, cid_of, compare

    plan = Plan(node_with(2))
    told = b"topic\ns0 sensor\ns1 sensor\n"
    minitest.equal((compare(plan, bytearray(told)), plan.gone), (False, []))
    minitest.equal((compare(plan, bytearray(b"topic\ns1 sensor\n")), plan.gone), (True, []))
    minitest.equal((compare(plan, bytearray(told + b"x switch\n")), plan.gone), (False, [("x", "switch")]))
    minitest.equal(
        (compare(plan, bytearray(b"t\ns0 number\ns1 sensor\n")), plan.gone), (True, [("s0", "number")])
    )
    names = ["./a/b", "./a_b", "./a-b", "a/b", "./ä", "./ö", "./a b", "./A/b"]
    minitest.equal(len({cid_of(name) for name in names}), len(names))
    minitest.equal((cid_of("./a/b"), cid_of("./air", "temperature")), ("a-b", "air--temperature"))
    coldframe.forget("discoverydoc")
    await asyncio.sleep(0)


minitest.run(globals())
