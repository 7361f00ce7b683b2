"""A configuration on trial: it is kept when the broker is reached with it, else the one before is back by itself."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto, Peer, free_port, until
from host.simboards import DEADLINE, FARM, image
from kit import fsimage
from kit.simboard import SimBoard

ID = "00000000000000c0"
BASE = f"coldframe/{ID}"
BLOCKS = 64
OLD = {"name": "old", "watchdog": {"timeout": 30}}

# What `config apply` does, for a node without remote administration (its own tests are in test_remote_admin.py).
APP = """
import json
from coldframe import config, configtrial, hal

def setup(node):
    if node.name == "%s":
        %s
    @node.action("./try")
    def attempt(payload):
        changes = json.loads(payload)
        configtrial.arm("cafe0001", changes.pop("trial"))
        print("SAVED", config.save(changes))
        hal.reset("trial")
"""


class Bench:
    """A board, a broker and its peer."""

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto(folder / "broker")
        self.broker.start()
        self.peer = Peer(self.broker.port, ["#"])
        self.board = SimBoard(image(), folder / "node", unique_id=ID)

    def make(self, bad: str = "pass", **config: Any) -> None:
        """Switch the board on. bad: the statement that its program runs when the node's name is "bad"."""
        self.board.put(
            "config.json", {**OLD, "mqtt": {"host": "127.0.0.1", "port": self.broker.port}, **config}
        )
        self.board.put("app.py", APP % ("bad", bad))
        self.board.world(speed=20)
        self.board.start()
        self.online(1)

    def online(self, times: int) -> None:
        until(
            lambda: self.peer.payloads(f"{BASE}/available").count(b"online") >= times,
            f"online number {times}",
            DEADLINE,
        )

    def apply(self, changes: dict[str, Any], trial: int = 20) -> bytes:
        """Have it try changes. Returns what its file held before."""
        before = self.board.get("config.json")
        self.peer.publish(f"{BASE}/try", json.dumps({**changes, "trial": trial}))
        self.board.wait_for("SAVED []", DEADLINE)
        return before

    def result(self) -> dict[str, Any]:
        """What it has published of the outcome."""
        topic = f"{BASE}/config/result"
        until(lambda: self.peer.payloads(topic), "the outcome", 3 * DEADLINE)
        until(lambda: "config.result" in self.files(), "the note put away", DEADLINE)
        assert not {"config.trial", "config.before"} & self.files()
        return dict(json.loads(self.peer.payloads(topic)[0]))

    def files(self) -> set[str]:
        return {path.name for path in self.board.flash.iterdir()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.board.stop()
    bench.peer.close()
    bench.broker.stop()


def test_kept(bench: Bench) -> None:
    """The broker is reached: the new configuration stays, also over the next start."""
    bench.make()
    bench.apply({"name": "new"})
    result = bench.result()
    assert result["id"] == "cafe0001" and result["state"] == "kept" and result["after"] < 20
    assert json.loads(bench.board.get("config.json"))["name"] == "new"
    # It becomes the last good one by the rule for every configuration: a sound minute and the broker.
    until(lambda: "config.bak" in bench.files(), "the last good copy", DEADLINE)
    until(
        lambda: bench.board.get("config.bak") == bench.board.get("config.json"), "the new one in it", DEADLINE
    )


def test_wrong_broker(bench: Bench) -> None:
    """Nobody listens there: after the trial's time the file is byte for byte what it was, and the owner is told."""
    bench.make()
    before = bench.apply({"mqtt": {"port": free_port()}})
    bench.board.wait_for("new configuration on trial, start 1 of 3", DEADLINE)
    bench.board.wait_for("back to the configuration before: the broker was not reached within 20 s", DEADLINE)
    result = bench.result()
    assert result["state"] == "failed" and "was not reached within 20 s" in result["why"]
    assert bench.board.get("config.json") == before
    bench.online(2)
    assert "config.bak" not in bench.files() or bench.board.get("config.bak") == before


def test_wrong_wifi_password(tmp_path: Path) -> None:
    """The network does not take the new password: back by itself."""
    bench = Bench(tmp_path)
    try:
        bench.board.world(networks=[FARM])
        bench.make(wifi={"networks": [{"ssid": FARM["ssid"], "password": FARM["password"]}]})
        before = bench.apply({"wifi": {"networks": [{"ssid": FARM["ssid"], "password": "not that one"}]}})
        result = bench.result()
        assert result["state"] == "failed"
        assert bench.board.get("config.json") == before
        bench.online(2)
    finally:
        bench.board.stop()
        bench.peer.close()
        bench.broker.stop()


def test_a_broker_that_sends_nothing_back(bench: Bench, tmp_path: Path) -> None:
    """To be connected is not enough: what the account may not subscribe to would never be heard."""
    other = Mosquitto(tmp_path / "other")
    rules = tmp_path / "other" / "acl"
    rules.write_text("topic readwrite #\ntopic deny +/+/WATCHDOG\n")
    config = tmp_path / "other" / "mosquitto.conf"
    config.write_text(f"{config.read_text()}acl_file {rules}\n")
    other.start()
    try:
        bench.make()
        before = bench.apply({"mqtt": {"port": other.port}})
        bench.board.wait_for(f"{other.port}: up", DEADLINE)
        result = bench.result()
        assert result["state"] == "failed" and "did not send back" in result["why"]
        assert bench.board.get("config.json") == before
    finally:
        other.stop()


def test_a_program_without_a_node(bench: Bench) -> None:
    """A main.py that starts no node with the new settings: a timer ends the trial."""
    program = """
        import time
        from coldframe import Node, config
        if config.load()[0]["name"] == "bad":
            while True:
                time.sleep(1)
        node = Node()
        import app
        app.setup(node)
        node.run()
    """
    bench.board.put("main.py", textwrap.dedent(program))
    bench.make()
    before = bench.apply({"name": "bad"})
    result = bench.result()
    assert result["state"] == "failed" and result["why"] == "no node has come up to reach its broker"
    assert bench.board.get("config.json") == before
    bench.online(2)


@pytest.mark.parametrize("good", [True, False])
def test_battery(bench: Bench, good: bool) -> None:
    """A device that sleeps most of the time tries it while it is awake."""
    bench.board.world(networks=[FARM])
    bench.make(wifi={"networks": [{"ssid": FARM["ssid"], "password": FARM["password"]}]})
    power = {"mode": "battery", "sleep": 600, "awake_limit": 10}
    changes = {"power": power, **({} if good else {"mqtt": {"port": free_port()}})}
    before = bench.apply(changes, 120)
    if good:
        assert bench.result()["state"] == "kept"
        bench.board.wait_for("sleeping for 600 s", DEADLINE)
    else:
        for _ in range(3):
            bench.board.wait_for("sleeping for 10 s", DEADLINE)
        result = bench.result()
        assert result["state"] == "failed" and result["why"] == "3 starts without its broker"
        assert bench.board.get("config.json") == before


def test_crash(bench: Bench) -> None:
    """A program that hangs with the new settings: the first crash ends the trial."""
    bench.make("while True: pass")
    before = bench.apply({"name": "bad"}, 600)
    bench.board.wait_for("stuck for 30 s, restarting", DEADLINE)
    result = bench.result()
    assert result["state"] == "failed" and "crashed" in result["why"]
    assert bench.board.get("config.json") == before
    bench.online(2)


def test_power_cuts_in_a_trial(bench: Bench) -> None:
    """Each loss of power begins the trial anew; the third start is the last one."""
    bench.make()
    before = bench.apply({"mqtt": {"port": free_port()}}, 3000)
    for n in range(1, 4):
        bench.board.wait_for(f"on trial, start {n} of 3", DEADLINE)
        bench.board.cut_power()
        bench.board.start()
    result = bench.result()
    assert result["state"] == "failed" and result["why"] == "3 starts without its broker"
    assert bench.board.get("config.json") == before


def test_safe_mode(bench: Bench) -> None:
    """A trial from safe mode that fails leads back into it."""
    bench.make()
    bench.board.repl("import coldframe; coldframe.bootrecord.ask_safe()")
    bench.board.send(
        "from coldframe import config, configtrial, hal; configtrial.arm('cafe0001', 20); "
        f"config.save({{'mqtt': {{'port': {free_port()}}}}}); hal.reset('trial')\r"
    )
    bench.board.wait_for("new configuration on trial", DEADLINE)
    assert bench.result()["state"] == "failed"
    assert bench.board.get("boot.rec")[3] & 15 == 4


# Two trials in one program, as far as the flash is concerned: one that fails, and one that goes well.
CUT = """
from coldframe import bootrecord, config, configtrial, log
log.console(None)
if bootrecord.boots() < 2:
    config.load()
    for name in ("bad", "good"):
        configtrial.arm(name, 60)
        print("AT", name, "armed")
        config.save({"name": name, "mqtt": {"password": "hunter2 " + name}})
        print("AT", name, "saved")
        configtrial.begin()
        if name == "bad":
            configtrial.back(configtrial.read(), "no broker")
            print("AT", name, "over")
        else:
            configtrial.keep(configtrial.read(), 5)
            print("AT", name, "over")
        configtrial.told()
print("END")
"""


def test_power_cut_at_every_write(tmp_path: Path) -> None:
    """The configuration is the old or the new one, whole; while it is on trial, the old one is there to go back to."""
    flash = tmp_path / "sim" / "flash.img"
    flash.parent.mkdir(parents=True, exist_ok=True)
    files = {"config.json": json.dumps(OLD).encode(), "main.py": CUT.encode()}
    flash.write_bytes(fsimage.make_image(files, 4096, BLOCKS))
    fresh = flash.read_bytes()

    def run(*options: str) -> tuple[str, dict[str, bytes]]:
        with SimBoard(
            image(), tmp_path, unique_id=ID, options=("--lfs", "flash.img", "--exit", *options)
        ) as it:
            it.start()
            it.wait_for(re.compile(r"power cut at flash write|^END$", re.MULTILINE), DEADLINE)
            return it.console, fsimage.read_image(flash.read_bytes())

    seen = set()
    for cut in range(1, 400):
        flash.write_bytes(fresh)
        console, _ = run("--cut", str(cut))
        whole = "power cut" not in console
        again, after = run()
        if "AT " in again:  # the power went before the start was counted: all has been done now
            continue
        config = json.loads(after["config.json"])
        name = config["name"]
        old = json.dumps(OLD).encode()
        reached = re.findall(r"^AT (\w+ \w+)$", console, re.MULTILINE)
        at = reached[-1] if reached else ""
        note = json.loads(after.get("config.trial") or b"{}")
        state = note.get("state")
        seen.add((at, name, state))
        where = (cut, at, name, note)
        if name == "old":
            assert after["config.json"] == old, where
        if state == "trying":
            assert name == note["id"] and after["config.before"] == old, where
        elif state in ("failed", "void"):
            assert name == "old", where
        elif state == "kept":
            assert name == "good", where
        else:
            assert state is None and name == ("good" if at == "good over" else "old"), where
        assert name != "bad" or state == "trying", where
        if at in ("bad over", "good armed"):
            assert name == "old" or at == "good armed", where
        if at == "good over":
            assert name == "good", where
        assert b"hunter2" not in b"".join(after[name] for name in after if name != "main.py"), where
        if whole:
            break
    print(f"{cut - 1} writes, {sorted(seen, key=str)}")
    assert whole and cut > 30
    assert {state for _, _, state in seen} == {None, "trying", "failed", "void", "kept"}
