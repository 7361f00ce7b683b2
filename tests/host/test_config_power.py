"""The configuration on the flash: the power goes at any write, the flash is full, passwords are what the docs say."""

from __future__ import annotations

import base64
import hmac
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from host.simboards import DEADLINE, image
from kit import fsimage, host
from kit.simboard import SimBoard

BLOCKS = 64
ID = "00000000000000c0"

MAIN = """
import json
from coldframe import config, log
log.console(None)
c, errors = config.load()
networks = [[n["ssid"], n.get("password")] for n in c["wifi.networks"]]
print("LOADED", json.dumps([c["name"], c["mqtt.password"], networks, errors]))
if CHANGES:
    print("SAVED", json.dumps(config.save(CHANGES)))
print("END")
"""

PLAIN = {
    "name": "old",
    "mqtt": {"host": "10.0.0.5", "user": "u", "password": "hunter2 of the broker"},
    "wifi": {
        "networks": [
            {"ssid": "Farm", "password": "hunter2 of the farm"},
            {"ssid": "B", "password": "hunter2"},
        ]
    },
}
OLD = ["old", "hunter2 of the broker", [["Farm", "hunter2 of the farm"], ["B", "hunter2"]], []]
CHANGES = {
    "name": "new" * 20,
    "mqtt": {"password": "hunter2 is new"},
    "wifi": {"networks": [{"ssid": f"net {n}", "password": f"hunter2 {n}"} for n in range(20)]},
}
NEW = ["new" * 20, "hunter2 is new", [[f"net {n}", f"hunter2 {n}"] for n in range(20)], []]
IMPORTED = ["old", "hunter2 of the broker", [["Farm", "hunter2 of Bob"], ["B", "hunter2"], ["C", None]], []]

# name: (files, changes that are saved, what a boot may find)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, list[list[Any]]]] = {
    "save": ({"config.json": PLAIN}, CHANGES, [OLD, NEW]),
    "first boot": ({"config.json": PLAIN, "config.bak": PLAIN}, None, [OLD]),
    "wifi.json": (
        {"config.json": PLAIN, "wifi.json": {"Farm": "hunter2 of Bob", "C": None}},
        None,
        [IMPORTED],
    ),
}


def run(folder: Path, *options: str) -> tuple[str, bool]:
    """Give a board power until its program or the power ends. Returns what it printed and if it came to its end."""
    with SimBoard(image(), folder, unique_id=ID, options=("--lfs", "flash.img", "--exit", *options)) as board:
        board.start()
        ended = board.wait_for(re.compile(r"power cut at flash write|^END$", re.MULTILINE), DEADLINE)[0]
        return board.console, ended == "END"


def loaded(console: str) -> Any:
    """What the program found in the configuration."""
    match = re.search(r"^LOADED (.*)$", console, re.MULTILINE)
    assert match, console
    return json.loads(match[1])


def files_of(image: Path) -> dict[str, bytes]:
    return fsimage.read_image(image.read_bytes())


def make(folder: Path, files: dict[str, Any], changes: dict[str, Any] | None) -> Path:
    """Put files and the program on a flash. Returns its image."""
    content = {
        name: data if isinstance(data, bytes) else json.dumps(data).encode() for name, data in files.items()
    }
    content["main.py"] = MAIN.replace("CHANGES", repr(changes)).encode()
    path = folder / "sim" / "flash.img"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fsimage.make_image(content, 4096, BLOCKS))
    return path


@pytest.mark.parametrize("case", CASES)
def test_power_cut_at_every_write(tmp_path: Path, case: str) -> None:
    files, changes, expected = CASES[case]
    flash = make(tmp_path, files, changes)
    if case == "save":  # the passwords have been encrypted by an earlier start
        flash = make(tmp_path, files, None)
        run(tmp_path)
        now = files_of(flash)
        assert b"hunter2" not in now["config.json"]
        flash = make(tmp_path, {"config.json": now["config.json"]}, changes)
    fresh = flash.read_bytes()
    seen = []
    cut = 0
    whole = False
    while not whole:
        cut += 1
        assert cut < 200
        flash.write_bytes(fresh)
        _, whole = run(tmp_path, "--cut", str(cut))
        console, end = run(tmp_path)
        found = loaded(console)
        assert found in expected, f"cut {cut}: {found}"
        if found not in seen:
            seen.append(found)
        assert end
        now = files_of(flash)
        # One sound start later all is done, whatever was cut before.
        assert not [name for name in now if name != "main.py" and b"hunter2" in now[name]], (
            f"cut {cut}: {now}"
        )
        assert "wifi.json" not in now and "config.broken" not in now
    print(f"{case}: {cut - 1} writes")
    assert cut > 5
    assert seen == expected


FULL = """
import json, os
from coldframe import config, log, store
log.console(None)
with open("/wifi.json", "w") as f:
    f.write('{"net 1": "hunter2 is new", "more": "hunter2"}')
os.mkdir("/fill")
for n in range(10):  # the last blocks of the flash are found only by files of their own
    try:
        with open("/fill/%d" % n, "wb") as f:
            while True:
                f.write(bytes(512))
                f.flush()
    except OSError as e:
        full = e.args[0]
print("FULL", full)
def password(c):
    return [n["password"] for n in c["wifi.networks"] if n["ssid"] == "net 1"][0]
before = store.read("/config.json")
c, errors = config.load()
print("LOADED", json.dumps([c["name"], len(c["wifi.networks"]), errors, password(c)]))
print("SAVED", json.dumps(config.save({"name": "new"})))
print("SAME", store.read("/config.json") == before, store.exists("/config.json.tmp"))
for name in os.listdir("/fill"):
    os.remove("/fill/" + name)
c, errors = config.load()
print("LOADED", json.dumps([c["name"], len(c["wifi.networks"]), errors, password(c)]))
print("SAVED", json.dumps(config.save({"name": "new"})), store.exists("/wifi.json"))
print("LOADED", config.load()[0]["name"])
print("END")
"""


def test_full_flash(tmp_path: Path) -> None:
    """Neither the encryption at the first start nor a save can be written: all is as it was, and is said."""
    networks = [{"ssid": f"net {n}", "password": f"hunter2 {n}"} for n in range(40)]
    flash = make(tmp_path, {"config.json": {"name": "old", "wifi": {"networks": networks}}}, None)
    content = {**files_of(flash), "main.py": FULL.encode()}
    flash.write_bytes(fsimage.make_image(content, 4096, BLOCKS))
    console, end = run(tmp_path)
    assert end
    lines = re.findall(r"^(?:FULL|LOADED|SAVED|SAME) .*$", console, re.MULTILINE)
    assert lines == [
        "FULL 28",
        'LOADED ["old", 41, ["/config.json: cannot be written (the flash is full); it is as it was", '
        '"/config.json: its passwords stay readable, the flash is full"], "hunter2 is new"]',
        'SAVED ["/config.json: cannot be written (the flash is full); it is as it was"]',
        "SAME True False",
        'LOADED ["old", 41, [], "hunter2 is new"]',
        "SAVED [] False",
        "LOADED new",
    ], console
    assert b"hunter2" not in files_of(flash)["config.json"]


def test_the_format_of_passwords_is_the_documented_one(tmp_path: Path) -> None:
    """modules/coldframe/secrets.py describes it; here it is opened from that description, with other programs."""
    openssl = host.ensure({"openssl": "openssl"}, "the tests of encrypted passwords")["openssl"]
    flash = make(tmp_path, {"config.json": PLAIN}, None)
    run(tmp_path)
    sealed = json.loads(files_of(flash)["config.json"])["mqtt"]["password"]

    def mac(key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, "sha256")

    data = base64.urlsafe_b64decode(sealed.removeprefix("enc:"))
    assert data[0] == 1
    root = mac(bytes.fromhex(ID), b"coldframe 1" + data[1:13])
    assert mac(mac(root, b"proof"), data[:-16])[:16] == data[-16:]
    both = mac(root, b"text")
    command = [openssl, "enc", "-d", "-aes-128-cbc", "-K", both[:16].hex(), "-iv", both[16:].hex()]
    done = subprocess.run(command, input=data[13:-16], capture_output=True, check=True)
    assert done.stdout.decode() == "hunter2 of the broker"


def test_broken_json_is_seen_and_survived(tmp_path: Path) -> None:
    """The node itself starts from the last good copy, says so where a user looks, and keeps the broken file."""
    broken = b'{"name": "broken",\n "mqtt": {"password": "hunter2", "host" "h"}}'
    with SimBoard(image(), tmp_path, unique_id=ID) as board:
        board.put("config.json", broken)
        board.put("config.bak", {"name": "good"})
        board.start()
        expected = '/config.json: not JSON, line 2: expected a colon, got "; using /config.bak'
        board.wait_for(expected, DEADLINE)
        board.wait_for("good started", DEADLINE)
        assert expected in board.repl("import coldframe; coldframe.status()")
        assert board.get("config.json") == broken
        assert board.get("config.broken") == broken.replace(b"hunter2", b"*******")
