"""What the framework takes for granted: each target has to offer all of it."""

import asyncio
import gc
import json
import os
import struct
import sys
import time

import minitest


def test_modules():
    for name in (
        "array asyncio binascii collections errno gc hashlib io json machine math micropython os random re "
        "select struct sys time"
    ).split():
        __import__(name)


def test_c_modules():
    import mqttpacket
    import ringlog

    assert mqttpacket.match("a/+", "a/b") and not mqttpacket.match("a/+", "a/b/c")
    assert ringlog.Ring(256)


def test_framework():
    import coldframe
    import coldframe_build

    assert coldframe.Node and coldframe.Topic
    assert coldframe_build.BOARD and coldframe_build.VERSION


async def test_gather():
    order = []

    async def step(name, ms):
        await asyncio.sleep_ms(ms)
        order.append(name)
        return name

    minitest.equal(await asyncio.gather(step("a", 20), step("b", 1), step("c", 10)), ["a", "b", "c"])
    minitest.equal(order, ["b", "c", "a"])


async def test_cancel():
    seen = []

    async def forever():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append("finally")

    task = asyncio.create_task(forever())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
        assert False, "not cancelled"
    except asyncio.CancelledError:
        pass
    minitest.equal(seen, ["cancelled", "finally"])


async def test_wait_for():
    try:
        await asyncio.wait_for_ms(_forever(), 5)
        assert False, "no timeout"
    except asyncio.TimeoutError:
        pass
    minitest.equal(await asyncio.wait_for(_value(7), 5), 7)


# asyncio.sleep() alone is no coroutine in MicroPython, and wait_for() takes nothing else.
async def _forever():
    await asyncio.sleep(1000)


async def _value(value):
    await asyncio.sleep(0)
    return value


async def test_event_and_lock():
    event, lock, seen = asyncio.Event(), asyncio.Lock(), []

    async def waiter():
        await event.wait()
        async with lock:
            seen.append(1)

    tasks = [asyncio.create_task(waiter()) for _ in range(3)]
    await asyncio.sleep(0)
    minitest.equal(seen, [])
    event.set()
    await asyncio.gather(*tasks)
    minitest.equal(seen, [1, 1, 1])


def test_async_test_has_a_deadline():
    minitest.raises(asyncio.TimeoutError, minitest.within, 0.01, _forever())


def test_files():
    with open("p.tmp", "wb") as f:
        f.write(b"one\ntwo\n")
    os.rename("p.tmp", "p.txt")
    assert "p.tmp" not in os.listdir() and "p.txt" in os.listdir("/")
    with open("/p.txt") as f:
        minitest.equal(f.readlines(), ["one\n", "two\n"])
    with open("p.txt", "r+b") as f:
        f.seek(4)
        f.write(b"TWO")
    with open("p.txt", "ab") as f:
        f.write(b"3")
    with open("p.txt", "rb") as f:
        minitest.equal(f.read(), b"one\nTWO\n3")
    minitest.equal(os.stat("p.txt")[6], 9)


def test_rename_replaces():
    for name, text in (("p.old", "old"), ("p.new", "new")):
        with open(name, "w") as f:
            f.write(text)
    os.rename("p.new", "p.old")
    with open("p.old") as f:
        minitest.equal(f.read(), "new")
    os.remove("p.old")
    minitest.equal(minitest.raises(OSError, os.stat, "p.old").errno, 2)


def test_folders():
    os.mkdir("p.d")
    with open("p.d/f", "w") as f:
        f.write("x")
    minitest.equal([(e[0], e[1] & 0xC000) for e in os.ilistdir("p.d")], [("f", 0x8000)])
    minitest.raises(OSError, os.rmdir, "p.d")
    os.remove("p.d/f")
    os.rmdir("p.d")
    assert os.statvfs("/")[0] > 0


def test_readinto():
    with open("p.bin", "wb") as f:
        f.write(bytes(range(100)))
    buffer = bytearray(64)
    with open("p.bin", "rb") as f:
        minitest.equal(f.readinto(memoryview(buffer)[4:]), 60)
        minitest.equal(f.readinto(buffer), 40)
        minitest.equal(f.readinto(buffer), 0)


def test_json():
    data = {"a": [1, -2.5, None, True], "b": {"c": '\u00e9\n"', "big": 1234567890123}}
    minitest.equal(json.loads(json.dumps(data)), data)
    minitest.raises(ValueError, json.loads, '{"a": ')
    minitest.raises(ValueError, json.loads, "{'a': 1}")


def test_struct_and_hex():
    import binascii

    minitest.equal(struct.pack(">BHI", 1, 2, 3), b"\x01\x00\x02\x00\x00\x00\x03")
    minitest.equal(struct.unpack_from("<h", b"\x00\xfe\xff", 1), (-2,))
    minitest.equal(binascii.hexlify(b"\x00\xff"), b"00ff")
    minitest.equal(binascii.a2b_base64(binascii.b2a_base64(b"coldframe")), b"coldframe")


def test_sha256():
    import binascii
    import hashlib

    digest = binascii.hexlify(hashlib.sha256(b"abc").digest())
    minitest.equal(digest, b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_float():
    minitest.equal(0.1 + 0.2 > 0.3 - 1e-5, True)
    minitest.equal(1.5 * 4, 6.0)
    minitest.equal(int(-3.99), -3)
    minitest.equal("%.2f" % (22 / 7), "3.14")
    minitest.equal(round(2.5e6), 2500000)
    minitest.equal(float("-1e3"), -1000.0)
    assert float("inf") > 1e30 and float("nan") != float("nan")
    minitest.raises(ZeroDivisionError, lambda: 1.0 / 0)


def test_big_ints():
    minitest.equal(2**100, 1267650600228229401496703205376)
    minitest.equal(2**100 // 3**40, 104267600099)
    minitest.equal(-(2**64) % 1000007, 1000007 - 2**64 % 1000007)
    minitest.equal(int("123456789012345678901234567890") % 97, 52)
    minitest.equal((1 << 63) - 1 & 0xFFFFFFFF, 0xFFFFFFFF)
    minitest.equal((0xDEADBEEF).to_bytes(4, "big"), b"\xde\xad\xbe\xef")
    minitest.equal(int.from_bytes(b"\xff\xff\xff\xff\xff", "little"), 2**40 - 1)


def test_division_of_words():
    # Software on the lx106; the values are those where a carry or a sign goes wrong first.
    for a in (0, 1, 7, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x123456789ABC):
        for b in (1, 2, 3, 10, 255, 65537, 0x7FFFFFFF):
            q, r = divmod(a, b)
            assert q * b + r == a and 0 <= r < b, (a, b)
            q, r = divmod(-a, b)
            assert q * b + r == -a and 0 <= r < b, (-a, b)


def test_ticks():
    start = time.ticks_ms()
    start_us = time.ticks_us()
    time.sleep_ms(50)
    passed = time.ticks_diff(time.ticks_ms(), start)
    assert 49 <= passed < 2000, passed
    passed = time.ticks_diff(time.ticks_us(), start_us)
    assert 49000 <= passed < 2000000, passed
    minitest.equal(time.ticks_diff(time.ticks_add(start, 5000), start), 5000)
    assert time.time() >= 0 and len(time.localtime()) >= 8


def test_out_of_memory_can_be_survived():
    # More than is free now, and less than any size limit of a bytearray.
    size = gc.mem_free() * 2
    minitest.raises(MemoryError, bytearray, size)
    minitest.equal(len(bytearray(100)), 100)


def test_heap_can_be_filled_and_freed():
    if gc.mem_free() > 1000000:
        minitest.skip("a heap of megabytes")
    gc.collect()
    before = gc.mem_free()
    held = []
    try:
        while True:
            held.append(bytearray(256))
    except MemoryError:
        pass
    count = len(held)
    held = None
    gc.collect()
    assert count > 20, count
    assert gc.mem_free() > before - 2048, (before, gc.mem_free())


def test_recursion_ends_in_an_error():
    def deeper(n):
        return deeper(n + 1)

    minitest.raises(RuntimeError, deeper, 0)
    minitest.equal(sum(range(10)), 45)


def test_collection_finds_everything_on_the_stack():
    def build(depth):
        here = [depth, str(depth)]
        inner = build(depth - 1) if depth else []
        gc.collect()
        return [here] + inner

    made = build(8)
    minitest.equal([item[0] for item in made], list(range(8, -1, -1)))
    minitest.equal(made[3][1], "5")


def test_exceptions_carry_a_traceback():
    import io

    try:
        {}["missing"]
    except KeyError as error:
        out = io.StringIO()
        sys.print_exception(error, out)
        text = out.getvalue()
    assert "Traceback" in text and "KeyError: missing" in text and "line" in text, text


def test_native_code():
    # Only where the port has an emitter for its CPU; compiled here, as bytecode files carry none.
    names = {}
    try:
        exec("import micropython\n@micropython.viper\ndef thrice(a: int) -> int:\n    return a * 3\n", names)
    except (SyntaxError, ValueError) as error:
        minitest.skip("no native emitter: %s" % error)
    minitest.equal(names["thrice"](14), 42)


def test_exit_can_be_caught():
    minitest.equal(minitest.raises(SystemExit, sys.exit, 3).args, (3,))


def test_machine():
    import machine

    assert callable(machine.reset)
    assert isinstance(machine.reset_cause(), int)
    assert len(machine.unique_id()) >= 4


minitest.run(globals())
