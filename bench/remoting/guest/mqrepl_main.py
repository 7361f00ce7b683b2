# Runs on MicroPython: mqrepl on mqtt_async, as mqboard's main.py starts them, without Wi-Fi.
#
#   coldframe mqrepl_main.py PORT TOPIC/ ; both modules, and unix_fix, are in MICROPYPATH

import asyncio
import gc
import sys


class _Logging:
    def debug(self, *args):
        pass

    info = warning = error = debug

    def getLogger(self, name):
        return self


sys.modules["logging"] = _Logging()

import mqrepl  # noqa: E402
import mqtt_async  # noqa: E402


def GLOBALS():
    return globals()


class _Network:
    def isconnected(self):
        return True

    def disconnect(self):
        pass


class _Dispatcher:
    # What mqboard's mqtt.py is for mqrepl.
    def __init__(self, port):
        config = mqtt_async.config
        config.update(
            client_id=b"peer", server="127.0.0.1", port=port, subs_cb=self.got, interface=_Network()
        )
        self.client = mqtt_async.MQTTClient(config)
        self.client._addr = ("127.0.0.1", port)  # what its look-up would find, in the form that it wants
        self.client._dns_lookup = lambda: None

    def on_msg(self, function):
        self.function = function

    def got(self, topic, message, retained, qos, dup=False):
        self.function(topic, message, retained, qos, dup)


most = 0


async def watch():
    # The heap in use, looked at often.
    global most
    while True:
        await asyncio.sleep_ms(2)
        gc.collect()
        most = max(most, gc.mem_alloc())


def forget():
    global most
    gc.collect()
    most = gc.mem_alloc()
    return most


async def main():
    dispatcher = _Dispatcher(int(sys.argv[1]))
    await dispatcher.client.connect()
    await mqrepl.MQRepl(dispatcher.client, sys.argv[2]).start(dispatcher)
    if len(sys.argv) > 3:
        asyncio.create_task(watch())
    print("READY")
    while True:
        await asyncio.sleep(60)


asyncio.run(main())
