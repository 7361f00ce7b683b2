"""The command's half of the protocol: the example of docs/remote-protocol.md, sequence numbers, what is no message."""

from __future__ import annotations

import pytest
from coldframe_cli import protocol
from host.test_remote_protocol import BASE, KEY, NONCE_C, NONCE_D, SID, example

OUT = f"{BASE}/reply/out/{SID}"


def keys() -> tuple[bytes, bytes]:
    return protocol.session_keys(KEY.encode(), BASE, SID, NONCE_C, NONCE_D)


def test_messages_are_those_of_the_page() -> None:
    rows = example()
    key = KEY.encode()
    to_device, from_device = keys()
    assert protocol.key_id(key) == rows["key id"]
    assert (to_device, from_device) == (rows["Kc"], rows["Kd"])
    assert protocol.hello(key, f"{BASE}/cmd/hello/{SID}", NONCE_C) == rows["hello"]
    assert protocol.opening(key, to_device, f"{BASE}/cmd/open/{SID}", NONCE_C, NONCE_D) == rows["open"]
    told = protocol.welcome(key, OUT, rows["welcome"], NONCE_C)
    assert (told.nonce, told.role) == (NONCE_D, "admin")
    assert (told.to_device, told.from_device, told.window, told.ahead) == (1464, 2048, 16, 32)
    opened = protocol.reply(from_device, OUT, rows["opened"])
    assert (opened.ref, opened.counter, opened.last, opened.error, opened.json()) == (1, 1, True, False, {})


def test_a_changed_bit_is_noticed_anywhere() -> None:
    rows = example()
    for at in range(len(rows["welcome"])):
        message = bytearray(rows["welcome"])
        message[at] ^= 1
        with pytest.raises(protocol.BadMessage):
            protocol.welcome(KEY.encode(), OUT, bytes(message), NONCE_C)
    for at in range(len(rows["opened"])):
        message = bytearray(rows["opened"])
        message[at] ^= 1
        with pytest.raises(protocol.BadMessage):
            protocol.reply(keys()[1], OUT, bytes(message))
    with pytest.raises(protocol.BadMessage):  # the same bytes under another topic, and to another greeting
        protocol.reply(keys()[1], OUT.replace("/out/", "/err/"), rows["opened"])
    with pytest.raises(protocol.BadMessage):
        protocol.welcome(KEY.encode(), OUT, rows["welcome"], NONCE_D)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 18, 25])
def test_short_messages_are_refused(size: int) -> None:
    key = keys()[1]
    body = b"\xff" * max(0, size - 16)
    message = (body + protocol.mac(key, OUT, body))[:size]
    with pytest.raises(protocol.BadMessage):
        protocol.reply(key, OUT, message)


def test_sequence_numbers_wrap() -> None:
    assert protocol.header(0x8000, False) == b"\0\0"
    assert protocol.header(0x7FFF, True) == b"\xff\xff" == protocol.SINGLE
    assert protocol.ahead(1, 0x7FFF) == 2
    assert protocol.ahead(0x7FFF, 1) == -2
    assert protocol.ahead(5, 5) == 0


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b'\xff\xff\0\0\0\0\0\0\0\0{"code": "stale"}', "stale"),
        (b'\xff\xff\0\0\0\0\0\0\0\1{"code": "stale"}', None),
        (b'\xff\xff\0\0\0\0\0\0\0\0{"kode": "stale"}', None),
        (b"\xff\xff\0\0\0\0\0\0\0\0[1]", None),
        (b"", None),
    ],
)
def test_hints(message: bytes, code: str | None) -> None:
    assert protocol.hint(f"{BASE}/reply/err/{SID}", message) == code
    assert protocol.hint(OUT, message) is None


def test_session_ids_fit_into_topics() -> None:
    ids = {protocol.new_session_id() for _ in range(200)}
    assert len(ids) == 200 and all(len(i) == 8 and not set(i) & set("/+#$ ") for i in ids)
