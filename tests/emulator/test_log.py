"""The log on the emulated Pico: what a reset leaves of it, also in the middle of a write, and interrupts that write."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from pathlib import Path

import pytest
from emulator import Emulator
from rp2040py.peripherals.peripheral import BasePeripheral

ROOT = Path(__file__).resolve().parents[2]
IDLE = {"main.py": b""}  # the user's program is in charge and ends at once: the REPL, and no node
SRAM = 0x2000_0000
MARK = 0x4007_8000  # no peripheral of the chip
HEADER = 24

SHOW = "from coldframe import log; print('GOT', log.ring.recovered, list(log.before()))"


def rows(output: str) -> tuple[int, list[str]]:
    """What SHOW has printed: how many records were found, and the lines that are no start message."""
    found = re.search(r"GOT (\d+) (\[.*\])", output)
    assert found, output
    lines = [line[11:] for line in eval(found[2])]
    return int(found[1]), [line for line in lines if "startup:" not in line]


@pytest.mark.parametrize("way", ["machine.reset()", "machine.WDT(timeout=10)\nwhile True: pass", "button"])
async def test_log_survives_a_reset(image, way):
    async with Emulator(image, files=IDLE, pace=False) as board:
        recovered, _ = rows(await board.exec(SHOW))
        assert recovered == 0, "the RAM was junk, and something was found in it"
        await board.exec("from coldframe import log\nlog.error('one %d', 1)\nlog.warning('two')")
        if way == "button":
            await board.reset()
        else:
            await board.exec("import machine\n" + way, expect_reset=True)
        recovered, lines = rows(await board.exec(SHOW))
        assert lines == ["ERROR    root: one 1", "WARNING  root: two"]
        assert recovered >= 2
        # The next life finds both lives.
        await board.exec("from coldframe import log\nlog.error('three')")
        await board.reset()
        _, lines = rows(await board.exec(SHOW))
        assert lines == ["ERROR    root: one 1", "WARNING  root: two", "ERROR    root: three"]
        # Without power it is gone.
        await board.power_cycle()
        assert rows(await board.exec(SHOW)) == (0, [])


async def test_log_of_a_crash_is_in_its_report(image):
    """The user's program is caught in a loop, the watchdog bites: the report says what was before."""
    main = b"""
from coldframe import log
import machine
if machine.reset_cause() != machine.WDT_RESET:
    log.warning("about to hang")
    machine.WDT(timeout=100)
    while True:
        pass
"""
    async with Emulator(image, files={"main.py": main}, pace=False) as board:
        await board.wait_until(lambda: "watchdog" in board.resets, what="the watchdog")
        await board.wait_boot(2)
        report = json.loads(await board.exec("print(open('/crash.new').read())"))
        assert report["cause"] == "watchdog: the program was stuck"
        assert (report["layer"], report["reset"]) == ("app", "watchdog")
        assert "WARNING  root: about to hang" in report["log"][-1]


# -- the power goes in the middle of a write -----------------------------------------------------


class Reader(ctypes.Structure):
    _fields_ = [("seq", ctypes.c_uint32), ("at", ctypes.c_uint32), ("generation", ctypes.c_uint32)]


class Record(ctypes.Structure):
    _fields_ = [
        ("seq", ctypes.c_uint32), ("time", ctypes.c_uint32), ("at", ctypes.c_uint32),
        ("generation", ctypes.c_uint32), ("text_len", ctypes.c_uint16), ("name_len", ctypes.c_uint8),
        ("level", ctypes.c_uint8),
    ]  # fmt: skip


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The plain C core, compiled for this machine: it reads the same block."""
    library = tmp_path_factory.mktemp("core") / "ringlog.so"
    source = ROOT / "cmodules/ringlog/ringlog.c"
    done = subprocess.run(
        ["gcc", "-std=gnu99", "-O2", "-shared", "-fPIC", source, "-o", library],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def found(core: ctypes.CDLL, memory: bytes) -> list[tuple[int, str]]:
    """(number, text) of the records that a start finds in this memory."""
    block = ctypes.create_string_buffer(memory, len(memory))
    ring = ctypes.create_string_buffer(256)
    count = core.ringlog_init(ring, block, len(memory))
    reader, record, lost = Reader(), Record(), ctypes.c_uint32()
    core.ringlog_rewind(ring, ctypes.byref(reader), 1 << 24)
    got = []
    while core.ringlog_next(ring, ctypes.byref(reader), ctypes.byref(record), ctypes.byref(lost)) & 0xFF:
        text = ctypes.create_string_buffer(2048)
        assert core.ringlog_copy_text(ring, ctypes.byref(record), 0, text, record.text_len) & 0xFF
        got.append((record.seq, text.raw[: record.text_len].decode()))
    assert len(got) == count
    return got


class Snapshots(BasePeripheral):
    """Between two writes of the guest to MARK, keeps every content that the memory has at any cycle."""

    def __init__(self, board: Emulator, address: int, size: int) -> None:
        super().__init__(board.mcu, "SNAPSHOTS")
        self._board = board
        self._where = slice(address - SRAM, address - SRAM + size)
        self._alarm = board.engine.clock.create_alarm(self._look)
        self._on = False
        self.contents: list[bytes] = []
        self.cycles: list[int] = []

    def write_uint32(self, offset: int, value: int) -> None:
        self._on = value == 1
        if self._on:
            self._look()

    def _look(self) -> None:
        if not self._on:
            return
        now = bytes(self._board.mcu.sram[self._where])
        if not self.contents or now != self.contents[-1]:
            self.contents.append(now)
            self.cycles.append(self._board.cycles)
        self._alarm.schedule(1)  # the next instruction


CUT = """
import ringlog, uctypes, machine, gc
memory = ringlog.persistent()
block = memoryview(memory)[:{words}]
for i in range({words}):
    block[i] = 0
ring = ringlog.Ring(block)
for i in range({before}):
    ring.write((10, 20, 30, 10, 40)[i % 5], "n%d" % (i % 3), "%d." % i * (i % 7 + 1))
print("AT", uctypes.addressof(memory), ring.seq)
def write():
    machine.mem32[{mark}] = 1
    ring.write({level}, "late", "the line that is being written")
    machine.mem32[{mark}] = 2
"""


@pytest.mark.parametrize("level", [10, 20, 30, 40])
async def test_reset_at_any_instruction_of_a_write(image, core, level):
    """At most one record is torn, nothing false appears, and the line itself is there or not."""
    words = 256
    moving = 0
    async with Emulator(image, files=IDLE, pace=False) as board:
        setup = CUT.format(words=words, before=60, level=level, mark=MARK)
        at = re.search(r"AT (\d+) (\d+)", await board.exec(setup))
        assert at
        address, seq = int(at[1]), int(at[2])
        for number in range(seq, seq + 12):
            snapshots = Snapshots(board, address, 4 * words)
            board.mcu.peripherals[MARK >> 12] = snapshots
            try:
                await board.exec("write()")
            finally:
                del board.mcu.peripherals[MARK >> 12]
            contents = snapshots.contents
            assert len(contents) >= 12, "too few states for a record of 12 words"
            first, last = found(core, contents[0]), found(core, contents[-1])
            assert last[-1] == (number, "the line that is being written")
            kept = set(first) & set(last)
            for state, content in enumerate(contents):
                got = found(core, content)
                assert [n for n, _ in got] == sorted({n for n, _ in got}), "the order"
                assert set(got) <= set(first) | set(last), "something that was gone, or never written"
                torn = kept - set(got)
                moving += len(torn)
                assert len(torn) <= 1, f"state {state} of {len(contents)}: {torn}"
    if level == 10:
        assert moving, "no record was being moved in any state"


async def test_real_reset_in_the_middle_of_a_write(image):
    """The chip is reset at cycles spread over a write that moves records; the firmware itself takes the log up."""
    async with Emulator(image, files=IDLE, pace=False) as board:
        for turn in range(8):
            fill = f"""
from coldframe import log
import machine
log.setLevel(10)
log.console(None)
for i in range(150):
    log.log((10, 20, 30, 10, 40)[i % 5], "turn {turn} line %d.", i)
print("LINES", list(log.lines()))
"""
            write = f"""
machine.mem32[{MARK}] = 1
while True:
    log.debug("turn {turn} more")
"""

            class Cut(BasePeripheral):
                def write_uint32(self, offset: int, value: int, after: int = 8 * (150 + 997 * turn)) -> None:
                    board.engine.clock.create_alarm(lambda: board._reset("watchdog")).schedule(after)

            lines = (await board.exec(fill)).partition("LINES ")[2]
            board.mcu.peripherals[MARK >> 12] = Cut(board.mcu, "CUT")
            await board.exec(write, expect_reset=True)
            del board.mcu.peripherals[MARK >> 12]
            important = [line[11:] for line in eval(lines) if line[11:].startswith("ERROR")][-10:]
            _, got = rows(await board.exec(SHOW))
            assert len(important) == 10 and f"turn {turn}" in important[-1]
            assert len(set(important) - set(got)) <= 1, (turn, important, got)
            assert all(re.fullmatch(r"[A-Z]+ +root: turn \d (line \d+\.|more)", line) for line in got), got


# -- interrupts ----------------------------------------------------------------------------------


async def test_hard_interrupt_writes_during_writes(image):
    """A timer's hard interrupt and the program write at once, thousands of times: none is broken or unaccounted."""
    code = """
import machine, time, micropython
import ringlog
micropython.alloc_emergency_exception_buf(100)
ring = ringlog.Ring(1024)
reader = ring.reader()
write, advance = ring.write, reader.next
count = 0
def tick(timer):
    global count
    write(40 if count & 3 == 0 else 10, "irq", "i")
    count += 1
mine = read = lost = bad = 0
timer = machine.Timer(mode=machine.Timer.PERIODIC, freq=4001, callback=tick, hard=True)
while count < 4000:
    write(20, "main", "a line of the program")
    mine += 1
    if mine % 3 == 0:
        while advance():
            read += 1
            lost += reader.lost
            if reader.seq != read + lost - 1:
                bad += 1
            name, text = reader.name, reader.text
            if name is None or text is None:
                pass  # overwritten by an interrupt since, perhaps between the two
            elif (name, text) != ("irq", "i") and (name, text) != ("main", "a line of the program"):
                bad += 1
timer.deinit()
while advance():
    read += 1
    lost += reader.lost
lost += reader.lost
print("SUM", count, mine, read, lost, bad, ring.seq, len(ring), ring.dropped)
"""
    async with Emulator(image, files=IDLE, pace=False) as board:
        output = await board.exec(code)
    numbers = re.findall(r"\d+", output[output.index("SUM") :])
    count, mine, read, lost, bad, seq, length, dropped = map(int, numbers)
    assert bad == 0
    assert count >= 4000 and mine > 500
    assert seq == count + mine == read + lost == length + dropped


# -- the file ------------------------------------------------------------------------------------

WRITER = b"""
from coldframe import log
from coldframe.logfile import LogFile
log.console(None)
target = LogFile("/log.txt", 2000, "INFO")
n = 0
while True:
    log.error("line %d is whole.", n)
    n += 1
    target.write()
"""


async def test_power_cuts_leave_whole_lines(image):
    """The power goes at any command to the flash, half done or not begun, also while the file becomes log.txt.1."""
    async with Emulator(image, files={"main.py": WRITER}, pace=False) as board:
        for nth in (3, 17, 30, 44, 61, 75, 90, 101):
            board.cut_power_at(nth, seed=nth)
            await board.wait_power_cut()
            await board.power_on()
        text = await board.exec(
            """
import os
for name in ("/log.txt.1", "/log.txt"):
    if name[1:] in os.listdir("/"):
        print("FILE", name, os.stat(name)[6])
        print(open(name).read(), end="")
"""
        )
    files = re.split(r"FILE (\S+) (\d+)\n", text.replace("\r", ""))[1:]
    assert len(files) == 6, text
    numbers = []
    for size, content in zip(files[1::3], files[2::3], strict=True):
        assert int(size) == len(content) <= 2000
        for line in content.splitlines():
            found = re.fullmatch(r" +\d+\.\d{3} ERROR    root: line (\d+) is whole\.", line)
            assert found, f"a line is broken: {line!r}"
            numbers.append(int(found[1]))
    assert all(b in (a + 1, 0) for a, b in zip(numbers, numbers[1:], strict=False)), numbers


# -- how long it takes ---------------------------------------------------------------------------

PRESSED = """
import ringlog
ring = ringlog.Ring(4096)
write = ring.write
for i in range(300):
    write(30, "name", "a warning that is there before")
for i in range(300):
    write(10, "name", "a line that is there before it")
long = "x" * 1000
"""


class Stopwatch(BasePeripheral):
    """The cycles between a write of 1 and the next write of 2 to MARK."""

    def __init__(self, board: Emulator) -> None:
        super().__init__(board.mcu, "STOPWATCH")
        self._board = board
        self._began = 0
        self.took: list[int] = []

    def write_uint32(self, offset: int, value: int) -> None:
        if value == 1:
            self._began = self._board.cycles
        else:
            self.took.append(self._board.cycles - self._began)


async def test_worst_case_is_bounded(image):
    """A write holds interrupts back: usual lines that move half of the ring, and the worst there can be.

    The worst is a text of 1 KB into a ring of nothing but tiny records, of which two in three are more important.
    """
    timed = f"""
import machine
def timed(n, *args):
    for _ in range(n):
        machine.mem32[{MARK}] = 1
        write(*args)
        machine.mem32[{MARK}] = 2
"""
    tiny = "for i in range(600):\n    write(10 if i % 3 else 20, '', '')\ntimed(1, 40, 'name', long)"
    async with Emulator(image, files=IDLE, pace=False) as board:
        watch = Stopwatch(board)
        board.mcu.peripherals[MARK >> 12] = watch
        try:
            await board.exec(PRESSED + timed + "timed(100, 10, 'name', 'a line of the usual length')")
            await board.exec(tiny)
        finally:
            del board.mcu.peripherals[MARK >> 12]
    usual, worst = watch.took[:100], watch.took[100]
    mean = sum(usual) / len(usual)
    print(f"cycles of a write: usual {mean:.0f}, at most {max(usual)}; worst {worst}")
    assert mean < 5_500
    assert max(usual) < 12_500
    assert worst < 67_000
