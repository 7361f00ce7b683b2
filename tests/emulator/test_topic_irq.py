"""A topic of a pin on the emulated RP2040, with a real hard interrupt."""

from __future__ import annotations

from emulator import Emulator

MAIN = """
from machine import Pin
from coldframe import Node, TopicIrq

node = Node({"log": {"console": "OFF"}})
pin = Pin(4, Pin.IN)
door = TopicIrq("./door", pin, values=("shut", "open"), hard=True, action=lambda value: print("EDGE", value))
node.add(door)

async def ready():
    print("READY")

node.service("ready", ready, once=True)
node.run()
"""


async def test_edges_of_a_pin(image):
    """A hard interrupt must not allocate: it would print a MemoryError instead."""
    async with Emulator(image, files={"main.py": MAIN.encode()}) as board:
        pin = board.mcu.gpio[4]
        pin.set_input_value(False)
        await board.wait_for("READY", 60)
        for level, word in ((True, "open"), (False, "shut"), (True, "open")):
            pin.set_input_value(level)
            await board.wait_for(f"EDGE {word}", 60)
        assert "Error" not in board.console
