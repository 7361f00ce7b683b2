"""runcode, the C side of coldframe.remote.runner: a tap for what is printed, guarded calls, code as a function."""

import asyncio
import os

import micropython
import minitest
import runcode
from minitest import equal, raises


def test_tap_gathers_and_says_when_it_is_full():
    found = []
    buffer = bytearray(8)

    def full():
        assert not tap.on
        found.append(bytes(buffer[: tap.len]))
        tap.len = 0

    tap = runcode.Tap(buffer, full)
    equal(tap.write(b"not yet on"), 10)
    equal((tap.len, tap.total, tap.on, tap.other), (0, 0, False, None))
    tap.on = True
    equal(tap.write(b"12345"), 5)
    equal(tap.write(b"\r\n"), 2)  # what a console makes of a line feed
    equal(bytes(buffer[: tap.len]), b"12345\n")
    equal(tap.write(b"abcdefghijklmnopq"), 17)
    equal(found, [b"12345\nab", b"cdefghij"])
    equal((bytes(buffer[: tap.len]), tap.total, tap.lost, tap.on), (b"klmnopq", 23, 0, True))
    raises(ValueError, setattr, tap, "len", 9)
    raises(ValueError, runcode.Tap, bytearray(0), full)
    raises(TypeError, runcode.Tap, 5, full)


def test_tap_counts_what_finds_no_room():
    tap = runcode.Tap(bytearray(4), lambda: None)
    tap.on = True
    tap.write(b"123456")
    equal((tap.len, tap.lost, tap.total), (4, 2, 4))


def test_tap_passes_on_to_the_stream_before_it():
    heard = bytearray(16)
    first = runcode.Tap(heard, lambda: None)
    first.on = True
    tap = runcode.Tap(bytearray(4), lambda: None)
    tap.other = first
    tap.write(b"both")
    equal(bytes(heard[: first.len]), b"both")


def test_tap_takes_what_is_printed():
    if not hasattr(os, "dupterm"):
        minitest.skip("no os.dupterm")
    buffer = bytearray(64)
    tap = runcode.Tap(buffer, lambda: None)
    tap.other = os.dupterm(tap)
    tap.on = True
    try:
        print("printed", 5)
        runcode.show(["shown"])
        print()
    finally:
        tap.on = False
        os.dupterm(tap.other)
    equal(bytes(buffer[: tap.len]), b"printed 5\n['shown']\n")


def test_a_guard_raises_in_what_goes_on():
    calls = []

    def fails(x):
        calls.append(x)
        raise KeyError(x)

    def gives(x):
        calls.append(x)
        return ValueError("given")

    for function, kind in ((fails, KeyError), (gives, ValueError)):
        del calls[:]
        try:
            micropython.schedule(runcode.Guard(function), 7)
            for _ in range(100000):
                pass
        except kind:
            pass
        else:
            assert False, "nothing was raised"
        equal(calls, [7])
    equal(runcode.Guard(lambda: 5)(), None)


def test_code_becomes_a_function():
    names = {"a": 5}
    equal(runcode.compile(b"a + 1", "x", True, names)(), 6)
    done = runcode.run(runcode.compile("b = a\ndef f(): return b", "x", False, names), names)
    equal(done, (True, None))
    equal((names["b"], names["f"]()), (5, 5))
    raises(SyntaxError, runcode.compile, "a b", "x", True, names)
    raises(SyntaxError, runcode.compile, "x = 1", "x", True, names)
    raises(TypeError, runcode.compile, "1", "x", True, None)
    done, error = runcode.run(runcode.compile("1 / 0", "x", False, names), names)
    assert not done and isinstance(error, ZeroDivisionError)
    equal(runcode.run(max, names, 3, 4), (True, 4))
    # the compiler's own await is what it always was
    raises(SyntaxError, exec, "await f()", {})


def test_await_outside_of_functions():
    async def later(x):
        await asyncio.sleep_ms(1)
        return x

    names = {"later": later}

    async def main():
        equal(await runcode.compile("await later(3)", "x", True, names)(), 3)
        function = runcode.compile("y = await later(4)\nz = await later(y + 1)", "x", False, names)
        done, value = runcode.run(function, names)
        assert done
        while True:
            done, found = runcode.run(value.send, names, None)
            if not done:
                assert isinstance(found, StopIteration), found
                break
            yield  # what it waits for has put this task where it is to wait
        equal((names["y"], names["z"]), (4, 5))

    asyncio.run(main())


def test_room_is_less_the_deeper_the_code():
    def deeper():
        return runcode.room()

    assert 0 < deeper() < runcode.room()


minitest.run(globals())
