"""coldframe.topic and coldframe.callback: what the user's functions take, and what a Topic may be."""

import gc

import minitest
from coldframe import Topic
from coldframe.callback import arity, call

ran = []


def none():
    ran.append("none")


def one(payload):
    ran.append(payload)


def two(topic, payload):
    ran.append((topic, payload))


def default(payload=None, more=1):
    ran.append("default")


def keyword(payload, *, unit="C"):
    ran.append("keyword")


def some(payload, **options):
    ran.append("some")


def anything(*args):
    ran.append("anything")


async def wait_none():
    ran.append("wait_none")


async def wait_two(topic, payload):
    ran.append("wait_two")
    return topic + payload


def closure():
    x = []

    def inside(payload):
        x.append(payload)

    return inside


class Thing:
    def none(self):
        ran.append("method")

    def two(self, topic, payload):
        ran.append("method")

    async def wait(self, payload):
        ran.append("method")

    def __call__(self, payload):
        ran.append("called")


def test_arity_runs_nothing():
    thing = Thing()
    for function, count in (
        (none, 0),
        (one, 1),
        (two, 2),
        (default, 2),
        (keyword, 1),
        (some, 1),
        (anything, 2),
        (wait_none, 0),
        (wait_two, 2),
        (closure(), 1),
        (lambda: ran.append(1), 0),
        (lambda payload: ran.append(1), 1),
        (thing.none, 0),
        (thing.two, 2),
        (thing.wait, 1),
        (thing, 1),
    ):
        got = arity(function)
        assert got == count, "%r: got %d, expected %d" % (function, got, count)
    minitest.equal(ran, [])


def test_arity_of_functions_in_c():
    minitest.equal(arity(gc.collect), 0)
    minitest.equal(arity([].append), 1)
    minitest.equal(arity({}.setdefault), 2)


def test_arity_of_a_wrapper_is_that_of_the_wrapped():
    def wrap(function):
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    minitest.equal([arity(wrap(f)) for f in (none, one, two, wait_two)], [0, 1, 2, 2])
    minitest.equal(ran, [])


async def test_call():
    for function in (none, one, two, wait_none):
        await call(function, arity(function), "t", "p")
    minitest.equal(ran, ["none", "p", ("t", "p"), "wait_none"])
    minitest.equal(await call(wait_two, 2, "t", "p"), "tp")
    ran.clear()


async def test_a_type_error_inside_is_not_taken_for_a_wrong_call():
    calls = []

    def broken(payload):
        calls.append(payload)
        return payload + 1

    try:
        await call(broken, arity(broken), "t", "p")
        raise AssertionError("no TypeError")
    except TypeError:
        pass
    minitest.equal(calls, ["p"])


def test_names():
    t = Topic("./x", read=none)
    minitest.equal((t.reverse, t.command, t.qos, t.retain, t.every), ("./x_", None, 0, False, None))
    t = Topic("./x", action=one)
    minitest.equal((t.reverse, t.command), ("./x_", "./x"))
    t = Topic("./x", read=none, action=one)
    minitest.equal((t.reverse, t.command), ("./x_", "./x/set"))
    minitest.equal(Topic("a/b", action=one, reverse=False).reverse, None)
    minitest.equal(Topic("a/b", action=one, reverse="c").reverse, "c")
    minitest.equal(Topic("a/+/b", action=one).reverse, None)


def test_what_a_topic_must_not_be():
    for expected, args, options in (
        ("expected a name", ("",), {"read": none}),
        ("expected a name", ("./",), {"read": none}),
        ("expected a name", (None,), {"read": none}),
        ("expected read=, action= or both", ("./x",), {}),
        ("expected a function for read", ("./x",), {"read": 5}),
        ("wildcards", ("./+",), {"read": none}),
        ("every=", ("./x",), {"read": none, "every": 0}),
        ("every=", ("./x",), {"action": one, "every": 5}),
        ("every=", ("./x",), {"read": none, "every": "5"}),
        ("expected qos 0, 1 or 2, got 3", ("./x",), {"read": none, "qos": 3}),
    ):
        error = minitest.raises(ValueError, Topic, *args, **options)
        assert expected in str(error), error


minitest.run(globals())
