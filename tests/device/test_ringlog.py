# The ring of log records: order, wrap-around, readers, content found at start-up, no allocation.
import gc

import minitest
import ringlog
from minitest import equal, raises


def all_of(ring, *args):
    reader = ring.reader(*args)
    got = []
    while reader.next():
        got.append((reader.level, reader.name, reader.text))
    return got


def test_write_and_read():
    ring = ringlog.Ring(256)
    equal((len(ring), ring.dropped, ring.recovered, ring.console), (0, 0, 0, None))
    ring.write(20, "wifi", "connected")
    ring.write(40, "mqtt", "%d of %s", 3, "x")
    ring.write(10, "", b"bytes")
    ring.write(255, "n", 5)
    equal(
        all_of(ring), [(20, "wifi", "connected"), (40, "mqtt", "3 of x"), (10, "", "bytes"), (255, "n", "5")]
    )
    equal(all_of(ring, 1), [(255, "n", "5")])
    equal(all_of(ring, 0), [])
    equal(len(ring), 4)
    ring.clear()
    equal((len(ring), all_of(ring)), (0, []))
    ring.write(20, "a", "b")
    equal(all_of(ring), [(20, "a", "b")])


def test_wrong_arguments():
    for bad in (127, -1, bytearray(127), 1 << 25):
        raises(ValueError, ringlog.Ring, bad)
    for bad in (None, "x", bytes(256)):
        raises(TypeError, ringlog.Ring, bad)
    raises(ValueError, ringlog.Ring, memoryview(bytearray(256))[1:200])
    ring = ringlog.Ring(128)
    raises(ValueError, ring.write, 256, "a", "b")
    raises(TypeError, ring.write, 20, 5, "b")
    raises(TypeError, ring.write, 20, "a", "%d", "x")
    raises(ValueError, ring.reader, -1)
    equal(len(ring), 0)


def test_time_is_the_clock():
    import time

    ring = ringlog.Ring(128)
    before = time.ticks_ms()
    ring.write(20, "a", "b")
    after = time.ticks_ms()
    reader = ring.reader()
    assert reader.next()
    # ticks_ms() counts modulo some power of two, the record modulo 2**32
    assert time.ticks_diff(reader.time & 0x3FFFFFFF, before & 0x3FFFFFFF) >= 0
    assert time.ticks_diff(after & 0x3FFFFFFF, reader.time & 0x3FFFFFFF) >= 0


def test_wrap_at_every_offset():
    # Records of all lengths, so that header, name and text lie across the end at every byte.
    for size in (128, 132, 148, 200):
        ring = ringlog.Ring(size)
        written = []
        for i in range(120):
            text = ("%d." % i) * (i % 5 + 1)
            ring.write(i % 20, "n%d" % (i % 11), text)
            written.append((i % 20, "n%d" % (i % 11), text))
            got = all_of(ring)
            assert 1 <= len(got) <= 8
            equal(got, written[-len(got) :])
            equal(len(got) + ring.dropped, i + 1)
            written = written[-8:]


def test_readers():
    ring = ringlog.Ring(256)
    fast, slow = ring.reader(), ring.reader()
    assert not fast.next()
    read = lost = 0
    for i in range(40):
        ring.write(20, "r", "%d" % i)
        assert fast.next()
        equal((fast.text, fast.lost), (str(i), 0))
        if i % 20 == 19:
            while slow.next():
                lost += slow.lost
                equal(int(slow.text), read + lost)
                read += 1
    assert lost > 10
    equal(read + lost, 40)
    assert not fast.next()
    # A record that is overwritten between next() and .text says so.
    slow = ring.reader()
    assert slow.next()
    for i in range(20):
        ring.write(20, "r", "new")
    equal((slow.text, slow.name), (None, None))


def test_long_text_is_cut_between_characters():
    ring = ringlog.Ring(256)
    ring.write(20, "n" * 100, "\xe5" * 300)
    level, name, text = all_of(ring)[0]
    equal(name, "n" * 32)
    assert 20 <= len(text) < 50 and text == "\xe5" * len(text)
    ring.write(20, "n", b"\xff\x80 raw")  # bytes that are no text can still be read
    equal(all_of(ring, 1), [(20, "n", "?? raw")])


def test_attach_to_content():
    block = bytearray(256)
    ring = ringlog.Ring(block)
    for i in range(30):
        ring.write(20, "n", "%d" % i)
    expected = all_of(ring)
    again = ringlog.Ring(block)
    equal((again.recovered, all_of(again)), (len(expected), expected))
    again.write(30, "n", "after")
    equal(all_of(again)[-2:], [expected[-1], (30, "n", "after")])
    # All others survive the damage of one.
    at = bytes(block).find(b"27")
    block[at] ^= 1
    again = ringlog.Ring(block)
    equal(all_of(again), [r for r in expected[1:] if r[2] != "27"] + [(30, "n", "after")])
    # Another size, another content: nothing is taken over.
    equal(ringlog.Ring(memoryview(block)[:252]).recovered, 0)
    equal(ringlog.Ring(bytearray(256)).recovered, 0)


def test_random_content():
    x = 12345
    block = bytearray(160)
    for n in range(150):
        ring = ringlog.Ring(block)
        for _ in range(3):
            ring.write(20, "n", "text")
        for _ in range(1 + n % 9):  # spoil some bytes, in the header too
            x = (x * 1103515245 + 12345) & 0x3FFFFFFF
            block[(x >> 8) % 160] = x >> 16 & 255
        all_of(ring)  # while it is open
        ring.write(20, "n", "live")
        again = ringlog.Ring(block)  # and when it is found
        again.write(20, "n", "after")
        equal(all_of(again, 1), [(20, "n", "after")])


def test_attach_moves_records():
    ring = ringlog.Ring(128)
    logger = ring.logger("l")
    logger.info("one")
    reader = ring.reader()
    assert reader.next()
    block = bytearray(512)
    ringlog.Ring(block).write(50, "old", "life")
    ring.attach(block)
    equal(ring.recovered, 1)
    equal(reader.text, None)
    logger.info("two")
    equal(all_of(ring), [(50, "old", "life"), (20, "l", "one"), (20, "l", "two")])
    got = []
    while reader.next():
        got.append(reader.text)
    equal(got, ["life", "one", "two"])
    ring.attach(block)  # the same again
    equal(len(ring), 3)
    raises(ValueError, ring.attach, 5)
    equal(len(ring), 3)


def test_less_important_records_go_first():
    ring = ringlog.Ring(1024)
    for n in range(3):
        ring.write(40, "n", "error %d" % n)
        ring.write(30, "n", "warning %d" % n)
        ring.write(20, "n", "info %d" % n)
        ring.write(10, "n", "debug %d" % n)
    equal(ring.dropped, 0)
    gone = []
    before = all_of(ring)
    for n in range(200):
        ring.write(10, "n", "new %d" % n)
        after = all_of(ring)
        equal(after[-1], (10, "n", "new %d" % n))
        gone += [r for r in before if r not in after]
        equal([r for r in after if r in before], [r for r in before if r not in gone])  # in the old order
        equal(ring.dropped, len(gone))
        before = after
    # Nothing but DEBUG had to go, in the order in which it came.
    equal([r[2] for r in gone[:4]], ["debug 0", "debug 1", "debug 2", "new 0"])
    assert all(r[0] == 10 for r in gone), gone
    # INFO pushes DEBUG out, and then the older INFO; WARNING the older of both; ERROR stays longest.
    for level in (20, 30, 40):
        for n in range(100):
            ring.write(level, "n", "more %d" % n)
        levels = [r[0] for r in all_of(ring)]
        assert min(levels) >= level, levels
    # The important ones have no more than half of the ring when others come.
    for n in range(100):
        ring.write(10, "n", "new %d" % n)
    got = all_of(ring)
    errors = [r for r in got if r[0] == 40]
    assert len(got) // 3 < len(errors) <= len(got) // 2 + 2, (len(errors), len(got))
    equal(errors[-1], (40, "n", "more 99"))


def test_readers_while_records_move():
    ring = ringlog.Ring(512)
    fast, slow = ring.reader(), ring.reader()
    read = lost = 0
    for i in range(200):
        ring.write((10, 10, 30, 10, 40)[i % 5], "r", str(i))
        if i % 3 == 0:
            assert slow.next()
            lost += slow.lost
            equal(int(slow.text), read + lost)
            equal(slow.seq, read + lost)
            read += 1
        assert fast.next()
        equal((fast.text, fast.lost, fast.seq), (str(i), 0, i))
    while slow.next():
        lost += slow.lost
        equal(int(slow.text), read + lost)
        read += 1
    equal(read + lost, 200)
    # A record that has moved since next() has found it is found again.
    ring.clear()
    ring.write(10, "n", "first")
    ring.write(40, "n", "stays")
    slow = ring.reader(1)
    assert slow.next()
    for i in range(30):
        ring.write(10, "n", "new %d" % i)
    equal((slow.name, slow.text), ("n", "stays"))
    equal(all_of(ring)[0], (40, "n", "stays"))


def test_since():
    ring = ringlog.Ring(256)
    for i in range(30):
        ring.write(20, "n", str(i))
    equal(ring.seq, 30)
    reader = ring.since(28)
    assert reader.next()
    equal((reader.seq, reader.text, reader.lost), (28, "28", 0))
    reader = ring.since(3)
    assert reader.next()
    equal((reader.seq - reader.lost, reader.text), (3, str(reader.seq)))
    assert not ring.since(30).next()
    reader = ring.since(31)  # a number of another life
    assert reader.next()
    equal((reader.lost, reader.seq), (0, 30 - len(ring)))


def test_mirror():
    small = bytearray(192)
    ring = ringlog.Ring(1024)
    ring.write(20, "n", "before")
    ring.mirror(small)
    equal(ring.recovered, 0)
    for i in range(20):
        ring.write(20, "n", str(i))
    equal(len(ring), 21)
    again = ringlog.Ring(1024)  # after a reset
    again.mirror(small)
    got = all_of(again)
    assert 2 < len(got) < 10 and got[-1] == (20, "n", "19"), got
    equal((again.recovered, again.first), (len(got), len(got)))
    raises(ValueError, ring.mirror, 5)


def test_persistent():
    memory = ringlog.persistent()
    if memory is None:
        minitest.skip("no memory that survives a reset")
    from coldframe import log

    assert len(memory) * 4 >= 128 and log.ring.seq >= log.ring.first
    # What this life writes is in there: a second ring finds it, as the next life would.
    log.error("a line to be found")
    found = [r[2] for r in all_of(ringlog.Ring(memory))]
    equal(found[-1], "a line to be found")


def test_resized_buffer_is_noticed():
    block = bytearray(256)
    ring = ringlog.Ring(block)
    reader = ring.reader()
    block.extend(bytes(1000))
    raises(ValueError, ring.write, 20, "a", "b")
    raises(ValueError, reader.next)


def test_capture_takes_no_other_class_of_that_name():
    class Ring:
        pass

    raises(TypeError, ringlog.Capture, Ring())


def test_resized_mirror_is_left_alone():
    ring = ringlog.Ring(512)
    mirror = bytearray(256)
    after = [bytearray(64) for _ in range(4)]  # so that it has to move
    ring.mirror(mirror)
    ring.write(20, "a", "mirrored")
    mirror.extend(bytes(2000))
    after.extend(bytearray(b"\x55" * 256) for _ in range(4))
    copy = bytes(mirror)
    for i in range(20):
        ring.write(20, "a", "not mirrored %d" % i)
    equal(bytes(mirror), copy)
    equal(after[4:], [bytearray(b"\x55" * 256)] * 4)


def test_logger_levels():
    ring = ringlog.Ring(512)
    logger = ring.logger("l")
    equal((logger.name, logger.level, ring.level), ("l", 0, 20))
    logger.debug("no %d", "this would fail if it were formatted")
    logger.info("info %d", 1)
    logger.setLevel(40)
    logger.warning("no")
    logger.error("error")
    logger.critical("critical")
    logger.log(45, "between")
    logger.level = 0
    ring.level = 10
    logger.debug("debug")
    assert logger.isEnabledFor(10) and not logger.isEnabledFor(9)
    equal([r[2] for r in all_of(ring)], ["info 1", "error", "critical", "between", "debug"])
    equal(
        [ringlog.level_name(n) for n in (0, 20, 39, 40, 50)],
        ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    )


def test_exception():
    ring = ringlog.Ring(1024)
    logger = ring.logger("l")
    try:
        [][1]
    except IndexError as e:
        logger.exception("sensor %d", 3, exc_info=e)
        logger.exception(e)
    got = [r[2] for r in all_of(ring)]
    equal(len(got), 3)
    equal(got[0], "sensor 3")
    assert got[1].startswith("Traceback") and "IndexError" in got[1] and got[1] == got[2], got
    raises(TypeError, logger.exception, "x", wrong=1)


def test_no_allocation():
    ring = ringlog.Ring(256)
    logger = ring.logger("l")
    reader = ring.reader()
    write, info, debug, read = ring.write, logger.info, logger.debug, reader.next
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(50):
        write(20, "mqtt", "a text that is ready")
        info("another")
        debug("below the level")
        read()
    used = gc.mem_alloc() - before
    gc.enable()
    equal(used, 0)


def test_heap_locked():
    import micropython

    if not hasattr(micropython, "heap_lock"):
        minitest.skip("no heap_lock")
    ring = ringlog.Ring(256)
    ring.console = 10
    micropython.heap_lock()  # as in an interrupt
    try:
        ring.write(20, "irq", "from an interrupt")
    finally:
        micropython.heap_unlock()
    equal(all_of(ring), [(20, "irq", "from an interrupt")])


def test_console():
    import io
    import os

    if not hasattr(os, "dupterm"):
        minitest.skip("no os.dupterm")

    class Terminal(io.IOBase):
        def __init__(self):
            self.text = b""

        def write(self, data):
            self.text += bytes(data)
            ring.write(40, "term", "written while writing")
            return len(data)

        def readinto(self, buf):
            return None

    ring = ringlog.Ring(256)
    ring.write(40, "n", "before")
    ring.console = 30
    terminal = Terminal()
    before = os.dupterm(terminal, 0)
    try:
        ring.write(20, "n", "below")
        ring.write(40, "wifi", "one %d", 1)
        ring.console = None
        ring.write(40, "n", "after")
    finally:
        os.dupterm(before, 0)
    lines = terminal.text.decode().replace("\r", "").split("\n")
    assert lines[0].endswith(" ERROR    wifi: one 1"), lines
    assert not any("below" in line or "before" in line or "after" in line for line in lines), lines


minitest.run(globals())
