"""coldframe.bootrecord: which boots count as failed, and what three of them lead to."""

import os

import minitest
from coldframe import bootrecord, hal, store

bootrecord.FILE = "t_boot.rec"  # where a target without memory for it keeps it


def _boot(cause):
    """What the next boot finds, after a reset of that cause. Returns True for safe mode."""
    bootrecord._state = None  # what a reset does to the RAM
    real = hal.reset_cause
    hal.reset_cause = lambda: cause
    try:
        return bootrecord.begin()
    finally:
        hal.reset_cause = real


def _fresh():
    store.remove(bootrecord.FILE)
    hal.keep(b"")
    bootrecord._state = None


def test_a_new_device():
    _fresh()
    minitest.equal(_boot("power"), False)
    minitest.equal((bootrecord.failed(), bootrecord.boots(), bootrecord.safe()), (0, 1, False))


def test_three_boots_that_ended_in_a_watchdog_reset():
    _fresh()
    _boot("power")
    for safe in (False, False, True):
        bootrecord.mark(bootrecord.RUNNING)
        minitest.equal(_boot("watchdog"), safe)
    minitest.equal((bootrecord.failed(), bootrecord.boots()), (3, 4))


def test_exceptions_count_whatever_the_reset():
    for cause in ("power", "hard", "soft", "watchdog"):
        _fresh()
        for _ in range(3):
            bootrecord.mark(bootrecord.RUNNING)
            bootrecord.mark(bootrecord.FAILED)
            safe = _boot(cause)
        assert safe, cause


def test_power_cuts_do_not_count():
    _fresh()
    for _ in range(5):
        bootrecord.mark(bootrecord.RUNNING)
        minitest.equal(_boot("power"), False)
    minitest.equal(bootrecord.failed(), 0)


def test_a_power_cut_does_not_hide_failed_boots():
    _fresh()
    for cause in ("watchdog", "power", "watchdog", "power"):
        bootrecord.mark(bootrecord.RUNNING)
        _boot(cause)
    minitest.equal(bootrecord.failed(), 2)


def test_a_sound_boot_clears_the_count():
    _fresh()
    for _ in range(2):
        bootrecord.mark(bootrecord.RUNNING)
        _boot("watchdog")
    minitest.equal(bootrecord.failed(), 2)
    bootrecord.mark(bootrecord.RUNNING)
    bootrecord.mark(bootrecord.SOUND)
    minitest.equal(bootrecord.failed(), 0)
    bootrecord.mark(bootrecord.RUNNING)  # a node that is resumed: the boot stays sound
    _boot("watchdog")
    minitest.equal(bootrecord.failed(), 0)


def test_the_repl_and_a_restart_on_purpose_do_not_count():
    _fresh()
    for _ in range(4):
        bootrecord.mark(bootrecord.RUNNING)
        bootrecord.mark(bootrecord.IDLE)
        minitest.equal(_boot("soft"), False)
    minitest.equal(bootrecord.failed(), 0)


def test_safe_mode_lasts_until_it_is_cleared():
    _fresh()
    for _ in range(3):
        bootrecord.mark(bootrecord.FAILED)
        _boot("soft")
    bootrecord.mark(bootrecord.RUNNING)
    bootrecord.mark(bootrecord.SOUND)
    assert bootrecord.safe() and _boot("power")
    bootrecord.clear()
    assert bootrecord.safe() is False and _boot("power") is False


def test_a_record_that_makes_no_sense_is_a_new_one():
    for data in (b"", b"\x01", b"\xff" * 6, b"\x01\x02\x03\x04\x05\x06\x07"):
        _fresh()
        store.write(bootrecord.FILE, data)
        minitest.equal(_boot("power"), False)
        minitest.equal(bootrecord.boots(), 1)


def test_memory_that_cannot_be_used_stops_no_boot():
    def broken(data):
        raise OSError(28)

    _fresh()
    real = hal.keep
    hal.keep = broken  # such as the ESP32's NVS when it is full
    try:
        minitest.equal(_boot("power"), False)
        bootrecord.mark(bootrecord.RUNNING)
    finally:
        hal.keep = real


def test_a_folder_in_the_place_of_the_record_stops_no_boot():
    _fresh()
    os.mkdir(bootrecord.FILE)
    try:
        minitest.equal(_boot("power"), False)
        bootrecord.mark(bootrecord.RUNNING)
    finally:
        os.rmdir(bootrecord.FILE)


minitest.run(globals())
_fresh()
