"""coldframe.hal of chips that do not run here: what can be told on the unix image, with a machine module made up."""

from __future__ import annotations

import os
import subprocess

from host.mqttnode import ROOT, image

_ESP32 = """
import sys

class Machine:  # as on an ESP32: HARD_RESET is a panic or machine.reset(), the button counts as power
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)
    cause = 0

    def reset_cause():
        return Machine.cause

class Esp32:  # NVS is not used
    pass

sys.modules["machine"] = Machine
sys.modules["esp32"] = Esp32
from coldframe import hal
import coldframe.hal.esp32 as esp32

for name in dir(esp32):  # what the end of hal/__init__.py does on that chip
    if name[0] != "_":
        setattr(hal, name, getattr(esp32, name))
for Machine.cause in range(7):
    print(hal.reset_cause(), end=" ")
"""


def test_a_crash_of_an_esp32_does_not_pass_for_its_button():
    run = subprocess.run(
        [image(), "-c", _ESP32],
        env={**os.environ, "MICROPYPATH": f"{ROOT / 'modules'}:.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout.split(), run.stderr) == (
        ["unknown", "power", "crash", "watchdog", "deepsleep", "soft", "unknown"],
        "",
    )
