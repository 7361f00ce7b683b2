# A node for tests/host/test_mqtt_*.py, run by the unix image. Its settings are the first line of stdin, as JSON;
# its orders are the lines after it. It prints what happens, a line each. Orders:
#   ["pub", topic, payload, qos, retain=false]  ["flood", topic, n, qos]  ["sub", filter, qos]  ["unsub", filter]
#   ["every", ms, topic, n, qos] = pub of the numbers below n, one each ms, whether those before are through or not
#   ["state"]  ["bye"]
import asyncio
import json
import sys

from coldframe.mqtt import Client, MQTTError, Serial, Tcp


def on_message(topic, payload, retained):
    if topic == "in/raise":
        raise RuntimeError("from the callback")
    print("MSG", topic, payload if len(payload) < 50 else len(payload), "retained" if retained else "live")


def say(text):
    return lambda: print(text)


async def publish(client, topic, payload, qos, retain=False):
    try:
        await client.publish(topic, payload, qos, retain)
        print("DONE", topic, payload if len(payload) < 50 else len(payload))
    except (ValueError, OSError) as er:
        print("REFUSED", er)


async def order(client, what, *args):
    if what == "pub":
        await publish(client, *args)
    elif what == "flood":
        topic, n, qos = args
        for i in range(n):
            await client.publish(topic, str(i), qos)
        print("FLOODED", topic)
    elif what == "every":
        pause, topic, n, qos = args
        tasks = []
        for i in range(n):
            print("PUBLISHING", i)
            tasks.append(asyncio.create_task(client.publish(topic, str(i), qos)))
            await asyncio.sleep_ms(pause)
        await asyncio.gather(*tasks)
        print("ALL ACKNOWLEDGED", topic)
    elif what == "sub":
        try:
            print("SUB", args[0], await client.subscribe(*args))
        except (ValueError, MQTTError) as er:
            print("REFUSED", er)
    elif what == "unsub":
        await client.unsubscribe(*args)
        print("UNSUB", args[0])
    elif what == "state":
        print("STATE", client.up.is_set(), client.connections, client.skipped, client.dropped)
    elif what == "bye":
        await client.disconnect()
        print("BYE")


async def serial_line(port):
    # A socket behaves as a UART does: non-blocking, and asyncio can poll it.
    import socket

    s = socket.socket()
    s.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    s.setblocking(False)
    return s


def network(port, host="127.0.0.1", tls=None):
    if tls is None:
        return Tcp(host, port)
    from coldframe.mqtt import Tls

    return Tls(host, port, **tls)


async def main(
    port, id, serial=False, host="127.0.0.1", tls=None, also=(), servers=None, first=(), **options
):
    # also: (port, host, tls) of fallback brokers; servers: (address, port) of name servers.
    if servers is not None:
        from coldframe import dns

        dns.servers = servers
        dns.mdns = servers[0]
    transport = Serial(await serial_line(port)) if serial else network(port, host, tls)
    if also:
        transport = [transport] + [network(*place) for place in also]
    client = Client(transport, id, on_message=on_message, on_up=say("UP"), on_down=say("DOWN"), **options)
    for args in first:
        asyncio.create_task(order(client, *args))
    asyncio.create_task(client.connect())
    stdin = asyncio.StreamReader(sys.stdin)
    print("READY")
    while True:
        line = await stdin.readline()
        if not line:
            break
        asyncio.create_task(order(client, *json.loads(line)))


asyncio.run(main(**json.loads(sys.stdin.readline())))
