# The client under test, run by the unix image. Its settings are the one argument, as JSON; its orders are lines
# of JSON on stdin, {"n": number, "call": method, "args": [...], "kw": {...}}. It prints a line of JSON for
# whatever happens. A text that begins with "hex:" stands for bytes.
import asyncio
import json
import sys

from coldframe.mqtt import Client, Tcp


def unpacked(x):
    if isinstance(x, str) and x.startswith("hex:"):
        return bytes.fromhex(x[4:])
    if isinstance(x, list):
        return [unpacked(y) for y in x]
    return x


def packed(x):
    if isinstance(x, (bytes, bytearray, memoryview)):
        return "hex:" + (bytes(x).hex() if len(x) else "")  # of no bytes, hex() makes bytes
    if isinstance(x, (list, tuple)):
        return [packed(y) for y in x]
    return x


def say(event, **more):
    more["event"] = event
    print(json.dumps(more))


async def order(client, n, call, args, kw):
    kw = {key: unpacked(value) for key, value in kw.items()}
    args = unpacked(args)
    try:
        if call == "get":
            value = [getattr(client, name) for name in args]
        elif call == "flood":  # publish so many messages, as many at a time as the window has room for
            topic, count, qos = args
            for _ in range(count):
                await client.publish(topic, b"", qos, wait=False)
            await client.drain()
            value = None
        else:
            value = getattr(client, call)(*args, **kw)
            if hasattr(value, "send"):
                value = await value
        say("result", n=n, value=packed(value))
    except Exception as er:
        code = getattr(er, "code", None)
        say("error", n=n, kind=type(er).__name__, text=str(er), code=code if isinstance(code, int) else None)


async def main(ports, id, answers=None, **options):
    client = None

    def on_message(topic, payload, retained):
        packet = client.packet
        more = {"id": packet.id, "qos": packet.qos, "dup": packet.dup}
        if options.get("version") == 5:
            more["props"] = packed(packet.props)
        say("message", topic=topic, payload=packed(payload), retained=retained, **more)
        if topic == "raise":
            raise RuntimeError("from the callback")

    def answer(data):
        say("challenge", data=packed(data))
        return unpacked(answers.pop(0)) if answers else None

    options = {key: unpacked(value) for key, value in options.items()}
    if "auth" in options:
        method, data = options["auth"]
        options["auth"] = (method, data, answer)
    links = [Tcp("127.0.0.1", port) for port in ports]
    client = Client(
        links if len(links) > 1 else links[0],
        id,
        on_message=on_message,
        on_up=lambda: say("up"),
        on_down=lambda: say("down", why=str(client.why)),
        **options,
    )
    asyncio.create_task(client.connect())
    stdin = asyncio.StreamReader(sys.stdin)
    say("ready")
    while True:
        line = await stdin.readline()
        if not line:
            break
        job = json.loads(line)
        asyncio.create_task(order(client, job["n"], job["call"], job["args"], job["kw"]))


asyncio.run(main(**json.loads(sys.argv[1])))
