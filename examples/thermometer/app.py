# A thermometer without hardware: the temperature wanders, and a command sets where it starts from.
#
#   out  ./temperature         degrees Celsius, every ten seconds, and whenever something is sent to ./temperature_
#   in   ./temperature/set     a number
import time

start = 20.0


def setup(node):
    from coldframe import Topic

    def read():
        return start + time.ticks_ms() // 1000 % 60 / 10

    def change(payload):
        global start
        start = float(payload)  # a ValueError shows in the log and in SYSINFO; the thermometer goes on

    node.add(Topic("./temperature", read=read, action=change, every=10, retain=True))

    @node.action("./echo")
    async def echo(payload):
        return payload  # goes out on ./echo_
