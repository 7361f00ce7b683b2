"""coldframe.mqtt.spill: what was accepted is there after a restart, whenever the power goes."""

import os
import sys

import minitest
from coldframe import log, store
from coldframe.mqtt.crc import ours as crc32
from coldframe.mqtt.spill import Spill

log.console(None)
NAME = "t_spill"
BIG = sys.platform == "coldframe-sim"  # room for a flash in RAM


def _fresh(limit=2048, name=NAME):
    for end in ("", ".tmp", ".bad"):
        store.remove(name + end)
    return Spill(name, limit)


def _all(spill):
    found = []
    while True:
        entry = spill.next()
        if entry is None:
            return found
        found.append(entry)


def test_crc_is_that_of_everybody():
    minitest.equal(crc32(b"123456789"), 0xCBF43926)
    minitest.equal(crc32(b"6789", crc32(b"12345")), 0xCBF43926)


def test_without_a_file_there_is_nothing():
    spill = _fresh()
    minitest.equal(spill.load(), 0)
    assert spill.next() is None
    minitest.equal(spill.incoming_ids(), set())
    assert not store.exists(NAME)


def test_messages_come_back_as_they_were():
    spill = _fresh()
    given = [
        ("a/b", b"one", 1, False, None),
        ("grün", b"", 2, True, b""),
        ("t" * 100, bytes(range(200)), 1, True, b"\x02\x00\x00\x00\x05"),
    ]
    for topic, payload, qos, retain, props in given:
        assert spill.add(topic, payload, qos, retain, props) is not None
    spill.add("as/text", "ü", 1, False)
    minitest.equal(spill.pending, 4)
    for again in (spill, Spill(NAME)):
        minitest.equal(again.load(), 4)
        found = _all(again)
        minitest.equal([e[1:6] for e in found[:3]], given)
        minitest.equal(found[3][1:3], ("as/text", "ü".encode()))
        minitest.equal([e[6:] for e in found], [(0, False)] * 4)
        minitest.equal(again.pending, 0)
    again.rewind()
    minitest.equal(len(_all(again)), 4)


def test_done_in_any_order_and_the_file_goes_at_the_end():
    spill = _fresh()
    keys = [spill.add("t", str(i), 1, False) for i in range(5)]
    for i in (2, 0, 4):
        spill.done(keys[i])
    minitest.equal(spill.pending, 2)
    spill.sync()
    spill._sync()
    again = Spill(NAME)
    minitest.equal([e[2] for e in _all(again)], [b"1", b"3"])
    again.done(keys[1])
    again.done(keys[3])
    again.done(keys[3])
    assert not store.exists(NAME)
    assert again.add("t", "new", 1, False) > keys[4]
    minitest.equal(_all(again)[0][2], b"new")


def test_state_of_qos_2_both_ways():
    spill = _fresh()
    a, b = spill.add("a", "x", 2, False), spill.add("b", "y", 2, False)
    assert not spill.dirty
    spill.assign(a, 7)
    spill.assign(b, 65535)
    spill.released(a)
    spill.incoming(11)
    spill.incoming(12)
    spill.forget(11)
    assert spill.dirty
    spill.sync()
    again = Spill(NAME)
    minitest.equal([(e[1], e[6], e[7]) for e in _all(again)], [("a", 7, True), ("b", 65535, False)])
    minitest.equal(again.incoming_ids(), {12})
    again.done(a)
    again.done(b)
    assert store.exists(NAME)  # an identifier is still remembered
    again.forget(None)
    assert not store.exists(NAME)


def test_identifier_used_anew_means_that_its_message_was_done():
    spill = _fresh()
    a = spill.add("a", "x", 2, False)
    spill.assign(a, 7)
    b = spill.add("b", "y", 2, False, None, 8)
    assert spill.uses(7) and spill.uses(8) and not spill.uses(9)
    minitest.equal([(e[1], e[6]) for e in _all(Spill(NAME))], [("a", 7), ("b", 8)])
    spill.assign(b, 7)
    spill.sync()
    minitest.equal([(e[1], e[6]) for e in _all(Spill(NAME))], [("b", 7)])


def test_a_full_file_says_so_and_takes_more_when_something_is_done():
    spill = _fresh(600)
    assert spill.fits("t", bytes(500)) and not spill.fits("t", bytes(600))
    error = minitest.raises(ValueError, spill.add, "t", bytes(600), 1, False)
    minitest.equal(str(error), "610 bytes do not fit t_spill of 600 bytes")
    keys = []
    while True:
        key = spill.add("t", bytes(50), 1, False)
        if key is None:
            break
        keys.append(key)
    minitest.equal(len(keys), 584 // 67)
    assert spill.add("t", bytes(50), 1, False) is None
    for _ in range(40):  # many times through the file
        spill.next()
        spill.done(keys.pop(0))
        spill.next()
        spill.done(keys.pop(0))
        for _ in range(2):
            keys.append(spill.add("t", bytes(50), 1, False))
            assert keys[-1] is not None
        assert os.stat(NAME)[6] <= 600 + 512
    found = _all(spill)
    minitest.equal([e[0] for e in found], keys[-len(found) :])
    minitest.equal([e[0] for e in _all(Spill(NAME))][-len(keys) :], keys)


def test_control_records_do_not_grow_for_ever():
    spill = _fresh(600)
    spill.add("t", "x", 1, False)
    for i in range(300):
        spill.incoming(i % 20 + 1)
        spill.forget(i % 20 + 1)
    spill.incoming(5)
    spill.sync()
    assert os.stat(NAME)[6] < 600 + 1024
    again = Spill(NAME)
    minitest.equal(again.load(), 1)
    minitest.equal(again.incoming_ids(), {5})


def test_half_a_record_is_dropped_and_the_rest_is_kept():
    spill = _fresh()
    for i in range(4):
        spill.add("t", str(i) * 20, 1, False)
    spill.close()
    whole = store.read(NAME)
    for cut in range(len(whole) - 41, len(whole)):
        store.write(NAME, whole[:cut])
        again = Spill(NAME)
        minitest.equal(again.load(), 2 if cut < len(whole) - 37 else 3)
        assert again.add("t", "after", 1, False) is not None
        again.close()
        minitest.equal([e[2] for e in _all(Spill(NAME))][-1], b"after")


def test_what_a_cut_has_left_is_never_taken_for_a_record():
    # Half a record whose payload looks like a record: written over by a shorter one, it would be the next one.
    spill = _fresh()
    spill.add("t", "first", 1, False)
    spill.close()
    whole = store.read(NAME)
    spill = Spill(NAME)
    spill.add("t", "x", 1, False)
    spill.add("t", "ghost", 1, False)
    spill.close()
    longer = store.read(NAME)
    ghost = longer[-(7 + 9 + 1 + 5) :]
    torn = bytearray(longer[len(whole) : -len(ghost)])
    torn[-1] ^= 1
    store.write(NAME, whole + torn + ghost)
    again = Spill(NAME)
    minitest.equal(again.load(), 1)
    assert again.add("t", "y", 1, False) is not None
    again.close()
    minitest.equal([e[2] for e in _all(Spill(NAME))], [b"first", b"y"])


def test_damage_anywhere_is_noticed():
    spill = _fresh()
    for i in range(3):
        spill.add("t", str(i) * 20, 1, False)
    spill.close()
    whole = store.read(NAME)
    size = (len(whole) - 16) // 3
    for i in range(0, len(whole), 1 if BIG else 7):
        bad = bytearray(whole)
        bad[i] ^= 0x41
        store.write(NAME, bad)
        again = Spill(NAME)
        minitest.equal(again.load(), 0 if i < 16 else (i - 16) // size)
        again.close()
        store.remove(NAME + ".bad")


def test_file_of_somebody_else_is_set_aside():
    _fresh()
    store.write(NAME, "a text that was here before")
    spill = Spill(NAME)
    minitest.equal(spill.load(), 0)
    minitest.equal(store.read(NAME + ".bad"), b"a text that was here before")
    assert spill.add("t", "x", 1, False) is not None
    _fresh()


class Flash:
    """A flash in RAM. At each write, ``cut`` gets what would be left if the power went in the middle of it."""

    BLOCK = 512

    def __init__(self, data, cut=None):
        self.data = data
        self.cut = cut
        self.writes = 0

    def readblocks(self, block, buf, off=0):
        at = block * self.BLOCK + off
        buf[:] = memoryview(self.data)[at : at + len(buf)]

    def writeblocks(self, block, buf, off=0):
        at = block * self.BLOCK + off
        self._change(at, buf)

    def _change(self, at, buf):
        self.writes += 1
        if self.cut is not None:
            half = len(buf) // 2
            left = bytearray(self.data)
            left[at : at + half] = memoryview(buf)[:half]
            self.cut(left)
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // self.BLOCK
        if op == 5:
            return self.BLOCK
        if op == 6:
            self._change(arg * self.BLOCK, b"\xff" * self.BLOCK)
        return 0


def _mount(flash, where, make=False):
    import vfs

    options = dict(readsize=32, progsize=32, lookahead=32)
    if make:
        vfs.VfsLfs2.mkfs(flash, **options)
    vfs.mount(vfs.VfsLfs2(flash, **options), where)


class Life:
    """A program that uses a Spill, and what it was promised so far."""

    def __init__(self, limit):
        self.limit = limit
        self.accepted = {}  # number of the message -> key, once add() has returned
        self.trying = None  # the number that add() is at work with
        self.done = set()
        self.ids = {}  # number -> identifier that is safe
        self.released = set()  # numbers for which that is safe
        self.inside = set()  # incoming identifiers that are safe
        self.outside = set()  # forgotten for sure
        self.checked = 0

    def run(self, spill):
        number = 0
        for round in range(6):
            while True:
                qos = 1 + number % 2
                self.trying = number
                key = spill.add("t/%d" % number, b"%d" % number * (1 + number % 7), qos, False)
                self.trying = None
                if key is None:
                    break
                self.accepted[number] = key
                number += 1
            # What a window of four does, acknowledged out of order.
            while spill.pending > 2:
                taken = [spill.next() for _ in range(min(4, spill.pending))]
                numbers = [int(e[1][2:]) for e in taken]
                for n, e in zip(numbers, taken):
                    if e[3] == 2:
                        spill.assign(e[0], n % 100 + 1)
                self.sync(spill)
                for n, e in zip(numbers, taken):
                    if e[3] == 2:
                        self.ids[n] = n % 100 + 1
                for n, e in zip(numbers, taken):
                    if e[3] == 2:
                        spill.released(e[0])
                self.sync(spill)
                self.released.update(n for n, e in zip(numbers, taken) if e[3] == 2)
                for n, e in reversed(list(zip(numbers, taken))):
                    self.done.add(n)
                    spill.done(e[0])
                id = number % 30 + 1
                self.outside.discard(id)
                spill.incoming(id)
                self.sync(spill)
                self.inside.add(id)
                if number % 3:
                    self.inside.discard(id)
                    spill.forget(id)
                    self.sync(spill)
                    self.outside.add(id)
        return number

    def sync(self, spill):
        if spill.dirty:
            spill.sync()

    def check(self, left):
        """What is left of the flash must keep all promises."""

        self.checked += 1
        second = []
        self._judge(left, lambda again: second.append(bytes(again)))
        # The power goes once more, while the first cut is being put right.
        for again in second:
            self._judge(bytearray(again), None)

    def _judge(self, data, cut):
        import vfs

        flash = Flash(data, cut)
        _mount(flash, "/y")
        spill = Spill("/y/spill", self.limit)
        try:
            spill.load()
            flash.cut = None
            self._compare(spill)
            # And it works on.
            for key in list(self.accepted.values()):
                spill.done(key)
            assert spill.add("t", "after", 1, False) is not None
        finally:
            spill.close()
            vfs.umount("/y")

    def _compare(self, spill):
        found = {}
        last = -1
        for key, topic, payload, qos, retain, props, id, released in _all(spill):
            n = int(topic[2:])
            assert n > last, "out of order"
            last = n
            assert n in self.accepted or n == self.trying, "%d was never accepted" % n
            minitest.equal((payload, qos), (b"%d" % n * (1 + n % 7), 1 + n % 2))
            found[n] = id, released
        for n in self.accepted:
            if n not in found:
                assert n in self.done, "message %d is lost" % n
                continue
            id, released = found[n]
            if n in self.ids:
                minitest.equal(id, self.ids[n])
            if n in self.released:
                assert released, "message %d would be sent again" % n
        ids = spill.incoming_ids()
        assert not self.inside - ids, "identifiers lost"
        assert not self.outside & ids, "identifiers come back"


def test_power_cut_at_every_write():
    if not BIG:
        minitest.skip("needs a second flash in RAM")
    import vfs

    data = bytearray(64 * Flash.BLOCK)
    _mount(Flash(data), "/x", make=True)
    vfs.umount("/x")
    life = Life(900)
    flash = Flash(data, life.check)
    _mount(flash, "/x")
    try:
        spill = Spill("/x/spill", life.limit)
        number = life.run(spill)
        flash.cut = None
        spill.close()
    finally:
        vfs.umount("/x")
    assert number > 80 and len(life.released) > 30
    assert life.checked > 300
    minitest.measure("spill_power_cuts", life.checked)


def test_flash_that_is_full_loses_nothing():
    if not BIG:
        minitest.skip("needs a second flash in RAM")
    import vfs

    _mount(Flash(bytearray(16 * Flash.BLOCK)), "/x", make=True)
    try:
        with open("/x/other", "wb") as f:
            f.write(bytes(6 * Flash.BLOCK))
        spill = Spill("/x/spill", 60000)
        keys = []
        for i in range(200):
            key = spill.add("t", str(i) * 10, 1, False)
            if key is None:
                break
            keys.append(key)
        assert 20 < len(keys) < 200
        os.remove("/x/other")
        assert spill.add("t", "more", 1, False) is not None
        minitest.equal(len(_all(spill)), len(keys) + 1)
        spill.close()
        spill = Spill("/x/spill")
        minitest.equal([e[0] for e in _all(spill)][: len(keys)], keys)
        spill.close()
    finally:
        vfs.umount("/x")


minitest.run(globals())
