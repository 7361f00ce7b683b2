"""What docs/mqtt.md shows is run: the Python on a simulated board, the shell commands here, the JSON validated."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from host.brokers import Mosquitto, Peer, free_port, until
from host.simboards import boards
from kit import host

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mqtt.md"
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, list[tuple[str, str]]]:
    """Title -> its code blocks as (language, text); what comes before the first title is under ""."""
    titles = [("", 0), *((m[1], m.end()) for m in _SECTION.finditer(PAGE.read_text()))]
    text = PAGE.read_text()
    ends = [start for _, start in titles[1:]] + [len(text)]
    return {
        title: [(m[1], m[2]) for m in _BLOCK.finditer(text, start, end)]
        for (title, start), end in zip(titles, ends, strict=True)
    }


SECTIONS = sections()
PYTHON = {title: [text for kind, text in blocks if kind == "python"] for title, blocks in SECTIONS.items()}
# What the board must say when the code of a section has run, and what a peer publishes for that.
SAYS = {
    "": [],
    "Connecting": ["up"],
    "Publishing": [],
    "Subscribing": ["light b'on'", "greenhouse/door b'open'"],
    "TLS": [],
    "Large messages": ["camera/picture is in /picture.jpg with 20000 bytes"],
    "MQTT 5": ["b'21.5'"],
}
PEER = {"Subscribing": [("greenhouse/light", "on"), ("greenhouse/door", "open")]}

PROGRAM = """
import asyncio
from coldframe.mqtt import Client, Tcp

async def main():
    client = Client(Tcp("10.0.0.5"), "greenhouse")
    await client.connect()
%s
    print("ALL DONE")
    while True:
        await asyncio.sleep(1)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """The folder in which the shell commands of the page were run."""
    host.ensure({"openssl": "openssl"}, "the tests of the documentation")
    folder = tmp_path_factory.mktemp("openssl")
    for _, text in (b for blocks in SECTIONS.values() for b in blocks if b[0] == "sh"):
        done = subprocess.run(["sh", "-e", "-c", text], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
    return folder


@pytest.fixture
def broker(tmp_path, certificates):
    """A mosquitto with TLS as the page says, on tls_port."""
    broker = Mosquitto(tmp_path / "broker")
    broker.tls_port = free_port()
    lines = next(text for kind, text in SECTIONS["TLS"] if not kind)
    lines = lines.replace("8883", f"{broker.tls_port} 127.0.0.1").replace("/etc/mosquitto", str(certificates))
    with (tmp_path / "broker" / "mosquitto.conf").open("a") as config:
        config.write(lines + f"cafile {certificates}/ca.pem\n")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def make_board(tmp_path):
    yield from boards(tmp_path)


def ours(text: str, broker: Mosquitto) -> str:
    """The code with the broker of the test in place of the one of the page."""
    text = re.sub(r'Tcp\("10\.0\.0\.[56]"', f'Tcp("127.0.0.1", {broker.port}', text)
    return text.replace('Tls("broker.example"', f'Tls("broker.example", {broker.tls_port}')


def test_all_sections_are_known():
    assert [title for title, blocks in PYTHON.items() if blocks] == list(SAYS)
    fences = len(re.findall("^```", PAGE.read_text(), re.MULTILINE))
    assert sum(len(blocks) for blocks in SECTIONS.values()) * 2 == fences


@pytest.mark.parametrize("title", SAYS)
def test_python(broker, closing, certificates, make_board, title):
    code = "\n".join(PYTHON[title])
    if "asyncio.run" not in code:
        imports = "".join(re.findall(r"^from .*\n", code, re.MULTILINE))
        code = imports + PROGRAM % textwrap.indent(re.sub(r"(?m)^from .*\n", "", code), "    ")
    else:
        code += 'print("ALL DONE")\n'
    if title == "TLS":
        code = code.replace(
            'print("ALL DONE")', 'print("UP", await client.connect(10))\n    print("ALL DONE")'
        )
    peer = closing(Peer(broker.port, ["greenhouse/#"]))
    board = make_board(ours(code, broker))
    board.world(hosts={"broker.example": "127.0.0.1"})
    board.put("ca.der", (certificates / "ca.der").read_bytes())
    board.start()
    board.wait_for("ALL DONE", 20)
    for topic, payload in PEER.get(title, ()):
        peer.publish(topic, payload)
    for text in SAYS[title]:
        until(lambda text=text: text in board.console, repr(text))
    assert "Traceback" not in board.console
    assert " ERROR " not in board.console
    if title == "":
        peer.wait_for("greenhouse/temperature", "21.5")
    elif title == "Publishing":
        peer.wait_for("greenhouse/door", "open")
        peer.wait_for("greenhouse/log", "…")
    elif title == "TLS":
        assert "UP True" in board.console
    elif title == "Large messages":
        assert board.get("picture.jpg") == bytes(20000)


def test_configurations(broker, closing, certificates, make_board):
    """Every configuration of the page is free of errors, and one with a client certificate connects."""
    found = [text for blocks in SECTIONS.values() for kind, text in blocks if kind == "json"]
    assert len(found) > 4
    check = "from coldframe import config\nerrors = []\n"
    for text in found:
        check += f"config.check({json.loads(text)!r}, errors)\n"
    board = make_board(check + "print('ERRORS', errors)")
    board.start()
    board.wait_for("ERRORS []", 10)
    board.stop()
    peer = closing(Peer(broker.port, ["b/available"]))
    settings = json.loads(next(text for text in found if "device.key" in text))
    settings["mqtt"].update(port=broker.tls_port, base="b")
    node = make_board("import coldframe\ncoldframe.Node().run()")
    node.world(hosts={"broker.example": "127.0.0.1"})
    for name in ("ca.der", "device.pem", "device.key"):
        node.put(name, (certificates / name).read_bytes())
    node.put("config.json", settings)
    node.start()
    peer.wait_for("b/available", "online")
