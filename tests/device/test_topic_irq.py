"""Topics of pins: the ring, the hold, the handler."""

import asyncio
import sys

import membroker
import minitest
from coldframe import TopicIrq
from membroker import begin, until

membroker.NEED = 16000  # a second node does not fit the smallest heap


class Pin:
    # As much of machine.Pin as a TopicIrq uses; the real thing is tested with the simulated board.
    IRQ_FALLING = 4
    IRQ_RISING = 8
    level = 0
    handler = None

    def value(self):
        return self.level

    def irq(self, handler, trigger=None, hard=False):
        self.handler = handler

    def edge(self, level):
        self.level = level
        self.handler(self)


async def test_irq_overflow_and_removal():
    pin = Pin()
    seen = []
    node, broker = await begin(
        lambda node: node.add(TopicIrq("./door", pin, values=("shut", "open"), buffer=3, action=seen.append))
    )
    await until(lambda: broker.got("b/door") == [b"shut"], "the level at the start")
    for i in range(5):
        pin.edge(not i & 1)
    door = node.find("./door")
    minitest.equal(door.lost, 2)
    await until(lambda: len(broker.got("b/door")) == 4, "edges")
    minitest.equal(broker.got("b/door")[1:], [b"open", b"shut", b"open"])
    minitest.equal(seen, ["open", "shut", "open"])
    services = len(node.services)
    node.remove("./door")
    minitest.equal((pin.handler, len(node.services)), (None, services - 1))
    await node.stop()


async def test_irq_hold():
    pin = Pin()
    pin.level = 1
    node, broker = await begin(lambda node: node.add(TopicIrq("./motion", pin, hold=0.2)))
    await until(lambda: broker.got("b/motion") == [b"1"], "the level at the start")
    for level in (0, 1, 0, 1, 0):
        pin.edge(level)
        await asyncio.sleep_ms(20)
    minitest.equal(broker.got("b/motion"), [b"1"])
    await until(lambda: broker.got("b/motion") == [b"1", b"0"], "the end of the motion")
    pin.edge(1)
    await until(lambda: broker.got("b/motion") == [b"1", b"0", b"1"], "the next motion")
    await node.stop()


async def test_a_real_pin_and_a_hard_interrupt():
    if sys.platform == "rp2":
        minitest.skip("the emulated pin must be driven from outside: tests/emulator/test_topic_irq.py")
    try:
        from machine import Pin as Real

        pin = Real(2, Real.OUT, value=0)  # whose own level is what it reads
    except ImportError:
        minitest.skip("no pins here")
    node, broker = await begin(lambda node: node.add(TopicIrq("./pin", pin, hard=True)))
    await until(lambda: broker.got("b/pin") == [b"0"], "the level at the start")
    for level in (1, 0, 1):
        pin.value(level)
        await asyncio.sleep_ms(5)
    await until(lambda: broker.got("b/pin") == [b"0", b"1", b"0", b"1"], "edges")
    await node.stop()


async def test_the_handler_allocates_nothing():
    import micropython

    if not hasattr(micropython, "heap_lock"):
        minitest.skip("no heap_lock on this target")
    pin = Pin()
    irq = TopicIrq("./x", pin)
    handler = irq._edge
    micropython.heap_lock()
    try:
        for _ in range(20):
            handler(pin)
    finally:
        micropython.heap_unlock()
    minitest.equal(irq.lost, 10)


minitest.run(globals())
