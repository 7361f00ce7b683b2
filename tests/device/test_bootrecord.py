"""coldframe.bootrecord: which boots count as failed, what they lead to, and what the record survives."""

import os

import minitest
from coldframe import bootrecord, hal, store

bootrecord.FILE = "t_boot.rec"  # where a target without memory for it keeps it
IDLE, RUNNING, SOUND, FAILED = bootrecord.IDLE, bootrecord.RUNNING, bootrecord.SOUND, bootrecord.FAILED


def _boot(cause):
    """What the next boot finds, after a reset of that cause. Returns the level."""
    bootrecord._state = bootrecord._filed = None  # what a reset does to the RAM
    real = hal.reset_cause
    hal.reset_cause = lambda: cause
    try:
        return bootrecord.begin()
    finally:
        hal.reset_cause = real


def _fresh():
    store.remove(bootrecord.FILE)
    hal.keep(b"")
    _boot("power")
    store.remove("t_new.py")


def _fail(layer=None, cause="watchdog", what=RUNNING):
    bootrecord.mark(what, layer)
    return _boot(cause)


def test_a_new_device():
    _fresh()
    minitest.equal((bootrecord.level(), bootrecord.failed(), bootrecord.boots()), (0, 0, 1))
    assert not bootrecord.safe() and not bootrecord.crashed


def test_the_ladder():
    _fresh()
    minitest.equal([_fail() for _ in range(6)], [0, 1, 2, 3, 4, 4])
    minitest.equal((bootrecord.failed(), bootrecord.boots()), (6, 7))
    assert bootrecord.safe() and bootrecord.crashed


def test_the_layer_that_failed_goes_at_once():
    for layer, levels in (
        ("app", [0, 1, 2]),
        ("component", [0, 2, 3]),
        ("config", [0, 3, 4]),
        ("node", [0, 1, 2]),
    ):
        _fresh()
        minitest.equal([_fail(layer) for _ in range(3)], levels)
        minitest.equal(bootrecord.blamed(), layer)


def test_exceptions_count_whatever_the_reset():
    for cause in ("power", "hard", "soft", "watchdog", "deepsleep"):
        _fresh()
        _fail(None, cause, FAILED)
        minitest.equal(_fail(None, cause, FAILED), 1)


def test_power_cuts_do_not_count():
    for cause in ("power", "hard"):
        _fresh()
        minitest.equal([_fail(None, cause) for _ in range(5)], [0] * 5)
        minitest.equal(bootrecord.failed(), 0)


def test_a_power_cut_does_not_hide_failed_boots():
    _fresh()
    minitest.equal([_fail(None, c) for c in ("watchdog", "power", "watchdog", "power")], [0, 0, 1, 1])
    minitest.equal(bootrecord.failed(), 2)


def test_the_ladder_outlives_the_memory_of_the_chip():
    kept = [None]

    def keep(data):
        kept[0] = bytes(data)
        return True

    real = hal.keep, hal.kept
    store.remove(bootrecord.FILE)
    hal.keep, hal.kept = keep, lambda: kept[0]
    try:
        minitest.equal(_boot("power"), 0)
        bootrecord.mark(RUNNING)
        bootrecord.mark(SOUND)
        assert not store.exists(bootrecord.FILE), "a healthy device wears its flash"
        for expected in (0, 1, 2):
            _boot("power")
            minitest.equal(_fail("node"), expected)
            kept[0] = None  # somebody pulls the plug in each boot
            bootrecord.mark(RUNNING)
        minitest.equal((_boot("power"), bootrecord.failed(), bootrecord.blamed()), (2, 3, "node"))
        bootrecord.clear()
        assert not store.exists(bootrecord.FILE)
    finally:
        hal.keep, hal.kept = real


def test_a_sound_boot_clears_the_count_and_keeps_the_level():
    _fresh()
    _fail()
    bootrecord.mark(RUNNING)
    bootrecord.mark(SOUND)
    minitest.equal(bootrecord.failed(), 0)
    bootrecord.mark(RUNNING)  # a node that is resumed: the boot stays sound
    minitest.equal((_boot("watchdog"), bootrecord.failed(), bootrecord.crashed), (0, 0, True))
    _fail()
    minitest.equal(_fail(), 1)
    bootrecord.mark(RUNNING)
    bootrecord.mark(SOUND)
    minitest.equal((_boot("power"), bootrecord.failed()), (1, 0))
    minitest.equal([_fail(), _fail()], [1, 2])  # two more failures, one more layer


def test_the_repl_does_not_count():
    _fresh()
    for _ in range(12):
        bootrecord.mark(RUNNING)
        bootrecord.mark(IDLE)
        bootrecord.intend(bootrecord.PROGRAM)  # machine.reset() at the REPL
        minitest.equal(_boot("watchdog"), 0)
    minitest.equal(bootrecord.failed(), 0)


def test_restarts_on_purpose_do_not_count():
    for what in (bootrecord.ASKED, bootrecord.ASLEEP):
        _fresh()
        for cause in ("soft", "watchdog", "hard", "crash", "deepsleep") * 5:
            bootrecord.mark(RUNNING)
            bootrecord.intend(what)
            bootrecord.intend(bootrecord.PROGRAM)  # the function that does it in the end
            minitest.equal(_boot(cause), 0)
        minitest.equal(bootrecord.failed(), 0)
    bootrecord.mark(RUNNING)
    bootrecord.mark(FAILED)
    bootrecord.intend()  # the restart after a failure does not undo it
    _boot("soft")
    minitest.equal(bootrecord.failed(), 1)


def test_a_program_that_does_nothing_but_restart():
    _fresh()
    levels = []
    for _ in range(10):
        bootrecord.mark(RUNNING, "app")
        bootrecord.intend(bootrecord.PROGRAM)
        levels.append(_boot("watchdog"))
    minitest.equal(levels, [0] * 9 + [1])
    _fresh()
    for n in range(30):
        bootrecord.mark(RUNNING, "app")
        if n % 9 == 8:
            bootrecord.mark(SOUND)  # now and then it lives for a minute
        bootrecord.intend(bootrecord.PROGRAM)
        minitest.equal(_boot("watchdog"), 0)


def test_a_program_that_dies_again_and_again_after_the_first_minute():
    _fresh()
    levels = []
    for n in range(10):
        bootrecord.mark(RUNNING, "app")
        bootrecord.mark(SOUND)
        if n % 2:
            bootrecord.mark(FAILED)
        levels.append(_boot("watchdog"))
        minitest.equal((bootrecord.failed() > 0, bootrecord.crashed), (n == 9, True))
    minitest.equal(levels, [0] * 9 + [1])
    _fresh()
    for n in range(30):
        bootrecord.mark(RUNNING, "app")
        bootrecord.mark(SOUND)
        if n % 9 == 8:
            bootrecord.trust()  # now and then it runs well for an hour
        minitest.equal(_boot("watchdog"), 0)


def test_everything_is_tried_again_and_one_failure_leads_back():
    _fresh()
    for _ in range(3):
        _fail()
    minitest.equal((bootrecord.level(), bootrecord.hold()), (2, 3600))
    holds = []
    for _ in range(6):
        bootrecord.mark(RUNNING)
        bootrecord.mark(SOUND)
        bootrecord.retry()
        minitest.equal((_boot("soft"), bootrecord.crashed), (0, False))
        holds.append(bootrecord.hold() // 3600)
        minitest.equal(_fail("app"), 2)
    minitest.equal(holds, [2, 4, 8, 16, 24, 24])
    bootrecord.retry()
    minitest.equal(_boot("soft"), 0)
    bootrecord.mark(RUNNING)
    bootrecord.mark(SOUND)  # this time it works
    minitest.equal(_boot("watchdog"), 0)
    bootrecord.trust()
    minitest.equal((_fail(), _fail(), bootrecord.hold()), (0, 1, 3600))


def test_safe_mode_on_purpose():
    _fresh()
    bootrecord.mark(RUNNING)
    bootrecord.ask_safe()
    minitest.equal((_boot("soft"), bootrecord.failed(), bootrecord.crashed), (4, 0, False))
    minitest.equal(_boot("power"), 4)
    bootrecord.clear()
    minitest.equal(_boot("power"), 0)


def test_something_new_on_the_flash_is_tried():
    _fresh()
    minitest.equal([_fail(), _fail()], [0, 1])
    minitest.equal(_boot("soft"), 1)
    store.write("t_new.py", "x = 1\n")
    minitest.equal((_boot("soft"), bootrecord.failed()), (0, 0))
    minitest.equal([_fail(), _fail()], [0, 1])
    store.write("t_new.py", "x = 2\n")  # the same size
    minitest.equal(_boot("power"), 0)


def test_a_record_that_makes_no_sense_is_a_new_one():
    for data in (b"", b"\x02", b"\x01\x02\x03\x04\x05\x06", b"\xff" * 8, b"\x02\x00\x00\x0f\x00\x00\x00\x00"):
        _fresh()
        hal.keep(b"")
        store.write(bootrecord.FILE, data)
        minitest.equal(_boot("power"), 0)
        minitest.equal((bootrecord.boots(), bootrecord.failed()), (1, 0))


def test_memory_that_cannot_be_used_stops_no_boot():
    def broken(data):
        raise OSError(28)

    _fresh()
    real = hal.keep
    hal.keep = broken  # such as the ESP32's NVS when it is full
    try:
        minitest.equal(_boot("power"), 0)
        bootrecord.mark(RUNNING)
    finally:
        hal.keep = real


def test_a_folder_in_the_place_of_the_record_stops_no_boot():
    _fresh()
    store.remove(bootrecord.FILE)
    os.mkdir(bootrecord.FILE)
    try:
        minitest.equal(_boot("power"), 0)
        bootrecord.mark(RUNNING)
    finally:
        os.rmdir(bootrecord.FILE)


minitest.run(globals())
_fresh()
store.remove(bootrecord.FILE)
