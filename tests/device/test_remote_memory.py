"""Figures: what remote administration takes of a node's RAM: while nobody talks to it, and with an open session.

And what must work on the smallest heap beside a node. The node has no Wi-Fi here, which makes room for the test itself,
and for the host, which is on the device, too.
"""

import asyncio
import gc
import sys

import minitest
from memfar import Far, largest, until

minitest.DEADLINE = 150
KEY = "a key of 16 bytes or more"
SID = "memory01"
NONCE = bytes(16)


class Host(Far):
    """The broker of memfar, with a host behind it."""

    number = counter = 0
    base = kc = hello = opening = None

    def tell(self, verb, m):
        """Publish a message of the session to the node, with QoS 1."""
        topic = "%s/cmd/%s/%s" % (self.base, verb, SID)
        self.number += 1
        size = 4 + len(topic) + len(m)
        head = bytes((0x32, size)) if size < 128 else bytes((0x32, size & 127 | 128, size >> 7))
        self.out += head + bytes((0, len(topic))) + topic.encode() + self.number.to_bytes(2, "big") + m

    def say(self, verb, body=b"", head=0x8000):
        """A message of the session, with its counter and its proof."""
        from coldframe.remote.gate import mac

        self.counter += 1
        m = head.to_bytes(2, "big") + self.counter.to_bytes(4, "big") + body
        topic = "%s/cmd/%s/%s" % (self.base, verb, SID)
        self.tell(verb, m + mac(self.kc, topic, b"\0", m)[:16])

    def prepare(self):
        """Make the session's key, and the greeting and the open message that belong to it."""
        from coldframe.remote.gate import mac, pads

        key = pads(KEY.encode())
        self.kc = pads(mac(key, "c2d\0", self.base, b"\0", SID, b"\0", NONCE, NONCE))
        id = mac(key, "coldframe key id")[:4]
        self.opening = id + NONCE + NONCE
        m = b"\x80\0CF1" + id + NONCE
        self.hello = m + mac(key, "%s/cmd/hello/%s" % (self.base, SID), b"\0", m)[:16]


async def ended(node, what):
    session = node.remote.sessions[SID]
    await until(lambda: session.command is None, what + " does not end", node)


def used():
    gc.collect()
    return gc.mem_alloc()


async def test_remote():
    if "coldframe" in sys.modules:
        minitest.skip("imported at boot")
    far = Host()
    heard = far.seen
    heard["emory01"] = 0  # replies of the session
    import coldframe

    node = coldframe.Node({"mqtt": {"host": "x", "buffer": 768}}, transport=far)
    far.base = node.base
    node.topic("./temperature", every=60)(lambda: 21.5)
    await node.start()
    await until(lambda: heard["SYSINFO"] == 1 and heard["rature"] == 1, "nothing is published", node)
    await until(lambda: heard["/config"] == 1 and not node.telling, "Home Assistant is told nothing", node)
    await asyncio.sleep(3)

    far.prepare()
    coldframe.forget("remote.gate")
    coldframe.forget("remote")
    before = used()
    node.config._data["remote"] = {"key": KEY}
    __import__("coldframe.remote")
    sys.modules["coldframe.remote"].start(node)
    await asyncio.sleep(1)
    waiting = used() - before
    # The client's buffer is 256 bytes larger with remote.
    minitest.measure("remote_waiting_bytes", waiting + 256)

    far.tell("hello", far.hello)
    await until(lambda: heard["emory01"] == 1, "no welcome", node)
    node.remote.gate._nonce = lambda *args: NONCE  # so that the host need not listen
    far.say("open", far.opening)
    await until(lambda: heard["emory01"] == 2, "no session", node)
    minitest.measure("remote_session_bytes", used() - before + 256)
    minitest.measure("remote_free_bytes", gc.mem_free())
    minitest.measure("remote_block_bytes", largest())

    for verb, body in COMMANDS:
        count = heard["emory01"]
        far.say(verb, body)
        await until(lambda: heard["emory01"] > count, verb, node)
        await ended(node, verb)
    minitest.equal((node.errors, node.remote.refused, node.client.connections), ([], 0, 1))

    # A second session in the place of the first one: nothing is left of that.
    for again in (True, False):
        far.say("close")
        await until(lambda: not node.remote.sessions, "the session does not end", node)
        if again:
            count = heard["emory01"]
            far.counter = 0
            far.say("open", far.opening)
            await until(lambda: heard["emory01"] > count, "no second session", node)
    node.remote.gate.used -= 11000
    await until(lambda: node.remote.gate is None, "the code stays", node)
    await asyncio.sleep(1)
    after = used() - before
    assert after < waiting + 700, (after, waiting)  # where things come to lie makes some difference


COMMANDS = (("ping", b""), ("ls", b'{"path": "/"}'), ("stat", b'{"path": "/"}'))
minitest.run(globals())
