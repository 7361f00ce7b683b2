"""Home Assistant's own verdict on documents of MQTT discovery. Runs in a Python that has Home Assistant:

    python3.13 -m venv V && V/bin/pip install homeassistant paho-mqtt
    V/bin/python hacheck.py DOCUMENT.json ...

Prints a line for each entity that it refuses, or of which it does not know a key, and how many are good; ends with
status 1 if there is any of the former.
"""

import asyncio
import importlib
import importlib.abc
import importlib.machinery
import json
import sys
import tempfile
from unittest.mock import MagicMock

# Home Assistant imports these for other things than MQTT; they need not be installed.
_ELSEWHERE = (
    "hass_nabucasa",
    "acme",
    "snitun",
    "hassil",
    "home_assistant_intents",
    "haffmpeg",
    "turbojpeg",
    "av",
)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in _ELSEWHERE:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__spec__, module.__path__, module.__name__ = spec, [], spec.name
        return module

    def exec_module(self, module):
        pass


sys.meta_path.append(_Finder())

import homeassistant.const
from homeassistant.components.mqtt import discovery, schemas
from homeassistant.core import HomeAssistant


def refused(path):
    """How many entities of a document are refused; prints why."""
    with open(path, encoding="utf-8") as f:
        document = discovery.MQTTDiscoveryPayload(json.load(f))
    discovery._replace_all_abbreviations(document)
    schemas.DEVICE_DISCOVERY_SCHEMA(document)
    good = bad = 0
    for cid, entity in document["components"].items():
        platform = entity.pop("platform")
        if not entity:
            continue
        own = set(entity)
        payload = discovery.MQTTDiscoveryPayload(entity)
        payload["device"], payload["origin"] = document["device"], document["origin"]
        discovery._merge_common_device_options(payload, document)
        module = importlib.import_module("homeassistant.components.mqtt." + platform)
        try:
            unknown = own - set(module.DISCOVERY_SCHEMA(dict(payload)))
        except Exception as e:
            print(f"{cid}: {e}")
            bad += 1
            continue
        if unknown:
            print(f"{cid}: does not know {sorted(unknown)}")
            bad += 1
        else:
            good += 1
    print(f"Home Assistant {homeassistant.const.__version__}: {good} entities are good, {bad} are not")
    return bad


async def main():
    """Templates are compiled with a running Home Assistant, empty as it is."""
    with tempfile.TemporaryDirectory() as folder:
        HomeAssistant(folder)
        return 1 if sum(refused(path) for path in sys.argv[1:]) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
