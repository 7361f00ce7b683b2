"""coldframe.params: declarations, the file, changes over MQTT."""

import asyncio
import gc
import json
import os

import membroker
import minitest
from coldframe import Topic, params, store
from membroker import begin, make, until

membroker.NEED = 16000  # a second node does not fit the smallest heap

PATH = "t_params.json"
FILES = [PATH, "t_params.bak", "t_params.broken", "t_params.json.tmp"]


def _fresh(text=None):
    # A node, not started, whose parameters are in a file of the test.
    for name in FILES:
        store.remove(name)
    if text is not None:
        store.write(PATH, text)
    return _node()


def _node():
    node, broker = make()
    node._params = params.Params(node, PATH)
    return node, broker


def _file():
    data = store.read(PATH)
    return None if data is None else json.loads(data)


def test_kinds_and_limits():
    node, _ = _fresh()
    for name, default, options, good, bad in (
        ("on", False, {}, (("ON", True), ("off", False), (1, True), ("true", True)), ("yes", 2, None, "")),
        (
            "n",
            5,
            {"low": 1, "high": 60},
            (("7", 7), (60, 60), (7.0, 7), (" 8 ", 8)),
            (0, 61, "x", 7.5, True, []),
        ),
        (
            "t",
            21.5,
            {"low": 5},
            ((22, 22.0), ("22.25", 22.25), ("1e2", 100.0)),
            ("nan", "inf", 4, {}, "9" * 99),
        ),
        ("s", "a", {"high": 3}, (("abc", "abc"), ("", "")), ("abcd", "ää", 5, None)),
        ("c", "eco", {"choices": ("eco", "boost", 3)}, (("boost", "boost"), ("3", 3)), ("x", "", None)),
    ):
        p = node.param(name, default, **options)
        for text, value in good:
            p.set(text)
            minitest.equal((p.value, type(p.value)), (value, type(value)))
        for text in bad:
            error = str(minitest.raises(ValueError, p.set, text))
            assert error.startswith(name + ": expected "), error
        minitest.equal(p.value, good[-1][1])
    minitest.equal(node.params["n"].describe()["high"], 60)
    error = str(minitest.raises(ValueError, node.params["n"].set, 99))
    minitest.equal(error, "n: expected a whole number from 1 to 60, got 99")


def test_wrong_declarations():
    node, _ = _fresh()
    for expected, args in (
        ("parameter x: expected a whole number from 1 to 5, got 9", ("x", 9, "int", 1, 5)),
        ("parameter : expected a name", ("", 9)),
        ("parameter x: expected a bool, int, float or str", ("x", None)),
        ("parameter x: expected kind bool", ("x", 5, "number")),
    ):
        error = str(minitest.raises(ValueError, node.param, *args))
        assert error.startswith(expected), error
    minitest.raises(KeyError, lambda: node.params["x"])


def test_the_file():
    node, _ = _fresh('{"n": 7, "later": [1], "every t": 5, "bad": "x"}')
    n = node.param("n", 5)
    bad = node.param("bad", 5)
    t = node.add(Topic("./t", read=_file, every=60))
    minitest.equal((n.value, bad.value, t.every), (7, 5, 5))
    minitest.equal(len(node.errors), 1)
    assert node.errors[0].startswith("bad: expected a whole number, got 'x'"), node.errors
    node.paused = True  # saved at once, as at the REPL
    n.set(8)
    minitest.equal(_file(), {"n": 8, "later": [1], "every t": 5, "bad": "x"})
    node.params["every t"].set("2.5")
    minitest.equal((t.every, _file()["every t"], t.due), (2.5, 2.5, None))
    n.set(5)  # the default is not kept
    node.params.drop("later")
    node.params.drop("bad")
    minitest.equal(_file(), {"every t": 2.5})
    node, _ = _node()
    minitest.equal((node.param("n", 5).value, node.add(Topic("./t", read=_file, every=60)).every), (5, 2.5))
    minitest.equal(sorted(node.params), ["every t", "n"])


def test_nothing_is_written_without_need():
    node, _ = _fresh()
    node.paused = True
    n = node.param("n", 5)
    minitest.equal((n.set(5), _file()), (False, None))
    minitest.equal((n.set(6), _file()), (True, {"n": 6}))
    writes = []
    before = store.write
    store.write = lambda path, data: writes.append(path)
    try:
        n.set("6")
        node.paused = False
        n.set(7)
        n.set(6)
        assert node.params.save()
        minitest.equal(writes, [])
    finally:
        store.write = before


async def test_not_more_often_than_configured():
    node, _ = _fresh()
    n = node.param("n", 0)
    writes = []
    before = store.write
    store.write = lambda path, data: writes.append(data)
    try:
        for value in range(1, 40):
            n.set(value)
            await asyncio.sleep_ms(40)
        minitest.equal(len(writes), 1)
        node.emit("stop")  # but before the node ends
        minitest.equal(writes[-1], b'{"n": 39}\n')
    finally:
        store.write = before


def test_a_full_heap_costs_no_file():
    _fresh('{"n": 7}')
    store.write("t_params.bak", '{"n": 6}')
    before = store.read
    calls = []

    def read(*args):
        calls.append(args)
        if len(calls) == 1:
            raise MemoryError
        return before(*args)

    store.read = read
    try:
        node, _ = _node()
    finally:
        store.read = before
    minitest.equal(node.param("n", 5).value, 6)
    assert "too little memory" in node.errors[0], node.errors
    minitest.equal((_file(), store.exists("t_params.broken")), ({"n": 7}, False))


async def test_a_full_heap_costs_no_change():
    node, _ = _fresh()
    node.config._data["params"] = {"save": 0}
    calls = []
    before = store.write

    def write(path, data):
        calls.append(path)
        if len(calls) == 1:
            raise MemoryError
        before(path, data)

    store.write = write
    try:
        node.param("n", 1).set(2)
        await until(lambda: len(calls) > 1, "the second attempt")
    finally:
        store.write = before
    minitest.equal((_file(), len(node.errors)), ({"n": 2}, 1))


def test_a_damaged_file():
    node, _ = _fresh()
    node.paused = True
    n = node.param("n", 5)
    n.set(6)
    n.set(7)
    node.emit("sound")
    minitest.equal(store.read("t_params.bak"), store.read(PATH))
    store.write(PATH, '{"n": 7')
    node, _ = _node()
    minitest.equal(node.param("n", 5).value, 7)
    minitest.equal(store.read("t_params.broken"), b'{"n": 7')
    assert "t_params.json: expected a JSON object" in node.errors[0], node.errors
    node, _ = _node()
    minitest.equal((node.param("n", 5).value, node.errors), (7, []))
    for text in ("[1]", "", "\x00\xff", lambda f: [f.write("{%s" % (" " * 99)) for _ in range(90)]):
        store.write(PATH, text)
        node, _ = _node()
        minitest.equal((node.param("n", 5).value, len(node.errors)), (7, 1))
    if gc.mem_free() > 60000:
        node.paused = True
        node.param("long", "", high=20000).set("x" * 10000)
        assert "t_params.json: OSError: expected at most 8192 bytes" in node.errors[-1], node.errors
        node.params["long"].set("\u20ac" * 3000)  # 9000 bytes, which the next start would not read
        assert "expected at most 8192 bytes, got 90" in node.errors[-1], node.errors
        node, _ = _node()
        minitest.equal((node.param("n", 5).value, node.errors), (7, []))
    os.remove(PATH)  # whoever deletes it wants the defaults
    node, _ = _node()
    minitest.equal((node.param("n", 5).value, node.errors), (5, []))


def test_all_or_nothing():
    node, _ = _fresh()
    node.paused = True
    node.param("a", 1, high=9)
    node.param("b", 2, high=9)
    error = str(minitest.raises(ValueError, node.params.put, {"a": 5, "b": 50, "c": 1}))
    minitest.equal(
        sorted(error.split("\n")),
        ["b: expected a whole number of at most 9, got 50", "c: there is no such parameter"],
    )
    minitest.equal((node.params.values(), _file()), ({"a": 1, "b": 2}, None))
    node.params.put({"a": 5, "b": 6})
    minitest.equal((node.params.values(), _file()), ({"a": 5, "b": 6}, {"a": 5, "b": 6}))


async def test_callbacks():
    node, _ = _fresh()
    got = []

    async def slow(name, value):
        await asyncio.sleep_ms(1)
        got.append((name, value))

    def fails(value):
        raise RuntimeError("broken relay")

    node.on("param", lambda p: got.append(p.name))
    node.param("a", 1, on_change=got.append)
    node.param("b", 1, on_change=slow)
    node.param("c", 1, on_change=fails)
    node.param("d", 1, on_change=lambda: got.append("none"))
    for name in "abcd":
        node.params[name].set(2)
    await until(lambda: ("b", 2) in got, "asynchronous callback")
    minitest.equal(got, [2, "a", "b", "c", "none", "d", ("b", 2)])
    assert "parameter c: RuntimeError: broken relay" in node.errors, node.errors


async def test_over_mqtt():
    for name in FILES:
        store.remove(name)

    def setup(node):
        node._params = params.Params(node, PATH)
        node.param("time", 20, low=1, high=60, unit="s")
        node.param("mode", "eco", choices=("eco", "boost"))
        node.topic("./t", every=60)(lambda: 1)

    node, broker = await begin(setup)
    await until(lambda: "b/SET_PARAMS" in broker.filters, "subscriptions")
    broker.publish("b/PARAMS_", "")
    await until(lambda: broker.got("b/PARAMS"), "parameters")
    minitest.equal(json.loads(broker.got("b/PARAMS")[0]), {"time": 20, "mode": "eco", "every t": 60})
    for topic, payload, answer in (
        ("b/SET_PARAM", '{"key": "time", "value": 30}', b"OK"),
        ("b/SET_PARAM", '{"topic": "mode", "payload": "boost"}', b"OK"),
        ("b/SET_PARAM", '{"key": "every t", "value": "10"}', b"OK"),
        (
            "b/SET_PARAM",
            '{"key": "time", "value": 99}',
            b"time: expected a whole number from 1 to 60 s, got 99",
        ),
        ("b/SET_PARAM", '{"key": "tim", "value": 9}', b"tim: there is no such parameter"),
        ("b/SET_PARAM", "time=9", b"expected a JSON object, got 'time=9'"),
        ("b/SET_PARAM", "[9]", b"expected a JSON object, got '[9]'"),
        ("b/SET_PARAM", '{"time": 9}', b'expected {"key": NAME, "value": VALUE}'),
        ("b/SET_PARAMS", '{"time": 5, "mode": "x"}', b"mode: expected one of eco, boost, got 'x'"),
        ("b/SET_PARAMS", '{"time": "5", "mode": "boost"}', b"OK"),
        ("b/SET_PARAM", '{"key": "mode", "value": null}', b"OK"),
    ):
        before = len(broker.got(topic + "_"))
        broker.publish(topic, payload)
        await until(lambda: len(broker.got(topic + "_")) > before, "answer to " + payload)
        minitest.equal(broker.got(topic + "_")[-1], answer)
    minitest.equal(node.find("./t").every, 10)
    await until(lambda: b'"eco"' in broker.got("b/PARAMS")[-1], "the new parameters")
    minitest.equal(json.loads(broker.got("b/PARAMS")[-1]), {"time": 5, "mode": "eco", "every t": 10})
    await node.stop()
    minitest.equal(_file(), {"time": 5, "every t": 10})


minitest.run(globals())
for name in FILES:
    store.remove(name)
