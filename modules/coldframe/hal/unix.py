"""The simulated board: the unix image with the machine and network modules of ports/unix.

Its RTC memory belongs to the user's program as it does on an ESP32, so the boot record is a file here.
"""

from micropython import const

DOG_TIMER = const(-1)
