# Scenarios for tests/host/test_mqtt_engine.py, run by the unix image against a real broker. The settings are the
# first line of stdin, as JSON: port, version, scenario. Prints OK at the end, or a traceback.
import asyncio
import gc
import json
import sys

from coldframe.mqtt import Client, Tcp

DEADLINE = 15000  # ms
got = []


async def until(condition, what):
    for _ in range(DEADLINE // 5):
        if condition():
            return
        await asyncio.sleep_ms(5)
    raise AssertionError("waited in vain for " + what)


def raises(exception, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except exception as er:
        return str(er)
    raise AssertionError("%s not raised" % exception.__name__)


class Zeros:
    """A file of ``size`` bytes, which cannot be read beyond ``end``."""

    def __init__(self, end=1 << 30):
        self.at = self.seeks = 0
        self.end = end

    def seek(self, at):
        self.at = at
        self.seeks += 1

    def readinto(self, buf):
        n = min(len(buf), self.end - self.at)
        for i in range(n):
            buf[i] = (self.at + i) & 0xFF
        self.at += n
        return n


async def every_qos(client):
    assert await client.subscribe("t/#", 2) == 2
    for qos in (0, 1, 2):
        await client.publish("t/%d" % qos, "x%d" % qos, qos)
    await until(lambda: len(got) == 3, "three messages")
    assert got == [("t/0", b"x0", False), ("t/1", b"x1", False), ("t/2", b"x2", False)], got


async def ways_to_await(client):
    await client.subscribe("t", 2)
    await asyncio.gather(*[client.publish("t", str(i), i % 3) for i in range(30)])
    await asyncio.create_task(client.publish("t", "30", 2))
    await asyncio.wait_for(client.publish("t", "31", 1), 5)
    kept = client.publish("t", "32", 1)
    for i in range(33, 60):
        await client.publish("t", str(i), 1)
    await kept  # long acknowledged: at once
    await kept
    unawaited = client.publish("t", "60", 1)
    for i in range(61, 100):
        await client.publish("t", str(i), 2, wait=False)
    assert await client.drain(5)
    assert not client._window and unawaited.state == 3
    await until(lambda: len(got) == 100, "all")
    assert sorted(int(p) for _, p, _ in got) == list(range(100))


async def callbacks(client):
    one = []
    await client.subscribe("a/+", 1, lambda topic, payload, retained: one.append(topic))
    await client.subscribe("a/b", 1)
    await client.publish("a/x", "", 1)
    await client.publish("a/y", "", 0)
    await until(lambda: len(one) == 2, "the callback's messages")
    assert one == ["a/x", "a/y"] and not got
    await client.unsubscribe("a/+")
    await client.publish("a/b", "1", 1)
    await until(lambda: len(got) == 1, "the message for everybody")
    assert len(one) == 2


async def iterates(client):
    it = client.messages("m/+", 1, size=4)
    seen = []

    async def consume():
        async for topic, payload in it:
            await client.publish("ack", payload, 1)  # needs an answer while the queue is full
            seen.append(int(payload))
        seen.append("end")

    task = asyncio.create_task(consume())
    await until(lambda: client._subs and client._subs.known.get("m/+", 0) & 0x40, "the subscription")
    for i in range(100):
        await client.publish("m/%d" % i, str(i), 1)
    await until(lambda: len(seen) == 100, "all messages")
    assert seen == list(range(100))
    it.close()
    await task
    assert seen[-1] == "end"
    await until(lambda: "m/+" not in client._subs.known, "the end of the subscription")


async def slow_consumer(client):
    # The broker is made to wait: nothing is lost, and the queue never grows beyond its size.
    it = client.messages("m", 1, size=4)
    most = 0
    task = asyncio.create_task(it.__anext__())
    await until(lambda: client._subs and client._subs.known.get("m", 0) & 0x40, "the subscription")
    other = Client(client._transport.__class__("127.0.0.1", client._transport.port), "other")
    await other.connect()
    for i in range(200):
        await other.publish("m", str(i), i % 2)
    seen = [int((await task)[1])]
    while len(seen) < 200:
        most = max(most, len(it._queue))
        seen.append(int((await it.__anext__())[1]))
        if len(seen) < 20:
            await asyncio.sleep_ms(20)
    assert sorted(seen) == list(range(200)), seen  # the broker may change the order between QoS 0 and 1
    assert most <= 8, most
    assert client.dropped == 0
    await other.disconnect()


async def streams(client):
    parts = []
    client.on_large = lambda topic, offset, part, more: parts.append((offset, bytes(part), more))
    await client.subscribe("big", 2)
    for qos in (0, 1, 2):
        parts.clear()
        await client.publish_stream("big", Zeros(), 20000, qos)
        await until(lambda: parts and not parts[-1][2], "the large message")
        assert b"".join(p[1] for p in parts) == bytes(i & 0xFF for i in range(20000))
        assert parts[1][0] == len(parts[0][1])
    await client.publish_stream("small", lambda: Zeros(), 0, 1)
    before = client.connections
    try:
        await client.publish_stream("big", Zeros(1000), 2000, 1)
        raise AssertionError("not raised")
    except ValueError as er:
        assert "ended 1000 bytes early" in str(er), er
    await until(lambda: client.connections == before + 1 and client.up.is_set(), "the next connection")
    await client.publish("big", "fine", 1)
    await until(lambda: ("big", b"fine", False) in got, "a message")
    # Others who publish wait meanwhile, and come through.
    await asyncio.gather(
        client.publish_stream("big", Zeros(), 30000, 1),
        *[client.publish("big", str(i), i % 3) for i in range(9)],
    )
    await until(lambda: len(got) == 10, "all the others")


async def limits(client):
    text = raises(ValueError, client.publish, "t", "x", 3)
    assert "t: expected QoS 0 to 2, got 3" in text
    raises(ValueError, client.publish, "a/+", "x")
    raises(ValueError, client.publish, "", "x", 1)
    raises(ValueError, client.publish, "t" * 300, "x", 1)
    raises(TypeError, client.publish, "t", 5)
    raises(TypeError, client.publish, "t", None, 1)
    raises(TypeError, client.publish, "t")
    assert client.up.is_set() and not client._window


async def properties(client):
    seen = []
    packet = client.packet

    def on(topic, payload, retained):
        seen.append(
            (topic, packet.prop(0x02), packet.prop(0x08), packet.prop(0x09), packet.user_properties())
        )

    client.on_message = on
    await client.subscribe("t/#", 1)
    await client.publish(
        "t/all", "", 1, expiry=600, response="r/1", correlation=b"\0\1", props=b"\x26\0\1k\0\1v"
    )
    await client.publish("t/none", "", 1)
    for _ in range(3):
        await client.publish("t/a/rather/long/topic", "")
    await until(lambda: len(seen) == 5, "the messages")
    assert seen[0] == ("t/all", 600, "r/1", b"\0\1", [("k", "v")]), seen
    assert seen[1] == ("t/none", None, None, None, []), seen
    assert [s[0] for s in seen[2:]] == ["t/a/rather/long/topic"] * 3
    raises(ValueError, client.publish, "t", "", 0, props=b"\x0b\1")


async def requests(client):
    def serve(topic, payload, retained):
        packet = client.packet
        client.publish(packet.prop(0x08), b"re:" + payload, correlation=packet.prop(0x09))

    await client.subscribe("service", 1, serve)
    answers = await asyncio.gather(*[client.request("service", str(i)) for i in range(5)])
    assert answers == [("response/engine", b"re:%d" % i) for i in range(5)], answers
    try:
        await client.request("nobody", "x", timeout=0.2)
        raise AssertionError("not raised")
    except OSError as er:
        assert "no response within" in str(er)


async def falls_back(client):
    assert client.version == 4 and client._five is None
    await every_qos(client)
    await client.publish("t/3", "", 1, expiry=5)  # of no effect
    try:
        await client.request("x", "y")
        raise AssertionError("not raised")
    except RuntimeError:
        pass


async def goes_and_comes(client):
    await client.subscribe("t", 1)
    for n in range(3):
        await client.disconnect()
        assert client.down.is_set() and not client.up.is_set()
        assert client.why == "disconnected"
        aw = client.publish("t", "meanwhile %d" % n, 1)
        try:
            await aw
            raise AssertionError("not raised")
        except OSError:
            pass
        assert await client.connect(5)
        await until(lambda: len(got) == n + 1, "the message")


async def flat(client):
    # A thousand messages of each kind leave nothing behind.
    await client.subscribe("t", 2)
    used = []
    for _ in range(4):
        got.clear()
        for i in range(250):
            await client.publish("t", "x" * 20, i % 3, wait=bool(i % 5))
        await client.drain(5)
        await until(lambda: len(got) == 250, "the messages")
        got.clear()
        gc.collect()
        used.append(gc.mem_alloc())
    assert used[-1] - used[1] <= 256, used


async def main(port, id, version, scenario, **options):
    client = Client(
        Tcp("127.0.0.1", port),
        "engine",
        version=version,
        clean=True,
        on_message=lambda *m: got.append(m),
        **options,
    )
    assert await client.connect(10), client.why
    await globals()[scenario](client)
    await client.disconnect()
    print("OK")


print("READY")
asyncio.run(main(**json.loads(sys.stdin.readline())))
