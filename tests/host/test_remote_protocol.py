"""docs/remote-protocol.md: its example is computed again, by three programs that were written from it."""

from __future__ import annotations

import ast
import hashlib
import hmac
import re
import struct
from pathlib import Path

import pytest
from host.remotehost import LAST, SINGLE, RemoteHost, key_id, mac, mac_welcome

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/remote-protocol.md"
KEY = "correct horse battery staple"
BASE = "home/greenhouse"
SID = "Ab3-_xYz"
NONCE_C = bytes(range(16))
NONCE_D = bytes(range(16, 32))


def example() -> dict[str, bytes]:
    """The rows of the page's example."""
    block = PAGE.read_text().split("## An example", 1)[1].split("```")[1]
    found: dict[str, str] = {}
    name = ""
    for line in block.strip().splitlines():
        name = line[:8].strip() or name
        found[name] = found.get(name, "") + line[9:].strip()
    return {name: bytes.fromhex(text) for name, text in found.items()}


@pytest.fixture
def host() -> RemoteHost:
    """The tests' own host, in the session of the example. It speaks to nobody."""
    host = RemoteHost(None, BASE, KEY, SID, NONCE_C)  # type: ignore[arg-type]
    host.derive(NONCE_D)
    return host


def reply(host: RemoteHost, kind: str, head: int, counter: int, ref: int, body: bytes) -> bytes:
    m = struct.pack(">HII", head, counter, ref) + body
    return m + mac(host.kd, f"{BASE}/reply/{kind}/{SID}", m)


def test_the_example_is_right(host: RemoteHost) -> None:
    rows = example()
    welcome = (
        b"\xff\xffCF1" + NONCE_D + b'{"role": "admin", "in": 1464, "out": 2048, "window": 16, "ahead": 32}'
    )
    assert rows == {
        "key id": key_id(KEY.encode()),
        "Kc": host.kc,
        "Kd": host.kd,
        "hello": host.hello_bytes(),
        "welcome": welcome + mac_welcome(KEY.encode(), f"{BASE}/reply/out/{SID}", welcome, NONCE_C),
        "open": host.open_bytes(),
        "opened": reply(host, "out", LAST, 1, 1, b"{}"),
        "command": host.command_bytes("eval", b'{"limit": 5}\nprint(6 * 7)', LAST, 2),
        "data": reply(host, "out", 0, 2, 2, b"42\n"),
        "ack": host.command_bytes("ack", b"SEQ 0", LAST, 3),
        "result": reply(host, "out", LAST | 1, 3, 2, b'{"ok": true, "value": 0, "ms": 1}'),
        "unknown": host.command_bytes("juggle", b"{}", LAST, 4),
        "error": reply(host, "err", SINGLE, 4, 4, b'{"code": "unknown", "text": "juggle"}'),
    }


def test_the_hmac_is_that_of_the_standard(host: RemoteHost) -> None:
    # RFC 2104 by hand, so that a slip in a library's call is not repeated in all programs.
    def by_hand(key: bytes, m: bytes) -> bytes:
        key = key.ljust(64, b"\0")
        inner = hashlib.sha256(bytes(x ^ 0x36 for x in key) + m).digest()
        return hashlib.sha256(bytes(x ^ 0x5C for x in key) + inner).digest()

    rows = example()
    tail = b"\0" + BASE.encode() + b"\0" + SID.encode() + b"\0" + NONCE_C + NONCE_D
    assert rows["Kc"] == by_hand(KEY.encode(), b"c2d" + tail)
    assert rows["Kd"] == by_hand(KEY.encode(), b"d2c" + tail)
    m, proof = rows["command"][:-16], rows["command"][-16:]
    assert proof == by_hand(rows["Kc"], f"{BASE}/cmd/eval/{SID}".encode() + b"\0" + m)[:16]
    assert hmac.compare_digest(rows["hello"][5:9], by_hand(KEY.encode(), b"coldframe key id")[:4])


def test_the_nodes_own_code_is_given_the_same_example() -> None:
    # tests/device/test_remote_gate.py has it speak them; here: that its bytes are those of the page.
    text = (ROOT / "tests/device/test_remote_gate.py").read_text()
    source = text.split("VECTORS = ", 1)[1].split("\n}\n", 1)[0] + "}"
    given = {name: bytes.fromhex(digits) for name, digits in ast.literal_eval(source).items()}
    rows = example()
    assert len(given) >= 9
    assert given == {name: rows[name] for name in given}


def test_every_verb_and_code_is_in_the_page() -> None:
    page = PAGE.read_text()
    source = (ROOT / "modules/coldframe/remote/command.py").read_text()
    verbs = re.findall(r'^    \("(\w+)", "(\w+)", "(read|admin)"\)', source, re.M)
    assert len(verbs) >= 15
    for verb, _, role in verbs:
        if verb == "update":
            continue  # refused, see the changelog
        row = re.search(rf"^\| [^|]*`{verb}`[^|]*\| ?(r?) ?\|", page, re.M)
        assert row, f"{verb} is in no row of the table of verbs"
        assert (row[1] == "r") == (role == "read"), f"{verb}: another role than in the program"
    for code in set(re.findall(r'^    \(\d+, "(\w+)"\)', source, re.M)):
        assert f"`{code}`" in page.split("## Error codes", 1)[1], f"the code {code} is not explained"
