"""Components without hardware: how the loader puts them together, and what the HTU21D makes of answers on its bus."""

import asyncio
import sys

import coldframe
import minitest
from coldframe import components, store
from membroker import make


class Own:
    """A package of the user's: a module as the loader finds it."""

    made = []
    stopped = []

    class Thing:
        def __init__(self, *args, **options):
            self.args = args
            self.options = options
            Own.made.append(self)

        async def begin(self, n):
            await asyncio.sleep_ms(1)
            self.n = n

        def stop(self):
            Own.stopped.append(self)

    def fail():
        raise OSError("no such sensor")


class Bus:
    """An I2C bus with a HTU21D on it that needs some time."""

    answers = {0xF3: b"\x68\x3a\x7c", 0xF5: b"\x4e\x85\x6b"}
    nacks = 1

    def writeto(self, address, data):
        minitest.equal(address, 0x40)
        self.asked = data[0]
        self.left = self.nacks

    def readfrom_into(self, address, buf):
        if self.left:
            self.left -= 1
            raise OSError(5)
        buf[:] = self.answers[self.asked]


def spec(component, args=None, **more):
    more.update({"package": "own_parts", "component": component, "constructor_args": args})
    return more


async def test_loader():
    from coldframe.components import loader

    sys.modules["own_parts"] = Own
    node, _ = make()
    failed = await loader.load(
        node,
        {
            "_order": ["last", "nobody"],
            "first": spec("Thing", ["=second", "first"], init_function="begin", init_args={"n": 3}),
            "last": spec("Thing", {"deep": [{"x": "first"}]}),
            "bad": spec("fail"),
            "worse": spec("Thing", ["bad"]),
            "none": {"package": "no_such_module", "component": "X"},
        },
    )
    minitest.equal(failed, ["bad", "none", "worse"])
    first, last = node.component("first"), node.component("last")
    minitest.equal((first.args, first.n), (("second", "first"), 3))
    assert last.options["deep"][0]["x"] is first and Own.made == [first, last]
    text = " ".join(node.errors)
    for part in (
        "components._order: there is no component nobody",
        "components.bad: OSError: no such sensor",
        "components.worse: needs bad, which failed",
        "components.none.package: there is no module no_such_module",
    ):
        assert part in text, text
    try:
        node.component("bad")
        raise AssertionError("a component that failed is there")
    except KeyError as e:
        assert "first, last" in str(e), e
    await loader.remove(node, "last")
    minitest.equal((Own.stopped, sorted(node.components)), ([last], ["first"]))
    coldframe.forget("components.loader")


async def test_htu21d():
    from coldframe.components.sensors.htu21d import HTU21D

    node, _ = make()
    bus = Bus()
    components.making = "air"
    try:
        air = HTU21D(bus, precision={"temperature": 1}, offset={"humidity": 0.5})
    finally:
        components.making = None
    minitest.equal(node.topics[-1].topic, "./air")
    values = await air.values()
    assert abs(values["temperature"] - 24.7) < 0.01 and abs(values["humidity"] - 32.84) < 0.01, values
    bus.answers = {0xF3: b"\x68\x3b\x7c", 0xF5: b"\x4e\x85\x6b"}
    minitest.equal(await air.values(max_age=60), values)  # not measured again
    for answers, nacks, text in ((bus.answers, 0, "damaged"), (Bus.answers, 99, "")):
        bus.answers, bus.nacks = answers, nacks
        try:
            await air.values()
            raise AssertionError("a bad answer passed for a value")
        except OSError as e:
            assert text in str(e), e
    bus.nacks = 0
    minitest.equal(await air.values(), values)  # it has recovered
    for options in ({"precision": {"heat": 1}}, {"offset": "1"}):
        try:
            HTU21D(bus, topic="./other", **options)
            raise AssertionError("%r was taken" % options)
        except ValueError:
            pass


async def test_places():
    from coldframe.components import loader

    folder = loader.ROOT
    loader.ROOT = ""
    node, _ = make(components={"a": 1})
    try:
        minitest.equal(loader.sources(node.config), {"a": 1})
        node, _ = make()
        minitest.equal(loader.sources(node.config), None)
        store.write("components.json", '{"b": 2}')
        minitest.equal(loader.sources(node.config), {"b": 2})
        store.write("components.json", "[]")
        try:
            loader.sources(node.config)
            raise AssertionError("a list was taken")
        except loader.Fault as e:
            minitest.equal(str(e), "components.json: expected an object {...}")
    finally:
        store.remove("components.json")
        loader.ROOT = folder
        coldframe.forget("components.loader")


minitest.run(globals())
