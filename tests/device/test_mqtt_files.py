"""coldframe.mqtt.files: messages that go to a file whole, or not at all."""

import minitest
from coldframe import log, store
from coldframe.mqtt.files import ToFile

log.console(None)
NAME = "t_large"


def _feed(to, data, step=50, end=None, topic="t"):
    for i in range(0, len(data) if end is None else end, step):
        to(topic, i, memoryview(data)[i : i + step], max(0, len(data) - i - step))


def _clean():
    store.remove(NAME)
    store.remove(NAME + ".tmp")


def test_whole_message_takes_the_place_of_the_old_file():
    seen = []
    store.write(NAME, "old")
    to = ToFile(NAME, lambda *args: seen.append(args))
    data = bytes(range(256)) * 3
    _feed(to, data, end=700)
    minitest.equal(store.read(NAME), b"old")
    _feed(to, data)
    minitest.equal(store.read(NAME), data)
    minitest.equal(seen, [("t", NAME, 768)])
    minitest.equal((to.stored, to.failed), (1, 1))
    assert not store.exists(NAME + ".tmp")
    _clean()


def test_lost_connection_leaves_the_old_file():
    store.write(NAME, "old")
    to = ToFile(NAME)
    _feed(to, bytes(500), end=200)
    to("t", 200, None, 300)
    to("t", 200, None, 300)
    minitest.equal(store.read(NAME), b"old")
    assert not store.exists(NAME + ".tmp")
    minitest.equal((to.stored, to.failed), (0, 1))
    _feed(to, b"new" * 50)
    minitest.equal(store.read(NAME), b"new" * 50)
    _clean()


def test_too_long_and_unwanted_are_read_past():
    to = ToFile(lambda topic: None if topic == "no" else NAME, limit=100)
    _feed(to, bytes(500), topic="no")
    minitest.equal((to.stored, to.failed), (0, 0))
    _feed(to, bytes(101))
    minitest.equal((to.stored, to.failed), (0, 1))
    _feed(to, bytes(100))
    minitest.equal((to.stored, to.failed), (1, 1))
    _clean()


def test_folder_that_is_not_there():
    to = ToFile("no/such/folder")
    _feed(to, bytes(500))
    minitest.equal((to.stored, to.failed), (0, 1))


minitest.run(globals())
