"""coldframe.startup: who runs after power-on, and that nothing of the user's can keep the node from coming up."""

import asyncio
import sys

import coldframe
import minitest
from coldframe import bootrecord, hal, startup, store

bootrecord.FILE = "t_boot.rec"  # where a target without memory for it keeps it
startup.ROOT = "t_"  # so that the files are t_boot.py, t_main.py, t_config.json
if "" not in sys.path:
    sys.path.insert(0, "")  # as on a device; the unix port leaves it out where MICROPYPATH is set
seen = []  # what the user's files did


def _fresh(**files):
    """A device with these files (a name t_main_py stands for t_main.py) that has just started."""
    for name in ("t_boot.py", "t_main.py", "t_config.json", "t_config.bak", "t_config.broken", "app.py"):
        store.remove(name)
    for name, text in files.items():
        store.write(name.replace("_py", ".py").replace("_json", ".json"), text)
    store.remove(bootrecord.FILE)
    hal.keep(b"")
    store.remove("t_crash.new")
    bootrecord._state = bootrecord._filed = None
    startup._errors.clear()
    startup._lacks = False
    sys.modules.pop("app", None)
    seen.clear()
    coldframe.node = None
    asyncio.new_event_loop()


def _run(what, *args):
    """Run a part of startup; a node that comes up is stopped, as Ctrl-C would, after its app has had its turn."""

    async def stopper():
        while coldframe.node is None or not all(
            s.task and s.task.done() for s in coldframe.node.services if s.once
        ):
            await asyncio.sleep_ms(10)
        seen.append("node")
        raise KeyboardInterrupt

    task = asyncio.create_task(stopper())
    try:
        what(*args)
    finally:
        if not task.done():
            asyncio.new_event_loop()
    return coldframe.node


def _scope():
    return {"__name__": "__main__", "seen": seen}


def test_boot_runs_the_users_boot():
    _fresh(t_boot_py="seen.append(__name__)\nx = 5\n")
    scope = _scope()
    startup.boot(scope)
    minitest.equal(seen, ["__main__"])
    minitest.equal(scope["x"], 5)  # as on any MicroPython: what boot.py defines is there later


def test_a_broken_boot_does_no_harm():
    for text in ("1 / 0\n", "def\n", "import nothing_of_that_name\n"):
        _fresh(t_boot_py=text)
        startup.boot(_scope())
        minitest.equal(len(startup._errors), 1)
        assert startup._errors[0].startswith("t_boot.py: "), startup._errors
        node = _run(startup.main, _scope())
        minitest.equal(seen, ["node"])
        minitest.equal(node.errors, startup._errors)


def test_main_is_in_charge():
    _fresh(t_main_py="seen.append('main')\n", app_py="def setup(node):\n    1 / 0\n")
    minitest.equal(_run(startup.main, _scope()), None)
    minitest.equal(seen, ["main"])


def test_a_broken_main_leaves_a_node_without_the_app():
    _fresh(t_main_py="seen.append('main')\n1 / 0\n", app_py="def setup(node):\n    node.app = True\n")
    node = _run(startup.main, _scope())
    minitest.equal(seen, ["main", "node"])
    assert node.errors[0].startswith("t_main.py: ZeroDivisionError"), node.errors
    assert not hasattr(node, "app")


def test_a_main_that_ends_in_a_cancelled_task_leaves_a_node():
    _fresh(t_main_py="import asyncio\nraise asyncio.CancelledError\n")
    node = _run(startup.main, _scope())
    minitest.equal(seen, ["node"])
    assert node.errors[0].startswith("t_main.py: CancelledError"), node.errors


def test_ctrl_c_in_main_leads_to_the_repl():
    _fresh(t_main_py="raise KeyboardInterrupt\n")
    minitest.equal(_run(startup.main, _scope()), None)
    minitest.equal(bootrecord.doing(), bootrecord.IDLE)


def test_no_files_at_all():
    _fresh()
    startup.boot(_scope())
    node = _run(startup.main, _scope())
    minitest.equal(seen, ["node"])
    minitest.equal(node.errors, [])


def test_app():
    for text in ("def setup(node):\n    node.app = 1\n", "async def setup(node):\n    node.app = 1\n"):
        _fresh(app_py=text, t_config_json='{"name": "shed"}')
        node = _run(startup.main, _scope())
        minitest.equal((node.app, node.name, node.errors), (1, "shed", []))


def test_a_broken_app_does_not_stop_the_node():
    for text, expected in (
        ("def setup(node):\n    raise RuntimeError('no')\n", "service app: RuntimeError: no"),
        ("def setup(node)\n", "service app: SyntaxError"),
        ("import nothing_of_that_name\n", "service app: ImportError: no module named 'nothing_of_that_name'"),
        ("x = 1\n", "service app: ValueError: app.py: expected a function setup(node), there is none"),
        ("def setup(node):\n    bytearray(1 << 28)\n", "service app: MemoryError"),
    ):
        _fresh(app_py=text)
        node = _run(startup.main, _scope())
        minitest.equal(len(node.errors), 1)
        assert node.errors[0].startswith(expected), node.errors
        assert all(s.alive for s in node.services if not s.once)


def test_a_broken_config_does_not_stop_the_node():
    _fresh(t_config_json='{"name": ', app_py="def setup(node):\n    node.app = 1\n")
    node = _run(startup.main, _scope())
    minitest.equal(node.app, 1)
    assert node.errors[0].startswith("t_config.json: not JSON, line "), node.errors
    minitest.equal(store.read("t_config.broken"), b'{"name": ')


def test_a_failure_of_the_node_itself_restarts_the_device():
    from coldframe import core

    class Broken:
        def __init__(self, *args):
            raise RuntimeError("broken")

    _fresh()
    real = core.Node, hal.reset, startup.PAUSE
    core.Node, hal.reset, startup.PAUSE = Broken, lambda *args: seen.append("reset"), 0
    try:
        startup.main(_scope())
    finally:
        core.Node, hal.reset, startup.PAUSE = real
    minitest.equal(seen, ["reset"])
    minitest.equal(bootrecord.doing(), bootrecord.FAILED)


def test_a_task_of_the_users_that_fails_is_reported():
    _fresh(
        app_py="import asyncio\nasync def bad():\n    1 / 0\n"
        "async def setup(node):\n    asyncio.create_task(bad())\n    await asyncio.sleep_ms(20)\n"
    )
    node = _run(startup.main, _scope())
    assert node.errors[0].startswith("a task: ZeroDivisionError"), node.errors


def test_safe_mode_runs_nothing_of_the_users():
    _fresh(
        t_boot_py="seen.append('boot')\n",
        t_main_py="seen.append('main')\n",
        app_py="def setup(node):\n    node.app = 1\n",
        t_config_json='{"name": "shed"}',
    )
    bootrecord.ask_safe()
    bootrecord._state = bootrecord._filed = None
    startup.boot(_scope())
    node = _run(startup.main, _scope())
    minitest.equal(seen, ["node"])
    minitest.equal(node.name, "shed")  # the settings are still in force
    assert not hasattr(node, "app")


minitest.run(globals())
_fresh()
store.remove(bootrecord.FILE)
