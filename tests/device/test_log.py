# coldframe.log and where it goes: the file, rows for the web, captured output; and how messages are put together.
import asyncio
import gc
import os

import minitest
import ringlog
from coldframe import log, store
from minitest import equal, raises

log.console(None)


def test_formatting_is_that_of_python():
    ring = ringlog.Ring(2048)
    for args in (
        ("%s", "text"),
        ("%d of %d", 3, -4),
        ("%s %s %s", 1, 2.5, None),
        ("%r and %s", "quoted", [1, "two"]),
        ("100 %% of %s", b"bytes"),
        ("%5.2f|%-6s|%03d|%x", 3.14159, "ab", 7, 255),
        ("%d", 2.9),
        ("%d", 1 << 40),
        ("%d", True),
        ("%s", "x" * 200),
        ("%s%s", "y" * 100, "z" * 61),
        ("", ),
        ("%%",),
        ("\xe5 %s \u20ac", "\xe5"),
        (b"bytes %s", 5),
    ):  # fmt: skip
        ring.write(20, "n", *args)
        reader = ring.reader(1)
        assert reader.next()
        expected = args[0] % args[1:] if len(args) > 1 else args[0]
        equal(reader.text, expected if isinstance(expected, str) else expected.decode())
    for wrong in (("%s",), ("%d %d", 1), ("%s", 1, 2), ("%d", "x"), ("%y", 1), ("50 %", 1)):
        count = len(ring)
        if len(wrong) > 1:
            raises((TypeError, ValueError), ring.write, 20, "n", *wrong)
            equal(len(ring), count)


def test_simple_arguments_allocate_nothing():
    logger = ringlog.Ring(512).logger("l")
    info = logger.info
    info("%d networks, best %s", 3, "Farm")
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for n in range(50):
        info("%d networks, best %s", n, "Farm")
    used = gc.mem_alloc() - before
    gc.enable()
    # On some targets the call itself makes room for its arguments.
    assert used <= 50 * 64, used


def test_levels_and_names():
    logger = log.getLogger("t")
    assert log.getLogger("t") is logger
    assert log.getLogger() is log.getLogger("root")
    log.setLevel("warning")
    log.info("no")
    log.warning("yes %s", 1)
    lines = list(log.lines(1))
    equal(len(lines), 1)
    assert lines[0].endswith(" WARNING  root: yes 1"), lines
    equal(log.level("Error"), 40)
    for bad in ("loud", -1, 256, None, 1.5):
        raises(ValueError, log.level, bad)
    raises(AttributeError, getattr, log, "nothing_of_ours")
    log.setLevel(20)


def test_the_way_of_c_modules():
    log.setLevel(20)
    begin = log.ring.seq
    ringlog.log(10, "c", "below")
    ringlog.log(30, "c", "from C")
    equal([row[2:] for row in log.rows(begin)["rows"]], [["WARNING", "c", "from C"]])
    ringlog.default(None)
    try:
        ringlog.log(50, "c", "nowhere")
    finally:
        ringlog.default(log.ring)
    equal(log.ring.seq, begin + 1)
    raises(TypeError, ringlog.default, 5)


def test_rows():
    log.setLevel(10)
    begin = log.ring.seq
    for n in range(4):  # a small heap has a small ring
        log.info("info %d", n)
        log.debug("debug %d", n)
    log.setLevel(20)
    answer = log.rows(begin, 4)
    equal([row[0] for row in answer["rows"]], [begin, begin + 1, begin + 2, begin + 3])
    equal(answer["rows"][1][2:], ["DEBUG", "root", "debug 0"])
    equal((answer["lost"], answer["next"], answer["first"]), (0, begin + 4, log.ring.first))
    answer = log.rows(answer["next"], lowest="INFO")
    equal([row[4] for row in answer["rows"]], ["info 2", "info 3"])
    equal(answer["next"], begin + 8)
    equal(log.rows(answer["next"])["rows"], [])
    for n in range(300):
        log.info("more %d", n)
    answer = log.rows(begin, 1)
    assert answer["lost"] > 100, answer
    assert answer["lost"] + begin <= answer["rows"][0][0]
    equal(log.rows(0, 1)["lost"], 0)  # one who begins has missed nothing


def test_file():
    from coldframe.logfile import LogFile

    for name in ("t_log.txt", "t_log.txt.1"):
        store.remove(name)
    target = LogFile("t_log.txt", 600, "WARNING")
    target._reader = log.ring.reader(0)
    target._watch = log.ring.reader(0)
    assert not target.due()
    log.info("not for the file")
    assert not target.due()
    log.error("urgent")
    assert target.due()
    target.write()
    assert not target.due()
    text = store.read("t_log.txt").decode()
    assert text.endswith(" ERROR    root: urgent\n") and text.count("\n") == 1, text
    log.warning("can wait")
    assert not target.due()
    for n in range(40):
        log.warning("line %d", n)
        target.write()
        assert os.stat("t_log.txt")[6] <= 600
    both = (store.read("t_log.txt.1") + store.read("t_log.txt")).decode()
    assert 600 < len(both) <= 1200
    numbers = [int(line.split()[-1]) for line in both.split("\n") if "line" in line]
    equal(numbers, list(range(numbers[0], 40)))  # nothing is missing between the two files, or twice
    equal(target.lost, 0)
    # What was overwritten before it could be written is told.
    target.size = 8000
    for n in range(300):
        log.error("fast %d", n)
    target.write()
    assert target.lost > 100
    assert b"records lost\n" in store.read("t_log.txt.1") + store.read("t_log.txt")
    # A line that was cut off by a loss of power is ended.
    with open("t_log.txt", "wb") as f:
        f.write(b"half a li")
    target = LogFile("t_log.txt", 600, "WARNING")
    target._reader = log.ring.reader(0)
    log.error("two\nlines")
    target.write()
    lines = store.read("t_log.txt").decode().split("\n")
    equal((lines[0], lines[2:]), ("half a li", ["    lines", ""]))
    # A file that cannot be written does no harm.
    target = LogFile("t_none/log.txt", 600, "WARNING")
    target._reader = log.ring.reader(0)
    log.error("lost")
    target.write()
    assert target.failed
    for name in ("t_log.txt", "t_log.txt.1"):
        store.remove(name)


async def test_file_service():
    from coldframe.logfile import LogFile

    store.remove("t_log.txt")
    target = LogFile("t_log.txt", 2000, "INFO")
    target._reader = log.ring.reader(0)
    target._watch = log.ring.reader(0)
    task = asyncio.create_task(target.run())
    log.error("at once")
    while not store.exists("t_log.txt"):
        await asyncio.sleep_ms(50)
    log.info("before the end")
    await asyncio.sleep_ms(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    assert b"before the end" in store.read("t_log.txt")
    store.remove("t_log.txt")


def test_capture():
    if not log.capture():
        minitest.skip("no os.dupterm")
    begin = log.ring.seq
    try:
        print("printed %d" % 1)
        print("two", end="")
        print(" parts")
        log.console("INFO")
        log.info("logged")  # goes to the console, and must not come back
        log.console(None)
        try:
            [][1]
        except IndexError as e:
            import sys

            sys.print_exception(e)
        print("after\nand more")
        print("x" * 300)
    finally:
        log.capture(False)
    print("not captured")
    rows = [row[2:] for row in log.rows(begin)["rows"]]
    equal(
        rows[:3], [["INFO", "print", "printed 1"], ["INFO", "print", "two parts"], ["INFO", "root", "logged"]]
    )
    equal(rows[3][:2], ["ERROR", "print"])
    assert rows[3][2].startswith("Traceback"), rows
    at = 4
    while rows[at][2].startswith("  "):
        equal(rows[at][0], "ERROR")
        at += 1
    equal(rows[at], ["ERROR", "print", "IndexError: list index out of range"])
    equal(rows[at + 1 : at + 3], [["INFO", "print", "after"], ["INFO", "print", "and more"]])
    equal([len(row[2]) for row in rows[at + 3 :]], [120, 120, 60])


def test_colour():
    if not log.capture():
        minitest.skip("no os.dupterm")
    log.capture(False)
    import io

    class Terminal(io.IOBase):
        text = b""

        def write(self, data):
            self.text += bytes(data)
            return len(data)

        def readinto(self, buf):
            return None

    terminal = Terminal()
    before = os.dupterm(terminal, 0)
    try:
        log.console("DEBUG", True)
        log.error("red")
        log.console("DEBUG", False)
        log.error("plain")
        log.console(None)
    finally:
        os.dupterm(before, 0)
    lines = terminal.text.replace(b"\r", b"").split(b"\n")
    assert lines[0].startswith(b"\x1b[31m") and lines[0].endswith(b"red\x1b[0m"), lines
    assert lines[1].endswith(b"plain") and b"\x1b" not in lines[1], lines


def test_lines_of_before():
    # As after a reset: a ring over a block that holds records already.
    import sys

    from coldframe import logmore

    block = bytearray(1024)
    old = ringlog.Ring(block)
    for n in range(5):
        old.write(20, "n", "old %d" % n)
    ring = ringlog.Ring(block)
    ring.write(20, "n", "new")
    equal((ring.recovered, ring.first), (5, 5))
    real = logmore.ring
    logmore.ring = ring
    try:
        equal([text.split()[-1] for text in log.before()], ["0", "1", "2", "3", "4"])
        equal([text.split()[-1] for text in log.before(2)], ["3", "4"])
        equal(log.save("t_crash.log"), 5)
        text = store.read("t_crash.log").decode()
        assert text.count("\n") == 5 and text.endswith("n: old 4\n"), text
    finally:
        logmore.ring = real
        store.remove("t_crash.log")
    assert "coldframe.logmore" in sys.modules


minitest.run(globals())
