# A node that sends and receives numbered messages, for tests/host/traffic.py; run by a unix image. Its settings
# are the first line of stdin, as JSON. Under ID/out1 it publishes ROUND.0 to ROUND.(n-1) with QoS 1, under ID/in2 it
# counts those that it gets with QoS 2, and so on. Orders, the lines after it:
#   ["go", round]  begin to publish, and to count, anew; answers GOING
#   ["limit", n]   publish no more than n of each flow for now
#   ["seen"]       print SEEN and, for each QoS, how often each number has come, as hex
#   ["state"]      print STATE and a line of JSON: how much went and came, the heap after a collection
import asyncio
import gc
import json
import sys
import time

from coldframe.mqtt import Client, Tcp


class Out:
    # One flow of numbered messages, published by several tasks, or by one that does not wait for each.

    def __init__(self, client, topic, n, qos, tasks, pause):
        self.client = client
        self.topic = topic
        self.n = n
        self.qos = qos
        self.tasks = tasks
        self.pause = pause
        self.round = self.next = self.done = self.limit = 0
        self.more = asyncio.Event()

    def allow(self, n):
        self.limit = n
        self.more.set()

    async def run(self, round):
        self.round = round
        self.next = self.done = 0
        if self.tasks:
            await asyncio.gather(*[self.work(True) for _ in range(self.tasks)])
        else:
            await self.work(False)
            await self.client.drain()
            self.done = self.n

    async def work(self, wait):
        options = {} if wait else {"wait": False}
        while self.next < self.n:
            if self.next >= self.limit:
                self.more.clear()
                await self.more.wait()
                continue
            payload = "%d.%d" % (self.round, self.next)
            self.next += 1
            await self.client.publish(self.topic, payload, self.qos, **options)
            self.done += wait
            if self.pause:
                await asyncio.sleep_ms(self.pause)


class In:
    # Counts how often each number came.

    def __init__(self, n, qos):
        self.n = n
        self.qos = qos
        self.seen = bytearray(n)
        self.begin(0)

    def begin(self, round):
        self.round = round
        self.distinct = self.again = self.late = 0
        for i in range(self.n):
            self.seen[i] = 0

    def got(self, payload):
        round, i = payload.split(b".")
        if int(round) != self.round:
            self.late += 1
            return
        i = int(i)
        n = self.seen[i]
        if n == 0:
            self.distinct += 1
        else:
            self.again += 1
        if n < 255:
            self.seen[i] = n + 1


def state(client, outs, ins, started):
    gc.collect()
    said = {
        "ms": time.ticks_diff(time.ticks_ms(), started),
        "heap": gc.mem_alloc(),
        "free": gc.mem_free(),
        "up": client.up.is_set(),
        "connections": client.connections,
        "sent": {str(o.qos): o.done for o in outs},
        "received": {str(i.qos): i.distinct for i in ins},
        "again": {str(i.qos): i.again for i in ins},
        "late": {str(i.qos): i.late for i in ins},
    }
    print("STATE", json.dumps(said))


async def main(port, id, n, qos, tasks, pause, **options):
    started = time.ticks_ms()
    ins = [In(n, q) for q in qos]
    by_topic = {"%s/in%d" % (id, i.qos): i for i in ins}

    def on_message(topic, payload, retained):
        flow = by_topic.get(topic)
        if flow is not None:
            flow.got(payload)

    client = Client(Tcp("127.0.0.1", port), id, on_message=on_message, **options)
    outs = [Out(client, "%s/out%d" % (id, q), n, q, tasks, pause) for q in qos]
    await client.connect()
    for i in ins:
        print("SUB", i.qos, await client.subscribe("%s/in%d" % (id, i.qos), i.qos))
    stdin = asyncio.StreamReader(sys.stdin)
    print("READY")
    while True:
        line = await stdin.readline()
        if not line:
            break
        order = json.loads(line)
        if order[0] == "go":
            for i in ins:
                i.begin(order[1])
            for out in outs:
                asyncio.create_task(out.run(order[1]))
            print("GOING")
        elif order[0] == "limit":
            for out in outs:
                out.allow(order[1])
        elif order[0] == "seen":
            print("SEEN", *[i.seen.hex() for i in ins])
        else:
            state(client, outs, ins, started)


asyncio.run(main(**json.loads(sys.stdin.readline())))
