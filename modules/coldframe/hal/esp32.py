"""ESP32, ESP32-C3, ESP32-S3."""

import sys

import esp32

# MicroPython says HARD_RESET here after a crash and after machine.reset(); the button counts as power. A crash must
# not pass for a person at the button, who makes no boot a failed one; machine.reset() is noted by note_restarts().
HARD = "crash"
SUBSECOND = 1000  # microseconds
# The hardware watchdog of ESP-IDF cannot be stopped again by a program, so it is left alone; the timer does the work:
# the last one that there is, since programs take the first.
DOG_TIMER = 1 if "C3" in getattr(sys.implementation, "_machine", "") else 3
MDNS = True


def keep(data):
    # NVS, and not RTC memory: that belongs to the user's program (machine.RTC().memory).
    if kept() != data:  # spare the flash
        nvs = esp32.NVS("coldframe")
        nvs.set_blob("boot", data)
        nvs.commit()
    return True


def kept():
    buf = bytearray(8)
    try:
        return bytes(buf[: esp32.NVS("coldframe").get_blob("boot", buf)])
    except OSError:
        return None
