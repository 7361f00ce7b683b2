# Runs on MicroPython: one case with one client, and prints `RESULT NAME NUMBER` lines for the host.
#
#   coldframe run.py CLIENT CASE HOST PORT KEY=VALUE...
#
# CLIENT is the name of a module drive_CLIENT.py beside this one; what it must have is in drive_coldframe.py.

import asyncio
import gc
import sys
from time import ticks_diff, ticks_us, time_ns

TOPIC = "greenhouse/air/humid"  # 20 bytes; option topic= gives another one
MARK = "bench/mark"

count = target = first = last = 0
finished = None  # called when the last message has come


def say(name, value):
    print("RESULT", name, value)


# What the clients call for each message: they differ in the number of arguments, and *args would cost heap.
def got2(topic, payload):
    global count, first, last
    count += 1
    if count == 1:
        first = ticks_us()
    elif count == target:
        last = ticks_us()
        finished()


def got3(topic, payload, retained):
    global count, first, last
    count += 1
    if count == 1:
        first = ticks_us()
    elif count == target:
        last = ticks_us()
        finished()


def got4(topic, payload, retained, qos):
    global count, first, last
    count += 1
    if count == 1:
        first = ticks_us()
    elif count == target:
        last = ticks_us()
        finished()


CALLBACKS = {2: got2, 3: got3, 4: got4}


class Done:
    """An Event for asyncio clients and a flag for blocking ones."""

    def __init__(self):
        self.event = asyncio.Event()
        self.over = False

    def set(self):
        self.over = True
        self.event.set()


def expect(n):
    global count, target, finished
    done = Done()
    count = 0
    target = n
    finished = done.set
    return done


async def pub0(driver, n, size):
    payload = b"x" * size
    publish = driver.publish
    await driver.rest(50)
    gc.collect()
    start = time_ns()
    if driver.blocking:
        for _ in range(n):
            publish(TOPIC, payload)
        publish(MARK, b"end")
    else:
        for _ in range(n):
            await publish(TOPIC, payload)
        await publish(MARK, b"end")
    # The end is when the broker has passed the mark on: the host looks at its clock, which is the same one.
    print("START", start)
    await driver.rest(20)


async def pub1(driver, n, size):
    payload = b"x" * size
    publish = driver.publish
    gc.collect()
    start = ticks_us()
    if driver.blocking:
        for _ in range(n):
            publish(TOPIC, payload, qos=1)
    else:
        for _ in range(n):
            await publish(TOPIC, payload, qos=1)
    say("rate", n * 1e6 / ticks_diff(ticks_us(), start))


async def window(driver, n, size):
    payload = b"x" * size
    gc.collect()
    start = ticks_us()
    await driver.pipelined(n, TOPIC, payload)
    say("rate", n * 1e6 / ticks_diff(ticks_us(), start))


async def recv(driver, n, qos, filter=None):
    done = expect(n)
    await driver.subscribe(filter or TOPIC, qos)
    gc.collect()
    print("READY")
    await driver.receive(done)
    say("rate", (n - 1) * 1e6 / ticks_diff(last, first))


async def echo(driver, n, size):
    # Round trip: from the call of publish(), QoS 1, until the own message comes back.
    payload = b"x" * size
    await driver.subscribe(TOPIC, 0)
    times = []
    for _ in range(n):
        done = expect(2)
        got = CALLBACKS[driver.arity]
        # The first call of the callback is ours, so that the next is "the last".
        got(*((TOPIC, payload, False, 1)[: driver.arity]))
        start = ticks_us()
        await driver.echo(TOPIC, payload, done)
        times.append(ticks_diff(last, start))
    times.sort()
    say("p50", times[n // 2])


async def idle(driver, n):
    # n: milliseconds. The host looks at the process's CPU time between the two lines.
    await driver.subscribe(TOPIC, 1)
    await driver.rest(500)
    gc.collect()
    gc.disable()
    print("IDLE")
    before = gc.mem_alloc()
    await asyncio.sleep_ms(n)  # driver.rest(n) would be an object
    after = gc.mem_alloc()
    print("OVER")
    say("garbage", (after - before) * 1000 / n)


async def heap_pub(driver, n, size, qos):
    payload = b"x" * size
    publish = driver.publish
    for measured in (False, True):
        await driver.rest(50)
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        if driver.blocking:
            for _ in range(n):
                publish(TOPIC, payload, qos=qos)
        else:
            for _ in range(n):
                await publish(TOPIC, payload, qos=qos)
        after = gc.mem_alloc()
        gc.enable()
        if measured:
            say("heap", (after - before) / n)


heap_first = 0


async def heap_recv(driver, n, qos, filter):
    # Between two messages in the middle of the stream, so that the start of it does not count.
    global target, finished
    done = Done()

    def begin():
        global heap_first, target, finished
        heap_first = gc.mem_alloc()
        target = 2 * n
        finished = end

    def end():
        global heap_first
        heap_first = gc.mem_alloc() - heap_first
        gc.enable()
        done.set()

    expect(n)
    finished = begin
    gc.collect()
    gc.disable()  # before: some clients receive while they still wait for SUBACK
    await driver.subscribe(filter, qos)
    await driver.receive(done)
    say("heap", heap_first / n)


async def outage(driver, quiet):
    # Runs until the host has seen enough. Each message that comes in is told at once.
    if not quiet:
        while True:
            if driver.blocking:
                driver.publish(driver.name, b"alive", qos=1)
            else:
                await driver.publish(driver.name, b"alive", qos=1)
            await driver.rest(100)
    while True:
        done = expect(1)
        await driver.subscribe(driver.name, 0)
        while True:
            done = expect(2)
            CALLBACKS[driver.arity](*((TOPIC, b"", False, 0)[: driver.arity]))
            await driver.receive(done)
            print("GOT", time_ns())


CASES = {
    "pub0": pub0,
    "pub1": pub1,
    "window": window,
    "recv": recv,
    "echo": echo,
    "idle": idle,
    "heap_pub": heap_pub,
    "heap_recv": heap_recv,
    "outage": outage,
}


async def main(client, case, host, port, *settings):
    options = {}
    for setting in settings:
        key, value = setting.split("=", 1)
        options[key] = int(value) if value.lstrip("-").isdigit() else value
    global TOPIC
    TOPIC = options.pop("topic", TOPIC)
    name, _, version = client.partition("-")
    module = __import__("drive_" + name)
    own = options.pop("id", "bench-" + client)
    driver = module.Driver(host, int(port), own, CALLBACKS[module.Driver.arity], version)
    driver.name = own
    await driver.connect()
    special = getattr(driver, case, None)
    if special is not None and case in CASES and client == "raw":
        await special(say=say, **options)
    else:
        await CASES[case](driver, **options)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
