# The cases of cycles.py for umqtt.simple, which blocks: its socket is an object with the methods of streams in C.

import gc

import cycles

cycles.no_network()
from umqtt import simple


class _Socket:
    def setblocking(self, on):
        pass


def client(read, write, callback):
    c = simple.MQTTClient("bench", "host")
    c.set_callback(callback)
    c.sock = s = _Socket()
    s.read = read
    s.write = write
    return c


async def receive_burst(version, n):
    import io

    cycles.expect(n // 10, n)
    c = client(io.BytesIO(cycles.flood(n)).read, None, cycles.got2)
    while cycles.count < n:
        c.wait_msg()


async def publish(version, n):
    # There is no event loop: one at a time is the same as in a burst.
    mem = cycles.mem
    c = client(None, cycles.sink(120 * n).write, None)
    c.publish(cycles.TOPIC, cycles.PAYLOAD)
    gc.collect()
    gc.disable()
    heap = gc.mem_alloc()
    mem[cycles._MARK] = 1
    for _ in range(n):
        c.publish(cycles.TOPIC, cycles.PAYLOAD)
    mem[cycles._MARK] = 2
    print("HEAP", (gc.mem_alloc() - heap) / n)
    for _ in range(n):
        pass
    mem[cycles._MARK] = 6
    gc.enable()
