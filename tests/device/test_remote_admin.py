"""coldframe.remote: the verbs of administration in the heap that a connected ESP8266 has left for them."""

import gc
import json
import os
import sys

import minitest
from coldframe import config as settings
from coldframe import configtrial

PATH = "t_config.json"
# bytes of heap that a verb may count on: a connected node with remote administration leaves more
ROOM = 12000
CONFIG = {
    "name": "greenhouse",
    "mqtt": {"host": "mqtt://u:hunter2@10.0.0.5", "base": "home/greenhouse", "keepalive": 30},
    "wifi": {"networks": [{"ssid": "Farm %d" % n, "password": "hunter2 of %d" % n} for n in range(2)]},
    "remote": {"key": "a key of the owner, long enough"},
    "components": {"part%d" % n: {"component": "Sensor", "topic": "./part%d" % n} for n in range(12)},
}


class Session:
    role = "admin"
    key_name = "admin"


class Node:
    """As much of a node as these verbs look at."""

    def __init__(self):
        self.config, self.errors = settings.load(PATH)
        self._path = PATH
        self.paused = True


class Command:
    """Takes what a verb sends, as remote/command.py does, and keeps it only as long as it fits."""

    session = Session()
    last = True
    data = b""

    def __init__(self, node, verb, **args):
        self.node = node
        self.verb = verb
        self.args = args
        self.sent = bytearray(2048)
        self.size = 0

    def need_admin(self, what):
        pass

    async def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        self.sent[self.size : self.size + len(data)] = data
        self.size += len(data)

    async def flush(self):
        pass

    def text(self):
        return bytes(self.sent[: self.size]).decode()


def room():
    """Take what is more than ROOM off the heap. Returns what must be kept meanwhile."""
    gc.collect()
    kept = []
    while hasattr(gc, "mem_free") and gc.mem_free() > ROOM + 1100 and gc.mem_free() < 100000:
        kept.append(bytearray(1024))
        gc.collect()
    return kept


def begin():
    for name in ("t_config.json", "t_config.bak"):
        try:
            os.remove(name)
        except OSError:
            pass
    with open(PATH, "w") as f:
        json.dump(CONFIG, f)
    return Node()


async def test_config():
    if sys.platform == "rp2":
        minitest.skip("nothing here depends on the chip, and the emulator takes half a minute for it")
    from coldframe.remote.configverb import config

    node = begin()
    kept = room()
    get = Command(node, "config", op="get")
    minitest.equal(await config(get), {"whole": True})
    text = get.text()
    assert "hunter2" not in text and "enc:" not in text, text
    text = None
    validate = Command(node, "config", op="validate", changes={"mqtt": {"port": 0}})
    minitest.equal((await config(validate))["errors"], 1)
    validate = None
    change = Command(node, "config", op="set", changes={"mqtt": {"keepalive": 60}})
    minitest.equal(await config(change), {"changed": True, "restart": True})
    change = None
    # All of it as it was shown, and one thing changed.
    whole = Command(node, "config", op="set", replace=True)
    whole.data = bytes(get.sent[: get.size]).replace(b'"greenhouse"', b'"new"')
    get = None
    minitest.equal(await config(whole), {"changed": True, "restart": True})
    whole = None
    kept.clear()
    found, errors = settings.load(PATH)
    minitest.equal(errors, [])
    minitest.equal(found["name"], "new")
    minitest.equal([n["password"] for n in found["wifi.networks"]], ["hunter2 of %d" % n for n in range(2)])
    minitest.equal(found["mqtt.host"], "mqtt://u:hunter2@10.0.0.5")


async def test_trial():
    """The note and its files, with the power cut nowhere: what tests/host does at every write."""
    begin()
    kept = room()
    os.rename(PATH, "config.json")
    try:
        with open("config.json", "rb") as f:
            before = f.read()
        configtrial.arm("t", 60, "")
        assert configtrial.running("")
        minitest.equal(settings.save({"name": "new"}, "config.json"), [])
        assert configtrial.changed("")
        configtrial.back(configtrial.read(""), "no broker", "")
        minitest.equal(
            configtrial.outcome(""), {"id": "t", "state": "failed", "why": "no broker", "trial": 60}
        )
        configtrial.told("")
        minitest.equal(configtrial.outcome("")["state"], "failed")
        with open("config.json", "rb") as f:
            minitest.equal(f.read(), before)
        configtrial.arm("u", 60, "")
        minitest.equal(settings.save({"name": "new"}, "config.json"), [])
        configtrial.keep(configtrial.read(""), 5, "")
        minitest.equal(configtrial.outcome("")["state"], "kept")
    finally:
        for name in ("config.json", "config.before", "config.trial", "config.result"):
            try:
                os.remove(name)
            except OSError:
                pass
    kept.clear()


async def test_log():
    from coldframe import log as logs
    from coldframe.remote.logverb import log

    kept = room()
    logs.getLogger("t").warning("one")
    logs.getLogger("t").warning("two")
    cmd = Command(None, "log", lines=2, level="WARNING")
    result = await log(cmd)
    rows = cmd.text().split("\n")
    assert rows[0].endswith(" t: one") and rows[1].endswith(" t: two"), rows
    cmd = Command(None, "log", since=result["next"] - 1)
    await log(cmd)
    assert cmd.text().endswith(" t: two\n"), cmd.text()
    kept.clear()


minitest.run(globals())
