"""The emulated Pico behaves like the board: boot, console, files, resets, power, time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from pathlib import Path

import pytest
from emulator import Emulator, EmulatorError, GuestError
from emulator.measure import heap, measure

TICKING = b"""
import time
n = 0
while True:
    print("tick", n)
    n += 1
    time.sleep_ms(100)
"""
IDLE = {"main.py": b""}  # the user's program is in charge and ends at once: the REPL, and no node


# -- boot and console ----------------------------------------------------------------------------


async def test_boots_and_runs_the_program_on_its_flash(image):
    async with Emulator(image, files={"main.py": b"print('hello from', 6 * 7)\n"}) as board:
        assert await board.wait_for(re.compile(r"hello from \d+")) == "hello from 42"
        assert board.boots == 1
        assert board.resets == []


async def test_output_is_reported_as_it_comes(image):
    pieces: list[str] = []
    async with Emulator(image, files={"main.py": "print('Grüße')".encode()}, on_text=pieces.append) as board:
        await board.wait_for("Grüße")
        assert "".join(pieces) == board.console


async def test_wait_for_goes_on_after_what_it_found(image):
    async with Emulator(image, files={"main.py": TICKING}) as board:
        numbers = [int((await board.wait_for(re.compile(r"tick (\d+)\n"))).split()[1]) for _ in range(4)]
        assert numbers == sorted(set(numbers))
        with pytest.raises(TimeoutError, match="no such words"):
            await board.wait_for("no such words", deadline=0.3)


async def test_idle_board_is_asleep(image):
    """A board with nothing to do leaves the host alone: the console's polling is repaired."""
    async with Emulator(image, files=IDLE) as board:
        await board.exec("pass")
        busy, began = board.engine.busy_seconds, board.guest_seconds
        cycles = board.cycles
        await board.wait_until(lambda: board.guest_seconds > began + 2, what="two seconds")
        assert board.engine.busy_seconds - busy < 0.5
        assert board.cycles - cycles < 0.1 * 2 * 125e6


async def test_firmware_panic_ends_in_an_error(image):
    code = "import micropython\n@micropython.asm_thumb\ndef f():\n    data(2, 0xbe01)\nf()\n"
    async with Emulator(image, files=IDLE) as board:
        with pytest.raises(EmulatorError, match="BKPT 1"):
            await board.exec(code)
        with pytest.raises(EmulatorError, match="BKPT 1"):
            await board.wait_for("anything")


# -- running code --------------------------------------------------------------------------------


async def test_exec_stops_the_program_and_may_start_it_again(image):
    async with Emulator(image, files={"main.py": TICKING}) as board:
        await board.wait_for("tick 3")
        assert await board.exec("print(n >= 3, 2 ** 70)") == "True 1180591620717411303424\n"
        here = board.console_io.position
        assert await board.exec("print(len('é'))") == "1\n"
        await board.exec("", then="soft_reset")
        await board.wait_for("tick 0", since=here)
        await board.wait_for("tick 3")
        assert board.resets == []


async def test_exec_reports_exceptions_and_long_output(image):
    async with Emulator(image, files=IDLE) as board:
        with pytest.raises(GuestError, match="ZeroDivisionError") as caught:
            await board.exec("print('before')\n1 / 0")
        assert caught.value.output == "before\n"
        assert await board.exec("print('x' * 5000)") == "x" * 5000 + "\n"
        long = "a = 0\n" + "".join(f"a += {i}\n" for i in range(400)) + "print(a)"
        assert await board.exec(long) == f"{sum(range(400))}\n"


async def test_exec_says_when_the_board_resets_under_it(image):
    async with Emulator(image, files=IDLE) as board:
        with pytest.raises(EmulatorError, match="was reset .watchdog. while it ran"):
            await board.exec("import machine; machine.reset()")
        await board.wait_boot(2)
        with pytest.raises(TimeoutError):
            await board.exec("while True: pass", deadline=2)
        assert await board.exec("print('still there')") == "still there\n"


# -- files ---------------------------------------------------------------------------------------


async def test_folder_is_the_boards_file_system(image, tmp_path):
    folder = tmp_path / "flash"
    (folder / "lib" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    blob = bytes(range(256)) * 40
    (folder / "lib" / "deep" / "blob.bin").write_bytes(blob)
    (folder / "config.json").write_text('{"name": "here"}')
    (folder / "main.py").write_bytes(b"")
    (folder / "old.txt").write_text("old")
    (folder / "mine.txt").write_text("as it was at the start")
    os.utime(folder / "config.json", (1, 1))
    async with Emulator(image, folder) as board:
        assert await board.exec("import json; print(json.load(open('/config.json'))['name'])") == "here\n"
        digest = await board.exec(
            "import hashlib, os, binascii\n"
            "print(binascii.hexlify(hashlib.sha256(open('lib/deep/blob.bin', 'rb').read()).digest()).decode())\n"
            "print(os.listdir('empty'))"
        )
        assert digest.split("\n")[:2] == [hashlib.sha256(blob).hexdigest(), "[]"]
        await board.exec(
            "os.remove('old.txt')\nos.rmdir('empty')\nos.mkdir('new')\n"
            "f = open('new/note', 'w'); f.write('written on the board'); f.close()\n"
            "f = open('lib/deep/blob.bin', 'r+b'); f.write(b'!!'); f.close()"
        )
        assert not (folder / "new").exists()
        (folder / "mine.txt").write_text("edited on the host meanwhile")
        assert board.write_back() == ["empty/", "lib/deep/blob.bin", "new/note", "old.txt"]
        assert board.unsaved == 0
        assert board.write_back() == []
        await board.exec("f = open('last', 'w'); f.write('at the end'); f.close()")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert names == ["config.json", "last", "lib/deep/blob.bin", "main.py", "mine.txt", "new/note"]
    assert (folder / "new" / "note").read_text() == "written on the board"
    assert (folder / "last").read_text() == "at the end"
    assert (folder / "lib" / "deep" / "blob.bin").read_bytes() == b"!!" + blob[2:]
    assert (folder / "mine.txt").read_text() == "edited on the host meanwhile"
    assert not (folder / "empty").exists()
    assert (folder / "config.json").stat().st_mtime == 1, "a file that the board left alone was written"


async def test_file_system_in_the_firmware_file_fills_an_empty_folder(image, tmp_path):
    from emulator import flash, uf2

    blocks = uf2.read(image)
    layout = flash.layout_of(flash.board_of(image))
    system = flash.make({"main.py": b"open('mark', 'w').close()", "config.json": b"{}"}, layout)
    blocks += [
        (layout.fs_offset + at, system[at : at + 256])
        for at in range(0, len(system), 256)
        if system[at : at + 256].strip(b"\xff")
    ]
    whole = tmp_path / "whole.uf2"
    whole.write_bytes(_uf2(blocks))
    folder = tmp_path / "not" / "there" / "yet"
    async with Emulator(whole, folder) as board:
        await board.wait_until(lambda: "mark" in board.files(), what="the program's file")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "main.py", "mark"]


async def test_files_of_the_board_cannot_leave_the_folder(tmp_path):
    from emulator.flash import Folder
    from kit.ui import UserError

    folder = Folder(tmp_path / "flash")
    folder.load()
    for name in ("../up", "a/../../up", "nul\0"):
        with pytest.raises(UserError, match="plain name"):
            folder.store({name: b"x"})
    assert list(tmp_path.rglob("up")) == []


# -- resets and power ----------------------------------------------------------------------------


async def test_reset_button_keeps_the_flash_and_forgets_the_rest(image):
    async with Emulator(image, files=IDLE) as board:
        await board.exec("alive = 1\nf = open('count', 'w'); f.write('1'); f.close()")
        await board.reset()
        assert await board.exec("print('alive' in globals(), open('count').read())") == "False 1\n"
        assert (
            await board.exec("import machine; print(machine.reset_cause() == machine.PWRON_RESET)")
            == "True\n"
        )
        assert board.resets == ["run"]
        assert board.boots == 2


async def test_machine_reset(image):
    async with Emulator(image, files=IDLE) as board:
        code = "f = open('a', 'w'); f.write('kept'); f.close()\nimport machine; machine.reset()"
        assert await board.exec(code, expect_reset=True) == ""
        assert board.resets == ["watchdog"]
        assert (
            await board.exec("import machine; print(open('a').read(), machine.reset_cause())") == "kept 3\n"
        )


async def test_watchdog_bites_who_hangs_and_not_who_feeds(image):
    async with Emulator(image, files=IDLE) as board:
        await board.exec(
            "import machine, time\nw = machine.WDT(timeout=300)\n"
            "for _ in range(10):\n    time.sleep_ms(100)\n    w.feed()"
        )
        assert board.resets == []
        await board.wait_boot(2)  # nobody feeds it at the REPL
        assert board.resets == ["watchdog"]
        assert (
            await board.exec("import machine; print(machine.reset_cause() == machine.WDT_RESET)") == "True\n"
        )


async def test_reset_button_stops_the_watchdog(image):
    async with Emulator(image, files=IDLE) as board:
        await board.exec("import machine; w = machine.WDT(timeout=2000)")
        await board.reset()
        began = board.guest_seconds
        await board.wait_until(lambda: board.guest_seconds > began + 3, what="three seconds")
        assert board.resets == ["run"]


async def test_power_cycle_loses_the_memory(image):
    async with Emulator(image, files=IDLE) as board:
        # at the top of the RAM, in the second core's unused stack: what a soft or hard reset keeps
        await board.exec("import machine; machine.mem32[0x20040100] = 0x600DCAFE")
        await board.reset()
        assert await board.exec("import machine; print(hex(machine.mem32[0x20040100]))") == "0x600dcafe\n"
        await board.power_cycle()
        assert await board.exec("import machine; print(hex(machine.mem32[0x20040100]))") != "0x600dcafe\n"
        assert board.resets == ["run", "power"]


async def test_power_off_stops_time(image):
    async with Emulator(image, files={"main.py": TICKING}) as board:
        await board.wait_for("tick 1")
        board.power_off()
        await asyncio.sleep(0)
        stopped, text = board.guest_seconds, board.console
        with pytest.raises(TimeoutError):
            await board.wait_for("tick", deadline=0.5)
        assert (board.guest_seconds, board.console) == (stopped, text)
        await board.power_on()
        await board.wait_for("tick 1\n")


async def test_unique_id(image):
    async with Emulator(image, files=IDLE, unique_id="0123456789abcdef") as board:
        out = await board.exec(
            "import machine, binascii; print(binascii.hexlify(machine.unique_id()).decode())"
        )
        assert out == "0123456789abcdef\n"


# -- power cuts during flash writes --------------------------------------------------------------

REWRITE = b"""
import os
n = 0
while True:
    n += 1
    with open("new", "w") as f:
        f.write("%06d" % n * 300)
    os.sync()
    os.rename("new", "data")
    print("saved", n)
"""


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8, 11, 14, 18, 23, 29])
async def test_power_cut_at_a_flash_write_leaves_a_good_file_system(image, nth):
    async with Emulator(image, files={"main.py": REWRITE}, pace=False) as board:
        await board.wait_for("saved 2")
        board.cut_power_at(nth, seed=nth)
        await board.wait_power_cut()
        _whole_file(board)
        await board.power_on()
        await board.wait_for("saved 2")
        _whole_file(board)


@pytest.mark.parametrize("moment", [0.0011, 0.0032, 0.0057, 0.0101, 0.0173])
async def test_reset_in_the_middle_of_writes_leaves_a_good_file_system(image, moment):
    async with Emulator(image, files={"main.py": REWRITE}, pace=False) as board:
        await board.wait_for("saved 2")
        at = board.guest_seconds + moment
        await board.wait_until(lambda: board.guest_seconds >= at, what="the moment")
        await board.reset()
        _whole_file(board)
        await board.wait_for("saved 2")
        _whole_file(board)


def _whole_file(board: Emulator) -> None:
    data = board.files()["data"]
    assert len(data) == 1800 and data == data[:6] * 300


async def test_a_torn_write_differs_from_none_at_all(image):
    """The cut really happens in the middle: with the same history, a seed changes the flash."""
    dumps = []
    for seed in (None, 1, 2, 1):
        # ordered before the start, and reached after the console is there: the same write each time
        files = {"main.py": b"import time\ntime.sleep_ms(200)\n" + REWRITE}
        board = Emulator(image, files=files, pace=False)
        board.cut_power_at(6, seed)
        async with board:
            await board.wait_power_cut()
            dumps.append(board.flash_dump())
    assert dumps[1] == dumps[3]
    assert len(set(dumps)) == 3


# -- time ----------------------------------------------------------------------------------------


async def test_paced_guest_does_not_outrun_the_clock(image):
    async with Emulator(image, files=IDLE) as board:
        began, guest = time.monotonic(), board.guest_seconds
        await board.exec("import time; time.sleep(1)")
        assert board.guest_seconds - guest >= 1
        assert time.monotonic() - began >= 0.99


async def test_unpaced_guest_sleeps_in_no_time(image):
    async with Emulator(image, files=IDLE, pace=False) as board:
        began, guest = time.monotonic(), board.guest_seconds
        await board.exec("import time; time.sleep(60)")
        assert board.guest_seconds - guest >= 60
        assert time.monotonic() - began < 30


PIO = """
import machine, rp2, time
@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW)
def wave():
    set(pins, 1) [9]
    set(pins, 0) [9]
@rp2.asm_pio()
def twice():
    pull()
    mov(x, osr)
    mov(isr, invert(x))
    push()
a = rp2.StateMachine(0, wave, freq=20000, set_base=machine.Pin(2))
b = rp2.StateMachine(4, twice, freq=1000000)
began = time.ticks_ms()
a.active(1)
while time.ticks_diff(time.ticks_ms(), began) < 20:  # awake: over a sleep the emulator skips edges
    pass
a.active(0)
b.active(1)
b.put(5)
print(hex(b.get()))
b.active(0)
"""


async def test_pio_programs_run_and_stop(image):
    """The loop leaves PIO out while it stands still; it has to be there the moment it is started."""
    async with Emulator(image, files=IDLE) as board:
        edges: list[float] = []
        board.mcu.gpio[2].add_listener(lambda new, old: edges.append(board.engine.nanos))
        for _ in range(2):
            edges.clear()
            assert await board.exec(PIO) == "0xfffffffa\n"
            assert 35 <= len(edges) <= 45  # 20 ms of a wave of 1 kHz, two edges each
            gaps = [b - a for a, b in zip(edges, edges[1:], strict=False)]
            assert sorted(gaps)[len(gaps) // 2] == pytest.approx(500_000, rel=0.01)


DIVIDE = """
from machine import mem32
SIO = 0xd0000000
def divide(a, b, at):
    mem32[SIO + at] = a
    mem32[SIO + at + 4] = b
    return mem32[SIO + 0x74] & 0xffffffff, mem32[SIO + 0x70] & 0xffffffff
for a in NUMBERS:
    for b in NUMBERS:
        print(*divide(a, b, 0x60), *divide(a, b, 0x68), a // b if b else 0, a % b if b else 0)
"""


async def test_division_is_right(image):
    """The chip's divider, and MicroPython's own arithmetic through it, agree with this Python's."""
    numbers = [
        0,
        1,
        2,
        3,
        7,
        1000,
        0x3FFF_FFFF,
        0x7FFF_FFFF,
        0x8000_0000,
        0xDEAD_BEEF,
        0xFFFF_FFFE,
        0xFFFF_FFFF,
    ]
    async with Emulator(image, files=IDLE, pace=False) as board:
        output = await board.exec(DIVIDE.replace("NUMBERS", str(numbers)))
    found = [tuple(map(int, line.split())) for line in output.splitlines()]
    assert found == [_division(a, b) for a in numbers for b in numbers]


def _division(a: int, b: int) -> tuple[int, ...]:
    """What the RP2040 datasheet (2.3.1.5) says: remainder and quotient, unsigned and signed; then a // b, a % b."""
    low = 0xFFFF_FFFF
    unsigned = (a % b, a // b) if b else (a, low)
    p, q = (n - (1 << 32) if n >> 31 else n for n in (a, b))
    if q:
        quotient = abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1)
        signed = (p - q * quotient, quotient)
    else:
        signed = (p, 1 if p < 0 else -1)
    return (*unsigned, signed[0] & low, signed[1] & low, a // b if b else 0, a % b if b else 0)


# -- measuring -----------------------------------------------------------------------------------


async def test_costs_are_exact_and_repeatable(image):
    async with Emulator(image, files=IDLE, pace=False) as board:
        few = {"runs": 10, "rounds": 2}
        empty = await measure(board, "f()", "f = lambda: None", **few)
        assert empty == await measure(board, "f()", "f = lambda: None", **few)
        assert empty.heap == 0
        assert 100 < empty.cycles < 5000
        twice = await measure(board, "f(); f()", "f = lambda: None", **few)
        assert twice.cycles == pytest.approx(2 * empty.cycles, rel=0.1)
        assert (await measure(board, "bytearray(100)", **few)).heap == 16 + 112  # object, and whole blocks
        nap = await measure(board, "time.sleep_ms(2)", "import time", **few)
        assert nap.cycles < 0.2 * 2000 * 125
        assert nap.microseconds == pytest.approx(2000, rel=0.1)
        state = await heap(board)
        assert 100_000 < state.free < 264 * 1024
        assert 0 < state.largest <= state.free


# -- wrong input ---------------------------------------------------------------------------------


def _uf2(blocks, family=0xE48BFF56, count=None) -> bytes:
    import struct

    out = bytearray()
    for number, (offset, data) in enumerate(blocks):
        head = (
            0x0A324655,
            0x9E5D5157,
            0x2000,
            0x10000000 + offset,
            len(data),
            number,
            count or len(blocks),
            family,
        )
        out += struct.pack("<8I", *head) + data.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)
    return bytes(out)


BLOCKS = [(0, b"a" * 256), (256, b"b" * 256)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF" + bytes(600), "not a UF2 file"),
        (b"", "not a UF2 file"),
        (_uf2(BLOCKS)[:-100], "cut short"),
        (_uf2(BLOCKS, family=0xE48BFF59), r"another chip: family 0xe48bff59 \(RP2350, Arm\)"),
        (_uf2(BLOCKS, count=5), "3 of 5 blocks are missing"),
        (_uf2(BLOCKS)[:512] + bytes(512), "block 1: damaged"),
        (_uf2([(32 << 20, b"x" * 256)]), "address 0x12000000"),
    ],
)
def test_what_is_no_firmware_is_refused(tmp_path: Path, content, message):
    from kit.ui import UserError

    file = tmp_path / "firmware.uf2"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Emulator(file)
    assert re.search(message, str(caught.value))
    assert str(file) in str(caught.value)


def test_folder_too_big_for_the_flash_is_refused(image, tmp_path):
    from kit.ui import UserError

    (tmp_path / "big").write_bytes(bytes(2_000_000))
    with pytest.raises(UserError, match=r"big: the files do not fit .* 2,000,000 bytes"):
        Emulator(image, tmp_path)


@pytest.mark.parametrize("text", ["", "12", "zz61410300000000", "e6614103e712345678"])
def test_bad_unique_id_is_refused(image, text):
    from kit.ui import UserError

    with pytest.raises(UserError, match="16 hexadecimal digits"):
        Emulator(image, unique_id=text)
