# The app of tests/host/endurance.py: talks with numbers, reads on schedules, and tells of itself.
import asyncio
import gc
import time

import machine

from coldframe import Topic, clock

sent = 0
got = set()  # what has come, beyond `whole`
whole = 0  # all up to this number have come
twice = 0
done = False


def setup(node):
    node.add(Topic("./fast", read=clock.ms, every=60, qos=1))
    node.add(Topic("./slow", read=clock.ms, every=900, qos=1))
    node.add(Topic("./heap", read=heap, every=600, qos=1))
    node.add(Topic("./down", action=down, qos=1, reverse=False))
    node.add(Topic("./jump", action=jump, qos=1, reverse=False))

    async def slow(payload):
        await asyncio.sleep(int(payload))

    node.add(Topic("./work", action=slow, qos=1, reverse=False))
    node.subscribe("./finish", lambda: finish(node), 1)
    node.on("up", lambda: node.publish("./up", clock.ms(), 1))
    node.service("watch", lambda: watch(node))
    node.service("talk", lambda: talk(node))


def heap():
    gc.collect()
    gc.collect()
    return {"ms": clock.ms(), "free": gc.mem_free()}


def down(payload):
    global whole, twice
    n = int(payload)
    if n <= whole or n in got:
        twice += 1
        return
    got.add(n)
    while whole + 1 in got:
        whole += 1
        got.remove(whole)


def jump(payload):
    t = time.gmtime(time.time() + int(payload))
    machine.RTC().datetime((t[0], t[1], t[2], 0, t[3], t[4], t[5], 0))


async def watch(node):
    # The PC may be busy with other things for half a second, which is minutes here.
    while True:
        before = clock.ms()
        await asyncio.sleep(2)
        now = clock.ms()
        if now - before > 10000 and node.client:
            asyncio.create_task(node.publish("./stall", [before, now], 1))


async def talk(node):
    global sent
    while node.client is None:
        await asyncio.sleep(1)
    while not done:
        sent += 1
        await node.publish("./number", sent, 1)
        if sent % 10 == 0:
            node.log.info("number %d", sent)
        await asyncio.sleep(30)


async def finish(node):
    global done
    done = True
    while True:
        await node.publish(
            "./received",
            {
                "finished": 1,
                "count": whole + len(got),
                "sent": sent,
                "twice": twice,
                "dropped": node.dropped,
            },
            1,
        )
        await asyncio.sleep(30)
