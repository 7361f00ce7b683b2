"""The ESP8266 port, linked with Debian's compiler and the vendor SDK of the Rust crate: does our part fit?

The image is built by scripts/test.py where cargo, which fetches the crate, is installed. It is never run.
"""

import json
import re

import pytest
from kit import images

FACTS = images.path("ESP8266_LINKCHECK", ".json")
IRAM = 32 * 1024  # instruction RAM that the chip leaves to the program
DRAM = 80 * 1024  # data RAM
SDK_HEAP = 12 * 1024  # what the vendor's Wi-Fi wants of it at run time, besides the stack

if not FACTS.is_file():
    pytest.skip("not built: needs cargo 1.68 or newer (scripts/test.py says so)", allow_module_level=True)


@pytest.fixture(scope="module")
def facts():
    return json.loads(FACTS.read_text())


def test_the_sdk_is_the_pinned_one(facts):
    assert facts["upstream"]["esp8266-nonos-sdk"]["locked"]
    elf = images.path("ESP8266_LINKCHECK", ".elf").read_bytes()
    assert b"3.0.6-dev(072755c)" in elf, (
        "docs/boards.md names another SDK version than the one that is linked"
    )


def test_code_and_data_fit_the_chip(facts):
    sections = facts["size"]["sections"]
    assert sections[".text"] <= IRAM
    assert facts["size"]["static_ram"] <= DRAM - SDK_HEAP
    assert facts["flash"]["used"] <= facts["flash"]["app_size"]


def test_our_c_code_lies_in_flash_not_in_instruction_ram():
    text = images.path("ESP8266_LINKCHECK", ".map").read_text()
    placed = re.findall(r"^ +(0x[0-9a-f]{8,16}) +0x[0-9a-f]+ \S*/(mqttpacket|ringlog)/\S+\.o$", text, re.M)
    code = [(int(address, 16), module) for address, module in placed if int(address, 16) >= 0x40100000]
    assert {module for _, module in code} == {"mqttpacket", "ringlog"}
    assert [hex(address) for address, _ in code if address < 0x40200000] == []
