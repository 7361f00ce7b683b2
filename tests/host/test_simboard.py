"""The simulated board behaves like a board: resets, watchdog, memory, console, flash, pins and buses."""

from __future__ import annotations

import os
import re
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from host.simboards import DEADLINE, MakeBoard, boards, image
from kit import fsimage
from kit.simboard import SimBoard


@pytest.fixture
def make_board(tmp_path: Path) -> Iterator[MakeBoard]:
    yield from boards(tmp_path)


# ---- resets ----

RESETS = """
import machine
cause = machine.reset_cause()
rtc = machine.RTC()
print("cause", cause, "rtc", rtc.memory(), "id", machine.unique_id().hex())
if cause == machine.PWRON_RESET:
    rtc.memory(b"kept")
    machine.retained()[:4] = b"RAM!"
    machine.reset()
if cause == machine.HARD_RESET:
    machine.WDT(timeout=200)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
if cause == machine.WDT_RESET:
    machine.deepsleep(50)
if cause == machine.DEEPSLEEP_RESET:
    machine.soft_reset()
print("ram", bytes(machine.retained()[:4]))
"""


def test_reset_causes_and_what_they_leave(make_board: MakeBoard) -> None:
    board = make_board(RESETS)
    board.start()
    pid = board.pid
    for cause, memory in ((1, "b''"), (2, "b'kept'"), (3, "b'kept'"), (4, "b'kept'"), (5, "b'kept'")):
        board.wait_for(f"cause {cause} rtc {memory}", DEADLINE)
    board.wait_for("ram b'RAM!'", DEADLINE)
    assert board.pid == pid and board.running
    assert board.wait_state({"boots": 5})["cause"] == 5
    assert board.reset_cause() == "soft"
    ids = set(re.findall(r"id ([0-9a-f]{16})", board.console))
    assert len(ids) == 1

    board.stop()
    (
        board.flash / "boot.rec"
    ).unlink()  # or the framework leaves out a program that ends in the watchdog twice
    board.start()
    board.wait_for("cause 1 rtc b''", DEADLINE)  # the power was off: RTC memory is gone, the id is not
    board.wait_for("ram b'RAM!'", DEADLINE)  # after the same round of resets
    assert set(re.findall(r"id ([0-9a-f]{16})", board.console)) == ids
    board.wait_state({"boots": 10}, DEADLINE)


def test_retained_memory_is_noise_after_power_on(make_board: MakeBoard) -> None:
    board = make_board("import machine; print('same', bytes(machine.retained()[:9]) == b'something')")
    board.start()
    board.wait_for("same False", DEADLINE)
    board.repl("import machine; machine.retained()[:9] = b'something'")
    board.send("machine.reset()\r")
    board.wait_for("same True", DEADLINE)
    board.stop()
    board.start()
    board.wait_for("same False", DEADLINE)


def test_watchdog_spares_who_feeds_it_and_survives_a_soft_reset(make_board: MakeBoard) -> None:
    board = make_board(
        """
import machine, time
print("cause", machine.reset_cause())
if machine.reset_cause() == 1:
    w = machine.WDT(timeout=300)
    for _ in range(10):
        time.sleep_ms(100)
        w.feed()
    print("alive")
    machine.soft_reset()
"""
    )
    board.start()
    board.wait_for("alive", DEADLINE)
    board.wait_for("cause 5", DEADLINE)
    board.wait_for("cause 3", DEADLINE)


def test_disabled_interrupts_do_not_stop_the_watchdog(make_board: MakeBoard) -> None:
    board = make_board(
        """
import machine
print("cause", machine.reset_cause())
if machine.reset_cause() == 1:
    machine.WDT(timeout=100)
    machine.disable_irq()
    while True:
        pass
"""
    )
    board.start()
    board.wait_for("cause 3", DEADLINE)


def test_bootloader_says_what_would_happen(make_board: MakeBoard) -> None:
    board = make_board("import machine; machine.bootloader()")
    board.start()
    board.wait_for("wait for a new firmware", DEADLINE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "NODE_DIR is missing"),
        (["NODE", "--foo"], "unknown option --foo"),
        (["NODE", "--size"], "--size: expected a value"),
        (["NODE", "--size", "big"], "--size: expected a number, got 'big'"),
        (["NODE", "--size", "1"], "--size: expected 64 to 1048576 KiB, got 1"),
        (["NODE", "--id", "zz"], "unique id: expected 16 hexadecimal digits, got 'zz'"),
        (["NODE", "OTHER"], "one NODE_DIR expected"),
        (["/proc/none"], "cannot make the folder /proc/none"),
    ],
)
def test_wrong_options_end_with_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    command = [str(image()), "-m", "simboard", *options]
    done = subprocess.run(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert done.stderr.startswith("simboard: " + said) and done.stderr.count("\n") == 1


def test_without_a_terminal(tmp_path: Path) -> None:
    def run(main: str, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "flash").mkdir(exist_ok=True)
        (tmp_path / "flash" / "main.py").write_text(main)
        command = [str(image()), "-X", "heapsize=300k", "-m", "simboard", str(tmp_path), *options]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=20)

    done = run("print('main')", "--repl", text="import gc\nprint(gc.mem_free() + gc.mem_alloc() < 310000)\n")
    assert done.returncode == 0 and "main\n" in done.stdout and "True\n" in done.stdout
    assert run("print('main')", "--exit").returncode == 0
    # One reset on the way: the command line, the heap with it, is that of the first start.
    done = run(
        "import gc, machine\n"
        "print(machine.reset_cause(), gc.mem_free() + gc.mem_alloc() < 310000)\n"
        "if machine.reset_cause() == 1: machine.reset()\n",
        "--exit",
    )
    assert done.stdout.splitlines()[:2] == ["1 True", "2 True"] and done.returncode == 0


# ---- console ----


def test_ctrl_c_gives_the_repl_with_the_program_still_there(make_board: MakeBoard) -> None:
    board = make_board("import time\nx = 42\nprint('go')\nwhile True: time.sleep(1)")
    board.start()
    board.wait_for("go", DEADLINE)
    assert board.repl("print(6 * 7)") == "42\n"
    board.send("import sys; sys.platform\r")
    board.wait_for("'coldframe-sim'", DEADLINE)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        board.repl("1 / 0")
    board.send(b"\x04")
    board.wait_for("soft reboot", DEADLINE)
    board.wait_for("go", DEADLINE)


def test_ctrl_c_waits_for_an_atomic_section(make_board: MakeBoard) -> None:
    board = make_board(
        """
import machine, time
state = machine.disable_irq()
print("off")
for _ in range(300000):
    pass
print("still here")
machine.enable_irq(state)
while True:
    time.sleep(1)
"""
    )
    board.start()
    board.wait_for("off", DEADLINE)
    board.interrupt()
    board.wait_for("still here", DEADLINE)
    board.wait_for(">>> ", DEADLINE)


# ---- flash ----


def test_flash_is_the_folder_and_nothing_but_it(make_board: MakeBoard) -> None:
    board = make_board()
    (board.folder / "secret").write_text("outside")
    board.put("lib/thing.py", "value = 'from lib'")
    board.start()
    out = board.repl(
        "import os\n"
        "with open('/../secret', 'w') as f: f.write('inside')\n"
        "os.mkdir('/d'); os.chdir('/d')\n"
        "with open('a.txt', 'w') as f: f.write('x' * 5000)\n"
        "os.rename('a.txt', '/b.txt'); os.sync(); os.rename('/b.txt', 'a.txt'); os.mkdir('e'); os.rmdir('/d/e')\n"
        "import thing; print(thing.value, os.getcwd(), os.listdir(), os.stat('/d/a.txt')[6])\n"
        "s = os.statvfs('/'); print(s[1] * s[2], s[3] < s[2])\n"
    )
    assert out == "from lib /d ['a.txt'] 5000\n1441792 True\n"
    assert (board.folder / "secret").read_text() == "outside"
    assert board.get("secret") == b"inside"
    assert board.get("d/a.txt") == b"x" * 5000
    board.stop()
    board.start()
    assert board.repl("print(open('/d/a.txt').read()[:3])") == "xxx\n"


SAVE = """
with open("/value.new", "w") as f:
    f.write("new" * 500)
import os
os.rename("/value.new", "/value")
print("saved")
"""


def test_a_power_cut_at_every_write_leaves_the_old_or_the_new(make_board: MakeBoard) -> None:
    board = make_board("", "--lfs", "flash.img", "--exit")
    first = SimBoard(board.image, board.folder, options=("--lfs", "flash.img"))
    with first:
        first.start()
        first.repl("with open('/value', 'w') as f: f.write('old' * 500)")
        first.repl(f"with open('/main.py', 'w') as f: f.write({SAVE!r})")
    fresh = (board.sim / "flash.img").read_bytes()
    seen: set[bytes] = set()
    for cut in range(1, 200):
        (board.sim / "flash.img").write_bytes(fresh)
        with SimBoard(
            board.image, board.folder, options=("--lfs", "flash.img", "--cut", str(cut), "--exit")
        ) as b:
            b.start()
            ended = b.wait_for(re.compile(r"power cut at flash write|saved"), DEADLINE)[0]
        value = fsimage.read_image((board.sim / "flash.img").read_bytes())["value"]
        assert value in (b"old" * 500, b"new" * 500), f"cut {cut}: {value!r}"
        seen.add(value)
        if ended == "saved":
            break
    assert seen == {b"old" * 500, b"new" * 500}
    assert cut > 3


# ---- pins and buses ----


def test_pins_follow_the_world_and_interrupts_fire(make_board: MakeBoard) -> None:
    board = make_board(
        """
from machine import Pin, Signal
button = Pin(4, Pin.IN, Pin.PULL_UP)
edges = []
button.irq(lambda p: (edges.append(p.value()), print("edges", edges)))
led = Pin(5, Pin.OUT)
lamp = Signal(led, invert=True)
lamp.on()
drain = Pin(6, Pin.OPEN_DRAIN, value=1)
echo = Pin(8, Pin.IN)
print("ready", button.value(), led(), drain.value())
"""
    )
    board.start()
    board.wait_for("ready 1 0 0", DEADLINE)
    assert board.wait_state({"pin.5": 0})["pin.6"] == 0
    board.world(pins={"4": 0})
    board.wait_for("edges [0]", DEADLINE)
    board.world(pins={"4": [1, 5, 0, 5, 1, 5, 0]})
    board.wait_for("edges [0, 1, 0, 1, 0]", DEADLINE)
    board.world(pins={})  # the wire is taken off: the pull-up wins
    board.wait_for("edges [0, 1, 0, 1, 0, 1]", DEADLINE)
    board.world(wires=[[5, 8]])
    assert board.repl("led.on(); print(echo.value()); led.toggle(); print(echo.value())") == "1\n0\n"
    board.wait_state({"pin.5": 0})
    with pytest.raises(RuntimeError, match="invalid pin"):
        board.repl("Pin(99)")


def test_adc_pwm_i2c_spi_dht(make_board: MakeBoard) -> None:
    board = make_board()
    board.world(
        adc={"26": 32768, "27": "1.65V"},
        i2c={
            "0": {
                "0x76": {"regs": {"0xD0": "58", "0xF7": "80 00 01"}},
                "0x40": {"answers": {"e3": "683aac"}},
                "0x50": {"fail": True},
            }
        },
        spi={"1": {"answers": {"9f": "ef4018"}}},
        dht={"4": [-3.5, 61.2]},
    )
    board.start()
    assert board.repl(
        "from machine import *\n"
        "a = ADC(Pin(26)); print(a.read_u16(), a.read(), a.read_uv(), ADC(27).read_u16())\n"
        "i = I2C(0, scl=Pin(5), sda=Pin(4)); print(i.scan(), i.readfrom_mem(0x76, 0xD0, 1))\n"
        "i.writeto_mem(0x76, 0xF8, b'\\x55'); print(i.readfrom_mem(0x76, 0xF7, 3))\n"
        "i.writeto(0x40, b'\\xe3'); print(i.readfrom(0x40, 3))\n"
        "for addr in (0x50, 0x51):\n"
        "    try: i.readfrom(addr, 1)\n"
        "    except OSError as e: print(e.errno)\n"
        "s = SPI(1); s.write(b'\\x9f'); print(s.read(3))\n"
        "b = bytearray(5); dht_readinto(Pin(4), b); print(b)\n"
        "p = PWM(Pin(15), freq=50, duty_ns=1500000); print(p.duty_u16())\n"
    ) == (
        "32768 2048 1650025 32767\n"
        "[64, 118] b'X'\n"
        "b'\\x80U\\x01'\n"
        "b'h:\\xac'\n"
        "5\n19\n"
        "b'\\xef@\\x18'\n"
        "bytearray(b'\\x02d\\x80#\\t')\n"
        "4915\n"
    )
    state = board.wait_state({"pwm.15.freq": 50})
    assert state["pwm.15.duty_u16"] == 4915
    assert state["i2c.0.0x76"] == "f855"


def test_uart_is_a_terminal_of_the_host(make_board: MakeBoard) -> None:
    board = make_board(
        """
import asyncio, machine
uart = machine.UART(1, 9600, tx=machine.Pin(4), rx=machine.Pin(5))
async def main():
    r = asyncio.StreamReader(uart)
    print("listening")
    while True:
        line = await r.readline()
        uart.write(line.upper())
asyncio.run(main())
"""
    )
    board.start()
    board.wait_for("listening", DEADLINE)
    fd = os.open(board.sim / "uart1", os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(fd, b"hello\n")
        got = b""
        while not got.endswith(b"\n"):
            assert select.select([fd], [], [], DEADLINE)[0], f"no answer, got {got!r}"
            got += os.read(fd, 100)
        assert got == b"HELLO\n"
    finally:
        os.close(fd)


def test_timers_and_the_timeline(make_board: MakeBoard) -> None:
    board = make_board(
        """
from machine import Pin, Timer
n = 0
def tick(t):
    global n
    n += 1
    if n == 5:
        t.deinit()
        print("five")
Timer(-1).init(period=10, mode=Timer.PERIODIC, callback=tick)
Timer(mode=Timer.ONE_SHOT, period=5, callback=lambda t: print("once"))
Pin(3, Pin.IN).irq(lambda p: print("pin", p.value()))
"""
    )
    board.start()
    board.wait_for("once", DEADLINE)
    board.wait_for("five", DEADLINE)
    board.world(timeline=[{"at": 20, "pins": {"3": 1}}, {"at": 60, "pins": {"3": 0}}])
    board.wait_for("pin 1", DEADLINE)
    board.wait_for("pin 0", DEADLINE)


def test_time_can_run_faster(make_board: MakeBoard) -> None:
    board = make_board()
    board.world(speed=600, clock="unset")
    board.start()
    out = board.repl(
        "import time, asyncio\n"
        "async def rest(): await asyncio.sleep(600)\n"
        "t = time.ticks_ms(); d = time.time(); time.sleep(600); asyncio.run(rest())\n"
        "print(1200000 <= time.ticks_diff(time.ticks_ms(), t), time.time() - d >= 1199, time.gmtime()[0])\n",
        DEADLINE,
    )
    assert out == "True True 2021\n"
    # A reset takes the date along, and the time since the start begins anew.
    board.repl("import machine, time; machine.RTC().datetime((2030, 5, 6, 0, 12, 0, 0, 0))")
    board.send("machine.reset()\r")
    board.wait_state({"cause": 2}, DEADLINE)
    out = board.repl(
        "import time; print(time.gmtime()[:3], time.localtime()[3] - time.gmtime()[3], time.ticks_ms() < 3600000)"
    )
    assert out == "(2030, 5, 6) 0 True\n"
    board.stop()
    board.start()
    assert board.repl("import time; print(time.gmtime()[0])") == "2021\n"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{ not json", "not valid JSON"),
        ("[]", "expected an object in braces, got []"),
        ('{"pin": {"1": 1}}', "unknown section 'pin'; known: adc, "),
        ('{"pins": 4}', "pins: expected an object in braces, got 4"),
        ('{"pins": {"4": 2}}', "pin 4: expected 0, 1, null or [level, ms, level, ...], got 2"),
        ('{"pins": {"400": 1}}', "invalid pin: '400'"),
        ('{"networks": [{"name": "Farm"}]}', 'networks: expected [{"ssid": "NAME"'),
        ('{"wlan": "off"}', 'wlan: expected "on", "none" or "stuck", got \'off\''),
        ('{"speed": 0}', "speed: expected 0.01 to 10000"),
        ('{"timeline": [{"pins": {}}]}', 'timeline: expected [{"at": milliseconds'),
    ],
)
def test_a_wrong_world_is_said_and_the_board_goes_on(make_board: MakeBoard, wrong: str, said: str) -> None:
    board = make_board("import machine")
    board.world(adc={"26": 7})
    board.start()
    board.wait_state({"world": 1}, DEADLINE)
    board.repl("from machine import ADC")
    (board.sim / "world.json").write_text(wrong)
    board.wait_for(said, DEADLINE)
    board.wait_state(lambda s: said[:25] in s.get("error", ""), DEADLINE)
    board.world(adc={"26": 8})
    assert "error" not in board.state()
    assert board.repl("print(ADC(26).read_u16())") == "8\n"
