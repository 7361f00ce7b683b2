"""What docs/topics.md and docs/params.md show is run on a simulated board, as /app.py, with a broker."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from host.brokers import Mosquitto, Peer, until
from host.simboards import image
from kit.simboard import SimBoard

DOCS = Path(__file__).resolve().parents[2] / "docs"
_SECTION = re.compile(r"^##+ (.*)$", re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """(page, title, its Python blocks) for each section of a page that has any."""
    text = (DOCS / page).read_text()
    titles = [("", 0), *((m[1], m.end()) for m in _SECTION.finditer(text))]
    ends = [start for _, start in titles[1:]] + [len(text)]
    for (title, start), end in zip(titles, ends, strict=True):
        blocks = [m[1] for m in _PYTHON.finditer(text, start, end)]
        if blocks:
            yield page, title, blocks


SECTIONS = [*sections("topics.md"), *sections("params.md")]


@dataclass
class Expected:
    """What is sent to the node of a section, what it publishes (topic below its base), and what it prints."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    got: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


EXPECTED = {
    "Your own": Expected(
        [("relay", "on"), ("uptime_", "")],
        [("temperature", "21.5"), ("relay_", "switched on"), ("uptime", "12")],
    ),
    "A value to read": Expected(got=[("temperature", "21.5")]),
    "A command": Expected([("relay", "off")], [("relay_", "switched off")]),
    "Both": Expected([("level/set", "7")], [("level", "7")]),
    "Switches, numbers and other states": Expected(
        [("lamp/set", "true"), ("brightness/set", "70"), ("mode/set", "eco"), ("mode/set", "boost")],
        [("lamp", "ON"), ("brightness", "70.0"), ("mode", "eco")],
        ["brightness 70.0"],
    ),
    "When it changes": Expected(got=[("water", "12.25"), ("light", "300")]),
    "A pin that reports by itself": Expected(got=[("door", "open"), ("motion", "ON")], said=["motion ON"]),
    "Without MQTT": Expected(said=["the node has started", "tick"]),
    "Schedules": Expected(got=[("rain", "0.2")]),
    "A value that somebody else needs": Expected(
        [("battery_", "")], [("battery", "3.9")], ["volts 3.9", "next 3.9"]
    ),
    "Taking away": Expected([("leave", "")], [("guest", "here"), ("leave_", "gone"), ("guest", "")]),
    "From your own program": Expected(
        [("/home/roof/alarm", "fire")], [("event", '{"door": "open"}')], ["watching", "home/roof/alarm fire"]
    ),
    "params.md": Expected(
        [
            ("SET_PARAM", '{"key": "time", "value": 30}'),
            ("SET_PARAM", '{"topic": "threshold", "payload": 19.5}'),
            ("SET_PARAMS", '{"time": 1000, "mode": "boost"}'),
            ("valve_", ""),
        ],
        [
            ("valve", "shut"),
            ("SET_PARAM_", "OK"),
            ("SET_PARAMS_", "time: expected a whole number from 1 to 900 s, got 1000"),
            ("valve", "open"),
        ],
        ["threshold is now 19.5"],
    ),
}


def program(blocks: list[str]) -> dict[str, str]:
    """The files of a board that run the blocks of a section: whole programs as they are, the rest inside setup()."""
    files = {}
    inside = ""
    for block in blocks:
        if "def setup(" in block:
            files["app.py"] = block
        elif "Node(" in block:
            files["main.py"] = block  # reads the config.json of the test
        else:
            inside += textwrap.indent(textwrap.dedent(block), "    ")
    if inside and "main.py" in files:
        # The same program, with the topics in main.py.
        files["main.py"] = (
            "def setup(node):\n" + inside + files["main.py"].replace("node.run()", "setup(node)\nnode.run()")
        )
    elif inside:
        files["app.py"] = "def setup(node):\n" + inside
    return files


def test_every_section_is_known() -> None:
    titles = [title or page for page, title, _ in SECTIONS]
    assert sorted(titles) == sorted(EXPECTED)


@pytest.mark.parametrize(("page", "title", "blocks"), SECTIONS, ids=[s[1] or s[0] for s in SECTIONS])
def test_section(tmp_path: Path, broker: Mosquitto, page: str, title: str, blocks: list[str]) -> None:
    expected = EXPECTED[title or page]
    peer = Peer(broker.port, ["#"])
    with SimBoard(image(), tmp_path / "node") as board:
        board.world(pins={"4": 1, "6": 0})
        board.put("config.json", {"mqtt": {"host": "127.0.0.1", "port": broker.port, "base": "b"}})
        for name, text in program(blocks).items():
            board.put(name, text)
        board.start()
        peer.wait_for("b/available", "online")
        if "motion ON" in expected.said:
            until(lambda: peer.payloads("b/motion"), "the level at the start")
            board.world(pins={"4": 1, "6": 1})
        for topic, payload in expected.sent:
            peer.publish(topic[1:] if topic[0] == "/" else f"b/{topic}", payload)
        for topic, payload in expected.got:
            peer.wait_for(f"b/{topic}", payload)
        for text in expected.said:
            until(lambda text=text: text in board.console, f"{text!r} on the console:\n{board.console}")
        assert "Traceback" not in board.console, board.console
    peer.close()
