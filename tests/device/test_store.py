"""coldframe.store: whole files or none."""

import os

import minitest
from coldframe import store

NAME = "t_store"


def _clean():
    for end in ("", ".tmp", ".copy"):
        store.remove(NAME + end)


def test_read_of_what_is_not_there():
    _clean()
    assert store.read(NAME) is None
    assert not store.exists(NAME)
    assert store.remove(NAME) is False


def test_write_then_read():
    store.write(NAME, "one")
    minitest.equal(store.read(NAME), b"one")
    store.write(NAME, b"two\x00")
    minitest.equal(store.read(NAME), b"two\x00")
    assert not store.exists(NAME + ".tmp")
    assert store.remove(NAME) is True


def test_limit():
    store.write(NAME, bytes(100))
    minitest.equal(len(store.read(NAME, 100)), 100)
    error = minitest.raises(ValueError, store.read, NAME, 99)
    minitest.equal(str(error), "t_store: expected at most 99 bytes, got 100")
    _clean()


def test_a_write_that_fails_leaves_the_old_file():
    store.write(NAME, "old")

    def half(f):
        f.write("ne")
        raise RuntimeError("cut")

    minitest.raises(RuntimeError, store.write, NAME, half)
    minitest.equal(store.read(NAME), b"old")
    assert not store.exists(NAME + ".tmp")
    _clean()


def test_what_a_power_cut_leaves_behind_does_no_harm():
    with open(NAME + ".tmp", "w") as f:
        f.write("half of a longer cont")
    store.write(NAME, "new")
    minitest.equal(store.read(NAME), b"new")
    assert NAME + ".tmp" not in os.listdir()
    _clean()


def test_copy_and_same():
    store.write(NAME, bytes(range(256)) * 3)
    assert not store.same(NAME, NAME + ".copy")
    store.copy(NAME, NAME + ".copy")
    assert store.same(NAME, NAME + ".copy")
    store.write(NAME, bytes(range(256)) * 2 + bytes(256))
    assert not store.same(NAME, NAME + ".copy")
    _clean()


minitest.run(globals())
