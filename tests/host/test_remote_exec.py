"""eval and exec on a simulated board: output while the code runs, its end, and the node beside it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from coldframe_cli.errors import DeviceError
from coldframe_cli.link import Link
from coldframe_cli.profiles import Broker, Profile
from coldframe_cli.session import Session
from host.brokers import Mosquitto, until
from host.simboards import boards

KEY = "a key of the owner's"
BASE = "test/runner"


class Bench:
    """A board with remote administration, and hosts that talk to it."""

    def __init__(self, port: int, make, config: dict | None = None, main: str = "") -> None:
        self.link = Link(Profile(brokers=(Broker("127.0.0.1", port),)))
        self.link.connect()
        self._sessions: list[Session] = []
        self.available = threading.Event()
        self.link.listen(f"{BASE}/available", self._heard)
        self.board = make()
        self.board.put(
            "config.json",
            {
                "name": "runner",
                "mqtt": {"host": "127.0.0.1", "port": port, "base": BASE},
                "remote": {"key": KEY, "keys": [{"name": "guest", "key": KEY * 2, "role": "read"}]},
                **(config or {}),
            },
        )
        if main:
            self.board.put("main.py", main)
        else:
            (self.board.flash / "main.py").unlink()
        self.start()

    def start(self) -> None:
        self.available.clear()
        self.board.start()
        assert self.available.wait(20), self.board.console

    def _heard(self, _topic: str, payload: bytes, retained: bool) -> None:
        if payload == b"online" and not retained:
            self.available.set()

    def session(self, key: str = KEY) -> Session:
        session = Session(self.link, BASE, key)
        self._sessions.append(session)
        session.open()
        return session

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self.link.close()


class Running:
    """A command in a thread of its own. ``output`` is what has come of it so far."""

    def __init__(self, session: Session, verb: str, code: str, **args) -> None:
        self.output = b""
        self.lost = 0
        self.result: dict | None = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(session, verb, code, args), daemon=True)
        self.thread.start()

    def _run(self, session: Session, verb: str, code: str, args: dict) -> None:
        try:
            self.result = session.call(verb, args, code.encode(), on_data=self._data, on_lost=self._missing)
        except Exception as error:
            self.error = error

    def _data(self, data: bytes) -> None:
        self.output += data

    def _missing(self, count: int) -> None:
        self.lost += count

    @property
    def text(self) -> str:
        return self.output.decode()

    def wait_for(self, text: str, deadline: float = 20.0) -> None:
        """Wait for output."""
        until(lambda: text in self.text, f"{text!r}; got {self.text[-500:]!r}, {self.error}", deadline)

    def wait(self, deadline: float = 20.0) -> None:
        self.thread.join(deadline)
        assert not self.thread.is_alive(), f"no end; got {self.text[-500:]!r}"

    def end(self, deadline: float = 20.0) -> Running:
        """Wait for its end with a result."""
        self.wait(deadline)
        assert self.result is not None, self.error
        return self

    def failed(self, deadline: float = 20.0) -> str:
        """Wait for its end with an error of the command's, and return its code."""
        self.wait(deadline)
        assert isinstance(self.error, DeviceError), (self.result, self.error)
        return self.error.code


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    """One board for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("exec")
    broker = Mosquitto(folder / "broker").start()
    maker = boards(folder)
    made = Bench(broker.port, next(maker))
    yield made
    made.close()
    next(maker, None)
    broker.stop()


@pytest.fixture
def run(bench) -> Iterator[Callable[..., Running]]:
    """run(code, verb="exec", **args) begins a command in a session of its own."""
    opened: list[Session] = []

    def begin(code: str, verb: str = "exec", **args) -> Running:
        # The first of the test's sessions that is not at work; another, if all are.
        session = next((s for s in opened if not s.at_work.is_alive()), None)
        if session is None:
            session = bench.session()
            opened.append(session)
        running = Running(session, verb, code, **args)
        session.at_work = running.thread
        running.session = session
        return running

    yield begin
    for session in opened:
        session.close()


def test_the_value_of_an_expression_is_the_end_of_the_output(run):
    done = run("print('first') or [1, 'two', {3: b'4'}]", "eval").end()
    assert done.result and done.result["ok"], done.result
    assert done.text == "first\n[1, 'two', {3: b'4'}]"
    assert done.text[-done.result["value"] :] == "[1, 'two', {3: b'4'}]"
    done = run("None", "eval").end()
    assert (done.text, done.result["value"]) == ("", 0)
    done = run("x = 6 * 7", "eval").end()
    assert (done.text, done.result["value"]) == ("", 0)
    assert run(" x\n", "eval").end().text == "42"
    assert run("node.name", "eval").end().text == "'runner'"
    assert run("print('é' * 3)\nprint('a\\tb', end='')").end().text == "ééé\na\tb"


def test_an_exception_ends_in_its_traceback_and_names_only_the_code(run):
    done = run("def f():\n    1 / 0\nprint('before')\nf()\n", name="mine.py").end()
    assert done.result["ok"] is False
    assert done.result["error"] == "ZeroDivisionError: divide by zero"
    assert done.text == (
        "before\nTraceback (most recent call last):\n"
        '  File "mine.py", line 4, in <module>\n  File "mine.py", line 2, in f\n'
        "ZeroDivisionError: divide by zero\n"
    )
    done = run("a b", "eval").end()
    assert done.result["error"] == "SyntaxError: invalid syntax"
    assert 'File "<remote>", line 1' in done.text
    for raised in ("KeyboardInterrupt", "SystemExit(3)", "GeneratorExit"):
        done = run(f"raise {raised}").end()
        assert done.result["error"].startswith(raised[:9]), done.result
    # an exception whose own text cannot be made
    done = run("class E(Exception):\n    def __str__(self): return 1 / 0\nraise E").end()
    assert done.result["error"] == "E", done.result


def test_what_is_wrong_with_the_arguments_is_said(run):
    for args in (
        {"limit": -1},
        {"limit": "5"},
        {"limit": True},
        {"name": ""},
        {"name": 5},
        {"name": "x" * 65},
    ):
        assert run("1", "eval", **args).failed() == "args"


def test_a_key_that_may_only_read_runs_nothing(bench):
    session = bench.session(KEY * 2)
    assert Running(session, "eval", "1").failed() == "denied"
    assert Running(session, "exec", "1").failed() == "denied"
    session.close()


def test_await_works_outside_of_functions(run):
    done = run(
        "import asyncio\nasync def f(x):\n    await asyncio.sleep_ms(5)\n    print('in f')\n    return x\n"
        "y = await f(5)\nfor i in range(2):\n    y += await f(i)\nprint(y)"
    ).end()
    assert done.result["ok"], done.text
    assert done.text == "in f\nin f\nin f\n6\n"
    assert run("await f(7)", "eval").end().text == "in f\n7"
    assert run("f(8)", "eval").end().text == "in f\n8"  # a coroutine is awaited
    assert run("asyncio.run(f(9))", "eval").end().text == "in f\n9"
    assert run("y", "eval").end().text == "6"
    assert run("(i for i in (1, 2))", "eval").end().text.startswith("<generator")
    done = run("await f(1)\n1/0").end()
    assert done.result["error"].startswith("ZeroDivisionError") and "line 2, in <module>" in done.text
    assert run("asyncio.run(f())").end().result["error"].startswith("TypeError")


def test_output_comes_while_the_code_runs(run, bench):
    """Of code that waits without letting go, too; and only its own output."""
    go = run("import time\nprint('one')\nwhile not node.__dict__.get('go'): time.sleep_ms(20)\nprint('two')")
    go.wait_for("one\n", 5)
    assert not go.result
    other = bench.session()
    assert other.call("ping")["uptime"] >= 0
    go.session.cancel()
    assert go.failed() == "cancelled"
    assert "two" not in go.text
    other.close()


def test_output_larger_than_the_heap_comes_in_order_and_complete(run):
    done = run("for i in range(40000): print(i, 'x' * 40)").end(60)
    assert done.result["ok"], done.result
    assert done.lost == 0
    assert done.text == "".join(f"{i} {'x' * 40}\n" for i in range(40000))
    done = run("print(len('y' * 20000))\n'y' * 20000", "eval").end()
    assert done.text == "20000\n"  # not an expression: no value
    done = run("list(range(6000))", "eval").end()
    assert done.text == repr(list(range(6000))) and done.result["value"] == len(done.text)


def test_long_code_comes_in_pieces(run):
    lines = [f"x{i} = {i}" for i in range(1500)]
    done = run("\n".join(lines) + "\nprint(x0 + x1499)").end()
    assert done.text == "1499\n", (done.result, done.error)
    run("for i in range(1500): del globals()['x%d' % i]").end()


STUCK = {
    "loop": "print('in')\nwhile True: pass",
    "sleep": "import time\nprint('in')\ntime.sleep(1000)",
    "await": "import asyncio\nprint('in')\nawait asyncio.sleep(1000)",
    "await, then loop": "import asyncio\nawait asyncio.sleep_ms(1)\nprint('in')\nwhile True: pass",
    "asyncio.run": "import asyncio\nasync def f():\n    print('in')\n    await asyncio.sleep(1000)\nasyncio.run(f())",
    "loop in asyncio.run": "import asyncio\nasync def f():\n    print('in')\n    while True: pass\nasyncio.run(f())",
    "print": "print('in')\nwhile True: print('more')",
    "loop.run_until_complete": (
        "import asyncio\nasync def f():\n    print('in')\n    await asyncio.sleep(1000)\n"
        "asyncio.get_event_loop().run_until_complete(f())"
    ),
    "run_forever": "import asyncio\nprint('in')\nasyncio.get_event_loop().run_forever()",
    "poll": "import select\nprint('in')\nselect.poll().poll(1000000)",
    "except Exception": "print('in')\nwhile True:\n    try: x = 1\n    except Exception: pass",
}


@pytest.mark.parametrize("what", STUCK)
def test_cancel_ends_code_that_would_not_end(what, run, bench):
    """And the node goes on as before: another session is served meanwhile and afterwards."""
    stuck = run(STUCK[what])
    stuck.wait_for("in\n")
    other = bench.session()
    for _ in range(3):
        began = time.monotonic()
        other.call("ping", timeout=10)
        assert time.monotonic() - began < 3
    if what == "loop":
        assert Running(other, "eval", "1").failed() == "busy"
    assert stuck.result is None and stuck.error is None
    stuck.session.cancel()
    assert stuck.failed() == "cancelled"
    if what not in ("await", "asyncio.run", "loop.run_until_complete", "run_forever", "print"):
        assert "KeyboardInterrupt: cancelled\n" in stuck.text, stuck.text
    assert Running(other, "eval", "1 + 1").end().text == "2"
    assert Running(stuck.session, "eval", "2 + 2").end().text == "4"
    other.close()


@pytest.mark.parametrize("what", ["loop", "await", "print", "asyncio.run"])
def test_the_time_limit_ends_it_too(what, run):
    began = time.monotonic()
    assert run(STUCK[what], limit=0.7).failed() == "limit"
    assert 0.6 < time.monotonic() - began < 10
    assert run("1 + 2", "eval").end().text == "3"


def test_code_that_catches_the_interrupt_is_interrupted_again(run):
    stuck = run(
        "n = 0\nprint('in')\nwhile n < 2:\n    try:\n        while True: pass\n    except KeyboardInterrupt:\n"
        "        n += 1\n        print('caught', n)"
    )
    stuck.wait_for("in\n")
    stuck.session.cancel()
    assert stuck.failed() == "cancelled"
    assert run("n", "eval").end().text == "2"


def test_the_rest_of_the_node_goes_on_while_code_runs(run, bench):
    """Topics, services and the log's connection: a loop that never awaits holds nothing up."""
    heard: list[bytes] = []
    stop = bench.link.listen(f"{BASE}/beat", lambda _t, payload, _r: heard.append(payload))
    run(
        "from coldframe import Topic\nif not any(t.topic == './beat' for t in node.topics):\n"
        "    node.add(Topic('./beat', read=lambda: 'b', every=0.2))"
    ).end()
    stuck = run("print('in')\nwhile True: pass", limit=30)
    stuck.wait_for("in\n")
    heard.clear()
    until(lambda: len(heard) >= 5, "readings while the code runs")
    stuck.session.cancel()
    assert stuck.failed() == "cancelled"
    stop()


def test_what_others_print_is_not_the_codes_output(run, bench):
    run(
        "import asyncio\nasync def chat():\n    while True:\n        print('from a task')\n"
        "        await asyncio.sleep_ms(50)\nt = asyncio.create_task(chat())"
    ).end()
    try:
        done = run(
            "import time\nfor i in range(8):\n    print(i)\n    time.sleep_ms(100)\n"
            "await asyncio.sleep_ms(200)"
        ).end()
        assert done.text == "".join(f"{i}\n" for i in range(8))
    finally:
        run("t.cancel()").end()


def test_the_node_is_not_run_twice(run):
    done = run("import coldframe\ncoldframe.resume()").end()
    assert done.result["error"] == "RuntimeError: the node is running", done.result


def test_code_that_fills_the_heap_gives_it_back(run, bench):
    done = run("filled = []\nwhile True: filled.append(bytearray(5000))").end(60)
    assert done.result["error"].startswith("MemoryError"), done.result
    assert "Traceback" in done.text
    assert run("'filled' in globals()", "eval").end().text == "False"
    done = run("while True: x = [0] * 100000000", name="much.py").end()
    assert done.result["error"].startswith("MemoryError") and "much.py" in done.text


def test_without_enough_stack_the_node_waits_and_output_is_kept(run):
    code = "from coldframe.remote import runner\nroom = runner.ROOM\nrunner.ROOM = 1 << 28\n"
    back = "runner.ROOM = room\n"
    done = run(code + "for i in range(500): print(i, 'x' * 40)\n" + back).end()
    assert done.lost == 0 and done.text == "".join(f"{i} {'x' * 40}\n" for i in range(500))
    assert run(code + "while True: pass", limit=0.7).failed() == "limit"
    assert run(back + "print('still there')").end().text == "still there\n"


def test_ctrl_c_at_the_console_ends_the_code_not_the_node(run, bench):
    stuck = run("print('in')\nwhile True: pass")
    stuck.wait_for("in\n")
    bench.board.interrupt()
    stuck.end()
    assert stuck.result and stuck.result["error"].startswith("KeyboardInterrupt"), stuck.result
    assert run("1", "eval").end().text == "1"


def test_a_host_that_is_gone_does_not_hold_the_device(bench):
    """Output that nobody acknowledges ends the command after half a minute; others are served before."""
    # The time-out itself is the session's business; here: its close ends the code.
    session = bench.session()
    running = Running(session, "exec", "while True: print('more')")
    running.wait_for("more")
    session.close()
    other = bench.session()
    assert Running(other, "eval", "5").end().text == "5"
    other.close()


def test_log_capture_and_the_output_share_what_is_printed(tmp_path):
    broker = Mosquitto(tmp_path / "broker").start()
    maker = boards(tmp_path)
    bench = Bench(broker.port, next(maker), {"log": {"capture": True}})
    session = bench.session()
    done = Running(session, "exec", "print('both of them')").end()
    assert done.text == "both of them\n"
    # Looked for before it is printed, which makes further records.
    code = "import coldframe\nfound = [line for line in coldframe.log.lines() if 'print: both' in line]"
    Running(session, "exec", code).end()
    found = Running(session, "eval", "found").end()
    assert re.search(r"print: both of them", found.text), found.text
    bench.close()
    next(maker, None)
    broker.stop()


def test_where_timers_are_few_the_watchdogs_serves_both(tmp_path):
    """As on an ESP32, whose timers have numbers: none is left for the code, and the watchdog goes on looking."""
    broker = Mosquitto(tmp_path / "broker").start()
    maker = boards(tmp_path)
    main = (
        "from coldframe import Node, hal\nhal.DOG_TIMER = 0\nnode = Node()\nlooks = []\n"
        "import coldframe.hal.dog as dog\n"
        "before = dog.Dog._look\n"
        "def look(self, timer):\n    looks.append(timer)\n    before(self, timer)\n"
        "dog.Dog._look = look\nnode.run()\n"
    )
    bench = Bench(broker.port, next(maker), main=main)
    session = bench.session()
    stuck = Running(
        session,
        "exec",
        "print('in')\nn = len(looks)\nwhile len(looks) < n + 2: pass\nprint('seen')\nwhile True: pass",
    )
    stuck.wait_for("seen\n")
    session.cancel()
    assert stuck.failed() == "cancelled"
    done = Running(
        session, "exec", "import time\nn = len(looks)\ntime.sleep(2.5)\nprint(1 <= len(looks) - n <= 3)"
    ).end()
    assert done.text == "True\n"
    bench.close()
    next(maker, None)
    broker.stop()
