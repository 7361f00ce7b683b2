"""Figures: what a connected node keeps in RAM: standard parts, Wi-Fi, one sensor. budgets.toml has the limits.

Before it is measured, everything that a node does for its user must have worked on this heap: SYSINFO when connected
and when asked for, the document for Home Assistant, an answer to a command.

Where there is no radio, a twin of the network module takes its place; the broker is in memory, and acknowledges. What
these two and the test itself take is not counted.
"""

import gc

gc.collect()
START = gc.mem_alloc()

import asyncio

gc.collect()
# What belongs to the node: asyncio, and what an empty script finds in use.
BEFORE = gc.mem_alloc() - START + 900

import sys

import minitest
from memfar import CONFIG, Far, Network, largest, until

minitest.DEADLINE = 90


async def test_connected():
    if "coldframe" in sys.modules:
        minitest.skip("imported at boot")
    sys.modules["network"] = Network
    far = Far()
    seen = far.seen
    gc.collect()
    own = gc.mem_alloc() - BEFORE
    from coldframe import Node

    node = Node(CONFIG, transport=far)
    node.topic("./temperature", every=60)(lambda: 21.5)
    node.action("./lamp")(lambda payload: "was " + payload)
    await node.start()
    await until(
        lambda: node.client and node.client.up.is_set() and node.wifi.up.is_set(), "no connection", node
    )
    await until(lambda: seen["SYSINFO"] == 1 and seen["rature"] == 1, "nothing is published", node)
    await until(lambda: seen["/config"] == 1, "Home Assistant is told nothing", node)
    for n in range(3):
        far.say(node.base + "/lamp", b"on")
        await until(lambda: seen["/lamp_"] == n + 1, "no answer to a command", node)
        far.say(node.base + "/SYSINFO_", b"")
        await until(lambda: seen["SYSINFO"] == n + 2, "no SYSINFO when asked for", node)
    far.say("homeassistant/status", b"online")
    await until(lambda: seen["/config"] == 2, "Home Assistant is told only once", node)
    minitest.equal((node.errors, node.dropped, node.client.connections), ([], 0, 1))
    await until(lambda: not node.telling, "Home Assistant is being told for ever", node)
    await asyncio.sleep(5)
    gc.collect()
    used = gc.mem_alloc() - own
    whole = gc.mem_alloc() + gc.mem_free()
    minitest.measure("node_ram_bytes", used)
    minitest.measure("node_block_bytes", largest())
    minitest.measure("node_heap_bytes", whole)


minitest.run(globals())
