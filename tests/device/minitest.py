"""The test harness that runs on the device: small enough for a heap of 38 KB.

A test file is an ordinary MicroPython script:

    import minitest

    def test_something():
        assert 1 + 1 == 2

    async def test_something_async():          # has minitest.DEADLINE seconds, then it fails
        await asyncio.sleep(0)

    minitest.run(globals())

Output, read by conftest.py on the host: per test one line `ok NAME`, `skip NAME: reason` or
`FAIL NAME: reason` (then the traceback), and at the end `N passed, M failed`. Figures go out with measure().
"""

import gc
import sys

# Seconds that one async test may take on the device's own clock.
DEADLINE = 20


class Skip(Exception):
    """Raised by skip(): the test does not apply to this target."""


def skip(reason):
    """End the running test as skipped. reason: why it does not apply here."""
    raise Skip(reason)


def raises(exception, function, *args, **kwargs):
    """Call function(*args, **kwargs) and return the exception it must raise.

    Raises AssertionError when nothing, and the exception itself when something else, is raised.
    """
    try:
        function(*args, **kwargs)
    except exception as error:
        return error
    raise AssertionError("%s not raised" % exception.__name__)


def equal(got, expected):
    """Like `assert got == expected`, but the failure shows both values."""
    if got != expected:
        raise AssertionError("got %r, expected %r" % (got, expected))


def measure(name, value):
    """Report a figure: value is a number, the unit is part of the name, as in heap_free_bytes."""
    print("MEASURE", name, value)


def within(seconds, coroutine):
    """Run a coroutine to its end on a fresh event loop and return its result.

    Raises asyncio.TimeoutError when it takes longer than that many seconds of the device's clock.
    """
    import asyncio

    # Tasks that an earlier test left behind must not run inside this one.
    asyncio.new_event_loop()
    try:
        return asyncio.run(asyncio.wait_for(coroutine, seconds))
    finally:
        asyncio.new_event_loop()


def run(names):
    """Run every `test_*` in names (a module's globals()), sorted by name, and print the results.

    Returns the number of failures.
    SystemExit and KeyboardInterrupt are failures too: a test that ends the script must not look like a pass.
    """
    passed = failed = 0
    for name in sorted(names):
        if not name.startswith("test_") or not callable(names[name]):
            continue
        gc.collect()
        try:
            result = names[name]()
            if hasattr(result, "send"):  # an async test: calling it has only made the coroutine
                within(DEADLINE, result)
            passed += 1
            print("ok", name)
        except Skip as reason:
            print("skip %s: %s" % (name, reason))
        except BaseException as error:
            failed += 1
            print("FAIL %s: %s: %s" % (name, type(error).__name__, error))
            sys.print_exception(error)
    print("%d passed, %d failed" % (passed, failed))
    return failed
